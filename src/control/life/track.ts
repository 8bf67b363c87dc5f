/**
 * `track` of servers made at run time (HAProxy management manual 9.3, `add server`). Main thread.
 */
import { Refusal } from "../../base/refusals.ts";
import type { Draft, DraftProxy } from "../draft.ts";

/**
 * Only servers of the configuration are followed, and only where checks decide on their state: so
 * chains stay whole when servers made at run time go.
 * @throws Refusal in HAProxy's words
 */
export function refuseTrack(draft: Draft, proxy: DraftProxy, track: string | undefined): void {
  if (track === undefined) return;
  const slash = track.indexOf("/");
  const name = track.slice(0, Math.max(0, slash));
  const backend = slash < 0 ? proxy : draft.findBackend(name);
  if (backend === undefined) {
    throw new Refusal("NO_BACKEND", `unable to find required proxy '${name}' for tracking.`);
  }
  const server = draft.findServer(backend, track.slice(slash + 1));
  if (server === undefined) {
    const text = `unable to find required server '${track.slice(slash + 1)}' for tracking.`;
    throw new Refusal("NO_SERVER", text);
  }
  const { spec, object } = server;
  const unusable = `unable to use ${backend.spec.name}/${spec.name} for tracking as`;
  // One that this transaction makes has no object yet.
  if (object?.isDynamic !== false) {
    throw new Refusal("NOT_DYNAMIC", `${unusable} it is a dynamic server.`);
  }
  if (spec.check.enabled || spec.track !== undefined) return;
  const why = "it does not have any check nor agent enabled.";
  throw new Refusal("WRONG_STATE", `${unusable} ${why}`);
}
