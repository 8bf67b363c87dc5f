/**
 * Options of `server`, `server-template` and `default-server` that are done (HAProxy manual 5.2).
 * Those about
 * checks are in `server-checks.ts`, the rest of the section is in `server-rest.ts`.
 */
import { formatIp, IpAddress, parseIp } from "../../base/address.ts";
import type { ProxyProtocolOut, ServerSpec } from "../../tables/spec.ts";
import { parseAddress } from "../address.ts";
import type { LoadContext } from "../context.ts";
import type { InitAddress, ServerSettings } from "../draft.ts";
import {
  parseResolveNet,
  parseResolveOpts,
  parseResolvePrefer,
  parseResolvers,
} from "../names/words.ts";
import { parseInteger, parseTime } from "../numbers.ts";
import type { Keyword } from "./keyword.ts";
import { SERVER_CHECKS } from "./server-checks.ts";
import { SERVER_QUIC } from "./server-quic.ts";
import type { ServerTlsParser } from "./server-quic.ts";
import { SERVER_REST } from "./server-rest.ts";

/** What a server option may set. */
export type ServerTarget = {
  settings: ServerSettings;
  id?: number;
  guid?: string;
  /** Options that only a `server` line takes are refused elsewhere. */
  isServerLine: boolean;
  name: string;
};

/** Sets one option. Answers what is wrong with the value. */
export type ServerParser = (
  target: ServerTarget,
  value: string,
  context: LoadContext,
) => string | undefined;

const INTEGER_MAX = 2 ** 31 - 1;

type FlagKey = "backup" | "disabled" | "tfo";
type CountKey = "maxconn" | "minconn" | "maxqueue" | "errorLimit";

function flag(key: FlagKey, value: boolean): ServerParser {
  return (target) => {
    target.settings[key] = value;
    return undefined;
  };
}

function check(key: "enabled" | "sendProxy", value: boolean): ServerParser {
  return (target) => {
    target.settings.check[key] = value;
    return undefined;
  };
}

function count(key: CountKey, min = 0): ServerParser {
  return (target, value) => {
    const number = parseInteger(value, min, INTEGER_MAX);
    if (!number.ok) return number.message;
    target.settings[key] = number.value;
    return undefined;
  };
}

function checkCount(key: "rise" | "fall"): ServerParser {
  return (target, value) => {
    const number = parseInteger(value, 1, INTEGER_MAX);
    if (!number.ok) return /^0+$/u.test(value) ? "has to be > 0." : number.message;
    target.settings.check[key] = number.value;
    return undefined;
  };
}

function interval(set: (settings: ServerSettings, ms: number) => void): ServerParser {
  return (target, value) => {
    const time = parseTime(value);
    if (!time.ok) return time.message;
    if (time.value === 0) return `invalid value ${value} for server ${target.name}.`;
    set(target.settings, time.value);
    return undefined;
  };
}

const parseWeight: ServerParser = (target, value) => {
  const number = parseInteger(value, 0, 256);
  if (!number.ok) return `weight of server ${target.name} is not within 0 and 256 (${value}).`;
  target.settings.weight = number.value;
  return undefined;
};

const parsePort: ServerParser = (target, value) => {
  const number = parseInteger(value, 0, 65535);
  if (!number.ok) return `expects a port between 0 and 65535 (got '${value}').`;
  target.settings.check.port = number.value;
  return undefined;
};

const parseCheckAddress: ServerParser = (target, value, context) => {
  const address = parseAddress(value, {
    port: "optional",
    range: false,
    offset: false,
    transports: ["stream"],
    variables: context.environment.lookup,
  });
  if (!address.ok) return `${address.message}.`;
  target.settings.checkAddress = { written: value, address: address.value };
  const { value: parsedAddress } = address;
  if (parsedAddress.kind === "ip" || parsedAddress.kind === "name") {
    if (parsedAddress.portLow > 0) target.settings.check.port = parsedAddress.portLow;
  }
  return undefined;
};

