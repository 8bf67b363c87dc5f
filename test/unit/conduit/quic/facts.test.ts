/** Facts of a QUIC connection are read once: every stream of it that is logged asks. */
import { expect, test } from "bun:test";

import { factsOf } from "../../../../src/conduit/quic/facts.ts";
import { CONNECTION_ESTABLISHED } from "../../../../src/conduit/quic/transport.ts";
import type { Transport } from "../../../../src/conduit/quic/transport.ts";

function fake(flags: number): { transport: Transport; reads: () => number } {
  let count = 0;
  const transport = {
    connectionFlags: () => {
      count++;
      return flags;
    },
    connectionText: (connection: number, which: string) => `${which} of ${connection}`,
  } as unknown as Transport;
  return { transport, reads: () => count };
}

test("once the handshake is done, and for each connection its own", () => {
  const { transport, reads } = fake(CONNECTION_ESTABLISHED);
  expect(factsOf(transport, 7).sni).toBe("sni of 7");
  expect(factsOf(transport, 7).alpn).toBe("alpn of 7");
  expect(reads()).toBe(1);
  // The same place, another handle.
  expect(factsOf(transport, 7 + 256).sni).toBe("sni of 263");
  expect(factsOf(transport, 7).sni).toBe("sni of 7");
  expect(reads()).toBe(3);
  expect(factsOf(fake(CONNECTION_ESTABLISHED).transport, 7).sni).toBe("sni of 7");
});

test("while it goes on, anew each time", () => {
  const { transport, reads } = fake(0);
  expect(factsOf(transport, 7).isComplete).toBe(false);
  factsOf(transport, 7);
  expect(reads()).toBe(2);
});
