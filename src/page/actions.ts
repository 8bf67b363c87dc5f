/**
 * `stats admin`: what a form or a script posts, checked and made. Fields are HAProxy's: `s` for
 * each server, `action`, `b` for the backend by name or `#id`; `t` is the token of browsers.
 */
import type { Outcome } from "./html/outcome.ts";
import { decode } from "./options.ts";
import type { PageRequest } from "./request.ts";
import { ACTION_ALIASES, ACTIONS } from "./shared/actions.ts";
import type { Tokens, TokenUse } from "./token.ts";
import { mayBeBrowser } from "./token.ts";

/** Longest list of servers that is taken, bytes. */
export const FORM_MAX = 262_144;

/** Makes changes; control's functions behind an interface. */
export type PageActor = {
  /** Name of a backend by name or `#id`; undefined = there is none. */
  findBackend(text: string): string | undefined;
  hasServer(backend: string, server: string): boolean;
  /** @throws Refusal; nothing has changed then */
  act(action: string, backend: string, server: string): Promise<void>;
};

/** A posted form. */
export type PostedForm = {
  readonly servers: readonly string[];
  readonly action: string;
  readonly backend: string;
  readonly token: string;
};

/** Reads a form. What it does not know it ignores; of what comes twice the last one counts. */
export function parseForm(body: string): PostedForm {
  const servers: string[] = [];
  let action = "";
  let backend = "";
  let token = "";
  for (const part of body.trim().split("&")) {
    const equals = part.indexOf("=");
    if (equals < 0) continue;
    const value = decode(part.slice(equals + 1));
    switch (part.slice(0, equals)) {
      case "s":
        if (value !== "") servers.push(value);
        break;
      case "action":
        action = ACTION_ALIASES[value] ?? value;
        break;
      case "b":
        backend = value;
        break;
      case "t":
        token = value;
        break;
      default:
    }
  }
  return { servers: [...new Set(servers)], action, backend, token };
}

/**
 * Why a request may not change anything: undefined = it may. What a browser sends needs the token;
 * and on loopback, where nobody logs in, the page must have been asked for by an address and not by
 * a name, or a foreign site could point its own name here and read the token. (Elsewhere pages
 * without a login are asked for by their names, and reachable for whoever is in the network.)
 */
export function refuseForged(
  request: PageRequest,
  form: PostedForm,
  tokens: Tokens,
  use: TokenUse,
): string | undefined {
  if (!mayBeBrowser((name) => request.header(name))) return undefined;
  const site = request.header("sec-fetch-site");
  if (site !== undefined && site !== "same-origin" && site !== "none") {
    return "it was sent by another site";
  }
  const origin = request.header("origin");
  if (origin !== undefined && hostOf(origin) !== (request.header("host") ?? "").toLowerCase()) {
    return "its Origin is not this page's";
  }
  if (!tokens.check(form.token, use)) return "its token is missing, or too old: reload the page";
  if (use.user === "" && isLoopback(request) && !isOwnName(request.header("host") ?? "")) {
    return "a page on loopback without 'stats auth' takes changes under its address only";
  }
  return undefined;
}

function hostOf(origin: string): string {
  return origin.replace(/^[a-z]+:\/\//i, "").toLowerCase();
}

function isLoopback({ visitor }: PageRequest): boolean {
  return /^(?:127\.|::1$|::ffff:127\.)/.test(visitor.localAddress) || visitor.localAddress === "";
}

/** An address, or this machine's own name for itself: no site can own these. */
function isOwnName(host: string): boolean {
  const bare = host.toLowerCase().replace(/:\d+$/, "");
  return bare === "localhost" || /^\d+(?:\.\d+){3}$/.test(bare) || /^\[[0-9a-f:.]+\]$/.test(bare);
}

/**
 * Does what a form asks for, one server after the other.
 * @param done gets the names of the servers that were changed
 * @throws Refusal for the first that is refused; those before it are changed
 */
export async function runForm(
  form: PostedForm,
  actor: PageActor,
  sees: (backend: string) => boolean,
  done: string[],
): Promise<Outcome> {
  const { servers, action } = form;
  if (servers.length === 0) return form.backend === "" && action === "" ? "NONE" : "ERRP";
  if (action === "") return "NONE";
  if (!ACTIONS.some(({ word }) => word === action)) return "ERRP";
  const backend = actor.findBackend(form.backend);
  if (backend === undefined) return "ERRP";
  if (!sees(backend)) return "DENY";
  let unknown = 0;
  for (const server of servers) {
    if (!actor.hasServer(backend, server)) unknown++;
    else {
      await actor.act(action, backend, server);
      done.push(server);
    }
  }
  if (unknown === 0) return "DONE";
  return done.length === 0 ? "ERRP" : "PART";
}
