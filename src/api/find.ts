/**
 * Names of objects in commands: `<name>`, `#<id>` (numeric ids, management manual 9.3) and
 * `@guid:<guid>`, alone or as the halves of `<backend>/<server>`; in the model for what reads, in a
 * draft for what changes. What is missing is refused in HAProxy's words. A server that is being
 * deleted is missing.
 */
import { Refusal } from "../base/refusals.ts";
import type { RefusalCode } from "../base/refusals.ts";
import type { Draft, DraftProxy, DraftServer } from "../control/draft.ts";
import { findByGuid } from "../control/guids.ts";
import type { GuidBearer } from "../control/guids.ts";
import type { Model, ProxyObject, ServerObject } from "../control/model.ts";

/** What stands before a GUID. */
const GUID_PREFIX = "@guid:";

const noBackend = (): Refusal => new Refusal("NO_BACKEND", "No such backend.");
const noFrontend = (): Refusal => new Refusal("NO_FRONTEND", "No such frontend.");
const noServer = (): Refusal => new Refusal("NO_SERVER", "No such server.");

/** The object that bears a GUID; undefined = none does. */
function findGuid(model: Model, guid: string): GuidBearer | undefined {
  const { guids } = model;
  return guids === undefined ? undefined : findByGuid({ guids, model }, guid);
}

/** The server that bears a GUID. */
function serverWith(model: Model, guid: string): ServerObject | undefined {
  const found = findGuid(model, guid);
  return found !== undefined && "backend" in found ? found : undefined;
}

/** The guid in `@guid:<guid>`; undefined = the word is no such form. */
function guidIn(word: string): string | undefined {
  return word.startsWith(GUID_PREFIX) ? word.slice(GUID_PREFIX.length) : undefined;
}

/** The number in `#<id>`; undefined = the word is no such form. */
function idIn(word: string): number | undefined {
  return /^#\d{1,10}$/u.test(word) ? Number(word.slice(1)) : undefined;
}

/** The proxy behind `#<id>` or `@guid:<guid>`, `null` = none; undefined = the word is a name. */
function specialProxy(model: Model, word: string): ProxyObject | null | undefined {
  const guid = guidIn(word);
  if (guid !== undefined) {
    const found = findGuid(model, guid);
    return found !== undefined && "servers" in found ? found : null;
  }
  const id = idIn(word);
  if (id === undefined) return word.startsWith("#") ? null : undefined;
  return model.proxyById.get(id) ?? null;
}

/** The backend that a word names; undefined = none. */
export function findBackend(model: Model, word: string): ProxyObject | undefined {
  const special = specialProxy(model, word);
  if (special === undefined) return model.backends.get(word);
  return special?.spec.hasBack === true ? special : undefined;
}

/** The frontend that a word names; undefined = none. */
export function findFrontend(model: Model, word: string): ProxyObject | undefined {
  const special = specialProxy(model, word);
  if (special === undefined) return model.frontends.get(word);
  return special?.spec.hasFront === true ? special : undefined;
}

/** The backend that a word names. @throws Refusal NO_BACKEND */
export function backendOf(model: Model, word: string): ProxyObject {
  const found = findBackend(model, word);
  if (found === undefined) throw noBackend();
  return found;
}

/** The frontend that a word names. @throws Refusal NO_FRONTEND */
export function frontendOf(model: Model, word: string): ProxyObject {
  const found = findFrontend(model, word);
  if (found === undefined) throw noFrontend();
  return found;
}

/**
 * The two halves of `<backend>/<server>`.
 * @throws Refusal BAD_ARGUMENT unless both are there
 */
export function splitPath(path: string): { backend: string; server: string } {
  const slash = path.indexOf("/");
  const [backend, server] = [path.slice(0, slash), path.slice(slash + 1)];
  if (slash <= 0 || server === "") throw new Refusal("BAD_ARGUMENT", "Require 'backend/server'.");
  return { backend, server };
}

/** The server that `<backend>/<server>` or `@guid:<guid>` names. @throws Refusal */
export function serverOf(model: Model, path: string): ServerObject {
  const bearer = serverByGuid(model, path);
  if (bearer !== undefined) return bearer;
  const { backend, server } = splitPath(path);
  const proxy = backendOf(model, backend);
  const found = specialServer(model, proxy, server);
  const named = found === undefined ? proxy.serversByName.get(server) : found;
  if (named === undefined || named === null) throw noServer();
  return named;
}

/** The server of a whole word `@guid:<guid>`; undefined = the word is something else. @throws */
function serverByGuid(model: Model, path: string): ServerObject | undefined {
  if (!path.startsWith(GUID_PREFIX) || path.includes("/")) return undefined;
  const found = serverWith(model, path.slice(GUID_PREFIX.length));
  if (found === undefined) throw noServer();
  return found;
}

/** The server of a backend behind `#<id>` or `@guid:`, `null` = none; undefined = a name. */
function specialServer(
  model: Model,
  proxy: ProxyObject,
  word: string,
): ServerObject | null | undefined {
  const guid = guidIn(word);
  if (guid !== undefined) {
    const found = serverWith(model, guid);
    return found?.backend === proxy ? found : null;
  }
  const id = idIn(word);
  if (id === undefined) return word.startsWith("#") ? null : undefined;
  return proxy.servers.find(({ spec }) => spec.id === id) ?? null;
}

/** The backend that a word names, as it will be. @throws Refusal NO_BACKEND */
export function draftBackend(draft: Draft, word: string): DraftProxy {
  const special = specialProxy(draft.model, word);
  const name = special === undefined ? word : special?.spec.name;
  const found = name === undefined ? undefined : draft.findBackend(name);
  if (found === undefined || isAnother(special, found)) throw noBackend();
  return found;
}

/** The frontend that a word names, as it will be. @throws Refusal NO_FRONTEND */
export function draftFrontend(draft: Draft, word: string): DraftProxy {
  const special = specialProxy(draft.model, word);
  const name = special === undefined ? word : special?.spec.name;
  const found = name === undefined ? undefined : draft.findFrontend(name);
  if (found === undefined || isAnother(special, found)) throw noFrontend();
  return found;
}

/** A draft may hold another object of the same name by now. */
function isAnother(
  special: ProxyObject | null | undefined,
  { object }: { object: ProxyObject | undefined },
): boolean {
  return special !== undefined && special !== object;
}

/** The server that `<backend>/<server>` or `@guid:<guid>` names, as it will be. @throws Refusal */
export function draftServer(draft: Draft, path: string): DraftServer {
  const bearer = serverByGuid(draft.model, path);
  if (bearer !== undefined) return draftOf(draft, bearer);
  const { backend, server } = splitPath(path);
  const proxy = draftBackend(draft, backend);
  const special =
    proxy.object === undefined ? undefined : specialServer(draft.model, proxy.object, server);
  if (special === null) throw noServer();
  if (special !== undefined) return draftOf(draft, special);
  const found = draft.findServer(proxy, server);
  if (found === undefined) throw noServer();
  return found;
}

/** The draft's entry of a server that there is. @throws Refusal when the draft has removed it */
function draftOf(draft: Draft, server: ServerObject): DraftServer {
  const proxy = draft.findBackend(server.backend.spec.name);
  const found = proxy && draft.findServer(proxy, server.spec.name);
  if (found === undefined || found.object !== server) throw noServer();
  return found;
}

/** A word that must be there. @throws Refusal with `sentence` */
export function wanted(
  word: string | undefined,
  sentence: string,
  code: RefusalCode = "BAD_ARGUMENT",
): string {
  if (word === undefined || word === "") throw new Refusal(code, sentence);
  return word;
}
