/**
 * What every conduit must do: one suite that TCP's conduit passes over real sockets, TCP's conduit
 * over simulated ones, and the simulator's pipe.
 */
import { describe, expect, test } from "bun:test";

import { seededRandom32 } from "../../src/base/prng.ts";
import {
  BACK,
  CLOSE_CLEAN,
  CLOSE_REFUSED,
  CLOSE_RESET,
  FRONT,
  WRITE_CLOSED,
} from "../../src/conduit/conduit.ts";
import type { Conduit, ConduitOwner } from "../../src/conduit/conduit.ts";

/** The other end of a connection. */
export type SuitePeer = {
  /** Sends all of it, whatever time the other side takes. */
  send(bytes: Uint8Array): void;
  finish(): void;
  reset(): void;
  /** What it has read so far, joined. */
  received(): Uint8Array;
  receivedBytes(): number;
  hasEnd(): boolean;
  hasReset(): boolean;
  /** Stops and goes on reading. */
  setReading(isReading: boolean): void;
};

export type SuiteConnection = { conduit: Conduit; peer: SuitePeer };

/** How a kind of conduit is made. */
export type ConduitCase = {
  name: string;
  /** An accepted connection, owned by `owner` as FRONT. */
  accept(owner: ConduitOwner): Promise<SuiteConnection>;
  /** A connection to a peer that accepts, as BACK; `onOpen` has not been told. */
  dial(owner: ConduitOwner): Promise<{ conduit: Conduit; peer(): Promise<SuitePeer> }>;
  /** CLOSE_* of a dialled connection that the peer resets before anything was written to it. */
  resetUnsent?: number;
  /** A connection to nobody: a conduit, or the code of a failure at once. */
  dialNobody(owner: ConduitOwner): Conduit | number;
  /** Lets everything happen until the condition holds; fails if it never does. */
  until(condition: () => boolean): Promise<void>;
  /** Lets everything happen that is going to. */
  settle(): Promise<void>;
};

/** An owner that remembers what it was told, and takes as much as it is told to. */
class Recorder implements ConduitOwner {
  readonly log: string[] = [];
  readonly pieces: Uint8Array[] = [];
  bytes = 0;
  closeCode = -1;
  hasEnd = false;
  hasEndAhead = false;
  drains = 0;
  opens = 0;
  side = -1;
  /** Most bytes taken of one offer. */
  appetite = Infinity;
  onBytes: (() => void) | null = null;

  onOpen(side: number): void {
    this.side = side;
    this.opens++;
    this.log.push("open");
  }

  onData(side: number, bytes: Uint8Array, offset: number, length: number): number {
    this.side = side;
    const taken = Math.min(length, this.appetite);
    this.pieces.push(bytes.slice(offset, offset + taken));
    this.bytes += taken;
    this.log.push("data");
    this.onBytes?.();
    return taken;
  }

  onDrain(): void {
    this.drains++;
  }

  onEnd(): void {
    this.hasEnd = true;
    this.log.push("end");
  }

  onEndAhead(): void {
    this.hasEndAhead = true;
  }

  onReset(): void {
    this.log.push("reset");
  }

  onStop(): void {
    this.log.push("stop");
  }

  onMoved(): void {}

  onClose(_side: number, code: number): void {
    this.closeCode = code;
    this.log.push("close");
  }

  all(): Uint8Array {
    return join(this.pieces);
  }
}

/** Pieces in one. */
export function join(pieces: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(pieces));
}

function randomBytes(length: number, seed: number): Uint8Array {
  const random32 = seededRandom32(seed);
  return Uint8Array.from({ length }, () => random32() & 255);
}

/** Runs the suite for one kind of conduit. */
export function runConduitSuite(subject: ConduitCase): void {
  describe(subject.name, () => {
    describeReading(subject);
    describeWriting(subject);
    describeEnds(subject);
    describeAborts(subject);
    describeOwners(subject);
    describeDialling(subject);
  });
}

