/**
 * `show servers conn`: connections of servers, with HAProxy's columns (management manual 9.3). Over
 * TCP each belongs to its client, and none is kept idle. A QUIC connection carries the streams of
 * many clients, and waits in the pool of its worker when it has none.
 */
import { PROCESS_WORKER_COUNT } from "../../tables/generated/process.ts";
import {
  SERVER_QUIC_IDLE,
  SERVER_QUIC_OPEN,
  SERVER_SERVED,
  SERVER_SERVED_MAX,
  SERVER_STRIDE,
} from "../../tables/generated/server.ts";
import { SHARE_QUIC_IDLE, SHARE_STRIDE } from "../../tables/generated/share.ts";
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
  const { quic } = spec;
  const served = words[row + SERVER_SERVED]!;
  const most = Math.max(served, words[row + SERVER_SERVED_MAX]!);
  const threads = tables.process.words[PROCESS_WORKER_COUNT]!;
  const idle = words[row + SERVER_QUIC_IDLE]!;
  const used = Math.max(0, words[row + SERVER_QUIC_OPEN]! - idle);
  const share = (row / SERVER_STRIDE) * SHARE_STRIDE + SHARE_QUIC_IDLE;
  const tcp = [PURGE_DELAY_MS, served, served, most, most, 0, 0, 0, -1, 0];
  const numbers =
    quic === undefined
      ? tcp
      : // The highest number of connections that carried streams is not kept: it is that of now.
        [quic.poolPurgeDelayMs, served, used, used, used, 0, 0, idle, quic.poolMaxConn, idle];
  return `${[
    `${naming.name(backend.spec.name)}/${naming.name(spec.name)}`,
    `${backend.spec.id}/${spec.id}`,
    hostOf(spec.address, naming),
    portOf(spec.address),
    "-",
    ...numbers,
    ...tables.perWorker
      .slice(0, threads)
      .map(({ shares }) => (quic === undefined ? 0 : shares.words[share]!)),
  ].join(" ")}\n`;
}
