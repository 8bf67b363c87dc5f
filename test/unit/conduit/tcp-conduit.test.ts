/** What a TCP conduit keeps of a socket that goes on delivering though it is paused. */
import { describe, expect, test } from "bun:test";

import { CLOSE_RESET, FRONT } from "../../../src/conduit/conduit.ts";
import type { ConduitOwner } from "../../../src/conduit/conduit.ts";
import { TcpConduit } from "../../../src/conduit/tcp/tcp-conduit.ts";
import type { TcpSocket } from "../../../src/conduit/tcp/tcp-conduit.ts";

/** An owner that takes `room` bytes and no more. */
class Taker implements ConduitOwner {
  room = 0;
  ended = 0;
  closed = -1;
  readonly taken: number[] = [];

  onOpen(): void {}
  onDrain(): void {}
  onEndAhead(): void {}
  onReset(): void {}
  onStop(): void {}
  onMoved(): void {}

  onData(_side: number, bytes: Uint8Array, offset: number, length: number): number {
    const count = Math.min(length, this.room);
    for (let i = 0; i < count; i++) this.taken.push(bytes[offset + i]!);
    this.room -= count;
    return count;
  }

  onEnd(): void {
    this.ended++;
  }

  onClose(_side: number, code: number): void {
    this.closed = code;
  }
}

function build(): { conduit: TcpConduit; owner: Taker; calls: string[] } {
  const calls: string[] = [];
  const owner = new Taker();
  const conduit = new TcpConduit(owner, FRONT, false);
  const socket = { pause: () => calls.push("pause"), resume: () => calls.push("resume") };
  conduit.socket = socket as unknown as TcpSocket;
  return { conduit, owner, calls };
}

describe("bytes behind kept ones", () => {
  test("are offered in order, piece by piece, and the end comes after the last", () => {
    const { conduit, owner, calls } = build();
    owner.room = 1;
    conduit.receive(Uint8Array.of(1, 2));
    conduit.receive(Uint8Array.of(3, 4));
    conduit.receive(Uint8Array.of(5));
    conduit.end();
    expect(calls).toEqual(["pause"]);
    for (let i = 0; i < 4; i++) {
      expect(owner.ended).toBe(0);
      owner.room = 1;
      conduit.resume();
    }
    expect(owner.taken).toEqual([1, 2, 3, 4, 5]);
    expect(owner.ended).toBe(1);
    expect(calls).toEqual(["pause", "resume"]);
  });

  test("are given up with an abort", () => {
    const { conduit, owner } = build();
    conduit.receive(Uint8Array.of(1));
    conduit.receive(Uint8Array.of(2));
    conduit.closed(CLOSE_RESET);
    expect(owner.closed).toBe(CLOSE_RESET);
    owner.room = 9;
    conduit.resume();
    expect(owner.taken).toEqual([]);
  });

  test("cost no copy of what is kept already", () => {
    const { conduit } = build();
    const piece = new Uint8Array(524_288);
    const before = process.cpuUsage().user;
    for (let i = 0; i < 400; i++) conduit.receive(piece);
    expect(process.cpuUsage().user - before).toBeLessThan(500_000);
    conduit.closed(CLOSE_RESET);
  });
});
