/**
 * Outgoing TCP and unix connections as conduits: begun without waiting, cancelled by `abort()`.
 *
 * With the native module the descriptor is connected here, with its options, and adopted by Bun:
 * the first `drain` means connected, a close carries the true error. Without it Bun connects: no
 * options, no cancelling before it has finished, every network error looks refused.
 */
import { describeError } from "../../base/assert.ts";
import type { Address } from "../../tables/spec.ts";
import { BACK, CLOSE_CLEAN, CLOSE_OTHER } from "../conduit.ts";
import type { ConduitOwner } from "../conduit.ts";
import { connectCloseCode } from "../errno.ts";
import { nativeModule } from "../native.ts";
import type { Native } from "../native.ts";
import type { QuicTarget } from "../quic/target.ts";
import type { SocketAddress } from "../sockaddr.ts";
import type { FaultHandler } from "./acceptor.ts";
import { closeCodeOf, TcpConduit } from "./tcp-conduit.ts";
import type { TcpSocket } from "./tcp-conduit.ts";

/** Everything about where to connect that does not change from one connection to the next. */
export type DialTarget = {
  address: Address;
  socketAddress: SocketAddress;
  /** Options array of native.ts; null = all defaults. */
  options: Int32Array | null;
  /** Local address to use; null = the kernel's choice. */
  source: SocketAddress | null;
  /** Interface to use, zero-terminated; null = any. */
  interfaceName: Uint8Array | null;
  /** QUIC is spoken there; null = TCP or a unix socket. */
  quic: QuicTarget | null;
};

let onFault: FaultHandler = () => {};

/** Sets who hears of exceptions in callbacks. Once a thread. */
export function setDialFaultHandler(handler: FaultHandler): void {
  onFault = handler;
}

const HANDLERS: Bun.SocketHandler<TcpConduit> = {
  open(socket) {
    socket.data.socket = socket as TcpSocket;
  },
  data: (socket, bytes) => socket.data.receive(bytes),
  drain: (socket) => socket.data.drain(),
  end: (socket) => socket.data.end(),
  close: (socket, error) => {
    socket.data.closed(error === undefined ? CLOSE_CLEAN : closeCodeOf(error));
  },
  error: (_socket, error) => onFault("server socket", describeError(error)),
  connectError: () => {},
};

/** A descriptor that connects to a target, with its options. @returns -errno when it failed */
function connectTarget(native: Native, target: DialTarget): number {
  const { socketAddress, source } = target;
  return native.connect(
    socketAddress.bytes,
    socketAddress.bytes.length,
    source === null ? null : source.bytes,
    source === null ? 0 : source.bytes.length,
    target.options,
    target.interfaceName,
  );
}

/**
 * Begins a connection.
 * @returns a conduit that is connecting, or CLOSE_* when it failed at once
 */
export function dialTcp(target: DialTarget, owner: ConduitOwner): TcpConduit | number {
  const native = nativeModule();
  if (native === null) return dialByBun(target, owner);
  const fd = connectTarget(native, target);
  if (fd < 0) return connectCloseCode(-fd);
  const conduit = new TcpConduit(owner, BACK, true);
  const options = { fd, data: conduit, socket: HANDLERS, allowHalfOpen: true };
  Bun.connect<TcpConduit>(options as unknown as Bun.TCPSocketConnectOptions<TcpConduit>).catch(
    ignore,
  );
  return conduit;
}

function ignore(): void {
  // The failure has come through the handlers.
}

/** The way without the native module. */
function dialByBun(target: DialTarget, owner: ConduitOwner): TcpConduit | number {
  const conduit = new TcpConduit(owner, BACK, true);
  const common = {
    data: conduit,
    allowHalfOpen: true,
    socket: {
      ...HANDLERS,
      open(socket: TcpSocket) {
        conduit.socket = socket;
        if (conduit.owner === null) socket.terminate();
        else conduit.drain();
      },
      connectError: (_socket: TcpSocket, error: Error) => {
        conduit.closed(closeCodeOf(error) === CLOSE_CLEAN ? CLOSE_OTHER : closeCodeOf(error));
      },
    },
  };
  const { address } = target;
  if (address.family === "unix" || address.family === "abns") {
    const unix = address.family === "unix" ? address.path : `\0${address.name}`;
    Bun.connect<TcpConduit>({ ...common, unix }).catch(ignore);
    return conduit;
  }
  if (address.family === "fd") return CLOSE_OTHER;
  const port = portOf(target.socketAddress);
  Bun.connect<TcpConduit>({ ...common, hostname: address.host, port }).catch(ignore);
  return conduit;
}

/** Port of an IP sockaddr. */
function portOf(socketAddress: SocketAddress): number {
  return (socketAddress.bytes[2]! << 8) | socketAddress.bytes[3]!;
}
