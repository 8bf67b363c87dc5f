/** How long visitors may take. */
import { expect, test } from "bun:test";

import { Crossing } from "../../../src/page/crossing.ts";
import type { Side } from "../../../src/page/crossing.ts";

const LIMITS = { idleMs: 60_000, keepAliveMs: 3_000, requestMs: 10_000 };

/** A socket that takes everything. */
function fakeSide(): Side {
  const side = {
    localPort: 1,
    write: (bytes: Uint8Array) => bytes.length,
    pause: () => undefined,
    resume: () => undefined,
    end: () => undefined,
    terminate: () => undefined,
  };
  return side as unknown as Side;
}

test("silence is bounded by what is waited for", () => {
  let now = 0;
  const crossing = new Crossing(fakeSide(), { nowMs: () => now, left: () => undefined });
  crossing.join(fakeSide());
  // No request yet.
  expect(crossing.isOver(9_999, LIMITS)).toBe(false);
  expect(crossing.isOver(10_001, LIMITS)).toBe(true);
  now = 9_000;
  crossing.fromFront(new Uint8Array(10));
  crossing.fromBack(new Uint8Array(10));
  // It has its answer: `timeout http-keep-alive`, not the client's.
  expect(crossing.isOver(12_000, LIMITS)).toBe(false);
  expect(crossing.isOver(12_001, LIMITS)).toBe(true);
  // A further request: the request's.
  now = 11_000;
  crossing.fromFront(new Uint8Array(10));
  expect(crossing.isOver(20_000, LIMITS)).toBe(false);
  expect(crossing.isOver(21_001, LIMITS)).toBe(true);
});
