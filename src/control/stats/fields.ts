/**
 * The columns of `show stat`, as data: names and order are HAProxy's (management manual 9.1), so
 * that tools find them by name or by place. CSV, typed output, JSON, the page and metrics read this
 * one table. Nothing may be put before the end of it.
 */

/** How a value is written; `u64` holds whole numbers up to 2^53. */
export type FieldType = "u32" | "u64" | "s32" | "str";

/** One column. */
export type StatField<N extends string = string> = {
  readonly name: N;
  readonly type: FieldType;
  /** Origin, nature, scope, persistence: one letter each (management manual 9.2). */
  readonly tags: string;
  /** The same where a server's value is of another kind than a backend's. */
  readonly serverTags?: string;
  /** One sentence. */
  readonly about: string;
};

function field<N extends string>(
  name: N,
  type: FieldType,
  tags: string,
  about: string,
  serverTags?: string,
): StatField<N> {
  return { name, type, tags, about, ...(serverTags === undefined ? {} : { serverTags }) };
}

/** All columns in their order. */
export const STAT_FIELDS = [
  field("pxname", "str", "KNSV", "Name of the proxy"),
  field("svname", "str", "KNSV", "Name of the server or listener, or FRONTEND, BACKEND"),
  field("qcur", "u32", "MGPV", "Streams that wait now"),
  field("qmax", "u32", "MMPV", "Most streams that waited at once"),
  field("scur", "u32", "MGPV", "Sessions now"),
  field("smax", "u32", "MMPV", "Most sessions at once"),
  field("slim", "u32", "CLPV", "Limit of sessions: maxconn, or a backend's fullconn"),
  field("stot", "u64", "MCPP", "Sessions so far"),
  field("bin", "u64", "MCPP", "Bytes received from clients"),
  field("bout", "u64", "MCPP", "Bytes sent to clients"),
  field("dreq", "u64", "MCPP", "Requests denied by rules"),
  field("dresp", "u64", "MCPP", "Responses denied by rules"),
  field("ereq", "u64", "MCPP", "Connections that ended as errors of the client"),
  field("econ", "u64", "MCPP", "Streams that could not be connected to a server"),
  field("eresp", "u64", "MCPP", "Streams that a connected server failed"),
  field("wretr", "u64", "MCPP", "Attempts to connect after the first"),
  field("wredis", "u64", "MCPP", "Streams that were sent to another server"),
  field("status", "str", "SGPV", "What it is doing: OPEN, UP, DOWN, MAINT, DRAIN and the like"),
  field("weight", "u32", "MaPV", "Weight in force; of a backend, that of its usable servers"),
  field("act", "u32", "MGPV", "Usable servers that are no backups; of a server, 1", "SGPV"),
  field("bck", "u32", "MGPV", "Usable backup servers; of a backup server, 1", "SGPV"),
  field("chkfail", "u64", "MCPP", "Health checks that failed while the server was up"),
  field("chkdown", "u64", "MCPP", "Times it went from up to down"),
  field("lastchg", "u32", "MAPV", "Seconds since it last went up or down"),
  field("downtime", "u32", "MCPP", "Seconds that it was down"),
  field("qlimit", "u32", "CGSV", "Longest queue of the server: maxqueue"),
  field("pid", "u32", "KGPV", "Number of the process among its like: 1"),
  field("iid", "u32", "KGSV", "Number of the proxy"),
  field("sid", "u32", "KGSV", "Number of the server or listener in its proxy"),
  field("throttle", "u32", "CGPV", "Part of its weight during a slow start, percent"),
  field("lbtot", "u64", "MCPP", "Streams that the balancing algorithm placed"),
  field("tracked", "str", "CNSV", "Server whose state is copied"),
  field("type", "u32", "CGSV", "0 frontend, 1 backend, 2 server, 3 listener"),
  field("rate", "u32", "MRPP", "Sessions in the last second"),
  field("rate_lim", "u32", "CLPV", "Limit of sessions in a second"),
  field("rate_max", "u32", "MMPV", "Most sessions in a second"),
  field(
    "check_status",
    "str",
    "MOPV",
    "Result of the last health check, '* ' in front of a running",
  ),
  field("check_code", "u32", "MCPV", "Code that the check received"),
  field("check_duration", "u64", "MDPV", "Time that the last health check took, ms"),
  field("hrsp_1xx", "u64", "MCPP", "HTTP responses with a status of 100 to 199"),
  field("hrsp_2xx", "u64", "MCPP", "HTTP responses with a status of 200 to 299"),
  field("hrsp_3xx", "u64", "MCPP", "HTTP responses with a status of 300 to 399"),
  field("hrsp_4xx", "u64", "MCPP", "HTTP responses with a status of 400 to 499"),
  field("hrsp_5xx", "u64", "MCPP", "HTTP responses with a status of 500 to 599"),
  field("hrsp_other", "u64", "MCPP", "HTTP responses with another status"),
  field("hanafail", "u64", "MCPP", "Times that `observe` reached its `error-limit`"),
  field("req_rate", "u32", "MRPP", "HTTP requests in the last second"),
  field("req_rate_max", "u32", "MMPV", "Most HTTP requests in a second"),
  field("req_tot", "u64", "MCPP", "HTTP requests so far"),
  field("cli_abrt", "u64", "MCPP", "Transfers that the client aborted"),
  field("srv_abrt", "u64", "MCPP", "Transfers that the server aborted"),
  field("comp_in", "u64", "MCPP", "Bytes given to compression"),
  field("comp_out", "u64", "MCPP", "Bytes that compression gave"),
  field("comp_byp", "u64", "MCPP", "Bytes that passed compression by"),
  field("comp_rsp", "u64", "MCPP", "Responses that were compressed"),
  field("lastsess", "s32", "MAPV", "Seconds since a session began here, -1 = none did"),
  field("last_chk", "str", "MOPV", "What the last health check said"),
  field("last_agt", "str", "MOPV", "What the last agent check said"),
  field("qtime", "u32", "MaPV", "Time in the queue, ms, an average"),
  field("ctime", "u32", "MaPV", "Time to connect, ms, an average"),
  field("rtime", "u32", "MaPV", "Time to the response, ms, 0 at layer 4"),
  field("ttime", "u32", "MaPV", "Time of a whole session, ms, an average"),
  field("agent_status", "str", "MOPV", "Result of the last agent check"),
  field("agent_code", "u32", "MCPV", "Code that the agent reported"),
  field("agent_duration", "u64", "MDPV", "Time that the last agent check took, ms"),
  field("check_desc", "str", "MOPV", "What check_status means"),
  field("agent_desc", "str", "MOPV", "What agent_status means"),
  field("check_rise", "u32", "CGSV", "Checks that must pass until it is up: rise"),
  field("check_fall", "u32", "CGSV", "Checks that must fail until it is down: fall"),
  field("check_health", "u32", "CGSV", "Counter of the health checks, 0 to rise+fall-1"),
  field("agent_rise", "u32", "CGSV", "The same of the agent: rise"),
  field("agent_fall", "u32", "CGSV", "The same of the agent: fall"),
  field("agent_health", "u32", "CGSV", "The same of the agent: counter"),
  field("addr", "str", "CGSV", "Address and port"),
  field("cookie", "str", "CNSV", "Cookie of the server or backend"),
  field("mode", "str", "CGSV", "Mode of the proxy"),
  field("algo", "str", "CGSV", "Balancing algorithm"),
  field("conn_rate", "u32", "MRPP", "Connections in the last second"),
  field("conn_rate_max", "u32", "MMPV", "Most connections in a second"),
  field("conn_tot", "u64", "MCPP", "Connections so far"),
  field("intercepted", "u64", "MCPP", "Requests that were answered here"),
  field("dcon", "u64", "MCPP", "Connections denied by connection rules"),
  field("dses", "u64", "MCPP", "Connections denied by session rules"),
  field("wrew", "u64", "MCPP", "Headers that could not be rewritten"),
  field("connect", "u64", "MCPP", "Connections to servers begun"),
  field("reuse", "u64", "MCPP", "Connections to servers used again"),
  field("cache_lookups", "u64", "MCPP", "Look-ups in the cache"),
  field("cache_hits", "u64", "MCPP", "Look-ups that found something"),
  field("srv_icur", "u32", "MGPV", "Idle connections that may be used again"),
  field("src_ilim", "u32", "CLPV", "Limit of idle connections"),
  field("qtime_max", "u32", "MMPV", "Longest time in the queue, ms"),
  field("ctime_max", "u32", "MMPV", "Longest time to connect, ms"),
  field("rtime_max", "u32", "MMPV", "Longest time to a response, ms"),
  field("ttime_max", "u32", "MMPV", "Longest session, ms"),
  field("eint", "u64", "MCPP", "Sessions that ended by a fault of ours"),
  field("idle_conn_cur", "u32", "MGPV", "Idle connections, used again with care"),
  field("safe_conn_cur", "u32", "MGPV", "Idle connections, used again freely"),
  field("used_conn_cur", "u32", "MGPV", "Connections in use"),
  field("need_conn_est", "u32", "MGPV", "Connections that will be needed, an estimate"),
  field("uweight", "u32", "MaPV", "Weight as set; of a backend, that of its usable servers"),
  field("agg_server_status", "u32", "MGPV", "Servers by status, for metrics"),
  field("agg_server_check_status", "u32", "MGPV", "Servers by check status, an old name"),
  field("agg_check_status", "u32", "MGPV", "Servers by check status, for metrics"),
  field("srid", "u32", "KGPV", "How often the place of the server was used before"),
  field("sess_other", "u64", "MCPP", "Sessions that are not HTTP"),
  field("h1sess", "u64", "MCPP", "HTTP/1 sessions"),
  field("h2sess", "u64", "MCPP", "HTTP/2 sessions"),
  field("h3sess", "u64", "MCPP", "HTTP/3 sessions"),
  field("req_other", "u64", "MCPP", "Requests that are not HTTP"),
  field("h1req", "u64", "MCPP", "HTTP/1 requests"),
  field("h2req", "u64", "MCPP", "HTTP/2 requests"),
  field("h3req", "u64", "MCPP", "HTTP/3 requests"),
  field("proto", "str", "CGSV", "Protocol of the listener"),
  field("priv_idle_cur", "u32", "MGPV", "Idle connections that belong to one session"),
  field("reqbin", "u64", "MCPP", "Bytes received from clients"),
  field("reqbout", "u64", "MCPP", "Bytes of clients sent on to servers"),
  field("resbin", "u64", "MCPP", "Bytes received from servers"),
  field("resbout", "u64", "MCPP", "Bytes of servers sent on to clients"),
  field("cache_hint_hits", "u64", "MCPP", "Cache hits that served early hints"),
] as const;

/** Name of a column. */
export type StatName = (typeof STAT_FIELDS)[number]["name"];

/** Columns of a row. */
export const STAT_COUNT = STAT_FIELDS.length;

/** Place of each column by its name. */
export const AT = Object.fromEntries(STAT_FIELDS.map(({ name }, at) => [name, at])) as Readonly<
  Record<StatName, number>
>;

/** One value: undefined where the object has none. */
export type StatValue = string | number | undefined;

/** The values of one object, by column. Filled again and again: copy what must stay. */
export type StatRow = StatValue[];

/** An empty row. */
export function makeStatRow(): StatRow {
  return Array.from({ length: STAT_COUNT }, () => undefined);
}

/** Kinds of objects: their letter in typed output, their bit in filters, their JSON name. */
export const STAT_KINDS = {
  frontend: { letter: "F", bit: 1, json: "Frontend", number: 0 },
  backend: { letter: "B", bit: 2, json: "Backend", number: 1 },
  server: { letter: "S", bit: 4, json: "Server", number: 2 },
  listener: { letter: "L", bit: 8, json: "Listener", number: 3 },
} as const;
export type StatKind = keyof typeof STAT_KINDS;
