/**
 * `show servers conn`: connections of servers, with HAProxy's columns (management manual 9.3).
 * sluice keeps no idle connections: at layer 4 each belongs to its client.
 */
import { PROCESS_WORKER_COUNT } from "../../tables/generated/process.ts";
import { SERVER_SERVED, SERVER_SERVED_MAX } from "../../tables/generated/server.ts";
import type { Tables } from "../../tables/tables.ts";
import type { ServerObject } from "../model.ts";
import { hostOf, PLAIN_NAMES, portOf } from "./server-state-line.ts";
import type { Naming } from "./server-state-line.ts";

/** Interval between two looks at idle connections, ms: HAProxy's default. */
const PURGE_DELAY_MS = 5000;

/** The line of titles, with its newline. */
export function serverConnHeader(tables: Tables): string {
  const threads = tables.process.words[PROCESS_WORKER_COUNT]!;
  return (
    "# bkname/svname bkid/svid addr port - purge_delay served used_cur used_max need_est " +
    `idle_sess unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[${threads}]\n`
  );
}

/** The line of a server, with its newline. */
export function serverConnLine(
  tables: Tables,
  { row, spec, backend }: ServerObject,
  naming: Naming = PLAIN_NAMES,
): string {
  const { words } = tables.servers;
  const served = words[row + SERVER_SERVED]!;
  const most = Math.max(served, words[row + SERVER_SERVED_MAX]!);
  const threads = tables.process.words[PROCESS_WORKER_COUNT]!;
  return `${[
    `${naming.name(backend.spec.name)}/${naming.name(spec.name)}`,
    `${backend.spec.id}/${spec.id}`,
    hostOf(spec.address, naming),
    portOf(spec.address),
    "-",
    PURGE_DELAY_MS,
    served,
    served,
    most,
    most,
    0,
    0,
    0,
    -1,
    0,
    ...Array.from({ length: threads }, () => 0),
  ].join(" ")}\n`;
}
