/**
 * What the page shows of an object, as the server sends it and the browser reads it: a row is an
 * array of values in this order. Names are those of `show stat`. Knows neither side.
 */

/** Fields of `show stat` that the page needs, in the order in which they are sent. */
export const ROW_FIELDS = [
  "qcur",
  "qmax",
  "qlimit",
  "rate",
  "rate_max",
  "rate_lim",
  "scur",
  "smax",
  "slim",
  "stot",
  "lbtot",
  "lastsess",
  "bin",
  "bout",
  "dreq",
  "dresp",
  "ereq",
  "econ",
  "eresp",
  "wretr",
  "wredis",
  "status",
  "lastchg",
  "check_status",
  "check_code",
  "check_duration",
  "last_chk",
  "check_desc",
  "weight",
  "uweight",
  "act",
  "bck",
  "chkfail",
  "chkdown",
  "downtime",
  "throttle",
  "cli_abrt",
  "srv_abrt",
  "conn_rate",
  "conn_rate_max",
  "conn_tot",
  "dcon",
  "dses",
  "connect",
  "eint",
  "qtime",
  "ctime",
  "ttime",
  "qtime_max",
  "ctime_max",
  "ttime_max",
  "check_rise",
  "check_fall",
  "check_health",
  "agent_status",
  "agent_code",
  "agent_duration",
  "last_agt",
  "agent_desc",
  "hanafail",
  "tracked",
  "addr",
  "algo",
  "quic_conn_cur",
  "quic_conn_open",
  "quic_hdshk_fail",
  "quic_sent_pkt",
  "quic_lost_pkt",
] as const;

/** Name of one of them. */
export type RowField = (typeof ROW_FIELDS)[number];

/** Place of each in a row. */
export const ROW_AT = Object.fromEntries(ROW_FIELDS.map((name, at) => [name, at])) as Readonly<
  Record<RowField, number>
>;

/** One value; null = the object has none. */
export type CellValue = string | number | null;

/** What a row is about. */
export type RowKind = "frontend" | "listener" | "server" | "backend";

/** One object. `id`: the server's or listener's number in its proxy; 0 of a frontend or backend. */
export type Row = {
  readonly kind: RowKind;
  readonly id: number;
  readonly name: string;
  /** By ROW_AT. */
  readonly values: CellValue[];
};

/** A number of a row; 0 where it has none. */
export function numberOf(row: Row, field: RowField): number {
  const value = row.values[ROW_AT[field]];
  return typeof value === "number" ? value : 0;
}

/** A text of a row; "" where it has none. */
export function textOf(row: Row, field: RowField): string {
  const value = row.values[ROW_AT[field]];
  return typeof value === "string" ? value : "";
}

/** Whether a row has a value. */
export function has(row: Row, field: RowField): boolean {
  return (row.values[ROW_AT[field]] ?? null) !== null;
}

/** A section of the page. */
export type ProxyHead = {
  readonly id: number;
  readonly name: string;
  readonly hasFront: boolean;
  readonly hasBack: boolean;
  readonly mode: string;
  /** Balancing; "" = it has no servers' side. */
  readonly algorithm: string;
  readonly description: string;
  /** Servers it has now. */
  readonly serverCount: number;
  /** It speaks QUIC, or did, on one of its sides. */
  readonly isQuic?: boolean;
};

/** What the page says of the process: raw, formatted by whoever shows it. */
export type ProcessFacts = {
  readonly uptimeSeconds: number;
  readonly connections: number;
  readonly maxconn: number;
  readonly connectionRate: number;
  readonly sessionRate: number;
  readonly connectionsTotal: number;
  readonly bytesInTotal: number;
  readonly bytesOutTotal: number;
  /** Percent of the workers' time that was left. */
  readonly idlePercent: number;
  readonly stopping: boolean;
  readonly serversUp: number;
  readonly serversDown: number;
  /** In maintenance, or draining. */
  readonly serversOut: number;
  readonly serversUnchecked: number;
};
