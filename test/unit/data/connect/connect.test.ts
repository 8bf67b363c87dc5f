/** Attempts to reach a server: how often, where, when; and a header that cannot be sent. */
import { describe, expect, test } from "bun:test";

import { CLOSE_REFUSED } from "../../../../src/conduit/conduit.ts";
import type { SimClient } from "../../../sim/far.ts";
import type { Mood, ProxyOptions } from "../../../sim/options.ts";
import { MOODS } from "../../../sim/options.ts";
import { PLAIN_PROXY, PLAIN_SERVER, Rig } from "../../../sim/rig.ts";
import { tcpOf } from "../../../sim/world.ts";

const only = (mood: Mood): Record<Mood, number> =>
  Object.fromEntries(MOODS.map((one) => [one, one === mood ? 1 : 0])) as Record<Mood, number>;

function rigWith(proxy: Partial<ProxyOptions>, mood: Mood): Rig {
  return new Rig({ proxies: [{ ...PLAIN_PROXY, ...proxy }], moods: only(mood) });
}

const termination = (client: SimClient): string | undefined => client.outcome?.termination;

describe("retries on the same server", () => {
  test("so many, a second apart, then the stream ends", () => {
    const rig = rigWith({ retries: 2 }, "refuseLate");
    const client = rig.connect();
    expect(client.links).toHaveLength(1);
    rig.answer(client);
    expect(client.links).toHaveLength(1);
    rig.wait(990);
    expect(client.links).toHaveLength(1);
    rig.wait(25);
    expect(client.links).toHaveLength(2);
    rig.answer(client);
    rig.wait(1020);
    expect(client.links).toHaveLength(3);
    rig.answer(client);
    expect(termination(client)).toBe("SC");
    expect(client.outcome?.retries).toBe(2);
  });

  test("no pause is longer than the connect timeout", () => {
    const timeouts = { ...PLAIN_PROXY.timeouts, connect: 100 };
    const rig = rigWith({ retries: 1, timeouts }, "refuse");
    const client = rig.connect();
    rig.wait(120);
    expect(termination(client)).toBe("SC");
  });

  test("a timeout has waited already", () => {
    const timeouts = { ...PLAIN_PROXY.timeouts, connect: 100 };
    const rig = rigWith({ retries: 1, timeouts }, "silence");
    const client = rig.connect();
    rig.wait(125);
    expect(client.links).toHaveLength(2);
    expect(client.links[0]!.socket.nearAborted).toBe(true);
    rig.wait(125);
    expect(termination(client)).toBe("sC");
  });

  test("a server that accepts and resets is not tried again", () => {
    const rig = rigWith({ retries: 3 }, "reset");
    const client = rig.connect();
    rig.answer(client);
    rig.wait(2000);
    expect(client.links).toHaveLength(1);
    expect(termination(client)).toBe("SD");
  });
});

describe("redispatch", () => {
  const servers = [PLAIN_SERVER, PLAIN_SERVER];

  test("with another server as good there is no pause", () => {
    const rig = rigWith({ retries: 1, redispatch: -1, servers }, "refuse");
    const client = rig.connect();
    expect(termination(client)).toBe("SC");
    expect(client.outcome?.retries).toBe(1);
  });

  test("only at the last retry, where the algorithm is bound to its server", () => {
    const rig = rigWith({ algorithm: "source", retries: 2, redispatch: -1, servers }, "refuseLate");
    const client = rig.connect();
    const rows = (): number[] => client.links.map((link) => link.serverRow);
    rig.answer(client);
    rig.wait(1020);
    rig.answer(client);
    expect(client.links).toHaveLength(3);
    expect(rows()[1]).toBe(rows()[0]!);
    expect(rows()[2]).not.toBe(rows()[0]!);
  });

  test("leaves the first server before it takes the second", () => {
    const limited = [
      { ...PLAIN_SERVER, maxconn: 1 },
      { ...PLAIN_SERVER, maxconn: 1 },
    ];
    const rig = rigWith({ retries: 1, redispatch: 1, servers: limited }, "accept");
    const first = rig.connect();
    const second = rig.connect();
    const third = rig.connect();
    expect([first, second, third].map((client) => client.links.length)).toEqual([1, 1, 0]);
    // The first stream's server refuses: its slot goes to who waits, and it waits in turn.
    first.link!.hasFailed = true;
    tcpOf(first.link!).decide(CLOSE_REFUSED);
    rig.run();
    expect(third.links).toHaveLength(1);
    expect(third.link!.serverRow).toBe(first.links[0]!.serverRow);
    rig.answer(second);
    rig.end(second);
    expect(first.links).toHaveLength(2);
  });
});

describe("a PROXY header to the server", () => {
  const servers = [{ ...PLAIN_SERVER, sendProxy: 1 as const }];

  // The conduit was dropped without being closed, and its close hit a stream that was over.
  test("a reset before it ends the stream on both sides", () => {
    const rig = rigWith({ servers }, "reset");
    const client = rig.connect();
    rig.answer(client);
    expect(termination(client)).toBe("SD");
    expect(client.socket.nearAborted).toBe(true);
    rig.wait(100);
    expect(rig.world.workers[0]!.engine.streamCount).toBe(0);
  });

  // The client was left without a stream, and waited for ever.
  test("a socket that takes only a part of it ends the stream on both sides", () => {
    const rig = new Rig({
      proxies: [{ ...PLAIN_PROXY, servers }],
      habits: { pieceBytesMax: 100, roomBytes: 10, shortWrite: 0, spuriousDrain: 0 },
    });
    const client = rig.connect();
    tcpOf(client.link!).takesFirstWrite = false;
    rig.answer(client);
    expect(termination(client)).toBe("RD");
    expect(client.socket.nearAborted).toBe(true);
    expect(client.link!.socket.nearAborted).toBe(true);
  });
});

describe("early clients", () => {
  test("what they send before the server is there arrives behind it", () => {
    const rig = rigWith({}, "accept");
    const client = rig.connect({ payload: 300 });
    while (client.send(rig.world.choices)) rig.run();
    client.finish();
    rig.run();
    const link = rig.answer(client);
    while (link.read(100)) rig.run();
    expect(link.receivedBytes).toBe(300);
    expect(link.sawEnd).toBe(true);
    link.finish();
    rig.run();
    expect(termination(client)).toBe("--");
  });

  test("abortonclose lets an early end be the end, else the stream goes on", () => {
    for (const abortonclose of [true, false]) {
      const rig = rigWith({ abortonclose }, "accept");
      const client = rig.connect();
      client.finish();
      rig.run();
      expect(termination(client)).toBe(abortonclose ? "CC" : undefined);
    }
  });
});
