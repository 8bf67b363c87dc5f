/**
 * One shape for both ends of any bridge: a TCP connection or a QUIC stream that takes bytes, gives
 * bytes, stops reading, and ends in order or by an abort. With it, bulk of random bytes both ways
 * at once, over many pipes side by side, compared by hash.
 */
import { createHash, randomBytes } from "node:crypto";

import type { Socket } from "bun";

import { within } from "./procs.ts";
import type { QuicStream } from "./quic-quiche-stream.ts";
import { type PeerOptions, QuicEndpoint } from "./quic-quiche.ts";

/** What a pipe tells. */
export interface PipeOwner {
  data(bytes: Uint8Array): void;
  /** In order: everything has come. */
  end(): void;
  /** Without its end, for whatever reason. */
  abort(how: string): void;
  writable(): void;
}

/** One end. */
export interface Pipe {
  owner: PipeOwner;
  /** @returns bytes taken; -1 = it takes no more */
  write(bytes: Uint8Array): number;
  finish(): void;
  pause(): void;
  resume(): void;
  /** Breaks it off in both directions. */
  abort(): void;
}

/** Something that clients' pipes arrive at. */
export interface PipeServer extends AsyncDisposable {
  readonly port: number;
  /** As a process that is killed: TCP resets, QUIC falls silent. */
  kill(): void;
  /** The QUIC endpoint, where it is one. */
  readonly endpoint: QuicEndpoint | undefined;
}

/** Something that opens pipes. */
export interface PipeClient extends AsyncDisposable {
  open(): Promise<Pipe>;
  readonly endpoint: QuicEndpoint | undefined;
}

const NOBODY: PipeOwner = { data() {}, end() {}, abort() {}, writable() {} };
const ABORT_CODE = 9;

function pipeOfStream(stream: QuicStream): Pipe {
  const pipe: Pipe = {
    owner: NOBODY,
    write: (bytes) => stream.write(bytes),
    finish: () => stream.finish(),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    abort() {
      stream.reset(ABORT_CODE);
      stream.stop(ABORT_CODE);
    },
  };
  stream.handlers = {
    data: (bytes) => pipe.owner.data(bytes),
    end: () => pipe.owner.end(),
    reset: (code) => pipe.owner.abort(`reset ${code}`),
    stop: (code) => pipe.owner.abort(`stop ${code}`),
    died: () => pipe.owner.abort("died"),
    writable: () => pipe.owner.writable(),
  };
  return pipe;
}

type TcpData = { pipe: Pipe; hasEnd: boolean };

function pipeOfSocket(socket: Socket<TcpData>): Pipe {
  const pipe: Pipe = {
    owner: NOBODY,
    write: (bytes) => socket.write(bytes, 0, bytes.length),
    finish: () => void socket.shutdown(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    abort: () => void socket.terminate(),
  };
  socket.data = { pipe, hasEnd: false };
  return pipe;
}

const TCP_HANDLERS = {
  data: (socket: Socket<TcpData>, bytes: Buffer): void => socket.data.pipe.owner.data(bytes),
  drain: (socket: Socket<TcpData>): void => socket.data.pipe.owner.writable(),
  end(socket: Socket<TcpData>): void {
    socket.data.hasEnd = true;
    socket.data.pipe.owner.end();
  },
  close(socket: Socket<TcpData>, error?: Error): void {
    if (socket.data === undefined) return;
    if (error !== undefined) socket.data.pipe.owner.abort(String(error.message));
    else if (!socket.data.hasEnd) socket.data.pipe.owner.end();
  },
  connectError(): void {},
};

/** Serves pipes over TCP. */
export function servePipesTcp(onPipe: (pipe: Pipe) => void): PipeServer {
  const sockets = new Set<Socket<TcpData>>();
  const listener = Bun.listen<TcpData>({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      ...TCP_HANDLERS,
      open(socket) {
        sockets.add(socket);
        onPipe(pipeOfSocket(socket));
      },
    },
  });
  const kill = (): void => {
    listener.stop(false);
    for (const socket of sockets) socket.terminate();
  };
  return {
    port: listener.port,
    endpoint: undefined,
    kill,
    [Symbol.asyncDispose]: async () => kill(),
  };
}

/** Serves pipes over QUIC: each stream of a client is one. */
export async function servePipesQuic(
  options: PeerOptions,
  onPipe: (pipe: Pipe) => void,
): Promise<PipeServer> {
  const endpoint = await QuicEndpoint.open({
    ...options,
    onConnection(connection) {
      connection.onStream = (stream) => onPipe(pipeOfStream(stream));
    },
  });
  return {
    port: endpoint.port,
    endpoint,
    kill: () => endpoint.kill(),
    [Symbol.asyncDispose]: () => endpoint[Symbol.asyncDispose](),
  };
}

/** Opens pipes over TCP to this port. */
export function pipesToTcp(port: number): PipeClient {
  const sockets: Socket<TcpData>[] = [];
  return {
    endpoint: undefined,
    async open() {
      const socket = await Bun.connect<TcpData>({
        hostname: "127.0.0.1",
        port,
        allowHalfOpen: true,
        socket: { ...TCP_HANDLERS, open: (one) => void pipeOfSocket(one) },
      });
      sockets.push(socket);
      return socket.data.pipe;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.terminate();
    },
  };
}