const parseId: ServerParser = (target, value) => {
  if (!target.isServerLine) return "not permitted here: every server needs its own.";
  const id = parseInteger(value, 1, INTEGER_MAX);
  if (!id.ok) return "custom id has to be > 0.";
  target.id = id.value;
  return undefined;
};

const parseGuid: ServerParser = (target, value) => {
  if (!target.isServerLine) return "not permitted here: every server needs its own.";
  target.guid = value;
  return undefined;
};

function choice<V extends string>(
  choices: readonly (readonly [word: string, value: V])[],
  set: (settings: ServerSettings, value: V) => void,
): ServerParser {
  return (target, value) => {
    const found = choices.find(([word]) => word === value);
    if (found === undefined) {
      const words = choices.map(([word]) => `'${word}'`);
      const last = words.pop() ?? "";
      const list = words.length === 0 ? last : `one of ${words.join(", ")} or ${last}`;
      return `expects ${list} but got '${value}'.`;
    }
    set(target.settings, found[1]);
    return undefined;
  };
}

const INIT_STATES: readonly (readonly [string, ServerSpec["initState"]])[] = [
  ["fully-up", "fully-up"],
  ["up", "up"],
  ["down", "down"],
  ["fully-down", "fully-down"],
  ["none", "up"],
];

const parseInitState = choice(INIT_STATES, (settings, value) => {
  settings.initState = value;
});

const ON_ERROR: readonly (readonly [string, ServerSpec["onError"]])[] = [
  ["fastinter", "fastinter"],
  ["fail-check", "fail-check"],
  ["sudden-death", "sudden-death"],
  ["mark-down", "mark-down"],
];

const parseOnError = choice(ON_ERROR, (settings, value) => {
  settings.onError = value;
});

const MARKED_DOWN: readonly (readonly [string, ServerSpec["onMarkedDown"]])[] = [
  ["shutdown-sessions", "shutdown-sessions"],
];

const parseOnMarkedDown = choice(MARKED_DOWN, (settings, value) => {
  settings.onMarkedDown = value;
});

const MARKED_UP: readonly (readonly [string, ServerSpec["onMarkedUp"]])[] = [
  ["shutdown-backup-sessions", "shutdown-backup-sessions"],
];

const parseOnMarkedUp = choice(MARKED_UP, (settings, value) => {
  settings.onMarkedUp = value;
});

function sendProxy(version: 1 | 2): ServerParser {
  return (target) => {
    const options = target.settings.sendProxy?.options ?? [];
    target.settings.sendProxy = { version, options };
    return undefined;
  };
}

const noSendProxy: ServerParser = (target) => {
  delete target.settings.sendProxy;
  return undefined;
};

/** `send-proxy-v2-ssl`, `send-proxy-v2-ssl-cn`: version 2 with these options beside others. */
function sendProxyTls(...added: ProxyProtocolOut["options"]): ServerParser {
  return (target) => {
    const options = target.settings.sendProxy?.options ?? [];
    const more = added.filter((option) => !options.includes(option));
    target.settings.sendProxy = { version: 2, options: [...options, ...more] };
    return undefined;
  };
}

const PROXY_OPTIONS: readonly ProxyProtocolOut["options"][number][] = [
  "ssl",
  "cert-cn",
  "ssl-cipher",
  "cert-sig",
  "cert-key",
  "authority",
  "crc32c",
  "unique-id",
];

const parseProxyOptions: ServerParser = (target, value) => {
  const options: ProxyProtocolOut["options"] = [];
  for (const word of value.split(",")) {
    const option = PROXY_OPTIONS.find((name) => name === word);
    if (option === undefined) return `'${word}' : unknown proxy v2 option.`;
    if (!options.includes(option)) options.push(option);
  }
  target.settings.sendProxy = { version: target.settings.sendProxy?.version ?? 2, options };
  return undefined;
};

