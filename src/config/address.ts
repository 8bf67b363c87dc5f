/**
 * Addresses as the configuration writes them (HAProxy manual 2.9): family, socket type and
 * protocol prefixes, `*`, IPv6 with and without brackets, ports, ranges and offsets, paths,
 * descriptors, and names to look up. Pure; looking up is `resolve.ts`.
 */
import { formatIp, IpAddress, parseIp } from "../base/address.ts";
import type { Variables } from "./lexer.ts";
import { parsed, refused } from "./numbers.ts";
import type { Parsed } from "./numbers.ts";

/** Socket types; `quic` is streams over UDP. */
export type Transport = "stream" | "datagram" | "quic";

/** What the statement that holds the address allows. */
export type AddressRules = {
  port: "none" | "optional" | "mandatory";
  range: boolean;
  offset: boolean;
  /** What the statement can use; the first is the default. */
  transports: readonly Transport[];
  /** Replaces `$NAME` and `${NAME}`, which addresses expand even outside quotes. */
  variables: Variables;
};

/** Ports of an address: `portMode` says which of the numbers count. */
export type Ports = {
  portMode: "absent" | "fixed" | "offset";
  portLow: number;
  portHigh: number;
  portOffset: number;
};

/** A parsed address. `name` still has to be looked up; family 0 takes either. */
export type ConfigAddress = { transport: Transport } & (
  | ({ kind: "ip"; family: 4 | 6; host: string } & Ports)
  | ({ kind: "name"; family: 0 | 4 | 6; name: string } & Ports)
  | { kind: "unix"; path: string }
  | { kind: "abns"; name: string }
  | { kind: "fd"; fd: number }
);

/** Prefixes of words that this release does not serve, with what they ask for. */
const COMING_PREFIXES: Record<string, string> = {
  mptcp: "MPTCP",
  mptcp4: "MPTCP",
  mptcp6: "MPTCP",
  sockpair: "socket pairs",
  abnsz: "zero-terminated abstract names",
  rhttp: "reverse HTTP",
};

/** Longest path that a unix socket address holds, in bytes. */
const UNIX_PATH_MAX = 107;

const SOCKET_TYPES: Record<string, Transport> = {
  stream: "stream",
  dgram: "datagram",
  quic: "quic",
};

type Prefix = { family: 0 | 4 | 6 | "unix" | "abns" | "fd"; transport?: Transport };

const PREFIXES: Record<string, Prefix> = {
  ip: { family: 0 },
  ipv4: { family: 4 },
  ipv6: { family: 6 },
  quic4: { family: 4, transport: "quic" },
  quic6: { family: 6, transport: "quic" },
  tcp: { family: 0, transport: "stream" },
  tcp4: { family: 4, transport: "stream" },
  tcp6: { family: 6, transport: "stream" },
  udp: { family: 0, transport: "datagram" },
  udp4: { family: 4, transport: "datagram" },
  udp6: { family: 6, transport: "datagram" },
  unix: { family: "unix" },
  uxst: { family: "unix", transport: "stream" },
  uxdg: { family: "unix", transport: "datagram" },
  abns: { family: "abns" },
  fd: { family: "fd" },
};

/** Set on a refusal that names something this release does not serve yet. */
export type AddressResult = Parsed<ConfigAddress> & { coming?: boolean };

/** Reads one address. A refusal is a whole sentence that quotes the address. */
export function parseAddress(written: string, rules: AddressRules): AddressResult {
  const text = expandVariables(written, rules.variables);
  let rest = text;
  let transport: Transport | undefined;
  const socketType = /^(stream|dgram|quic)\+/u.exec(rest)?.[1];
  if (socketType !== undefined) {
    transport = SOCKET_TYPES[socketType];
    rest = rest.slice(socketType.length + 1);
  }
  let prefix: Prefix = { family: 0 };
  const word = /^([a-z0-9]+)@/u.exec(rest)?.[1];
  if (word !== undefined) {
    const coming = COMING_PREFIXES[word];
    if (coming !== undefined) return comingAddress(coming, written);
    const known = PREFIXES[word];
    if (known === undefined) return refused(`unknown address prefix '${word}@' in '${written}'`);
    prefix = known;
    rest = rest.slice(word.length + 1);
  } else if (rest.startsWith("/")) {
    prefix = { family: "unix" };
  }
  const isQuic = transport === "quic" || prefix.transport === "quic";
  transport = isQuic ? "quic" : (prefix.transport ?? transport ?? rules.transports[0] ?? "stream");
  if (isQuic) {
    const problem = wrongQuic(prefix, rules, written);
    if (problem !== undefined) return refused(problem);
  } else if (!rules.transports.includes(transport)) {
    const type = transport === "datagram" ? "dgram" : "stream";
    return refused(`${type}-type address not acceptable in '${written}'`);
  }
  return parseFamily(rest, prefix.family, transport, written, rules);
}

/** QUIC is for listeners and servers, and over IP. */
function wrongQuic(prefix: Prefix, rules: AddressRules, written: string): string | undefined {
  if (!rules.transports.includes("quic")) {
    return `QUIC addresses are for 'bind' and 'server' lines only: '${written}'`;
  }
  const isIp = prefix.family === 0 || prefix.family === 4 || prefix.family === 6;
  const isOther = prefix.transport !== undefined && prefix.transport !== "quic";
  return isIp && !isOther ? undefined : `QUIC needs an IP address: '${written}'`;
}

