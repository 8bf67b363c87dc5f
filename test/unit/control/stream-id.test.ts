/** Ids of streams: there and back, and what is no id. */
import { describe, expect, test } from "bun:test";

import { formatStreamId, parseStreamId } from "../../../src/control/stream-id.ts";

test("an id names its stream again", () => {
  for (const worker of [1, 15, 16, 128]) {
    for (const slot of [1, 255, 1_048_576, 0xffffff]) {
      for (const generation of [0, 1, 0x01000001, -1, 2 ** 31 - 1, -(2 ** 31)]) {
        const text = formatStreamId({ worker, slot, generation });
        expect(text).toMatch(/^0x[1-9a-f][0-9a-f]{14,15}$/);
        expect(parseStreamId(text)).toEqual({ worker, slot, generation });
        expect(parseStreamId(text.toUpperCase().replace("X", "x"))).toEqual(parseStreamId(text));
      }
    }
  }
});

describe("what is no id", () => {
  test.each(["", "0", "0x0", "zzz", "0x", "0xg", "-1", "1.5", "0x12 ", "000", " 1"])(
    "%p",
    (text) => {
      expect(parseStreamId(text)).toBeUndefined();
    },
  );
  test.each(["1", "0x1", "0x55961cf35350", "12345678901234567890", "0x000000000000000001"])(
    "%p is a number of no stream",
    (text) => {
      expect(parseStreamId(text)).toBe("unknown");
    },
  );
});
