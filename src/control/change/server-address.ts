/**
 * Addresses of a server and of its check on an operator's request: connections that stand stay
 * where they are, those that begin go to the new address. Any family may follow any other, where
 * HAProxy keeps to IP.
 */
import { formatIp, IpAddress, parseIp } from "../../base/address.ts";
import { DNS_LABEL_BYTES_MAX } from "../../base/limits.ts";
import { Refusal } from "../../base/refusals.ts";
import { parseAddress } from "../../config/address.ts";
import { hostText } from "../../tables/address-text.ts";
import { SERVER_ADMIN_RESOLUTION_MAINT } from "../../tables/generated/enums.ts";
import type { Address, ServerNameSpec, ServerSpec } from "../../tables/spec.ts";
import { LEVEL_NOTICE } from "../../wire/syslog.ts";
import { madeServer } from "../draft.ts";
import type { Change, ChangeResult, Draft, DraftServer } from "../draft.ts";
import { holdBack } from "../life/servers.ts";
import { refuseBehindSessions } from "../life/session-map.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";
import { beginQuicServer } from "../quic-start.ts";
import { noteQuicServer } from "../quic-use.ts";
import { readState, restoreState, saveState, setAdmin } from "../server-state.ts";
import type { SavedState } from "../server-state.ts";
import { changed, draftName, unchanged } from "./change.ts";
import type { ServerControl } from "./change.ts";
import { resolveHost } from "./resolve.ts";
import { quicAfter, transportOf, wantedTransport } from "./server-transport.ts";

const PORT_MAX = 65_535;
/** Who changed it, in HAProxy's sentences. */
const UPDATER = " by 'stats socket command'";

/** What an answer begins with where only the port changes; the log leaves it out. */
const SAME_ADDRESS = "no need to change the addr, ";

/** Where a server is reached. */
type Place = Pick<
  ServerSpec,
  "address" | "portMode" | "portOffset" | "quic" | "namePort" | "resolution"
>;
type Port = { portMode: ServerSpec["portMode"]; portOffset: number; port: number };

/**
 * `set server … addr <address> [port <port>]`.
 * @param portWord `N`, `+N` or `-N`; undefined = as it is
 * @throws Refusal
 */
export function prepareAddress(
  control: ServerControl,
  draft: Draft,
  entry: DraftServer,
  addressWord: string,
  portWord: string | undefined,
): Change {
  const old = placeOf(entry.spec);
  const place = readPlace(entry.spec, addressWord, portWord);
  const quic = quicAfter(control.runtime, entry, wantedTransport(addressWord));
  if (quic !== undefined) place.quic = quic;
  else delete place.quic;
  refuseQuicPath(place, addressWord);
  const text = describeMove(old, place, portWord !== undefined);
  const spec = placedAt(entry.spec, place);
  refuseBehindSessions(draft, entry.proxy, spec);
  entry.spec = spec;
  return {
    effect: `moves ${draftName(entry)} to ${hostOf(place.address)} port ${portText(place)}`,
    ...moveChange(control, entry, place, text),
  };
}

/** Puts a server at another place, and back. */
function moveChange(
  control: ServerControl,
  entry: DraftServer,
  place: Place,
  text: string,
): Pick<Change, "undo"> & { apply(): ChangeResult } {
  let before: { spec: ServerSpec; state: SavedState } | undefined;
  return {
    apply: () => {
      const server = madeServer(control, entry);
      const { hostName, serviceName, resolution } = server.spec;
      const isNamed = hostName !== undefined || serviceName !== undefined;
      const isFollowing = isNamed && resolution !== undefined;
      if (!isFollowing && isSame(placeOf(server.spec), place)) return unchanged(server, text);
      before = { spec: server.spec, state: saveState(control.keeper, server) };
      changeSpec(control, server, placedAt(server.spec, place));
      const { admin } = readState(control.tables, server);
      // It had no address: a worker that does not know this one yet would have nowhere to go.
      if ((admin & SERVER_ADMIN_RESOLUTION_MAINT) !== 0) holdBack(control, server);
      setAdmin(control.keeper, server, admin & ~SERVER_ADMIN_RESOLUTION_MAINT);
      const said = `${serverName(server)}: ${text.replace(SAME_ADDRESS, "")}.`;
      control.keeper.tell(server.backend, { level: LEVEL_NOTICE, text: said });
      return changed(control, "server-changed", server, said, text);
    },
    undo: () => {
      const server = madeServer(control, entry);
      if (before === undefined) return;
      changeSpec(control, server, placedAt(server.spec, placeOf(before.spec)));
      restoreState(control.keeper, server, before.state);
      changed(control, "server-changed", server, `${serverName(server)}: address undone`);
    },
  };
}