const parseTrack: ServerParser = (target, value) => {
  if (value === "") return "a server's name is missing.";
  target.settings.track = value;
  return undefined;
};

const parseTcpUserTimeout: ServerParser = (target, value) => {
  const time = parseTime(value);
  if (!time.ok) return "expects a positive delay in milliseconds.";
  target.settings.tcpUserTimeoutMs = time.value;
  return undefined;
};

const parseInitAddr: ServerParser = (target, value) => {
  const methods: InitAddress[] = [];
  for (const word of value.split(",")) {
    if (word === "last" || word === "libc" || word === "none") {
      methods.push({ kind: word });
      continue;
    }
    const ip = new IpAddress();
    if (!parseIp(word, ip) || ip.family === 0) {
      const known = "supported methods are 'libc', 'last', 'none'";
      return `unknown init-addr method '${word}', ${known}.`;
    }
    methods.push({ kind: "ip", host: formatIp(ip), family: ip.family });
  }
  target.settings.initAddresses = methods;
  return undefined;
};

type ServerRow = readonly [name: string, args: string, effect: string, parse: ServerParser];

const DONE: readonly ServerRow[] = [
  ["addr", "<address>", "Address to check instead of the server's.", parseCheckAddress],
  ["backup", "", "Used only when no other server is left.", flag("backup", true)],
  ["check", "", "Checks the server by opening a connection.", check("enabled", true)],
  ["check-send-proxy", "", "Sends a PROXY header in checks.", check("sendProxy", true)],
  ["disabled", "", "Starts in maintenance.", flag("disabled", true)],
  [
    "downinter",
    "<time>",
    "Check interval while the server is down.",
    interval((s, ms) => {
      s.downIntervalMs = ms;
    }),
  ],
  ["enabled", "", "Undoes `disabled` of default-server.", flag("disabled", false)],
  ["error-limit", "<number>", "Errors in a row that trigger `on-error`.", count("errorLimit", 1)],
  ["fall", "<number>", "Failed checks in a row that take a server down.", checkCount("fall")],
  [
    "fastinter",
    "<time>",
    "Check interval while the state is changing.",
    interval((s, ms) => {
      s.fastIntervalMs = ms;
    }),
  ],
  ["guid", "<text>", "Global identifier.", parseGuid],
  ["id", "<number>", "Number in statistics.", parseId],
  [
    "init-addr",
    "{last|libc|none|<ip>}[,…]",
    "Where a server named by host name gets its first address.",
    parseInitAddr,
  ],
  ["init-state", "<state>", "State before the first check.", parseInitState],
  [
    "inter",
    "<time>",
    "Interval between checks.",
    interval((s, ms) => {
      s.check.intervalMs = ms;
    }),
  ],
  ["maxconn", "<number>", "Most streams at a time; more wait in the queue.", count("maxconn")],
  ["maxqueue", "<number>", "Most streams waiting for this server.", count("maxqueue")],
  [
    "minconn",
    "<number>",
    "Lower end of a limit that grows with the backend's load.",
    count("minconn"),
  ],
  ["no-backup", "", "Undoes `backup` of default-server.", flag("backup", false)],
  ["no-check", "", "Undoes `check` of default-server.", check("enabled", false)],
  ["no-check-send-proxy", "", "Undoes `check-send-proxy`.", check("sendProxy", false)],
  ["no-send-proxy", "", "Undoes `send-proxy`.", noSendProxy],
  ["no-send-proxy-v2", "", "Undoes `send-proxy-v2`.", noSendProxy],
  ["no-send-proxy-v2-ssl", "", "Undoes `send-proxy-v2-ssl`.", noSendProxy],
  ["no-send-proxy-v2-ssl-cn", "", "Undoes `send-proxy-v2-ssl-cn`.", noSendProxy],
  ["no-tfo", "", "Undoes `tfo`.", flag("tfo", false)],
  ["on-error", "<action>", "What enough errors in a row do.", parseOnError],
  [
    "on-marked-down",
    "shutdown-sessions",
    "Ends the streams of a server that goes down.",
    parseOnMarkedDown,
  ],
  [
    "on-marked-up",
    "shutdown-backup-sessions",
    "Ends the streams of backup servers when this one comes up.",
    parseOnMarkedUp,
  ],
  ["port", "<port>", "Port to check instead of the server's.", parsePort],
  [
    "proxy-v2-options",
    "<option>[,…]",
    "What else a PROXY header of version 2 carries.",
    parseProxyOptions,
  ],
  [
    "resolve-net",
    "<network>[,…]",
    "Networks preferred among the addresses of a name.",
    parseResolveNet,
  ],
  [
    "resolve-opts",
    "<option>[,…]",
    "`allow-dup-ip`, `prevent-dup-ip`: servers of one name and one address; `ignore-weight`.",
    parseResolveOpts,
  ],
  [
    "resolve-prefer",
    "{ipv4|ipv6}",
    "Family preferred among the addresses of a name.",
    parseResolvePrefer,
  ],
  ["resolvers", "<section>", "Keeps the address up to date by DNS.", parseResolvers],
  ["rise", "<number>", "Passed checks in a row that bring a server up.", checkCount("rise")],
  ["send-proxy", "", "Sends a PROXY header of version 1.", sendProxy(1)],
  ["send-proxy-v2", "", "Sends a PROXY header of version 2.", sendProxy(2)],
  ["send-proxy-v2-ssl", "", "The same with facts about the client's TLS.", sendProxyTls("ssl")],
  [
    "send-proxy-v2-ssl-cn",
    "",
    "The same with the name in the client's certificate too.",
    sendProxyTls("ssl", "cert-cn"),
  ],
  [
    "tcp-ut",
    "<time>",
    "Time that sent bytes may stay unacknowledged by the server.",
    parseTcpUserTimeout,
  ],
  ["tfo", "", "Sends the first bytes with the first packet.", flag("tfo", true)],
  ["track", "[<backend>/]<server>", "Takes over the state of another server.", parseTrack],
  ["weight", "<0..256>", "Share of the load.", parseWeight],
];

