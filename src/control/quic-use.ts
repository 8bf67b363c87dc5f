/**
 * The mark of a backend in which a QUIC server is or was used, and of a frontend that speaks QUIC.
 *
 * The fifth founding rule: a backend with the mark is never removed, since connections to its
 * servers count on it when they are released, however long after their server that is. The mark is
 * set before workers hear of the server, and nothing takes it away: not the end of the server, not
 * the undoing of a transaction, not a restart (state/records.ts). `life/holders.ts` refuses by it.
 * Main thread.
 */
import { formatLocalSecond } from "../expr/log-dates.ts";
import { PROXY_FLAG_QUIC_USED } from "../tables/generated/enums.ts";
import { PROXY_FLAGS, PROXY_QUIC_BACK, PROXY_QUIC_FRONT } from "../tables/generated/proxy.ts";
import type { ServerSpec } from "../tables/spec.ts";
import type { Tables } from "../tables/tables.ts";
import type { ProxyObject } from "./model.ts";

/** How a backend came by its mark. */
export type QuicUse = {
  /** When its first QUIC server was linked. */
  readonly sinceEpochMs: number;
  /** Name that this server had. */
  readonly server: string;
};

/**
 * A server is about to be linked with this spec, or has been given it: marks its backend if it
 * speaks QUIC. Before the mutation that tells workers.
 */
export function noteQuicServer(
  tables: Tables,
  backend: ProxyObject,
  { name, quic }: ServerSpec,
  epochMs: number,
): void {
  if (quic !== undefined) markQuicUsed(tables, backend, { sinceEpochMs: epochMs, server: name });
}

/** Marks a backend; what is known of an earlier use stays. */
export function markQuicUsed(tables: Tables, backend: ProxyObject, use: QuicUse): void {
  Atomics.or(tables.proxies.words, backend.row + PROXY_FLAGS, PROXY_FLAG_QUIC_USED);
  const { quicUse } = backend;
  if (quicUse === undefined || use.sinceEpochMs < quicUse.sinceEpochMs) backend.quicUse = use;
}

/** Is or was a QUIC server used in it? */
export function isQuicUsed(tables: Tables, { row }: ProxyObject): boolean {
  return (Atomics.load(tables.proxies.words, row + PROXY_FLAGS) & PROXY_FLAG_QUIC_USED) !== 0;
}

/** QUIC connections of a proxy that are not released yet, on one side. */
export function quicConnections({ proxies }: Tables, row: number, isFront: boolean): number {
  return Atomics.load(proxies.words, row + (isFront ? PROXY_QUIC_FRONT : PROXY_QUIC_BACK));
}

/** The mark for people: since when, by which server, and what is left of it now. */
export function describeQuicUse(tables: Tables, backend: ProxyObject): string {
  const { quicUse, row } = backend;
  const live = quicConnections(tables, row, false);
  const now = `${live} QUIC connection${live === 1 ? "" : "s"} now`;
  if (quicUse === undefined) return `QUIC was used in it; ${now}`;
  const { sinceEpochMs, server } = quicUse;
  const isThere = backend.serversByName.get(server)?.spec.quic !== undefined;
  const since = formatLocalSecond(Math.floor(sinceEpochMs / 1000));
  return `QUIC since ${since}, first by server ${server}${isThere ? "" : " (gone)"}; ${now}`;
}