/** Gives a server another spec: workers and checks take it from now on. */
export function changeSpec(control: ServerControl, server: ServerObject, spec: ServerSpec): void {
  const { shop } = control;
  beginQuicServer(shop, spec);
  noteQuicServer(shop.tables, server.backend, spec, shop.clock.epochMicros() / 1000);
  const { quic } = server.spec;
  if (quic !== undefined && spec.quic === undefined) server.lastQuic = quic;
  server.spec = spec;
  control.shop.log.append({ kind: "server.change", row: server.row, server: spec });
  control.shop.log.flushSoon();
  control.checks.refresh(server);
}

function placeOf(spec: ServerSpec): Place {
  const { address, portMode, portOffset, quic, namePort, resolution } = spec;
  return {
    ...(address === undefined ? {} : { address }),
    portMode,
    portOffset,
    ...(quic === undefined ? {} : { quic }),
    ...(namePort === undefined ? {} : { namePort }),
    ...(resolution === undefined ? {} : { resolution }),
  };
}

/** The spec at another place. */
function placedAt(spec: ServerSpec, place: Place): ServerSpec {
  const { quic: _quic, address: _address, namePort: _port, resolution: _dns, ...rest } = spec;
  return { ...rest, ...place };
}

function isSame(left: Place, right: Place): boolean {
  if (transportOf(left) !== transportOf(right)) return false;
  return hostOf(left.address) === hostOf(right.address) && portText(left) === portText(right);
}

/** A server that keeps its transport and speaks QUIC has an IP address. @throws Refusal */
function refuseQuicPath({ address, quic }: Place, word: string): void {
  if (quic === undefined || address === undefined || "port" in address) return;
  throw new Refusal("BAD_ARGUMENT", `QUIC needs an IP address: '${word}'${UPDATER}`);
}

/** What an operator says counts from then on: the place follows no name any more. */
function readPlace(spec: ServerSpec, addressWord: string, portWord: string | undefined): Place {
  const address = readAddress(addressWord);
  const quic = spec.quic === undefined ? {} : { quic: spec.quic };
  if (address.family !== "ipv4" && address.family !== "ipv6") {
    if (portWord === undefined) return { address, portMode: "fixed", portOffset: 0, ...quic };
    throw new Refusal("BAD_ARGUMENT", `'${addressWord}' has no port${UPDATER}`);
  }
  const { portMode, portOffset, port } = readPort(spec, portWord);
  const named = spec.namePort === undefined ? {} : { namePort: port };
  return { address: { ...address, port }, portMode, portOffset, ...quic, ...named };
}

/** An address without a port; names are not looked up. @throws Refusal */
function readAddress(word: string): Exclude<Address, { family: "fd" }> {
  const ip = new IpAddress();
  if (parseIp(word, ip) && ip.family !== 0) {
    return { family: ip.family === 4 ? "ipv4" : "ipv6", host: formatIp(ip), port: 0 };
  }
  const rules = { port: "none", range: false, offset: false } as const;
  const transports = ["stream", "quic"] as const;
  const parsed = parseAddress(word, { ...rules, transports, variables: () => undefined });
  if (parsed.ok) {
    const { value } = parsed;
    // Behind a prefix, and spelled out: `*` and nothing at all are no servers.
    const isSpelled = parseIp(word.slice(word.indexOf("@") + 1), ip) && ip.family !== 0;
    if (value.kind === "ip" && isSpelled) {
      return { family: value.family === 4 ? "ipv4" : "ipv6", host: value.host, port: 0 };
    }
    if (value.kind === "unix") return { family: "unix", path: value.path };
    if (value.kind === "abns") return { family: "abns", name: value.name };
  }
  throw new Refusal("BAD_ARGUMENT", `Invalid addr '${word}'${UPDATER}`);
}

