/**
 * The metrics of HAProxy's exporter, as data: name, type, meaning, and the column of `show stat` or
 * the field of `show info` that it shows. Names, types and labels are HAProxy's (its exporter's
 * README), so that dashboards and alerts made for it go on working. `own.ts` has sluice's.
 */
import type { StatName } from "../../control/stats/fields.ts";

/** Types of the exposition format. */
export type MetricType = "gauge" | "counter";

/** One metric of objects. `unit`: what its value is divided by; ms become seconds. */
export type Family = {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly field: StatName;
  readonly unit: 1 | 1000;
};

/** One metric of the process, from a field of `show info`. */
export type ProcessFamily = Omit<Family, "field" | "unit"> & { readonly field: string };

/** Kinds of objects that have metrics, in the order in which they are told. */
export const SCOPES = ["frontend", "listener", "backend", "server"] as const;
/** One of them. */
export type MetricScope = (typeof SCOPES)[number];

function family(
  name: string,
  type: MetricType,
  field: StatName,
  help: string,
  unit: 1 | 1000 = 1,
): Family {
  return { name, type, help, field, unit };
}

const SESSIONS: readonly Family[] = [
  family("current_sessions", "gauge", "scur", "Sessions now"),
  family("max_sessions", "gauge", "smax", "Most sessions at once"),
  family("limit_sessions", "gauge", "slim", "Sessions allowed at once"),
  family("sessions_total", "counter", "stot", "Sessions so far"),
  family("bytes_in_total", "counter", "bin", "Bytes from clients"),
  family("bytes_out_total", "counter", "bout", "Bytes to clients"),
];

const DENIED: readonly Family[] = [
  family("requests_denied_total", "counter", "dreq", "Requests denied by rules"),
  family("responses_denied_total", "counter", "dresp", "Responses denied by rules"),
];

const FRONT_ERRORS: readonly Family[] = [
  ...DENIED,
  family("request_errors_total", "counter", "ereq", "Connections that ended as client's errors"),
  family("denied_connections_total", "counter", "dcon", "Connections denied by rules"),
  family("denied_sessions_total", "counter", "dses", "Sessions denied by rules"),
  family("failed_header_rewriting_total", "counter", "wrew", "Headers that could not be rewritten"),
  family("internal_errors_total", "counter", "eint", "Sessions that ended by a fault of ours"),
];

const QUEUES: readonly Family[] = [
  family("current_queue", "gauge", "qcur", "Streams that wait now"),
  family("max_queue", "gauge", "qmax", "Most streams that waited at once"),
];

const BACK_ERRORS: readonly Family[] = [
  family("connection_errors_total", "counter", "econ", "Streams without a server connection"),
  family("response_errors_total", "counter", "eresp", "Streams that a connected server failed"),
  family("retry_warnings_total", "counter", "wretr", "Attempts to connect after the first"),
  family("redispatch_warnings_total", "counter", "wredis", "Streams sent to another server"),
];

const BACK_LIFE: readonly Family[] = [
  family("weight", "gauge", "weight", "Weight in force"),
  family("uweight", "gauge", "uweight", "Weight as set"),
  family("check_up_down_total", "counter", "chkdown", "Times it went from up to down"),
  family("check_last_change_seconds", "gauge", "lastchg", "Since it last went up or down"),
  family("downtime_seconds_total", "counter", "downtime", "Time that it was down"),
  family("loadbalanced_total", "counter", "lbtot", "Streams that the algorithm placed"),
  family("max_session_rate", "gauge", "rate_max", "Most sessions in a second"),
  family(
    "last_session_seconds",
    "gauge",
    "lastsess",
    "Since the last session; -1 = there was none",
  ),
];

const BACK_TRAFFIC: readonly Family[] = [
  family("client_aborts_total", "counter", "cli_abrt", "Transfers that the client aborted"),
  family("server_aborts_total", "counter", "srv_abrt", "Transfers that the server aborted"),
  family("connection_attempts_total", "counter", "connect", "Connections to servers begun"),
  family("connection_reuses_total", "counter", "reuse", "Connections to servers used again"),
  family("failed_header_rewriting_total", "counter", "wrew", "Headers that could not be rewritten"),
  family("internal_errors_total", "counter", "eint", "Sessions that ended by a fault of ours"),
  family("queue_time_average_seconds", "gauge", "qtime", "Time in the queue, an average", 1000),
  family("connect_time_average_seconds", "gauge", "ctime", "Time to connect, an average", 1000),
  family("response_time_average_seconds", "gauge", "rtime", "Time to the response", 1000),
  family("total_time_average_seconds", "gauge", "ttime", "Time of a session, an average", 1000),
  family("max_queue_time_seconds", "gauge", "qtime_max", "Longest time in the queue", 1000),
  family("max_connect_time_seconds", "gauge", "ctime_max", "Longest time to connect", 1000),
  family("max_response_time_seconds", "gauge", "rtime_max", "Longest time to a response", 1000),
  family("max_total_time_seconds", "gauge", "ttime_max", "Longest session", 1000),
];

