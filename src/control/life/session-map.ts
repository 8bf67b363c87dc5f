/**
 * Whole sessions (`quic-map session`) go to QUIC servers only, at run time as in a configuration:
 * asked before a server comes or moves, and before a listener comes. Rules that name their backend
 * by a format are not looked at, as the load does not.
 */
import { Refusal } from "../../base/refusals.ts";
import { wrongForSessions } from "../../config/quic/session-words.ts";
import type { BindSpec, ProxySpec, ServerSpec } from "../../tables/spec.ts";
import type { Draft, DraftProxy } from "../draft.ts";

/** Does a listener hand on whole sessions? */
export const isSessionBind = ({ quic }: BindSpec): boolean => quic?.map === "session";

/** Refuses a server that whole sessions would reach, and that cannot take them. @throws Refusal */
export function refuseBehindSessions(draft: Draft, backend: DraftProxy, server: ServerSpec): void {
  for (const [frontend, bind] of draft.sessionFronts()) {
    if (mayReach(frontend.spec, backend.spec)) refuse(bind, backend, server);
  }
}

/** Refuses listeners whose whole sessions would reach such a server. @throws Refusal */
export function refuseSessions(
  draft: Draft,
  frontend: DraftProxy,
  binds: readonly BindSpec[],
): void {
  const bind = binds.find(isSessionBind);
  if (bind === undefined) return;
  for (const backend of targetsOf(draft, frontend)) {
    for (const server of serversOf(backend)) refuse(bind, backend, server);
  }
}

/** Backends that a frontend may choose, as far as they are named. */
function targetsOf(draft: Draft, { spec }: DraftProxy): DraftProxy[] {
  const names = new Set(namesOf(spec));
  return [...names].flatMap((name) => draft.findBackend(name) ?? []);
}

function mayReach(frontend: ProxySpec, backend: ProxySpec): boolean {
  return namesOf(frontend).includes(backend.name);
}

function namesOf({ name, hasBack, useBackends, defaultBackend }: ProxySpec): string[] {
  const names = useBackends.flatMap(({ backend }) =>
    backend.kind === "name" ? [backend.name] : [],
  );
  if (defaultBackend !== undefined) return [...names, defaultBackend.name];
  return hasBack ? [...names, name] : names;
}

/** Servers as they will be. Two of a configuration may share a name: a draft knows the first. */
function serversOf({ object, servers }: DraftProxy): ServerSpec[] {
  const there = (object?.servers ?? []).flatMap((server) => {
    const drafted = [...servers.values()].find((entry) => entry.object === server);
    if (drafted === undefined) return server.spec;
    return drafted.isDeleted ? [] : drafted.spec;
  });
  const coming = [...servers.values()].filter((entry) => !entry.isDeleted && !entry.object);
  return [...there, ...coming.map(({ spec }) => spec)];
}

function refuse(bind: BindSpec, backend: DraftProxy, server: ServerSpec): void {
  const { quic, sendProxy, name } = server;
  const says = { isQuic: quic !== undefined, sendsProxy: sendProxy !== undefined };
  const wrong = wrongForSessions(bind, says);
  if (wrong === undefined) return;
  throw new Refusal("WRONG_STATE", `'server ${backend.spec.name}/${name}' : ${wrong}`);
}
