/**
 * One check connection: connect, say the PROXY header if one is due, reset. With the native module
 * the connection can be cancelled, carries the true error, and is given up before the server
 * accepts it; without it Bun connects and every failure looks refused. Main thread.
 */
import { IpAddress } from "../base/address.ts";
import { systemLibc } from "../base/system-libc.ts";
import { nativeModule, OPT_COUNT, OPT_MARK, OPT_QUICKACK, OPT_TOS } from "../conduit/native.ts";
import { decodeSocketAddress, encodeSocketAddress, Endpoint } from "../conduit/sockaddr.ts";
import type { Address, QuicServerSpec, ServerSpec, SourceSpec } from "../tables/spec.ts";
import type { ProxyEndpoints } from "../wire/proxy-header.ts";
import { encodeProxyV1 } from "../wire/proxy-v1.ts";
import { encodeProxyV2 } from "../wire/proxy-v2.ts";
import { startQuicProbe } from "./quic.ts";
import { errnoOf, failureOf, refusalOf } from "./result.ts";
import type { CheckResult } from "./result.ts";

/** Where and how to check. */
export type ProbeTarget = {
  address: Address;
  source?: SourceSpec;
  /** Version of the PROXY header to send; 0 = none. */
  proxyHeader: 0 | 1 | 2;
  mark: number;
  tos: number;
  /** QUIC is spoken there: the handshake is what is checked. */
  quic?: QuicServerSpec;
};

/** A check under way. */
export type Probe = {
  cancel(): void;
  /** What no answer in time means; without it L4TOUT. */
  timeoutCode?(): CheckResult["code"];
};

/** Starts a check; `done` is called once, later or within the call, unless it is cancelled. */
export type StartProbe = (target: ProbeTarget, done: (result: CheckResult) => void) => Probe;

/** What a server is checked by. @returns undefined when it has no address to check */
export function probeTargetOf(
  server: ServerSpec,
  backendSource?: SourceSpec,
): ProbeTarget | undefined {
  const { check } = server;
  const base = check.address ?? server.address;
  if (base === undefined) return undefined;
  const source = server.source ?? backendSource;
  return {
    address: withPort(base, check.port > 0 ? check.port : portOf(server.address)),
    proxyHeader: check.sendProxy ? (server.sendProxy?.version ?? 1) : 0,
    mark: server.mark,
    tos: server.tos,
    ...(source === undefined ? {} : { source }),
    ...(server.quic === undefined ? {} : { quic: server.quic }),
  };
}

function portOf(address: Address | undefined): number {
  return address?.family === "ipv4" || address?.family === "ipv6" ? address.port : 0;
}

function withPort(address: Address, port: number): Address {
  const isIp = address.family === "ipv4" || address.family === "ipv6";
  return isIp && port > 0 ? { ...address, port } : address;
}

/** State of one probe; the handlers below are shared by all. */
type ProbeState = {
  target: ProbeTarget;
  socket: Bun.Socket<ProbeState> | undefined;
  done: ((result: CheckResult) => void) | undefined;
  /** Bytes of the PROXY header not yet sent; undefined before the connection is there. */
  unsent: Uint8Array | undefined;
};

const HANDLERS: Bun.SocketHandler<ProbeState> = {
  open(socket) {
    // The connection is there only at the first `drain`.
    socket.data.socket = socket;
    if (socket.data.done === undefined) socket.terminate();
  },
  drain: (socket) => advance(socket.data),
  data: () => {},
  // A server that closes at once has answered all the same.
  end: (socket) => advance(socket.data),
  close: (socket, error) => {
    const code = error !== undefined && "code" in error ? String(error.code) : "";
    finish(socket.data, failureOf(errnoOf(code), systemLibc().strerror));
  },
  error: (socket) => finish(socket.data, { code: "SOCKERR" }),
  connectError: () => {},
};

/** Production's prober. */
export const startProbe: StartProbe = (target, done) => {
  const { quic } = target;
  if (quic !== undefined) {
    const ears = { done, connecting: () => undefined, connected: () => undefined };
    const probe = startQuicProbe({ ...target, quic }, ears);
    return { cancel: () => probe.cancel(), timeoutCode: () => probe.late().code };
  }
  const state: ProbeState = { target, socket: undefined, done, unsent: undefined };
  const cancel = (): void => {
    state.done = undefined;
    state.socket?.terminate();
  };
  const problem = dial(state);
  if (problem !== undefined) finish(state, problem);
  return { cancel };
};

