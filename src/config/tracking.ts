/** `track` in a file: whether the server that is named can be followed (HAProxy manual 5.2). */
import type { LoadContext } from "./context.ts";
import { hasBack } from "./draft.ts";
import type { ProxyDraft, ServerDraft } from "./draft.ts";

/** A server follows its own checks or another server, never both. */
export const CHECKS_AND_TRACKING = "unable to enable checks and tracking at the same time!";

type Place = { proxy: ProxyDraft; server: ServerDraft };

/** Reports servers of `proxy` that name what they cannot follow. */
export function checkTracking(context: LoadContext, proxy: ProxyDraft): void {
  for (const server of proxy.servers) {
    const problem = problemOf(context, { proxy, server });
    if (problem === undefined) continue;
    const { file, line } = server.origin;
    const subject = `[${file}:${line}] : 'server ${proxy.name}/${server.name}'`;
    context.report.add("alert", server.origin, `${subject} : ${problem}`, problem);
  }
}

function problemOf(context: LoadContext, place: Place): string | undefined {
  const { settings } = place.server;
  if (settings.track === undefined) return undefined;
  if (settings.check.enabled) return CHECKS_AND_TRACKING;
  const seen = new Set([place.server]);
  let at = find(context, place, settings.track);
  while (typeof at !== "string") {
    const { track, check, agent } = at.server.settings;
    if (seen.has(at.server)) {
      // A circle further down the chain is told where it is closed.
      if (at.server !== place.server) return undefined;
      const first = find(context, place, settings.track);
      const via = typeof first === "string" ? first : nameOf(first);
      const loop = `a tracking chain looping back to ${nameOf(place)}`;
      return `unable to track ${via} as it belongs to ${loop}.`;
    }
    seen.add(at.server);
    if (track === undefined) {
      if (check.enabled || agent.enabled) return undefined;
      const why = "it does not have any check nor agent enabled.";
      return `unable to use ${nameOf(at)} for tracking as ${why}`;
    }
    at = find(context, at, track);
  }
  return at;
}

const nameOf = ({ proxy, server }: Place): string => `${proxy.name}/${server.name}`;

/** The server that is named, or the sentence about there being none. */
function find(context: LoadContext, from: Place, track: string): Place | string {
  const slash = track.indexOf("/");
  const backend = track.slice(0, Math.max(0, slash));
  const name = track.slice(slash + 1);
  const found =
    slash < 0 ? from.proxy : context.proxiesNamed(backend).find(({ section }) => hasBack(section));
  if (found === undefined) return `unable to find required proxy '${backend}' for tracking.`;
  const server = found.serversByName.get(name);
  if (server !== undefined) return { proxy: found, server };
  return `unable to find required server '${name}' for tracking.`;
}