function describeReading(subject: ConduitCase): void {
  test("delivers bytes in order", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    const sent = randomBytes(100_000, 1);
    peer.send(sent);
    await subject.until(() => owner.bytes === sent.length);
    expect(Buffer.compare(owner.all(), sent)).toBe(0);
    expect(owner.side).toBe(FRONT);
    conduit.abort();
  });

  test("keeps what is not taken, offers it first after resume", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    const sent = randomBytes(60_000, 2);
    owner.appetite = 0;
    peer.send(sent.subarray(0, 10));
    await subject.until(() => owner.log.length > 0);
    peer.send(sent.subarray(10));
    await subject.settle();
    expect(owner.log).toEqual(["data"]);
    owner.appetite = 7;
    conduit.resume();
    await subject.settle();
    expect(owner.bytes).toBe(7);
    owner.appetite = 1000;
    while (owner.bytes < 5000) {
      const before = owner.bytes;
      conduit.resume();
      await subject.until(() => owner.bytes > before);
    }
    owner.appetite = Infinity;
    conduit.resume();
    await subject.until(() => owner.bytes === sent.length);
    expect(Buffer.compare(owner.all(), sent)).toBe(0);
    conduit.abort();
  });

  test("pause stops delivery, resume goes on", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    conduit.pause();
    peer.send(randomBytes(300, 3));
    peer.finish();
    await subject.settle();
    expect(owner.log).toEqual([]);
    conduit.resume();
    await subject.until(() => owner.hasEnd);
    expect(owner.bytes).toBe(300);
    conduit.abort();
  });
}

function describeWriting(subject: ConduitCase): void {
  test("takes what there is room for, tells when there is more", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    peer.setReading(false);
    const sent = randomBytes(8_000_000, 4);
    let written = 0;
    let taken = 1;
    // A slow reader stops its writer: not everything is ever taken.
    while (taken > 0 && written < sent.length) {
      taken = conduit.write(sent, written, Math.min(100_000, sent.length - written));
      written += taken;
      if (taken === 0) break;
    }
    expect(written).toBeLessThan(sent.length);
    peer.setReading(true);
    while (written < sent.length) {
      const before = owner.drains;
      await subject.until(() => owner.drains > before);
      do {
        taken = conduit.write(sent, written, Math.min(100_000, sent.length - written));
        written += taken;
      } while (taken > 0 && written < sent.length);
    }
    await subject.until(() => peer.receivedBytes() === sent.length);
    expect(Buffer.compare(peer.received(), sent)).toBe(0);
    conduit.abort();
  }, 60_000);

  test("writes the part that it is told", async () => {
    const { peer, conduit } = await subject.accept(new Recorder());
    const bytes = Uint8Array.from([1, 2, 3, 4, 5]);
    expect(conduit.write(bytes, 1, 3)).toBe(3);
    expect(conduit.write(bytes, 0, 0)).toBe(0);
    await subject.until(() => peer.receivedBytes() === 3);
    expect([...peer.received()]).toEqual([2, 3, 4]);
    conduit.abort();
  });
}

function describeEnds(subject: ConduitCase): void {
  test("the peer's end comes behind its bytes", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    owner.appetite = 10;
    peer.send(randomBytes(25, 5));
    peer.finish();
    await subject.until(() => owner.bytes === 10);
    await subject.settle();
    expect(owner.hasEnd).toBe(false);
    conduit.resume();
    expect(owner.hasEnd).toBe(false);
    conduit.resume();
    await subject.until(() => owner.bytes === 25 || owner.hasEnd);
    conduit.resume();
    await subject.until(() => owner.hasEnd);
    expect(owner.log.at(-1)).toBe("end");
    expect(owner.closeCode).toBe(-1);
    conduit.abort();
  });

  test("a half-close ends one direction only", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    conduit.write(Uint8Array.from([9]), 0, 1);
    conduit.finish();
    await subject.until(() => peer.hasEnd());
    expect([...peer.received()]).toEqual([9]);
    peer.send(randomBytes(5000, 6));
    await subject.until(() => owner.bytes === 5000);
    expect(owner.closeCode).toBe(-1);
    peer.finish();
    await subject.until(() => owner.closeCode >= 0 || owner.hasEnd);
    if (owner.closeCode >= 0) expect(owner.closeCode).toBe(CLOSE_CLEAN);
    conduit.close();
  });

  test("the peer's half-close leaves our direction open", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    peer.finish();
    await subject.until(() => owner.hasEnd);
    expect(conduit.write(Uint8Array.from([1, 2]), 0, 2)).toBe(2);
    await subject.until(() => peer.receivedBytes() === 2);
    expect(peer.hasEnd()).toBe(false);
    conduit.finish();
    await subject.until(() => peer.hasEnd());
    conduit.close();
  });

  test("close delivers what was written, and tells nothing any more", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    const sent = randomBytes(3000, 7);
    expect(conduit.write(sent, 0, 3000)).toBe(3000);
    conduit.close();
    await subject.until(() => peer.hasEnd());
    expect(peer.receivedBytes()).toBe(3000);
    expect(peer.hasReset()).toBe(false);
    expect(owner.log).toEqual([]);
    expect(conduit.write(sent, 0, 10)).toBe(WRITE_CLOSED);
  });
}

