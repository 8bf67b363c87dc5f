/** What is measured of a server's connections, and from when to when. */
import { describe, expect, test } from "bun:test";

import { firstByteBucket } from "../../../../src/balance/first-byte.ts";
import { peakOf } from "../../../../src/balance/peak-ewma.ts";
import { OUTLIER_DEFAULTS } from "../../../../src/config/outlier-line.ts";
import { SERVER_BROKEN_EARLY, SERVER_FIRST_BYTE } from "../../../../src/tables/generated/server.ts";
import type { SimClient } from "../../../sim/far.ts";
import { MOODS } from "../../../sim/options.ts";
import type { Mood, ProxyOptions } from "../../../sim/options.ts";
import { PLAIN_PROXY, Rig } from "../../../sim/rig.ts";

const only = (mood: Mood): Record<Mood, number> =>
  Object.fromEntries(MOODS.map((one) => [one, one === mood ? 1 : 0])) as Record<Mood, number>;

/** A rig whose one backend judges its servers, long after the test. */
function rigWith(proxy: Partial<ProxyOptions>, mood: Mood = "accept"): Rig {
  const outlier = { ...OUTLIER_DEFAULTS, intervalMs: 10_000_000 };
  return new Rig({ proxies: [{ ...PLAIN_PROXY, outlier, ...proxy }], moods: only(mood) });
}

const rowOf = (rig: Rig): number => rig.world.servers[0]!.object.row;

/** Buckets with streams, and how many. */
function buckets(rig: Rig): Record<number, number> {
  const { words } = rig.world.tables.servers;
  const found: Record<number, number> = {};
  for (let i = 0; i < 32; i++) {
    const count = words[rowOf(rig) + SERVER_FIRST_BYTE + i]!;
    if (count > 0) found[i] = count;
  }
  return found;
}

const brokenEarly = (rig: Rig): number =>
  rig.world.tables.servers.words[rowOf(rig) + SERVER_BROKEN_EARLY]!;

const peak = (rig: Rig): number => {
  const { world } = rig;
  const { backend } = world.servers[0]!.object;
  return peakOf(world.lb, backend.row, rowOf(rig), world.clock.nowMs());
};

function joined(rig: Rig): SimClient {
  const client = rig.connect();
  rig.answer(client);
  return client;
}

/** The server sends some bytes. */
function answerBytes(rig: Rig, client: SimClient): void {
  client.link!.socket.send(new Uint8Array(3));
  rig.run();
}

describe("time to first byte", () => {
  test("runs from the client's last bytes, and counts once", () => {
    const rig = rigWith({});
    const client = joined(rig);
    rig.wait(500);
    rig.send(client, new Uint8Array(10));
    rig.wait(300);
    rig.send(client, new Uint8Array(10));
    rig.wait(40);
    answerBytes(rig, client);
    rig.wait(1000);
    answerBytes(rig, client);
    rig.send(client, new Uint8Array(10));
    rig.wait(1000);
    answerBytes(rig, client);
    expect(buckets(rig)).toEqual({ [firstByteBucket(40)]: 1 });
  });

  test("runs from the connection where the server speaks first", () => {
    const rig = rigWith({});
    const client = joined(rig);
    rig.wait(200);
    answerBytes(rig, client);
    expect(buckets(rig)).toEqual({ [firstByteBucket(200)]: 1 });
  });

  test("of a stream that was given up on is at least what it has waited", () => {
    const rig = rigWith({ timeouts: { ...PLAIN_PROXY.timeouts, server: 700 } });
    const client = joined(rig);
    rig.wait(100);
    rig.send(client, new Uint8Array(10));
    rig.wait(800);
    expect(client.outcome?.termination).toBe("sD");
    const [bucket] = Object.keys(buckets(rig)).map(Number);
    expect(bucket).toBe(firstByteBucket(704));
    const left = rigWith({});
    const impatient = joined(left);
    left.send(impatient, new Uint8Array(10));
    left.wait(300);
    impatient.reset();
    left.run();
    expect(buckets(left)).toEqual({ [firstByteBucket(300)]: 1 });
  });

  test("of streams that asked nothing, or ended in order without an answer, there is none", () => {
    const rig = rigWith({});
    const silent = joined(rig);
    rig.wait(300);
    silent.reset();
    rig.run();
    const oneWay = joined(rig);
    rig.send(oneWay, new Uint8Array(10));
    rig.end(oneWay);
    expect(buckets(rig)).toEqual({});
    expect(brokenEarly(rig)).toBe(0);
  });
});

describe("a server that breaks a stream off", () => {
  test("before its first byte has failed", () => {
    const rig = rigWith({});
    const client = joined(rig);
    client.link!.reset();
    rig.run();
    expect(client.outcome?.termination).toBe("SD");
    expect(brokenEarly(rig)).toBe(1);
    expect(buckets(rig)).toEqual({});
  });

  test("after it has answered", () => {
    const rig = rigWith({});
    const client = joined(rig);
    answerBytes(rig, client);
    client.link!.reset();
    rig.run();
    expect(brokenEarly(rig)).toBe(0);
  });
});

describe("peak-ewma", () => {
  const timeouts = { ...PLAIN_PROXY.timeouts, connect: 2000 };

  test("hears how long each attempt took", () => {
    const rig = rigWith({ algorithm: "peak-ewma", balanceFactor: 150 });
    const client = rig.connect();
    rig.wait(30);
    rig.answer(client);
    expect(peak(rig)).toBeCloseTo(30, 3);
    // Answers are no samples without `first-byte`.
    rig.wait(900);
    answerBytes(rig, client);
    expect(peak(rig)).toBeLessThan(30);
  });

  test("with first-byte answers are samples too", () => {
    const rig = rigWith({ algorithm: "peak-ewma" });
    const client = joined(rig);
    rig.wait(150);
    answerBytes(rig, client);
    expect(peak(rig)).toBeCloseTo(150, 3);
  });

  test("takes a failure for a connect timeout", () => {
    const rig = rigWith({ algorithm: "peak-ewma", timeouts }, "refuse");
    rig.connect();
    expect(peak(rig)).toBeCloseTo(2000, 0);
    const none = rigWith({ algorithm: "peak-ewma" }, "refuse");
    none.connect();
    expect(peak(none)).toBeCloseTo(5000, 0);
  });

  test("and an early end as well", () => {
    const rig = rigWith({ algorithm: "peak-ewma", timeouts });
    const client = joined(rig);
    client.link!.reset();
    rig.run();
    expect(peak(rig)).toBeCloseTo(2000, 0);
  });

  test("nobody measures where nobody asked", () => {
    const rig = new Rig({ proxies: [PLAIN_PROXY] });
    const client = joined(rig);
    rig.wait(20);
    answerBytes(rig, client);
    client.link!.reset();
    rig.run();
    expect([peak(rig), brokenEarly(rig)]).toEqual([0, 0]);
    expect(buckets(rig)).toEqual({});
  });
});
