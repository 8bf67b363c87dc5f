/**
 * Options of `bind` lines (HAProxy manual 5.1): those that are done, with their parsers, and the
 * rest by name.
 */
import type { LoadContext } from "../context.ts";
import type { BindDraft } from "../draft.ts";
import { parseInteger, parseTime } from "../numbers.ts";
import { BIND_QUIC } from "./bind-quic.ts";
import { undone } from "./build.ts";
import type { Keyword } from "./keyword.ts";

/** Sets one option on every address of a bind line. Answers what is wrong with the value. */
export type BindParser = (
  bind: BindDraft,
  value: string,
  context: LoadContext,
) => string | undefined;

/** Sections whose `bind` lines take options. */
const BIND = ["bind"];
const INTEGER_MAX = 2 ** 31 - 1;

type BindNumber = "backlog" | "maxconn" | "mss" | "uid" | "gid";
type BindFlag = "acceptProxy" | "v4v6" | "v6only" | "transparent" | "tfo" | "deferAccept";

function integer(key: BindNumber, min: number, max = INTEGER_MAX): BindParser {
  return (bind, value) => {
    const number = parseInteger(value, min, max);
    if (!number.ok) return min === 0 ? `invalid value ${value}, must be >= 0` : number.message;
    bind[key] = number.value;
    return undefined;
  };
}

function flag(key: BindFlag): BindParser {
  return (bind) => {
    bind[key] = true;
    return undefined;
  };
}

function account(key: "uid" | "gid"): BindParser {
  return (bind, value, context) => {
    const { accounts } = context;
    const id = key === "uid" ? accounts.uidOf(value) : accounts.gidOf(value);
    if (id === undefined) return `unknown ${key === "uid" ? "user" : "group"} name '${value}'`;
    bind[key] = id;
    return undefined;
  };
}

const parseMode: BindParser = (bind, value) => {
  if (!/^[0-7]{1,4}$/u.test(value)) {
    return `missing or invalid mode '${value}' (octal integer expected)`;
  }
  bind.mode = Number.parseInt(value, 8);
  return undefined;
};

const parseId: BindParser = (bind, value) => {
  const id = parseInteger(value, 1, INTEGER_MAX);
  if (!id.ok) return "custom id has to be > 0";
  bind.id = id.value;
  return undefined;
};

const parseTcpUserTimeout: BindParser = (bind, value) => {
  const time = parseTime(value);
  if (!time.ok || time.value === 0) return "expects a positive delay in milliseconds";
  bind.tcpUserTimeoutMs = time.value;
  return undefined;
};