function dial(state: ProbeState): CheckResult | undefined {
  const native = nativeModule();
  const { address, source, mark, tos } = state.target;
  if (native === null) return dialByBun(state);
  const options = new Int32Array(OPT_COUNT);
  options[OPT_QUICKACK] = state.target.proxyHeader === 0 ? 1 : 0;
  options[OPT_MARK] = mark;
  options[OPT_TOS] = tos;
  const { bytes } = encodeSocketAddress(address);
  const from = source === undefined ? null : encodeSocketAddress(source.address, 0).bytes;
  const name = source?.interfaceName;
  const interfaceName = name === undefined ? null : new TextEncoder().encode(`${name}\0`);
  const fd = native.connect(bytes, bytes.length, from, from?.length ?? 0, options, interfaceName);
  if (fd < 0) return refusalOf(-fd, source !== undefined, systemLibc().strerror);
  const adopt = { fd, data: state, socket: HANDLERS, allowHalfOpen: true };
  Bun.connect<ProbeState>(adopt as unknown as Bun.TCPSocketConnectOptions<ProbeState>).catch(() =>
    finish(state, { code: "SOCKERR" }),
  );
  return undefined;
}

function dialByBun(state: ProbeState): CheckResult | undefined {
  const { address } = state.target;
  const common = {
    data: state,
    allowHalfOpen: true,
    socket: {
      ...HANDLERS,
      open(socket: Bun.Socket<ProbeState>) {
        state.socket = socket;
        if (state.done === undefined) socket.terminate();
        else advance(state);
      },
    },
  };
  const failed = (error: unknown): void => {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    finish(state, failureOf(errnoOf(code), systemLibc().strerror));
  };
  switch (address.family) {
    case "ipv4":
    case "ipv6":
      Bun.connect<ProbeState>({ ...common, hostname: address.host, port: address.port }).catch(
        failed,
      );
      return undefined;
    case "unix":
      Bun.connect<ProbeState>({ ...common, unix: address.path }).catch(failed);
      return undefined;
    case "abns":
      Bun.connect<ProbeState>({ ...common, unix: `\0${address.name}` }).catch(failed);
      return undefined;
    case "fd":
      return { code: "SOCKERR" };
  }
}

/** The connection is there, or has room again: says what is to be said, then is done. */
function advance(state: ProbeState): void {
  const { socket } = state;
  if (socket === undefined || state.done === undefined) return;
  state.unsent ??= headerOf(state.target, socket);
  if (state.unsent.length > 0) {
    const taken = socket.write(state.unsent, 0, state.unsent.length);
    if (taken < 0) return;
    state.unsent = state.unsent.subarray(taken);
    if (state.unsent.length > 0) return;
    // The header is to arrive: an orderly close instead of a reset.
    finish(state, { code: "L4OK" });
    socket.end();
    return;
  }
  finish(state, { code: "L4OK" });
  socket.terminate();
}

function finish(state: ProbeState, result: CheckResult): void {
  const { done } = state;
  state.done = undefined;
  done?.(result);
}

/** Version 1 carries the check's own addresses; version 2 says LOCAL (proxy-protocol.txt, 2.2). */
function headerOf(target: ProbeTarget, socket: Bun.Socket<ProbeState>): Uint8Array {
  if (target.proxyHeader === 0) return new Uint8Array(0);
  const none: ProxyEndpoints = {
    source: new IpAddress(),
    sourcePort: 0,
    destination: new IpAddress(),
    destinationPort: 0,
  };
  if (target.proxyHeader === 2) return encodeProxyV2(none);
  const fd = "fd" in socket ? Number(socket.fd) : -1;
  return encodeProxyV1(fd < 0 ? none : endpointsOf(fd));
}

function endpointsOf(fd: number): ProxyEndpoints {
  const [own, other] = [new Endpoint(), new Endpoint()];
  for (const [index, endpoint] of [own, other].entries()) {
    const bytes = new Uint8Array(128);
    const length = nativeModule()?.name(fd, index, bytes, bytes.length) ?? -1;
    if (length > 0) decodeSocketAddress(bytes, length, endpoint);
  }
  return {
    source: own.ip,
    sourcePort: own.port,
    destination: other.ip,
    destinationPort: other.port,
  };
}