function comingAddress(what: string, written: string): AddressResult {
  const message = `${what} addresses are not built yet: '${written}'`;
  return { ok: false, message, coming: true };
}

function expandVariables(text: string, variables: Variables): string {
  return text.replace(
    /\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?:-([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))/gu,
    (_, braced: string | undefined, fallback: string | undefined, bare: string | undefined) =>
      variables(braced ?? bare ?? "") ?? fallback ?? "",
  );
}

function parseFamily(
  rest: string,
  family: Prefix["family"],
  transport: Transport,
  written: string,
  rules: AddressRules,
): Parsed<ConfigAddress> {
  if (family === "unix" || family === "abns") {
    if (rest === "") return refused(`missing path in '${written}'`);
    if (rest.includes("\0")) return refused(`NUL byte in '${written.replaceAll("\0", "\\0")}'`);
    if (Buffer.byteLength(rest) > UNIX_PATH_MAX) {
      return refused(`socket path '${rest}' too long (max ${UNIX_PATH_MAX})`);
    }
    return parsed(
      family === "unix"
        ? { kind: "unix", transport, path: rest }
        : { kind: "abns", transport, name: rest },
    );
  }
  if (family === "fd") {
    if (!/^\d{1,7}$/u.test(rest)) {
      return refused(`file descriptor '${rest}' is not a valid integer in '${written}'`);
    }
    return parsed({ kind: "fd", transport, fd: Number(rest) });
  }
  const { host, port } = splitPort(rest, rules);
  const ports = parsePorts(port, written, rules);
  if (!ports.ok) return ports;
  return parseHost(host, family, transport, ports.value, written);
}

/** Cuts at the last colon that is outside brackets. */
function splitPort(text: string, rules: AddressRules): { host: string; port: string | undefined } {
  const colon = text.lastIndexOf(":");
  const isInBrackets = text.lastIndexOf("]") > colon;
  // Where no port may follow, a bare IPv6 address needs no brackets.
  const isBareIpv6 = rules.port === "none" && text.indexOf(":") !== colon;
  if (colon < 0 || isInBrackets || isBareIpv6) return { host: text, port: undefined };
  return { host: text.slice(0, colon), port: text.slice(colon + 1) };
}

function parsePorts(port: string | undefined, written: string, rules: AddressRules): Parsed<Ports> {
  if (port === undefined || port === "") {
    if (rules.port === "mandatory") {
      return refused(`missing port specification in '${written}'`);
    }
    return parsed({ portMode: "absent", portLow: 0, portHigh: 0, portOffset: 0 });
  }
  if (rules.port === "none") return refused(`port specification not permitted in '${written}'`);
  const match = /^([+-])?(\d+)(?:-(\d+))?$/u.exec(port);
  if (match === null) return refused(`invalid character in port number '${port}' in '${written}'`);
  const [, sign, first = "", second] = match;
  const low = Number(first);
  if (sign !== undefined) {
    if (!rules.offset) return refused(`port offset not permitted here in '${written}'`);
    if (second !== undefined || low > 65535) return refused(`invalid port offset '${port}'`);
    const portOffset = sign === "-" ? -low : low;
    return parsed({ portMode: "offset", portLow: 0, portHigh: 0, portOffset });
  }
  const high = second === undefined ? low : Number(second);
  if (second !== undefined && !rules.range) {
    return refused(`port range not permitted here in '${written}'`);
  }
  const isTooLow = rules.port === "mandatory" && low < 1;
  if (isTooLow || low > 65535 || high > 65535) return refused(`invalid port '${port}'`);
  if (low > high) return refused(`invalid port range '${port}'`);
  return parsed({ portMode: "fixed", portLow: low, portHigh: high, portOffset: 0 });
}

function parseHost(
  host: string,
  family: 0 | 4 | 6,
  transport: Transport,
  ports: Ports,
  written: string,
): Parsed<ConfigAddress> {
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  if (bare === "" || bare === "*") {
    const any = family === 6 ? "::" : "0.0.0.0";
    return parsed({ kind: "ip", transport, family: family === 6 ? 6 : 4, host: any, ...ports });
  }
  const ip = new IpAddress();
  if (parseIp(bare, ip) && ip.family !== 0) {
    if (family !== 0 && family !== ip.family) {
      return refused(`invalid address: '${host}' in '${written}'`);
    }
    return parsed({ kind: "ip", transport, family: ip.family, host: formatIp(ip), ...ports });
  }
  if (!isHostName(bare)) return refused(`invalid address: '${host}' in '${written}'`);
  return parsed({ kind: "name", transport, family, name: bare, ...ports });
}

/** Letters, digits, `-`, `_` and dots; never digits and dots alone, which is a mistyped IPv4. */
function isHostName(text: string): boolean {
  if (text.length > 253 || /^[\d.]+$/u.test(text)) return false;
  return /^[A-Za-z0-9_]([A-Za-z0-9_-]*)(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*\.?$/u.test(text);
}
