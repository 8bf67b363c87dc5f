/**
 * `fullconn` of backends whose servers get a range of limits at run time: worked out when the first
 * such server comes, as the start does for those of the configuration (manual 4.2, 5.2 `minconn`).
 */
import { automaticFullconn } from "../config/plan.ts";
import { PROCESS_MAXCONN } from "../tables/generated/process.ts";
import { PROXY_FULLCONN } from "../tables/generated/proxy.ts";
import type { ServerSpec } from "../tables/spec.ts";
import type { Tables } from "../tables/tables.ts";
import type { Model, ProxyObject } from "./model.ts";

/** Fills the backend's row where `server` needs it and nothing is there. O(proxies). */
export function ensureFullconn(
  tables: Tables,
  model: Model,
  backend: ProxyObject,
  server: Pick<ServerSpec, "minconn" | "maxconn">,
): void {
  const words = tables.proxies.words;
  const cell = backend.row + PROXY_FULLCONN;
  if (server.minconn === server.maxconn || words[cell]! > 0) return;
  const proxies = model.proxies.map(({ spec }) => spec);
  words[cell] = automaticFullconn(
    { proxies },
    backend.spec,
    tables.process.words[PROCESS_MAXCONN]!,
  );
}
