/** `option …` of proxy sections, all of them (HAProxy manual 4.2). */
import { alertLine, hasArgs } from "../context.ts";
import { parseInteger } from "../numbers.ts";
import { proxySections, undone } from "./build.ts";
import type { ShortRow } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import { hasSide, optionInto } from "./proxy-parsers.ts";
import type { ProxyParser } from "./proxy-parsers.ts";
import { parseHttplog, parseTcplog } from "./proxy.ts";

/** `option redispatch [interval]`. */
const parseRedispatch: ProxyParser = (line, proxy) => {
  if (!hasArgs(line, 0, 1, "at most an interval")) return;
  const { options } = proxy.settings;
  const text = line.args[0];
  const interval = text === undefined ? -1 : undefined;
  const value = parseInteger(text ?? "-1", -(2 ** 31), 2 ** 31 - 1);
  if (!value.ok) {
    alertLine(line, `'option redispatch' : ${value.message}`);
    return;
  }
  if (!hasSide(line, proxy, "back", "redispatch")) return;
  options.redispatch = line.prefix === "" && value.value !== 0;
  options.redispatchInterval = options.redispatch ? (interval ?? value.value) : 0;
};

/** `option tcpka` and its halves. */
function keepalive(front: boolean, back: boolean): ProxyParser {
  return (line, proxy) => {
    if (!hasArgs(line, 0, 0, "no argument")) return;
    const word = line.keyword.replace(/^option /u, "");
    const side = front && back ? "both" : front ? "front" : "back";
    if (!hasSide(line, proxy, side, word)) return;
    if (front) proxy.settings.clientKeepalive.enabled = line.prefix === "";
    if (back) proxy.settings.serverKeepalive.enabled = line.prefix === "";
  };
}

type Row = readonly [letters: string, name: string, args: string, effect: string, ProxyParser];

const INVERTIBLE: readonly Row[] = [
  [
    "DFLB",
    "abortonclose",
    "",
    "Drops a waiting stream when its client has closed.",
    optionInto("abortonclose", "both"),
  ],
  [
    "DLB",
    "allbackups",
    "",
    "Uses all backup servers at once, not only the first.",
    optionInto("allbackups", "back"),
  ],
  ["DFL", "clitcpka", "", "Sends keep-alive probes to clients.", keepalive(true, false)],
  [
    "DFL",
    "contstats",
    "",
    "Counts bytes while they flow, not at the end of a stream.",
    optionInto("contstats", "front"),
  ],
  ["DFL", "dontlog-normal", "", "Logs only what went wrong.", optionInto("dontlogNormal", "front")],
  [
    "DFL",
    "dontlognull",
    "",
    "Does not log connections without data.",
    optionInto("dontlognull", "front"),
  ],
  [
    "DFLB",
    "independent-streams",
    "",
    "Each direction has its own timeout.",
    optionInto("independantStreams", "both"),
  ],
  [
    "DFLB",
    "independant-streams",
    "",
    "Old spelling of `independent-streams`.",
    optionInto("independantStreams", "both"),
  ],
  [
    "DLB",
    "log-health-checks",
    "",
    "Logs each change of a check's result.",
    optionInto("logHealthChecks", "back"),
  ],
  [
    "DFL",
    "log-separate-errors",
    "",
    "Logs failed streams at level err.",
    optionInto("logSeparateErrors", "front"),
  ],
  [
    "DFL",
    "logasap",
    "",
    "Logs a stream when it is connected, not when it ends.",
    optionInto("logasap", "front"),
  ],
  ["DFLB", "nolinger", "", "Resets finished connections at once.", optionInto("nolinger", "both")],
  [
    "DLB",
    "persist",
    "",
    "Goes to the chosen server even when it is down.",
    optionInto("persist", "back"),
  ],
  [
    "DLB",
    "redispatch",
    "[<interval>]",
    "Tries another server after failed connections.",
    parseRedispatch,
  ],
  [
    "DFL",
    "socket-stats",
    "",
    "Shows the statistics of each listener too.",
    optionInto("socketStats", "front"),
  ],
  ["DLB", "srvtcpka", "", "Sends keep-alive probes to servers.", keepalive(false, true)],
  ["DFLB", "tcpka", "", "Sends keep-alive probes on both sides.", keepalive(true, true)],
];

const PLAIN: readonly Row[] = [
  [
    "DFL",
    "httplog",
    "[clf]",
    "Log format for HTTP; a tcp section uses `tcplog` in its place.",
    parseHttplog,
  ],
  [
    "DFL",
    "httpslog",
    "",
    "Log format for HTTPS; a tcp section uses `tcplog` in its place.",
    parseHttplog,
  ],
  ["DFL", "tcplog", "[clf]", "Log format for TCP.", parseTcplog],
];