/** Sections in which these words may stand, for the tables. */
export const SERVER_SECTIONS = ["server", "default-server"];

/**
 * What `add server` refuses: HAProxy looks up no names for such servers, and has no `stick` there.
 * (HAProxy refuses `no-check` too; here it undoes a `check` that came with `from`.)
 */
const NOT_DYNAMIC: ReadonlySet<string> = new Set(
  (
    "init-addr resolvers resolve-net resolve-opts resolve-prefer redir stick log-bufsize " +
    "log-proto max-reuse namespace socks4"
  ).split(" "),
);

/** `source` has several words and is read by `server-words.ts`. */
const ROWS: readonly Keyword<ServerParser>[] = [
  ...DONE.map(([name, args, effect, parse]): Keyword<ServerParser> => {
    const base = { name, sections: SERVER_SECTIONS, args, effect, reference: "5.2" };
    return { ...base, state: "done", parse };
  }),
  {
    name: "source",
    sections: SERVER_SECTIONS,
    args: "<address>[:<port>[-<port>]] [interface <name>]",
    effect: "Address and interface to connect from; `usesrc` is not built yet.",
    reference: "5.2",
    state: "done",
    parse: () => undefined,
  },
  ...SERVER_CHECKS,
  ...SERVER_REST,
];

/** All server options. */
export const SERVER_KEYWORDS: readonly Keyword<ServerParser, ServerTlsParser>[] = ROWS.map(
  (row) => {
    const quic = SERVER_QUIC.get(row.name);
    const { quic: _none, ...rest } = row;
    const dynamic = NOT_DYNAMIC.has(row.name) ? { notDynamic: true } : {};
    return { ...rest, ...dynamic, ...(quic === undefined ? {} : { quic }) };
  },
);
