/**
 * Bulk of random bytes through a balancer, both ways at once, verified byte by byte.
 *
 * What is sent is one random block over and over; its length is a prime, so that a lost, doubled or
 * displaced piece shifts everything behind it and is found by comparing with the block.
 */
import type { Socket } from "bun";

import { freePort } from "./ports.ts";
import { within } from "./procs.ts";

const BLOCK_BYTES = 1_048_583;

/** Pieces of many sizes, so that no reader sees them as they were written. */
const PIECES_BYTES = [1, 1_460, 16_384, 100_000, 333_333, 524_288];

/** One direction's bytes, endless. */
class Pattern {
  readonly block = Buffer.alloc(BLOCK_BYTES);

  constructor() {
    for (let at = 0; at < BLOCK_BYTES; at += 65_536) {
      crypto.getRandomValues(this.block.subarray(at, at + 65_536));
    }
  }

  /** Whether `bytes` are what belongs at `offset`. */
  matches(bytes: Buffer, offset: number): boolean {
    let done = 0;
    while (done < bytes.length) {
      const at = (offset + done) % BLOCK_BYTES;
      const count = Math.min(bytes.length - done, BLOCK_BYTES - at);
      if (bytes.compare(this.block, at, at + count, done, done + count) !== 0) return false;
      done += count;
    }
    return true;
  }
}

/** One end of the exchange: sends its pattern, checks the other's. */
class BulkEnd {
  readonly done = Promise.withResolvers<void>();
  readonly #total: number;
  readonly #own: Pattern;
  readonly #other: Pattern;
  #sent = 0;
  #received = 0;
  #pieces = 0;
  #hasShut = false;

  constructor(total: number, own: Pattern, other: Pattern) {
    this.#total = total;
    this.#own = own;
    this.#other = other;
  }

  push(socket: Socket<BulkEnd>): void {
    while (this.#sent < this.#total) {
      const at = this.#sent % BLOCK_BYTES;
      const piece = PIECES_BYTES[this.#pieces++ % PIECES_BYTES.length] ?? 1;
      const count = Math.min(piece, BLOCK_BYTES - at, this.#total - this.#sent);
      const taken = socket.write(this.#own.block, at, count);
      if (taken > 0) this.#sent += taken;
      if (taken < count) return;
    }
    if (!this.#hasShut) socket.shutdown();
    this.#hasShut = true;
  }

  take(bytes: Buffer): void {
    if (!this.#other.matches(bytes, this.#received)) {
      this.done.reject(new Error(`bytes differ within ${bytes.length} after ${this.#received}`));
    }
    this.#received += bytes.length;
  }

  finish(error?: Error): void {
    if (error !== undefined) this.done.reject(error);
    else if (this.#received === this.#total && this.#sent === this.#total) this.done.resolve();
    else this.done.reject(new Error(`ended at ${this.#received} of ${this.#total} bytes`));
  }
}

const HANDLERS = {
  data: (socket: Socket<BulkEnd>, bytes: Buffer): void => socket.data.take(bytes),
  drain: (socket: Socket<BulkEnd>): void => socket.data.push(socket),
  end(): void {},
  close: (socket: Socket<BulkEnd>, error?: Error): void => socket.data.finish(error),
};

/** A server that answers each connection with bulk, and a way to exchange some through a proxy. */
export interface BulkServer extends AsyncDisposable {
  readonly port: number;
  /** Exchanges `bytes` each way through `frontPort`; rejects at the first wrong byte. */
  exchange(frontPort: number, bytes: number, limitMs: number): Promise<void>;
}

/** Starts it; one exchange at a time. */
export function startBulkServer(): BulkServer {
  const port = freePort();
  const patterns = [new Pattern(), new Pattern()] as const;
  let total = 0;
  let served = Promise.withResolvers<BulkEnd>();
  const listener = Bun.listen<BulkEnd>({
    hostname: "127.0.0.1",
    port,
    allowHalfOpen: true,
    socket: {
      ...HANDLERS,
      open(socket) {
        socket.data = new BulkEnd(total, patterns[0], patterns[1]);
        served.resolve(socket.data);
        socket.data.push(socket);
      },
    },
  });
  return {
    port,
    async exchange(frontPort, bytes, limitMs) {
      total = bytes;
      served = Promise.withResolvers();
      const client = new BulkEnd(bytes, patterns[1], patterns[0]);
      await Bun.connect<BulkEnd>({
        hostname: "127.0.0.1",
        port: frontPort,
        allowHalfOpen: true,
        data: client,
        socket: { ...HANDLERS, open: (socket) => client.push(socket) },
      });
      const server = served.promise.then((end) => end.done.promise);
      const both = Promise.all([client.done.promise, server]);
      await within(`${bytes} bytes each way`, both, limitMs);
    },
    async [Symbol.asyncDispose]() {
      listener.stop(true);
    },
  };
}