/** Metrics of each kind, after `haproxy_<kind>_`. */
export const FAMILIES: Readonly<Record<MetricScope, readonly Family[]>> = {
  frontend: [
    ...SESSIONS,
    ...FRONT_ERRORS,
    family("limit_session_rate", "gauge", "rate_lim", "Sessions allowed in a second"),
    family("max_session_rate", "gauge", "rate_max", "Most sessions in a second"),
    family("connections_rate_max", "gauge", "conn_rate_max", "Most connections in a second"),
    family("connections_total", "counter", "conn_tot", "Connections so far"),
  ],
  listener: [...SESSIONS, ...FRONT_ERRORS],
  backend: [
    ...QUEUES,
    ...SESSIONS,
    ...DENIED,
    ...BACK_ERRORS,
    ...BACK_LIFE,
    family("active_servers", "gauge", "act", "Usable servers that are no backups"),
    family("backup_servers", "gauge", "bck", "Usable backup servers"),
    ...BACK_TRAFFIC,
  ],
  server: [
    ...QUEUES,
    ...SESSIONS,
    family("responses_denied_total", "counter", "dresp", "Responses denied by rules"),
    ...BACK_ERRORS,
    ...BACK_LIFE,
    family("active", "gauge", "act", "1 = takes traffic of its own"),
    family("backup", "gauge", "bck", "1 = backup server"),
    family("check_failures_total", "counter", "chkfail", "Failed checks while it was up"),
    family("check_code", "gauge", "check_code", "Code that the last check received"),
    family("check_duration_seconds", "gauge", "check_duration", "Time of the last check", 1000),
    family("queue_limit", "gauge", "qlimit", "Longest queue allowed"),
    family("current_throttle", "gauge", "throttle", "Part of its weight in force, percent"),
    family("agent_code", "gauge", "agent_code", "Code that the agent reported"),
    family("agent_duration_seconds", "gauge", "agent_duration", "Time of the agent check", 1000),
    family("idle_connections_current", "gauge", "srv_icur", "Idle connections"),
    family("idle_connections_limit", "gauge", "src_ilim", "Limit of idle connections"),
    family("unsafe_idle_connections_current", "gauge", "idle_conn_cur", "Idle, used with care"),
    family("safe_idle_connections_current", "gauge", "safe_conn_cur", "Idle, used freely"),
    family("used_connections_current", "gauge", "used_conn_cur", "Connections in use"),
    family("need_connections_current", "gauge", "need_conn_est", "Connections that will be needed"),
    ...BACK_TRAFFIC,
  ],
};

/** States of each kind, in the metric `haproxy_<kind>_status`. */
export const STATUS_LABELS: Readonly<Record<MetricScope, readonly string[]>> = {
  frontend: ["DOWN", "UP"],
  listener: ["DOWN", "UP", "FULL", "WAITING"],
  backend: ["DOWN", "UP"],
  server: ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"],
};

/** Results of checks, in `haproxy_server_check_status`. */
export const CHECK_LABELS: readonly string[] = [
  "HANA",
  "SOCKERR",
  "L4OK",
  "L4TOUT",
  "L4CON",
  "L6OK",
  "L6TOUT",
  "L6RSP",
  "L7TOUT",
  "L7RSP",
  "L7OK",
  "L7OKC",
  "L7STS",
  "PROCERR",
  "PROCTOUT",
  "PROCOK",
];

/** Those of agents, in `haproxy_server_agent_status`, which HAProxy has not. */
export const AGENT_LABELS: readonly string[] = ["CHECKED", ...CHECK_LABELS];

function info(name: string, type: MetricType, field: string, help: string): ProcessFamily {
  return { name: `haproxy_process_${name}`, type, field, help };
}

