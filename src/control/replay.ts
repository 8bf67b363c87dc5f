/**
 * The objects as they are, as the log that would make them: what a worker that starts later is
 * given instead of everything that ever happened.
 */
import { LISTENER_STATE_PAUSED } from "../tables/generated/enums.ts";
import { LISTENER_STATE } from "../tables/generated/listener.ts";
import { PROCESS_STOPPING } from "../tables/generated/process.ts";
import { MUTATION_VERSION } from "../tables/mutations.ts";
import type { Mutation, MutationRecord, ProxyHead, WorkerGlobals } from "../tables/mutations.ts";
import type { ProxySpec } from "../tables/spec.ts";
import type { Model } from "./model.ts";

/** A proxy's spec without the parts that have mutations of their own. */
export function headOf(spec: ProxySpec): ProxyHead {
  const { binds: _binds, servers: _servers, ...head } = spec;
  return head;
}

/**
 * Records that bring an empty worker to where the others are.
 * @param sequence of the last mutation sent: the worker has applied it when it is through
 */
export function replayOf(model: Model, globals: WorkerGlobals, sequence: number): MutationRecord[] {
  const mutations: Mutation[] = [{ kind: "globals", globals }];
  if (model.quic !== null) mutations.push({ kind: "quic", settings: model.quic });
  for (const { row, generation, spec } of model.proxies) {
    mutations.push({ kind: "proxy.add", row, generation, proxy: headOf(spec) });
  }
  for (const { row: backendRow, servers } of model.proxies) {
    for (const { row, generation, spec } of servers) {
      mutations.push({ kind: "server.link", row, generation, backendRow, server: spec });
    }
  }
  const states = model.tables.listeners.words;
  for (const { row: proxyRow, listeners } of model.proxies) {
    for (const { row, spec, fds } of listeners) {
      mutations.push({ kind: "listener.add", row, proxyRow, bind: spec, fds });
      const isPaused = states[row + LISTENER_STATE] === LISTENER_STATE_PAUSED;
      if (isPaused) mutations.push({ kind: "listener.pause", row });
    }
  }
  if (model.tables.process.words[PROCESS_STOPPING] === 1) mutations.push({ kind: "stop" });
  // Only with the last one is the worker where the others are.
  const last = mutations.length - 1;
  return mutations.map((mutation, index) => ({
    version: MUTATION_VERSION,
    sequence: index === last ? sequence : 0,
    mutation,
  }));
}
