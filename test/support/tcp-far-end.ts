/** Plain sockets of Bun as the other ends of conduits under test (conduit-suite.ts). */
import { afterAll } from "bun:test";

import type { Socket } from "bun";

import { encodeSocketAddress } from "../../src/conduit/sockaddr.ts";
import type { DialTarget } from "../../src/conduit/tcp/dial.ts";
import { join } from "./conduit-suite.ts";
import type { SuitePeer } from "./conduit-suite.ts";

/** Longest wait for a condition; a slow machine must not fail a test. */
const WAIT_MS = 20_000;

/** Waits until the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error("the condition never held");
    await Bun.sleep(1);
  }
}

/** Where to dial to reach a port of the loopback. */
export function targetOf(port: number): DialTarget {
  const address = { family: "ipv4", host: "127.0.0.1", port } as const;
  return {
    address,
    socketAddress: encodeSocketAddress(address),
    options: null,
    source: null,
    interfaceName: null,
    quic: null,
  };
}

/** A plain socket that remembers what it saw. */
export class TcpPeer implements SuitePeer {
  socket: Socket<TcpPeer> | null = null;
  private readonly pieces: Uint8Array[] = [];
  private bytes = 0;
  private unsent: Uint8Array = new Uint8Array(0);
  private isFinishing = false;
  private end = false;
  private resetSeen = false;

  send(bytes: Uint8Array): void {
    this.unsent = this.unsent.length === 0 ? bytes : join([this.unsent, bytes]);
    this.flush();
  }

  finish(): void {
    this.isFinishing = true;
    this.flush();
  }

  reset(): void {
    this.socket!.terminate();
  }

  received(): Uint8Array {
    return join(this.pieces);
  }

  receivedBytes(): number {
    return this.bytes;
  }

  hasEnd(): boolean {
    return this.end;
  }

  hasReset(): boolean {
    return this.resetSeen;
  }

  setReading(isReading: boolean): void {
    if (isReading) this.socket!.resume();
    else this.socket!.pause();
  }

  private flush(): void {
    if (this.unsent.length > 0) {
      const taken = this.socket!.write(this.unsent, 0, this.unsent.length);
      if (taken > 0) this.unsent = this.unsent.subarray(taken);
    }
    if (this.isFinishing && this.unsent.length === 0) {
      this.isFinishing = false;
      this.socket!.shutdown();
    }
  }

  static readonly handlers: Bun.SocketHandler<TcpPeer> = {
    open(socket) {
      socket.data ??= new TcpPeer();
      socket.data.socket = socket;
    },
    data(socket, bytes) {
      socket.data.pieces.push(bytes);
      socket.data.bytes += bytes.length;
    },
    drain: (socket) => socket.data.flush(),
    end(socket) {
      socket.data.end = true;
    },
    close(socket, error) {
      if (error === undefined) socket.data.end = true;
      else socket.data.resetSeen = true;
    },
    error: (_socket, error) => {
      throw error;
    },
  };
}

/** Clients that connect, a server that accepts, a port where nobody listens. */
export type TcpFarEnd = {
  connect(port: number): Promise<TcpPeer>;
  port: number;
  accepted: TcpPeer[];
  nobodyPort: number;
};

/** Makes one; it ends with the tests of the file. */
export async function makeTcpFarEnd(): Promise<TcpFarEnd> {
  const accepted: TcpPeer[] = [];
  const server = Bun.listen<TcpPeer>({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      ...TcpPeer.handlers,
      open(socket) {
        socket.data = new TcpPeer();
        socket.data.socket = socket;
        accepted.push(socket.data);
      },
    },
  });
  afterAll(() => server.stop(true));
  const nobody = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const nobodyPort = nobody.port;
  nobody.stop(true);
  const connect = async (port: number): Promise<TcpPeer> => {
    const data = new TcpPeer();
    const common = { hostname: "127.0.0.1", port, allowHalfOpen: true };
    await Bun.connect<TcpPeer>({ ...common, data, socket: TcpPeer.handlers });
    return data;
  };
  return { connect, port: server.port, accepted, nobodyPort };
}