/** Metrics of the process. */
export const PROCESS_FAMILIES: readonly ProcessFamily[] = [
  info("nbthread", "gauge", "Nbthread", "Threads that carry traffic"),
  info("nbproc", "gauge", "Nbproc", "Processes, always 1"),
  info("relative_process_id", "gauge", "Process_num", "Number of the process, always 1"),
  info("uptime_seconds", "gauge", "Uptime_sec", "Time since the start"),
  info("pool_failures_total", "counter", "PoolFailed", "Memory that could not be had"),
  info("max_fds", "gauge", "Ulimit-n", "Limit of descriptors"),
  info("max_sockets", "gauge", "Maxsock", "Limit of sockets"),
  info("max_connections", "gauge", "Maxconn", "Limit of connections"),
  info("hard_max_connections", "gauge", "Hard_maxconn", "Highest limit of connections"),
  info("current_connections", "gauge", "CurrConns", "Client connections now"),
  info("connections_total", "counter", "CumConns", "Client connections so far"),
  info("requests_total", "counter", "CumReq", "Streams so far"),
  info("max_ssl_connections", "gauge", "MaxSslConns", "Limit of TLS connections"),
  info("current_ssl_connections", "gauge", "CurrSslConns", "TLS connections now"),
  info("ssl_connections_total", "counter", "CumSslConns", "TLS connections so far"),
  info("max_pipes", "gauge", "Maxpipes", "Limit of pipes for splicing"),
  info("pipes_used_total", "counter", "PipesUsed", "Pipes in use"),
  info("pipes_free_total", "counter", "PipesFree", "Pipes that wait for use"),
  info("current_connection_rate", "gauge", "ConnRate", "Connections in the last second"),
  info("limit_connection_rate", "gauge", "ConnRateLimit", "Connections allowed in a second"),
  info("max_connection_rate", "gauge", "MaxConnRate", "Most connections in a second"),
  info("current_session_rate", "gauge", "SessRate", "Sessions in the last second"),
  info("limit_session_rate", "gauge", "SessRateLimit", "Sessions allowed in a second"),
  info("max_session_rate", "gauge", "MaxSessRate", "Most sessions in a second"),
  info("current_ssl_rate", "gauge", "SslRate", "TLS connections in the last second"),
  info("limit_ssl_rate", "gauge", "SslRateLimit", "TLS connections allowed in a second"),
  info("max_ssl_rate", "gauge", "MaxSslRate", "Most TLS connections in a second"),
  info("current_tasks", "gauge", "Tasks", "Streams, listeners and checked servers"),
  info("current_run_queue", "gauge", "Run_queue", "Notes that workers have not read"),
  info("idle_time_percent", "gauge", "Idle_pct", "Time that workers did not need"),
  info("stopping", "gauge", "Stopping", "1 while a stop is under way"),
  info("jobs", "gauge", "Jobs", "Listeners and client connections"),
  info("unstoppable_jobs", "gauge", "Unstoppable Jobs", "What a stop does not wait for"),
  info("listeners", "gauge", "Listeners", "Sockets that listen"),
  info("active_peers", "gauge", "ActivePeers", "Peers that exchange tables"),
  info("connected_peers", "gauge", "ConnectedPeers", "Peers that are connected"),
  info("dropped_logs_total", "counter", "DroppedLogs", "Log lines and records lost"),
  info("busy_polling_enabled", "gauge", "BusyPolling", "1 if threads never sleep"),
  info("failed_resolutions", "counter", "FailedResolutions", "Names that could not be resolved"),
  info("bytes_out_total", "counter", "TotalBytesOut", "Bytes sent to clients and servers"),
  info("spliced_bytes_out_total", "counter", "TotalSplicedBytesOut", "Of these, through pipes"),
  info("bytes_out_rate", "gauge", "BytesOutRate", "Bytes sent in the last second"),
  info("recv_logs_total", "counter", "CumRecvLogs", "Log messages received"),
  info("max_memory_bytes", "gauge", "Memmax_bytes", "Limit of memory, 0 = none"),
  info("pool_allocated_bytes", "gauge", "PoolAlloc_bytes", "Memory of the tables"),
  info("pool_used_bytes", "gauge", "PoolUsed_bytes", "Memory of rows in use"),
  info("start_time_seconds", "gauge", "Start_time_sec", "Start, seconds since the epoch"),
];