function describeAborts(subject: ConduitCase): void {
  test("abort reaches the peer as a reset, and tells nothing any more", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    conduit.abort();
    await subject.until(() => peer.hasReset());
    expect(owner.log).toEqual([]);
    // Whatever is called on it afterwards does nothing.
    conduit.abort();
    conduit.close();
    conduit.finish();
    conduit.pause();
    conduit.resume();
    expect(owner.log).toEqual([]);
  });

  test("the peer's reset is told once, and nothing after it", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    peer.reset();
    await subject.until(() => owner.closeCode >= 0);
    expect(owner.closeCode).toBe(CLOSE_RESET);
    expect(conduit.write(Uint8Array.from([1]), 0, 1)).toBe(WRITE_CLOSED);
    await subject.settle();
    expect(owner.log.filter((line) => line === "close")).toHaveLength(1);
    expect(owner.log.at(-1)).toBe("close");
  });

  test("a reset is told although bytes are kept", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    owner.appetite = 0;
    peer.send(randomBytes(100, 8));
    await subject.until(() => owner.log.length > 0);
    peer.reset();
    await subject.until(() => owner.closeCode >= 0);
    expect(owner.closeCode).toBe(CLOSE_RESET);
    conduit.resume();
    expect(owner.log.at(-1)).toBe("close");
  });

  test("an owner that ends the conduit inside a callback hears nothing more", async () => {
    const owner = new Recorder();
    const { peer, conduit } = await subject.accept(owner);
    owner.onBytes = () => conduit.abort();
    peer.send(randomBytes(50_000, 9));
    await subject.until(() => owner.log.length > 0);
    await subject.settle();
    expect(owner.log).toEqual(["data"]);
  });
}

function describeOwners(subject: ConduitCase): void {
  test("a parked conduit keeps everything for the owner that comes", async () => {
    const first = new Recorder();
    const { peer, conduit } = await subject.accept(first);
    conduit.setOwner(null, FRONT);
    conduit.pause();
    peer.send(randomBytes(200, 10));
    peer.finish();
    await subject.settle();
    const owner = new Recorder();
    conduit.setOwner(owner, BACK);
    conduit.resume();
    await subject.until(() => owner.hasEnd);
    expect(owner.bytes).toBe(200);
    expect(owner.side).toBe(BACK);
    expect(first.log).toEqual([]);
    conduit.abort();
  });

  test("a parked conduit that is reset tells the owner that comes", async () => {
    const { peer, conduit } = await subject.accept(new Recorder());
    conduit.setOwner(null, FRONT);
    conduit.pause();
    peer.reset();
    await subject.settle();
    const owner = new Recorder();
    conduit.setOwner(owner, FRONT);
    conduit.resume();
    await subject.until(() => owner.closeCode >= 0);
    expect(owner.closeCode).toBe(CLOSE_RESET);
  });
}

function describeDialling(subject: ConduitCase): void {
  test("tells when it is connected, then carries bytes", async () => {
    const owner = new Recorder();
    const { conduit, peer } = await subject.dial(owner);
    expect(owner.log).toEqual([]);
    await subject.until(() => owner.opens === 1);
    expect(owner.side).toBe(BACK);
    const far = await peer();
    expect(conduit.write(Uint8Array.from([5]), 0, 1)).toBe(1);
    far.send(Uint8Array.from([6]));
    await subject.until(() => owner.bytes === 1 && far.receivedBytes() === 1);
    await subject.settle();
    expect(owner.opens).toBe(1);
    conduit.abort();
    await subject.until(() => far.hasReset());
  });

  test("tells that nobody listens", async () => {
    const owner = new Recorder();
    const result = subject.dialNobody(owner);
    if (typeof result === "number") {
      expect(result).toBe(CLOSE_REFUSED);
      return;
    }
    await subject.until(() => owner.closeCode >= 0);
    expect(owner.closeCode).toBe(CLOSE_REFUSED);
    expect(owner.log).toEqual(["close"]);
  });

  test("a connection under way can be given up", async () => {
    const owner = new Recorder();
    const { conduit } = await subject.dial(owner);
    conduit.abort();
    await subject.settle();
    expect(owner.log).toEqual([]);
  });

  test("a peer that ends at once was connected first", async () => {
    const owner = new Recorder();
    const { conduit, peer } = await subject.dial(owner);
    const far = await peer();
    far.finish();
    await subject.until(() => owner.hasEnd);
    expect(owner.log).toEqual(["open", "end"]);
    conduit.abort();
  });

  test("a peer that accepts and resets was connected first", async () => {
    const owner = new Recorder();
    const { peer } = await subject.dial(owner);
    const far = await peer();
    far.reset();
    await subject.until(() => owner.closeCode >= 0);
    expect(owner.closeCode).toBe(subject.resetUnsent ?? CLOSE_RESET);
    expect(owner.log).toEqual(["open", "close"]);
  });
}