/** Opens pipes over QUIC to this port: streams of one connection. */
export async function pipesToQuic(
  port: number,
  name: string,
  options: PeerOptions,
): Promise<PipeClient> {
  const endpoint = await QuicEndpoint.open(options);
  const connection = endpoint.connect(port, name);
  await connection.ready();
  return {
    endpoint,
    open: async () => pipeOfStream(connection.openStream()),
    [Symbol.asyncDispose]: () => endpoint[Symbol.asyncDispose](),
  };
}

const PIECES_BYTES = [1, 1_460, 16_384, 100_000, 333_333, 524_288];
const RANDOM_BYTES = 4_194_301;
const random = randomBytes(RANDOM_BYTES);

/** Sends random bytes with a hash of its own, and hashes what comes. */
export class HashingEnd implements PipeOwner {
  readonly done = Promise.withResolvers<void>();
  readonly #pipe: Pipe;
  readonly #total: number;
  readonly #sentHash = createHash("sha1");
  readonly #receivedHash = createHash("sha1");
  #at = Math.floor(Math.random() * RANDOM_BYTES);
  #sent = 0;
  #pieces = 0;
  #head = Buffer.alloc(0);
  #hasEnd = false;
  #hasFinished = false;
  received = 0;

  /** @param label first bytes that are sent: who it is, where the other end cannot know */
  constructor(pipe: Pipe, total: number, label = "") {
    this.#pipe = pipe;
    this.#total = total;
    this.#head = Buffer.from(label.padEnd(8));
    pipe.owner = this;
    this.done.promise.catch(() => {});
    this.writable();
  }

  /** What came, and what was sent, as hashes. */
  hashes(): { sent: string; received: string } {
    return { sent: this.#sentHash.digest("hex"), received: this.#receivedHash.digest("hex") };
  }

  /** The other end's label, once it has come. */
  label = "";
  #labelBytes: Uint8Array = new Uint8Array();

  data(bytes: Uint8Array): void {
    if (this.label === "") {
      this.#labelBytes = Buffer.concat([this.#labelBytes, bytes.subarray(0, 8)]).subarray(0, 8);
      if (this.#labelBytes.length === 8) this.label = new TextDecoder().decode(this.#labelBytes);
    }
    this.received += bytes.length;
    this.#receivedHash.update(bytes);
  }

  end(): void {
    this.#hasEnd = true;
    this.#settle();
  }

  abort(how: string): void {
    this.done.reject(new Error(`${how} after ${this.received} bytes`));
  }

  #settle(): void {
    if (this.#hasEnd && this.#hasFinished) this.done.resolve();
  }

  #next(): Uint8Array {
    if (this.#sent < this.#head.length) return this.#head.subarray(this.#sent);
    const size = PIECES_BYTES[this.#pieces % PIECES_BYTES.length] ?? 1;
    const count = Math.min(size, this.#total - this.#sent, RANDOM_BYTES - this.#at);
    return random.subarray(this.#at, this.#at + count);
  }

  writable(): void {
    while (this.#sent < this.#total) {
      const piece = this.#next();
      const isHead = this.#sent < this.#head.length;
      const taken = this.#pipe.write(piece);
      if (taken < 0) return;
      this.#sentHash.update(piece.subarray(0, taken));
      this.#sent += taken;
      if (!isHead) this.#at = (this.#at + taken) % RANDOM_BYTES;
      if (taken < piece.length) return;
      this.#pieces++;
    }
    if (this.#hasFinished) return;
    this.#hasFinished = true;
    this.#pipe.finish();
    this.#settle();
  }
}

/** What `exchange` works with: the server's ends as they arrive. */
export interface Arrivals {
  onPipe(pipe: Pipe): void;
  ends: HashingEnd[];
}

/** Ends of a server that answer with as much as is expected of them. */
export function arrivals(bytes: number): Arrivals {
  const ends: HashingEnd[] = [];
  return { ends, onPipe: (pipe) => void ends.push(new HashingEnd(pipe, bytes)) };
}

/** Labels differ over all exchanges of the process. */
let exchanges = 0;

/** Sends `bytes` each way over each of `pipes` at once; throws unless all hashes are equal. */
export async function exchange(
  pipes: readonly Pipe[],
  server: Arrivals,
  bytes: number,
  limitMs: number,
): Promise<void> {
  const prefix = `x${exchanges++}-`;
  const clients = pipes.map((pipe, i) => new HashingEnd(pipe, bytes, prefix + i));
  await within(
    `${pipes.length} × ${bytes} bytes each way`,
    Promise.all(clients.map((end) => end.done.promise)),
    limitMs,
  );
  const theirs = server.ends.filter((end) => end.label.startsWith(prefix));
  await within("the server's ends", Promise.all(theirs.map((end) => end.done.promise)), limitMs);
  if (theirs.length !== pipes.length) throw new Error(`${theirs.length} pipes arrived`);
  const byLabel = new Map(theirs.map((end) => [end.label.trim(), end]));
  for (const [i, client] of clients.entries()) {
    const other = byLabel.get(prefix + i);
    if (other === undefined) throw new Error(`pipe ${i} did not arrive`);
    const [a, b] = [client.hashes(), other.hashes()];
    if (client.received !== bytes || other.received !== bytes) {
      throw new Error(`pipe ${i}: ${client.received} and ${other.received} of ${bytes} bytes`);
    }
    if (a.sent !== b.received || b.sent !== a.received) throw new Error(`pipe ${i}: other bytes`);
  }
}
