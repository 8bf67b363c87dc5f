/**
 * Which expressions of the configuration name an object: `nbsrv(be)`, `srv_conn(be/s1)` and the
 * like keep what they name from being removed.
 */
import type { Argument } from "../../tables/expression.ts";
import type { Model } from "../model.ts";

/** Fetches and converters whose first argument names a backend, or `backend/server`. */
const BACKEND_FETCHES = /^(?:be_|nbsrv|avg_queue|connslots|queue|srv_is_up)/u;
const SERVER_FETCHES = /^srv_/u;

type Call = { name: string; args: Argument[] };

/** Sentences about the expressions that name the object. O(configuration). */
export function expressionNames(model: Model, kind: "backend" | "server", name: string): string[] {
  const pattern = kind === "backend" ? BACKEND_FETCHES : SERVER_FETCHES;
  // An ACL and the rules that use it say the same.
  const found = new Set<string>();
  for (const { spec, isDynamic } of model.proxies) {
    if (isDynamic) continue;
    const { useBackends, useServers, balance, logFormat, errorLogFormat, uniqueIdFormat } = spec;
    const formats = [logFormat, errorLogFormat, uniqueIdFormat];
    const places = [useBackends, useServers, spec.aclSamples, balance, ...formats];
    for (const call of callsIn(places)) {
      const first = call.args[0];
      if (first?.kind !== "str" || !pattern.test(call.name)) continue;
      const names = kind === "backend" ? first.value.split("/")[0] : first.value;
      if (names === name) found.add(`the expression ${call.name}(${first.value}) of ${spec.name}`);
    }
  }
  return [...found];
}

/** All calls of fetches and converters in plain data, wherever they stand. */
function* callsIn(value: unknown): Generator<Call> {
  if (Array.isArray(value)) {
    for (const one of value) yield* callsIn(one);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if ("args" in value && "name" in value && Array.isArray(value.args)) {
    yield value as Call;
  }
  for (const one of Object.values(value)) yield* callsIn(one);
}
