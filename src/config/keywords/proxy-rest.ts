/** Keywords of proxy sections that are not done, options aside (HAProxy manual 4.2), by name. */
import { proxySections, undone } from "./build.ts";
import type { ShortRow } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import type { ProxyParser } from "./proxy-parsers.ts";

type Row = readonly [letters: string, ...ShortRow];

/** About HTTP, or tuning of what sluice does not have. */
const INERT: readonly Row[] = [
  ["DLB", "appsession", "…", "Old word about HTTP persistence."],
  ["DFLB", "bind-process", "…", "Old word about processes."],
  ["DFLB", "block", "…", "Old word about HTTP rules."],
  ["FL", "capture cookie", "<name> len <n>", "Logs a cookie."],
  ["FL", "capture request header", "<name> len <n>", "Logs a header of requests."],
  ["FL", "capture response header", "<name> len <n>", "Logs a header of responses."],
  ["DFLB", "compression algo", "…", "Compresses HTTP."],
  ["DFLB", "compression algo-req", "…", "Compresses requests."],
  ["DFLB", "compression algo-res", "…", "Compresses responses."],
  ["DFLB", "compression direction", "…", "Which side is compressed."],
  ["DFLB", "compression minsize-req", "…", "Smallest request to compress."],
  ["DFLB", "compression minsize-res", "…", "Smallest response to compress."],
  ["DFLB", "compression offload", "", "Hides compression from servers."],
  ["DFLB", "compression type", "…", "Types of content to compress."],
  ["DFLB", "compression type-req", "…", "Types of content to compress."],
  ["DFLB", "compression type-res", "…", "Types of content to compress."],
  ["DLB", "cookie", "<name> […]", "Persistence by an HTTP cookie."],
  ["FL", "declare capture", "[request|response] len <n>", "Room for captured values."],
  ["DLB", "dynamic-cookie-key", "<key>", "Key of computed cookies."],
  ["DFLB", "errorfile", "<code> <file>", "Page for an HTTP error."],
  ["DFLB", "errorfiles", "<name> […]", "Pages for HTTP errors."],
  ["DFLB", "errorloc", "<code> <url>", "Redirect for an HTTP error."],
  ["DFLB", "errorloc302", "<code> <url>", "Redirect for an HTTP error."],
  ["DFLB", "errorloc303", "<code> <url>", "Redirect for an HTTP error."],
  ["LB", "force-persist", "{if|unless} <condition>", "Persistence to servers that are down."],
  ["DFLB", "grace", "<time>", "Old word about stopping."],
  ["DFLB", "http-after-response", "…", "Rules after an HTTP response."],
  ["DFLB", "http-error", "…", "Answer to an HTTP error."],
  ["DFLB", "http-response", "…", "Rules on HTTP responses."],
  ["DLB", "http-reuse", "<mode>", "Reuse of HTTP connections."],
  ["DLB", "http-send-name-header", "[<header>]", "Tells the server its name."],
  ["LB", "ignore-persist", "{if|unless} <condition>", "Ignores persistence."],
  ["DLB", "max-keep-alive-queue", "<number>", "Queue at which HTTP connections move on."],
  ["DFL", "max-session-srv-conns", "<number>", "Idle server connections of a session."],
  ["DFL", "monitor-net", "<network>", "Old word: clients that only look."],
  ["FLB", "redirect", "…", "Redirects HTTP requests."],
  ["DLB", "retry-on", "<conditions>", "When a request is tried again: here, failed connections."],
  ["DFLB", "timeout tarpit", "<time>", "How long refused requests are held."],
  ["DFL", "unique-id-header", "<name>", "Header with the stream's identifier."],
  ["LB", "use-fcgi-app", "<name>", "Application of FastCGI servers."],
];

/** Old words about headers, all of HTTP. */
const OLD_HEADER_WORDS = (
  "reqadd reqallow reqdel reqdeny reqiallow reqidel reqideny reqipass reqirep " +
  "reqisetbe reqitarpit " +
  "reqpass reqrep reqsetbe reqtarpit rspadd rspdel rspdeny rspidel rspideny rspirep rsprep"
).split(" ");

/** Would change what is forwarded, checked, logged or reported. */
const COMING: readonly Row[] = [
  ["LB", "be-unpublished", "", "Starts the backend hidden from switching rules."],
  ["FL", "crt", "<file> […]", "Certificate of the section's TLS listeners."],
  ["LB", "dispatch", "<address>:<port>", "Old word: one destination without a server."],
  ["FLB", "filter", "<name> […]", "Puts a filter into the stream."],
  ["FLB", "filter-sequence", "{request|response} <list>", "Order of filters."],
  ["FL", "force-be-switch", "{if|unless} <condition>", "Lets rules choose unpublished backends."],
  ["DLB", "hash-preserve-affinity", "{always|maxconn|maxqueue}", "Hashing when a server is full."],
  ["DFL", "log-format-sd", "<format>", "Structured data of RFC 5424 lines."],
  ["DFL", "log-steps", "<steps>", "When a stream is logged."],
  ["DLB", "persist rdp-cookie", "[(<name>)]", "Persistence by RDP cookie."],
  ["DFL", "quic-initial", "<action> […]", "Rules on new QUIC connections."],
  ["FL", "ssl-f-use", "[…]", "Certificate of the section's TLS listeners."],
  ["LB", "stick match", "<pattern> […]", "Server remembered for a key."],
  ["LB", "stick on", "<pattern> […]", "Remembers the server of a key, and uses it."],
  ["LB", "stick store-request", "<pattern> […]", "Remembers the server of a key."],
  ["LB", "stick store-response", "<pattern> […]", "Remembers the server of a key from an answer."],
  ["FLB", "stick-table", "type <type> size <size> […]", "A table of keys with counters."],
  ["DFL", "tcp-request connection", "<action> […]", "Rules on new connections."],
  ["DFLB", "tcp-request content", "<action> […]", "Rules on the first bytes of a stream."],
  ["DFLB", "tcp-request inspect-delay", "<time>", "How long rules wait for bytes."],
  ["DFL", "tcp-request session", "<action> […]", "Rules on new sessions."],
  ["DLB", "tcp-response content", "<action> […]", "Rules on the first bytes of an answer."],
  ["DLB", "tcp-response inspect-delay", "<time>", "How long rules wait for an answer."],
];

function rows(state: "inert" | "coming", list: readonly Row[]): Keyword<ProxyParser>[] {
  return list.flatMap(([letters, name, args, effect]) =>
    undone<ProxyParser>(state, proxySections(letters), "4.2", [[name, args, effect]]),
  );
}

/** The rows. */
export const PROXY_REST: readonly Keyword<ProxyParser>[] = [
  ...rows("inert", INERT),
  ...undone<ProxyParser>(
    "inert",
    proxySections("DFLB"),
    "4.2",
    OLD_HEADER_WORDS.map((word): ShortRow => [word, "…", "Old word about HTTP headers."]),
  ),
  ...rows("coming", COMING),
];
