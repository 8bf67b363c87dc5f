/**
 * Small real TCP peers, all in this process and on free ports of the loopback: servers that say
 * who they are, that echo, flood or swallow; a recorder of first bytes; a syslog receiver.
 * For one-off behaviour see tcp-script.ts.
 */
import type { Socket } from "bun";

import { until } from "./procs.ts";

/** A server of tests. `open` and `openMax`: connections that it has and ever had at once. */
export interface Peer extends AsyncDisposable {
  readonly port: number;
  readonly open: number;
  readonly openMax: number;
  readonly accepted: number;
  /** Source port of every accepted connection, in order of arrival. */
  readonly clientPorts: readonly number[];
  /** Stops listening; connections live on. */
  refuse(): void;
  /** Stops listening and resets every connection, as a killed process does. */
  kill(): void;
}

interface PeerHandlers {
  open?(socket: Socket): void;
  data?(socket: Socket, bytes: Buffer): void;
  drain?(socket: Socket): void;
  end?(socket: Socket): void;
  close?(socket: Socket): void;
}

/** Starts a listener that counts; half-open: `end` decides what a FIN does (default: close). */
export function startPeer(handlers: PeerHandlers = {}, port = 0): Peer {
  const sockets = new Set<Socket>();
  const clientPorts: number[] = [];
  let accepted = 0;
  let openMax = 0;
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port,
    allowHalfOpen: true,
    socket: {
      open(socket: Socket) {
        accepted++;
        clientPorts.push(socket.remotePort);
        sockets.add(socket);
        openMax = Math.max(openMax, sockets.size);
        handlers.open?.(socket);
      },
      data(socket, bytes) {
        handlers.data?.(socket, bytes);
      },
      drain(socket) {
        handlers.drain?.(socket);
      },
      end(socket) {
        if (handlers.end === undefined) socket.end();
        else handlers.end(socket);
      },
      close(socket) {
        sockets.delete(socket);
        handlers.close?.(socket);
      },
      error(_socket, error) {
        throw error;
      },
    },
  });
  return {
    port: listener.port,
    get open() {
      return sockets.size;
    },
    get openMax() {
      return openMax;
    },
    get accepted() {
      return accepted;
    },
    clientPorts,
    refuse: () => listener.stop(false),
    kill() {
      listener.stop(false);
      for (const socket of sockets) socket.terminate();
    },
    async [Symbol.asyncDispose]() {
      listener.stop(true);
      for (const socket of sockets) socket.terminate();
    },
  };
}

/** Says `name` and a newline to everyone who connects, then waits for them to leave. */
export function startNamed(name: string, port = 0): Peer {
  const greeting = Buffer.from(`${name}\n`);
  return startPeer({ open: (s) => void s.write(greeting, 0, greeting.length) }, port);
}

/** Sends back what it gets. Paused while the kernel takes no more, so it never holds much. */
export function startEcho(port = 0): Peer {
  const pending = new Map<Socket, Buffer>();
  const finishing = new Set<Socket>();
  const push = (socket: Socket, bytes: Buffer): void => {
    const count = socket.write(bytes, 0, bytes.length);
    if (count < 0) return;
    if (count < bytes.length) {
      pending.set(socket, bytes.subarray(count));
      socket.pause();
      return;
    }
    pending.delete(socket);
    if (finishing.has(socket)) socket.end();
    else socket.resume();
  };
  return startPeer(
    {
      data(socket, bytes) {
        const kept = pending.get(socket);
        push(socket, kept === undefined ? bytes : Buffer.concat([kept, bytes]));
      },
      drain(socket) {
        const kept = pending.get(socket);
        if (kept !== undefined) push(socket, kept);
      },
      end(socket) {
        if (pending.has(socket)) finishing.add(socket);
        else socket.end();
      },
      close(socket) {
        pending.delete(socket);
        finishing.delete(socket);
      },
    },
    port,
  );
}

/** A peer that only reads. */
export interface Sink extends Peer {
  /** Bytes it has read, of all connections. */
  bytes(): number;
  /** Stops reading on every connection, and on those to come. */
  pause(): void;
  resume(): void;
}

/** Swallows everything; can stop reading. */
export function startSink(): Sink {
  const sockets = new Set<Socket>();
  let bytes = 0;
  let isPaused = false;
  const peer = startPeer({
    open(socket) {
      sockets.add(socket);
      if (isPaused) socket.pause();
    },
    data: (_socket, chunk) => void (bytes += chunk.length),
    close: (socket) => void sockets.delete(socket),
  });
  return Object.assign(peer, {
    bytes: () => bytes,
    pause(): void {
      isPaused = true;
      for (const socket of sockets) socket.pause();
    },
    resume(): void {
      isPaused = false;
      for (const socket of sockets) socket.resume();
    },
  });
}

/** Floods everyone who connects, as fast as they read. */
export function startSource(): Peer {
  const chunk = Buffer.alloc(256 * 1024, "s");
  const flood = (socket: Socket): void => {
    while (socket.write(chunk, 0, chunk.length) === chunk.length);
  };
  return startPeer({ open: flood, drain: flood });
}

/** A peer that keeps what each connection sent. */
export interface Recorder extends Peer {
  /** All bytes of each connection so far, in order of arrival. */
  readonly records: readonly Buffer[];
}

/** Records what comes in, and answers `ok` once that contains `marker`. */
export function startRecorder(marker = "hello"): Recorder {
  const records: Buffer[] = [];
  const indexes = new Map<Socket, number>();
  const answer = Buffer.from("ok");
  const peer = startPeer({
    open: (socket) => void indexes.set(socket, records.push(Buffer.alloc(0)) - 1),
    data(socket, bytes) {
      const index = indexes.get(socket) ?? 0;
      const record = Buffer.concat([records[index] ?? Buffer.alloc(0), bytes]);
      records[index] = record;
      if (record.includes(marker)) socket.write(answer, 0, answer.length);
    },
    close: (socket) => void indexes.delete(socket),
  });
  return Object.assign(peer, { records });
}

/** A UDP syslog receiver. */
export interface Syslog extends AsyncDisposable {
  readonly port: number;
  readonly lines: readonly string[];
  /** Waits until `count` lines match `pattern`; those lines. */
  matching(pattern: RegExp, count: number): Promise<string[]>;
}

/** Starts a syslog receiver; every datagram is a line. */
export async function startSyslog(): Promise<Syslog> {
  const lines: string[] = [];
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data: (_socket, bytes) => void lines.push(bytes.toString("latin1").trimEnd()),
    },
  });
  return {
    port: socket.port,
    lines,
    async matching(pattern, count) {
      const found = (): string[] => lines.filter((line) => pattern.test(line));
      await until(`${count} log lines like ${pattern}`, () => found().length >= count);
      return found();
    },
    async [Symbol.asyncDispose]() {
      socket.close();
    },
  };
}
