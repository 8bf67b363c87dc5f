import { afterAll } from "bun:test";

import type { Socket, TCPSocketListener } from "bun";

import type { ConduitOwner } from "../../../src/conduit/conduit.ts";
import { FRONT } from "../../../src/conduit/conduit.ts";
import { nativeModule, OPT_BACKLOG, OPT_COUNT } from "../../../src/conduit/native.ts";
import { encodeSocketAddress } from "../../../src/conduit/sockaddr.ts";
import { Acceptor } from "../../../src/conduit/tcp/acceptor.ts";
import { dialTcp } from "../../../src/conduit/tcp/dial.ts";
import type { DialTarget } from "../../../src/conduit/tcp/dial.ts";
import type { TcpConduit } from "../../../src/conduit/tcp/tcp-conduit.ts";
import { join, runConduitSuite } from "../../support/conduit-suite.ts";
import type { ConduitCase, SuitePeer } from "../../support/conduit-suite.ts";

/** Longest wait for a condition; a slow machine must not fail the suite. */
const WAIT_MS = 20_000;
/** How long nothing may happen before nothing will. */
const QUIET_MS = 40;

const closers: (() => void)[] = [];
afterAll(() => {
  for (const close of closers) close();
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error("the condition never held");
    await sleep(1);
  }
}

/** The far end: a plain socket of Bun. */
class TcpPeer implements SuitePeer {
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

  flush(): void {
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

/** Our side listens: connections come out as conduits. */
async function makeAcceptor(): Promise<{ port: number; next(): Promise<TcpConduit> }> {
  const waiting: TcpConduit[] = [];
  const native = nativeModule();
  const { bytes } = encodeSocketAddress({ family: "ipv4", host: "127.0.0.1", port: 0 });
  const options = new Int32Array(OPT_COUNT);
  options[OPT_BACKLOG] = 16;
  const fd = native!.listen(bytes, bytes.length, options, null);
  const name = new Uint8Array(128);
  native!.name(fd, 0, name, name.length);
  const source = { kind: "fd", fd, native: native! } as const;
  const fault = (where: string, text: string): void => {
    throw new Error(`${where}: ${text}`);
  };
  const accept = (conduit: TcpConduit): void => {
    // Held until the test has its owner: nothing may be lost in between.
    conduit.pause();
    waiting.push(conduit);
  };
  const acceptor = new Acceptor(source, accept, fault);
  acceptor.start();
  closers.push(() => {
    acceptor.pause();
    native!.close(fd);
  });
  return {
    port: (name[2]! << 8) | name[3]!,
    next: async () => {
      await until(() => waiting.length > 0);
      return waiting.shift()!;
    },
  };
}

function targetOf(port: number): DialTarget {
  const address = { family: "ipv4", host: "127.0.0.1", port } as const;
  return {
    address,
    socketAddress: encodeSocketAddress(address),
    options: null,
    source: null,
    interfaceName: null,
  };
}

async function makeCase(): Promise<ConduitCase> {
  const acceptor = await makeAcceptor();
  const accepted: TcpPeer[] = [];
  const server: TCPSocketListener<TcpPeer> = Bun.listen<TcpPeer>({
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
  closers.push(() => server.stop(true));
  const nobody = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const nobodyPort = nobody.port;
  nobody.stop(true);
  return {
    name: "TCP's conduit over real sockets",
    until,
    settle: () => sleep(QUIET_MS),
    accept: async (owner: ConduitOwner) => {
      const peer = new TcpPeer();
      await Bun.connect<TcpPeer>({
        hostname: "127.0.0.1",
        port: acceptor.port,
        allowHalfOpen: true,
        data: peer,
        socket: TcpPeer.handlers,
      });
      const conduit = await acceptor.next();
      conduit.setOwner(owner, FRONT);
      conduit.resume();
      return { conduit, peer };
    },
    dial: async (owner) => {
      accepted.length = 0;
      const conduit = dialTcp(targetOf(server.port), owner);
      if (typeof conduit === "number") throw new Error(`dialling failed with ${conduit}`);
      const peer = async (): Promise<SuitePeer> => {
        await until(() => accepted.length > 0);
        return accepted[0]!;
      };
      return { conduit, peer };
    },
    dialNobody: (owner) => dialTcp(targetOf(nobodyPort), owner),
  };
}

runConduitSuite(await makeCase());
