/**
 * The aliases of log formats (manual 8.2.6), as data. What each prints: `log-format.ts`.
 */

/**
 * `done`: prints its value. `empty`: accepted as HAProxy does at layer 4, prints the value of
 * "nothing there". `http`: HAProxy refuses it outside `mode http`, and so does sluice.
 */
export type AliasState = "done" | "empty" | "http";

/** One alias. */
export type Alias = { name: string; what: string; state: AliasState };

const ROWS: readonly Alias[] = [
  { name: "o", what: "flags for all that follows", state: "done" },
  { name: "B", what: "bytes from server to client", state: "done" },
  { name: "CC", what: "captured request cookie", state: "http" },
  { name: "CS", what: "captured response cookie", state: "http" },
  { name: "H", what: "host name of this machine", state: "done" },
  { name: "HM", what: "HTTP method", state: "http" },
  { name: "HP", what: "HTTP path", state: "http" },
  { name: "HPO", what: "HTTP path without the host", state: "http" },
  { name: "HQ", what: "HTTP query string", state: "http" },
  { name: "HU", what: "HTTP request URI", state: "http" },
  { name: "HV", what: "HTTP version", state: "http" },
  { name: "ID", what: "unique id", state: "done" },
  { name: "OG", what: "where the line was made", state: "done" },
  { name: "ST", what: "status code", state: "done" },
  { name: "T", what: "accept date, UTC", state: "done" },
  { name: "Ta", what: "active time of the request", state: "http" },
  { name: "Tc", what: "time to connect", state: "done" },
  { name: "Td", what: "time of the data transfer", state: "done" },
  { name: "Th", what: "time of the handshake", state: "done" },
  { name: "Ti", what: "idle time before the request", state: "http" },
  { name: "Tl", what: "accept date, local", state: "done" },
  { name: "Tq", what: "time to receive the request", state: "http" },
  { name: "TR", what: "time to receive the headers", state: "http" },
  { name: "Tr", what: "response time", state: "http" },
  { name: "Ts", what: "accept date, seconds since the epoch", state: "done" },
  { name: "Tt", what: "total time", state: "done" },
  { name: "Tu", what: "total time seen by the user", state: "done" },
  { name: "Tw", what: "time in queues", state: "done" },
  { name: "U", what: "bytes from client to server", state: "done" },
  { name: "ac", what: "connections of the process", state: "done" },
  { name: "b", what: "backend", state: "done" },
  { name: "bc", what: "connections of the backend", state: "done" },
  { name: "bi", what: "our address towards the server", state: "done" },
  { name: "bp", what: "our port towards the server", state: "done" },
  { name: "bq", what: "queue of the backend", state: "done" },
  { name: "ci", what: "address of the client", state: "done" },
  { name: "cp", what: "port of the client", state: "done" },
  { name: "f", what: "frontend", state: "done" },
  { name: "fc", what: "connections of the frontend", state: "done" },
  { name: "fi", what: "address that the client reached", state: "done" },
  { name: "fp", what: "port that the client reached", state: "done" },
  { name: "ft", what: "frontend, with ~ for TLS", state: "done" },
  { name: "hr", what: "captured request headers", state: "empty" },
  { name: "hrl", what: "captured request headers, CLF", state: "empty" },
  { name: "hs", what: "captured response headers", state: "empty" },
  { name: "hsl", what: "captured response headers, CLF", state: "empty" },
  { name: "lc", what: "lines logged by the frontend", state: "done" },
  { name: "ms", what: "milliseconds of the accept date", state: "done" },
  { name: "pid", what: "process id", state: "done" },
  { name: "r", what: "HTTP request line", state: "http" },
  { name: "rc", what: "retries", state: "done" },
  { name: "rt", what: "number of the stream", state: "done" },
  { name: "s", what: "server", state: "done" },
  { name: "sc", what: "connections of the server", state: "done" },
  { name: "si", what: "address of the server", state: "done" },
  { name: "sp", what: "port of the server", state: "done" },
  { name: "sq", what: "queue of the server", state: "done" },
  { name: "sslc", what: "TLS cipher of the client", state: "done" },
  { name: "sslv", what: "TLS version of the client", state: "done" },
  { name: "t", what: "accept date, local, with milliseconds", state: "done" },
  { name: "tr", what: "date of the request", state: "http" },
  { name: "trg", what: "date of the request, UTC", state: "http" },
  { name: "trl", what: "date of the request, local", state: "http" },
  { name: "ts", what: "termination state", state: "done" },
  { name: "tsc", what: "termination state with cookies", state: "done" },
];

/** Every alias, by name without the percent sign. */
export const ALIASES: ReadonlyMap<string, Alias> = new Map(
  ROWS.map((alias) => [alias.name, alias]),
);

/** What `option tcplog` stands for: manual 8.2.2. */
export const TCP_LOG_FORMAT =
  "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";

/** What `option tcplog clf` stands for: manual 8.2.2. */
export const TCP_CLF_LOG_FORMAT =
  '%{+Q}o %{-Q}ci - - [%T] "TCP " 000 %B "" "" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- %ac ' +
  '%fc %bc %sc %rc %sq %bq "" "" ';