/** @throws Refusal */
function readPort(spec: ServerSpec, word: string | undefined): Port {
  const { address, portMode, portOffset } = spec;
  if (word === undefined) {
    if (address === undefined || "port" in address) {
      return { portMode, portOffset, port: address?.port ?? spec.namePort ?? 0 };
    }
    throw new Refusal("BAD_ARGUMENT", `a port is needed beside an IP address${UPDATER}`);
  }
  const [, sign, digits] = /^([+-]?)(\d{1,7})$/u.exec(word) ?? [];
  if (digits === undefined) {
    throw new Refusal("BAD_ARGUMENT", `problem converting port '${word}' to an int${UPDATER}`);
  }
  const value = Number(digits);
  if (value > PORT_MAX) {
    throw new Refusal("BAD_ARGUMENT", `port '${word}' is out of range${UPDATER}`);
  }
  if (sign === "") return { portMode: "fixed", portOffset: 0, port: value };
  if (spec.check.enabled && spec.check.port === 0) {
    const because = "it is incompatible with current health check port configuration";
    const how = "(use 'port' statement from the 'server' directive.";
    const text = `can't change <port> to port map because ${because} ${how}${UPDATER}`;
    throw new Refusal("WRONG_STATE", text);
  }
  if (value === 0) return { portMode: "client", portOffset: 0, port: 0 };
  return { portMode: "offset", portOffset: sign === "-" ? -value : value, port: 0 };
}

/** HAProxy's answer: `IP changed from 'a' to 'b', port changed from '1' to '2' by '…'`. */
function describeMove(old: Place, place: Place, hasPort: boolean): string {
  const [from, to] = [hostOf(old.address), hostOf(place.address)];
  const ip = from === to ? "no need to change the addr" : `IP changed from '${from}' to '${to}'`;
  const [oldPort, newPort] = [portText(old), portText(place)];
  const port = !hasPort
    ? ""
    : oldPort === newPort
      ? ", no need to change the port"
      : `, port changed from '${oldPort}' to '${newPort}'`;
  const [before, after] = [transportOf(old), transportOf(place)];
  const transport = before === after ? "" : `, transport changed from '${before}' to '${after}'`;
  return `${ip}${port}${transport}${UPDATER}`;
}

/** The address without its port; "-" = none is known. */
export function hostOf(address: Address | undefined): string {
  return address === undefined ? "-" : hostText(address);
}

function portText({ address, portMode, portOffset }: Place): string {
  if (portMode === "client") return "+0";
  if (portMode === "offset") return portOffset < 0 ? `${portOffset}` : `+${portOffset}`;
  return address !== undefined && "port" in address ? `${address.port}` : "0";
}

/**
 * `set server … check-addr <address> [port <port>]`, `check-port <port>`.
 * @param words of either; undefined = as it is
 * @throws Refusal
 */
export function prepareCheckPlace(
  control: ServerControl,
  entry: DraftServer,
  words: { address?: string; port?: string },
): Change {
  if (!entry.spec.check.enabled) {
    throw new Refusal("WRONG_STATE", "health checks are not enabled on this server");
  }
  const place: { address?: Address; port?: number } = {};
  if (words.address !== undefined) place.address = readCheckAddress(words.address);
  if (words.port !== undefined) place.port = readCheckPort(entry.spec, words.port);
  entry.spec = { ...entry.spec, check: { ...entry.spec.check, ...place } };
  let before: ServerSpec["check"] | undefined;
  return {
    effect: `changes where the check of ${draftName(entry)} goes`,
    apply: () => {
      const server = madeServer(control, entry);
      before = server.spec.check;
      changeSpec(control, server, { ...server.spec, check: { ...before, ...place } });
      return changed(control, "server-changed", server, `${serverName(server)} check address`);
    },
    undo: () => {
      const server = madeServer(control, entry);
      if (before === undefined) return;
      changeSpec(control, server, { ...server.spec, check: before });
      changed(control, "server-changed", server, `${serverName(server)} check address undone`);
    },
  };
}

function readCheckAddress(word: string): Address {
  const ip = new IpAddress();
  if (!parseIp(word, ip) || ip.family === 0) {
    throw new Refusal("BAD_ARGUMENT", `invalid addr '${word}'`);
  }
  return { family: ip.family === 4 ? "ipv4" : "ipv6", host: formatIp(ip), port: 0 };
}

/** The port of a check or an agent. @throws Refusal, in HAProxy's words */
export function readOwnPort(word: string): number {
  if (!/^[+-]?\d{1,9}$/u.test(word)) {
    throw new Refusal("BAD_ARGUMENT", "provided port is not an integer");
  }
  const port = Number(word);
  if (port < 0 || port > PORT_MAX) throw new Refusal("BAD_ARGUMENT", "provided port is invalid");
  return port;
}