/** `[group/]set[,…]`: `all`, `odd` and `even` take every worker, `1-4` a range. */
const parseThread: BindParser = (bind, value) => {
  const ranges: { from: number; to: number }[] = [];
  for (const part of value.split(",")) {
    const set = part.replace(/^(?:\d+|all)\//u, "");
    if (set === "all" || set === "odd" || set === "even") continue;
    const match = /^(\d+)(?:-(\d+))?$/u.exec(set);
    const from = Number(match?.[1] ?? 0);
    const to = Number(match?.[2] ?? match?.[1] ?? 0);
    if (match === null || from < 1 || to < from || to > 4096) return `invalid thread set '${part}'`;
    ranges.push({ from, to });
  }
  if (ranges.length > 0) bind.workers = ranges;
  return undefined;
};

/** `process`: the old spelling; its process half is dropped. */
const parseProcess: BindParser = (bind, value, context) => {
  const threads = /\/(.+)$/u.exec(value)?.[1];
  return threads === undefined ? undefined : parseThread(bind, threads, context);
};

const parseGuidPrefix: BindParser = (bind, value) => {
  bind.guid = value;
  return undefined;
};

type BindRow = readonly [name: string, args: string, effect: string, parse: BindParser];

const DONE: readonly BindRow[] = [
  [
    "accept-proxy",
    "",
    "Expects a PROXY protocol header, version 1 or 2, from every client.",
    flag("acceptProxy"),
  ],
  [
    "backlog",
    "<number>",
    "Length of the kernel's queue of new connections.",
    integer("backlog", 0),
  ],
  [
    "defer-accept",
    "",
    "Has the kernel wait for the first bytes before it hands a connection over.",
    flag("deferAccept"),
  ],
  ["gid", "<number>", "Group, by number, of a unix socket.", integer("gid", 0)],
  ["group", "<name>", "Group of a unix socket.", account("gid")],
  [
    "guid-prefix",
    "<text>",
    "Global identifier; several addresses of a line get numbers appended.",
    parseGuidPrefix,
  ],
  ["id", "<number>", "Number of the listener in statistics.", parseId],
  [
    "interface",
    "<name>",
    "Takes connections that arrive on this interface only.",
    (bind, value) => {
      bind.interfaceName = value;
      return undefined;
    },
  ],
  ["maxconn", "<number>", "Most connections of this listener.", integer("maxconn", 0)],
  ["mode", "<octal>", "Access rights of a unix socket.", parseMode],
  [
    "mss",
    "<bytes>",
    "Maximum segment size announced to clients.",
    (bind, value) => {
      const number = parseInteger(value, -65535, 65535);
      if (!number.ok || number.value === 0)
        return "expects an MSS with an absolute value between 1 and 65535";
      bind.mss = number.value;
      return undefined;
    },
  ],
  [
    "name",
    "<name>",
    "Name of the listener in statistics.",
    (bind, value) => {
      bind.name = value;
      return undefined;
    },
  ],
  ["process", "<set>[/<threads>]", "Old spelling of `thread`.", parseProcess],
  [
    "tcp-ut",
    "<time>",
    "Time that sent bytes may stay unacknowledged by clients.",
    parseTcpUserTimeout,
  ],
  ["tfo", "", "Lets clients send data with their first packet.", flag("tfo")],
  ["thread", "[<group>/]<set>[,…]", "Workers that accept from this listener.", parseThread],
  ["transparent", "", "Binds to an address that this machine does not have.", flag("transparent")],
  ["uid", "<number>", "User, by number, of a unix socket.", integer("uid", 0)],
  ["user", "<name>", "User of a unix socket.", account("uid")],
  ["v4v6", "", "Takes IPv4 clients too on an IPv6 address.", flag("v4v6")],
  ["v6only", "", "Takes IPv6 clients only.", flag("v6only")],
];

const ROWS: readonly Keyword<BindParser>[] = [
  ...DONE.map(([name, args, effect, parse]): Keyword<BindParser> => {
    return { name, sections: BIND, args, effect, reference: "5.1", state: "done", parse };
  }),
  ...undone<BindParser>("inert", BIND, "5.1", [
    ["shards", "<number>|by-thread|by-group", "Sockets that share the address: one a worker."],
    ["expose-fd", "listeners", "Belongs to `stats socket`."],
    ["idle-ping", "<time>", "Pings of idle HTTP/2 clients."],
    ["label", "<text>", "A label for the listener."],
    ["level", "<level>", "Belongs to `stats socket`."],
    ["nice", "<number>", "Priority among tasks: all streams are served in turn."],
    [
      "quic-cc-algo",
      "{cubic|newreno|bbr}[(<size>)]",
      "Congestion control of QUIC clients, and its largest window.",
    ],
    ["quic-force-retry", "", "Has every QUIC client prove its address first."],
    [
      "quic-map",
      "{stream|session}",
      "What is balanced: each stream of a QUIC client (default), or its connection as a whole " +
        "(not in HAProxy).",
    ],
    [
      "quic-socket",
      "{connection|listener}",
      "Accepted; each worker has one socket for all QUIC connections of a listener.",
    ],
    ["severity-output", "<format>", "Belongs to `stats socket`."],
    ["tcp-ss", "<mode>", "Saving of the client's SYN packet."],
  ]),
  ...undone<BindParser>("coming", BIND, "5.1", [
    ["accept-netscaler-cip", "<magic>", "Expects a NetScaler client IP header."],
    ["cc", "<algorithm>", "Congestion control of client connections."],
    ["namespace", "<name>", "Listens inside a network namespace."],
    ["nbconn", "<number>", "Connections of a reverse HTTP listener."],
    ["proto", "<name>", "Forces a protocol on the connection."],
    ["tcp-md5sig", "<password>", "Signs segments (RFC 2385)."],
  ]).map((row) => ({ ...row, wholeLine: row.name !== "cc" })),
  ...tlsRows(),
];

/** All bind options. */
export const BIND_KEYWORDS: readonly Keyword<BindParser>[] = ROWS.map((row) => {
  const quic = BIND_QUIC.get(row.name);
  return quic === undefined ? row : { ...row, quic };
});

/** TLS on a TCP listener: what arrives would be cipher text, so the whole line is skipped. */
function tlsRows(): Keyword<BindParser>[] {
  const rows = undone<BindParser>("coming", BIND, "5.1", [
    ["allow-0rtt", "", "Accepts TLS early data."],
    ["alpn", "<protocols>", "Protocols offered in the TLS handshake."],
    ["ca-file", "<file>", "Authorities that client certificates must come from."],
    ["ca-ignore-err", "<errors>", "Verification errors of authorities to pass over."],
    ["ca-sign-file", "<file>", "Authority that signs generated certificates."],
    ["ca-sign-pass", "<text>", "Pass phrase of that authority."],
    ["ca-verify-file", "<file>", "Authorities used to verify, not announced."],
    ["ciphers", "<list>", "Ciphers up to TLS 1.2."],
    ["ciphersuites", "<list>", "Cipher suites of TLS 1.3."],
    ["client-sigalgs", "<list>", "Signature algorithms of client certificates."],
    ["crl-file", "<file>", "Revoked client certificates."],
    ["crt", "<file>", "Certificate and key of the listener."],
    ["crt-ignore-err", "<errors>", "Verification errors of certificates to pass over."],
    ["crt-list", "<file>", "List of certificates with their names."],
    ["curves", "<list>", "Curves for the key exchange."],
    ["default-crt", "<file>", "Certificate when no name fits."],
    ["ecdhe", "<curve>", "Curve of the key exchange."],
    ["ech", "<dir>", "Encrypted client hello."],
    ["force-sslv3", "", "SSL 3.0 only."],
    ["force-tlsv10", "", "TLS 1.0 only."],
    ["force-tlsv11", "", "TLS 1.1 only."],
    ["force-tlsv12", "", "TLS 1.2 only."],
    ["force-tlsv13", "", "TLS 1.3 only."],
    ["generate-certificates", "", "Makes certificates as they are asked for."],
    ["ktls", "<on|off>", "TLS in the kernel."],
    ["no-alpn", "", "No protocol negotiation."],
    ["no-ca-names", "", "Does not announce authorities."],
    ["no-sslv3", "", "No SSL 3.0."],
    ["no-strict-sni", "", "Lets unknown names have the default certificate."],
    ["no-tls-tickets", "", "No session tickets."],
    ["no-tlsv10", "", "No TLS 1.0."],
    ["no-tlsv11", "", "No TLS 1.1."],
    ["no-tlsv12", "", "No TLS 1.2."],
    ["no-tlsv13", "", "No TLS 1.3."],
    ["npn", "<protocols>", "Old protocol negotiation."],
    ["prefer-client-ciphers", "", "The client's order of ciphers counts."],
    ["sigalgs", "<list>", "Signature algorithms."],
    ["ssl", "", "Ends TLS on this listener."],
    ["ssl-max-ver", "<version>", "Highest TLS version."],
    ["ssl-min-ver", "<version>", "Lowest TLS version."],
    ["strict-sni", "", "Refuses unknown names."],
    ["tls-ticket-keys", "<file>", "Keys of session tickets."],
    ["tls-tickets", "", "Session tickets."],
    ["verify", "<mode>", "Whether clients must have a certificate."],
  ]);
  return rows.map((row) => ({ ...row, wholeLine: true }));
}
