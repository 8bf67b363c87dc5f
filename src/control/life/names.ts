/**
 * Which expressions of the configuration name an object: `nbsrv(be)`, `srv_conn(be/s1)` and the
 * like keep what they name from being removed.
 */
import type { Argument } from "../../tables/expression.ts";
import type { Model, ProxyObject } from "../model.ts";

/** Fetches and converters whose first argument names a backend, or `backend/server`. */
const BACKEND_FETCHES = /^(?:be_|nbsrv|avg_queue|connslots|queue|srv_is_up)/u;
const SERVER_FETCHES = /^srv_/u;

type Call = { name: string; args: Argument[] };

/** An expression that names something: it counts as long as its proxy is there. */
type Naming = { proxy: ProxyObject; text: string };

/** By kind and name of what is named. Expressions come with the configuration and never change. */
const indexes = new WeakMap<Model, Map<string, Naming[]>>();

/** Sentences about the expressions that name the object. O(configuration) once, then O(them). */
export function expressionNames(model: Model, kind: "backend" | "server", name: string): string[] {
  let index = indexes.get(model);
  if (index === undefined) indexes.set(model, (index = makeIndex(model)));
  const namings = index.get(`${kind} ${name}`) ?? [];
  return namings.flatMap(({ proxy, text }) =>
    model.proxyByRow.get(proxy.row) === proxy ? [text] : [],
  );
}

function makeIndex({ proxies }: Model): Map<string, Naming[]> {
  const index = new Map<string, Naming[]>();
  const enter = (key: string, naming: Naming): void => {
    const known = index.get(key);
    if (known === undefined) index.set(key, [naming]);
    else known.push(naming);
  };
  for (const proxy of proxies) {
    if (proxy.isDynamic) continue;
    const { name, useBackends, useServers, balance, aclSamples, ...rest } = proxy.spec;
    const formats = [rest.logFormat, rest.errorLogFormat, rest.uniqueIdFormat];
    for (const call of callsIn([useBackends, useServers, aclSamples, balance, ...formats])) {
      const first = call.args[0];
      if (first?.kind !== "str") continue;
      const text = `the expression ${call.name}(${first.value}) of ${name}`;
      if (BACKEND_FETCHES.test(call.name)) {
        enter(`backend ${first.value.split("/")[0]!}`, { proxy, text });
      }
      if (SERVER_FETCHES.test(call.name)) enter(`server ${first.value}`, { proxy, text });
    }
  }
  return index;
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