/** A port of its own, 0 = the server's, where it has one. */
function readCheckPort(spec: ServerSpec, word: string): number {
  const port = readOwnPort(word);
  if (port === 0 && spec.portMode !== "fixed") {
    throw new Refusal("WRONG_STATE", "the server has no port of its own to check");
  }
  return port;
}

/** Letters, digits, dots, dashes, underscores; as long as a name may be. */
export const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/u;

/**
 * `set server … fqdn`: with `resolvers` DNS is asked at once, and the address stays until there is
 * an answer; else the new name of a server that was configured by name is looked up once.
 * @throws Refusal; while it is applied, when the name has no address
 */
export function prepareHostName(control: ServerControl, entry: DraftServer, name: string): Change {
  const { hostName, serviceName } = entry.spec;
  if (serviceName !== undefined) {
    const text = "set server <b>/<s> fqdn failed because SRV resolution is configured.";
    throw new Refusal("WRONG_STATE", text);
  }
  const naming = entry.spec.resolution ?? entry.object?.configured.resolution;
  if (naming !== undefined) return prepareFollowing(control, entry, name, naming);
  if (hostName === undefined) {
    const text = "set server <b>/<s> fqdn failed because no resolution is configured.";
    throw new Refusal("WRONG_STATE", text);
  }
  if (!HOST_NAME.test(name)) throw new Refusal("BAD_ARGUMENT", `Invalid FQDN '${name}'.`);
  let move: ReturnType<typeof moveChange> | undefined;
  let before: string | undefined;
  const setName = (server: ServerObject, to: string): void => {
    changeSpec(control, server, { ...server.spec, hostName: to });
  };
  return {
    effect: `looks ${name} up and moves ${draftName(entry)} there`,
    apply: async () => {
      const host = await resolveHost(name, 0);
      const server = madeServer(control, entry);
      if (host === undefined) throw new Refusal("SYSTEM", `could not resolve '${name}'.`);
      const place = readPlace(server.spec, host, undefined);
      const text =
        `${serverName(server)} changed its FQDN from ${server.spec.hostName ?? "(null)"} ` +
        `to ${name}${UPDATER}`;
      before = server.spec.hostName;
      setName(server, name);
      move = moveChange(control, entry, place, describeMove(placeOf(server.spec), place, false));
      move.apply();
      return changed(control, "server-changed", server, text, text);
    },
    undo: async () => {
      await move?.undo?.();
      if (before !== undefined) setName(madeServer(control, entry), before);
    },
  };
}

/** Another name for a server that follows DNS, or did before an operator gave it an address. */
function prepareFollowing(
  control: ServerControl,
  entry: DraftServer,
  name: string,
  resolution: ServerNameSpec,
): Change {
  const labels = name.replace(/\.$/u, "").split(".");
  const isAskable = labels.every(({ length }) => length > 0 && length <= DNS_LABEL_BYTES_MAX);
  if (!isAskable || !HOST_NAME.test(name)) {
    throw new Refusal("BAD_ARGUMENT", `could not update ${draftName(entry)} FQDN${UPDATER}`);
  }
  const { hostName = "(null)", resolution: followed } = entry.spec;
  const isSame = hostName === name && followed !== undefined;
  const text = isSame
    ? `no need to change the FDQN${UPDATER}`
    : `${draftName(entry)} changed its FQDN from ${hostName} to ${name}${UPDATER}`;
  entry.spec = { ...entry.spec, hostName: name, resolution };
  let before: ServerSpec | undefined;
  return {
    effect: `asks DNS for ${name} and moves ${draftName(entry)} there`,
    apply: () => {
      const server = madeServer(control, entry);
      if (isSame) return unchanged(server, text);
      before = server.spec;
      changeSpec(control, server, { ...server.spec, hostName: name, resolution });
      return changed(control, "server-changed", server, text, text);
    },
    undo: () => {
      if (before === undefined) return;
      const server = madeServer(control, entry);
      const { hostName: _name, resolution: _dns, ...rest } = server.spec;
      const { hostName: oldName, resolution: oldDns } = before;
      changeSpec(control, server, {
        ...rest,
        ...(oldName === undefined ? {} : { hostName: oldName }),
        ...(oldDns === undefined ? {} : { resolution: oldDns }),
      });
      changed(control, "server-changed", server, `${serverName(server)}: name undone`);
    },
  };
}
