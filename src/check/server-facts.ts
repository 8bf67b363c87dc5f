/** What probes say about a server while it runs, from the shared tables. */
import { SERVER_FLAG_DOWN, SERVER_FLAG_STOPPING } from "../tables/generated/enums.ts";
import { PROXY_SERVED, proxyTotalWeight } from "../tables/generated/proxy.ts";
import * as row from "../tables/generated/server.ts";
import type { Tables } from "../tables/tables.ts";
import type { CheckNames } from "./probe.ts";

type Facts = Pick<Tables, "servers" | "proxies">;

/** Parts of a unit of weight in `totalWeight`: it counts scaled weights. */
const WEIGHT_SCALE = 16;

/** Is the server down, whatever its administrative state? */
export function isDown({ servers }: Facts, { serverRow }: CheckNames): boolean {
  return (servers.words[serverRow + row.SERVER_FLAGS]! & SERVER_FLAG_DOWN) !== 0;
}

/** Streams that it has now. */
export function servedOf({ servers }: Facts, { serverRow }: CheckNames): number {
  return servers.words[serverRow + row.SERVER_SERVED]!;
}

/**
 * The value of `X-Haproxy-Server-State` (manual 4.2 `http-check send-state`).
 * @param node name of this machine
 */
export function stateText({ servers, proxies }: Facts, names: CheckNames, node: string): string {
  const { words } = servers;
  const { serverRow: at, backendRow, serverAddress } = names;
  const isIp = serverAddress?.family === "ipv4" || serverAddress?.family === "ipv6";
  const weight = words[at + row.SERVER_WEIGHT]!;
  const throttle = words[at + row.SERVER_THROTTLE]!;
  const total = Math.round(proxyTotalWeight(proxies.floats, backendRow) / WEIGHT_SCALE);
  const served = words[at + row.SERVER_SERVED]!;
  const all = proxies.words[backendRow + PROXY_SERVED]!;
  const place = isIp ? [`address=${serverAddress.host}`, `port=${serverAddress.port}`] : [];
  const parts = [
    stateWord(words, names),
    ...(serverAddress?.family === "unix" ? ["address=unix"] : place),
    `name=${names.backend}/${names.server}`,
    `node=${node}`,
    `weight=${weight}/${total}`,
    `scur=${served}/${all}`,
    `qcur=${words[at + row.SERVER_QUEUE_LENGTH]!}`,
  ];
  if (throttle !== 0) parts.push(`throttle=${throttle}%`);
  return parts.join("; ");
}

/** `UP`, `UP 2/3`, `DOWN 1/2`, `NOLB`: as the statistics have it. */
function stateWord(words: Int32Array, { serverRow: at, rise, fall }: CheckNames): string {
  const health = words[at + row.SERVER_HEALTH]!;
  const flags = words[at + row.SERVER_FLAGS]!;
  if ((flags & SERVER_FLAG_DOWN) !== 0) return health <= 0 ? "DOWN" : `DOWN ${health}/${rise}`;
  const word = (flags & SERVER_FLAG_STOPPING) === 0 ? "UP" : "NOLB";
  return health >= rise + fall - 1 ? word : `${word} ${health - rise + 1}/${fall}`;
}
