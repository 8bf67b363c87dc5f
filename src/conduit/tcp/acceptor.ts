/**
 * A listening socket of one worker. Control made and bound the descriptor; the worker accepts on a
 * copy of it, so that closing the copy only pauses: the kernel goes on queueing connections.
 *
 * Without the native module the worker binds by itself and cannot pause without losing its backlog.
 */
import type { TCPSocketListener, UnixSocketListener } from "bun";

import { describeError } from "../../base/assert.ts";
import type { Address } from "../../tables/spec.ts";
import { CLOSE_CLEAN, FRONT } from "../conduit.ts";
import type { Native } from "../native.ts";
import { closeCodeOf, TcpConduit } from "./tcp-conduit.ts";
import type { TcpSocket } from "./tcp-conduit.ts";

/** Where to accept: a descriptor (native) or an address to bind here. */
export type AcceptSource =
  | { kind: "fd"; fd: number; native: Native }
  | { kind: "address"; address: Address; v6only: boolean };

/** Told about each accepted connection; it sets the conduit's owner or closes it. */
export type AcceptHandler = (conduit: TcpConduit) => void;

/** Told about exceptions inside callbacks: bugs, never network errors. */
export type FaultHandler = (where: string, text: string) => void;

export class Acceptor {
  private readonly source: AcceptSource;
  private readonly onFault: FaultHandler;
  private readonly onAccept: AcceptHandler;
  private listener: TCPSocketListener<TcpConduit> | UnixSocketListener<TcpConduit> | null = null;

  constructor(source: AcceptSource, onAccept: AcceptHandler, onFault: FaultHandler) {
    this.source = source;
    this.onAccept = onAccept;
    this.onFault = onFault;
  }

  get isAccepting(): boolean {
    return this.listener !== null;
  }

  /** Begins or goes on accepting. @returns 0 or -errno. @throws when Bun cannot bind */
  start(): number {
    if (this.listener !== null) return 0;
    const handlers = this.handlers();
    if (this.source.kind === "fd") {
      const copy = this.source.native.dup(this.source.fd);
      if (copy < 0) return copy;
      const options: unknown = { fd: copy, socket: handlers, allowHalfOpen: true };
      this.listener = Bun.listen<TcpConduit>(options as Bun.UnixSocketOptions<TcpConduit>);
      return 0;
    }
    const { address, v6only } = this.source;
    if (address.family === "unix" || address.family === "abns") {
      const unix = address.family === "unix" ? address.path : `\0${address.name}`;
      this.listener = Bun.listen<TcpConduit>({ unix, socket: handlers, allowHalfOpen: true });
      return 0;
    }
    if (address.family === "fd") throw new RangeError("fd@ needs the native module");
    const options: unknown = {
      hostname: address.host,
      port: address.port,
      reusePort: true,
      ipv6Only: v6only,
      allowHalfOpen: true,
      socket: handlers,
    };
    this.listener = Bun.listen<TcpConduit>(options as Bun.TCPSocketListenOptions<TcpConduit>);
    return 0;
  }

  /** Stops accepting; connections go on, and the kernel keeps queueing new ones. */
  pause(): void {
    const listener = this.listener;
    this.listener = null;
    if (listener !== null) listener.stop(false);
  }

  private handlers(): Bun.SocketHandler<TcpConduit> {
    const { onAccept, onFault } = this;
    return {
      open(socket) {
        const conduit = new TcpConduit(null, FRONT, false);
        conduit.socket = socket as TcpSocket;
        socket.data = conduit;
        onAccept(conduit);
      },
      data: (socket, bytes) => socket.data.receive(bytes),
      drain: (socket) => socket.data.drain(),
      end: (socket) => socket.data.end(),
      close: (socket, error) => {
        // A socket that was closed before its open handler ran has no conduit.
        socket.data?.closed(error === undefined ? CLOSE_CLEAN : closeCodeOf(error));
      },
      error: (_socket, error) => onFault("accepted socket", describeError(error)),
    };
  }
}