const HTTP_OPTIONS: readonly (readonly [letters: string, ...ShortRow])[] = [
  ["DFL", "accept-invalid-http-request", "", "Laxer parsing of requests."],
  ["DLB", "accept-invalid-http-response", "", "Laxer parsing of responses."],
  ["DFL", "accept-unsafe-violations-in-http-request", "", "Laxer parsing of requests."],
  ["DLB", "accept-unsafe-violations-in-http-response", "", "Laxer parsing of responses."],
  ["DLB", "checkcache", "", "Blocks cacheable responses that set cookies."],
  ["DFL", "disable-h2-upgrade", "", "No change of protocol to HTTP/2."],
  ["DFLB", "forceclose", "", "Old word about closing HTTP connections."],
  ["DFLB", "forwarded", "[…]", "Adds the Forwarded header."],
  [
    "DFLB",
    "forwardfor",
    "[except <net>] [header <name>] [if-none]",
    "Adds the X-Forwarded-For header.",
  ],
  ["DFL", "h1-case-adjust-bogus-client", "", "Case of header names towards clients."],
  ["DLB", "h1-case-adjust-bogus-server", "", "Case of header names towards servers."],
  ["DFLB", "http-buffer-request", "", "Waits for the whole request."],
  ["DB", "http-drop-request-trailers", "", "Drops trailers of requests."],
  ["DF", "http-drop-response-trailers", "", "Drops trailers of responses."],
  ["DFL", "http-ignore-probes", "", "Ignores empty requests."],
  ["DFLB", "http-keep-alive", "", "Keeps HTTP connections open."],
  ["DFLB", "http-no-delay", "", "Sends HTTP without delay."],
  ["DLB", "http-pretend-keepalive", "", "Announces keep-alive to servers."],
  ["DFLB", "http-proxy", "", "Old word about proxy requests."],
  ["DFLB", "http-restrict-req-hdr-names", "{preserve|delete|reject}", "Unusual names of headers."],
  ["DFLB", "http-server-close", "", "Closes HTTP connections to servers."],
  ["DFLB", "http-tunnel", "", "Old word about HTTP tunnels."],
  ["DFL", "http-use-htx", "", "Old word about the inner form of HTTP."],
  ["DFL", "http-use-proxy-header", "", "The Proxy-Connection header."],
  ["DFLB", "http_proxy", "", "Old word about proxy requests."],
  ["DFLB", "httpclose", "", "Closes HTTP connections."],
  ["DFL", "idle-close-on-response", "", "Idle HTTP connections at a soft stop."],
  ["DFLB", "originalto", "[except <net>] [header <name>]", "Adds the X-Original-To header."],
  ["DLB", "prefer-last-server", "", "Stays with the server of the last request."],
  ["DFLB", "splice-auto", "", "Moving data inside the kernel: the relay decides."],
  ["DFLB", "splice-request", "", "Moving data inside the kernel: the relay decides."],
  ["DFLB", "splice-response", "", "Moving data inside the kernel: the relay decides."],
  ["DFL", "tcp-smart-accept", "", "Delayed acknowledgements: left to the system."],
  ["DLB", "tcp-smart-connect", "", "Delayed acknowledgements: left to the system."],
  ["DLB", "use-small-buffers", "[…]", "Smaller buffers while waiting."],
];

const COMING: readonly (readonly [letters: string, ...ShortRow])[] = [
  ["DLB", "transparent", "", "Forwards to the client's own destination."],
];

function doneRow([letters, name, args, effect, parse]: Row): Keyword<ProxyParser> {
  const sections = proxySections(letters);
  const base = { name: `option ${name}`, sections, args, effect, reference: "4.2" };
  return { ...base, state: "done", parse };
}

function undoneRows(
  state: "inert" | "coming",
  rows: readonly (readonly [letters: string, ...ShortRow])[],
): Keyword<ProxyParser>[] {
  return rows.flatMap(([letters, name, args, effect]) => {
    const sections = proxySections(letters);
    const row: ShortRow = [`option ${name}`, args, effect];
    return undone<ProxyParser>(state, sections, "4.2", [row]).map((keyword) => {
      return { ...keyword, invertible: true };
    });
  });
}

/** The rows. */
export const PROXY_OPTIONS: readonly Keyword<ProxyParser>[] = [
  ...INVERTIBLE.map((row) => ({ ...doneRow(row), invertible: true })),
  ...PLAIN.map(doneRow),
  ...undoneRows("inert", HTTP_OPTIONS),
  ...undoneRows("coming", COMING),
];
