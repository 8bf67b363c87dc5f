/** What a worker answers when it is asked about its streams: facts, pages, bounds. */
import { describe, expect, test } from "bun:test";

import { ASK_SLOTS_MAX, ASK_STREAMS_MAX } from "../../../../src/base/limits.ts";
import { answerQuestion } from "../../../../src/data/ask/answer.ts";
import { Stream } from "../../../../src/data/stream.ts";
import type { Answer, Question, StreamRecord } from "../../../../src/tables/questions.ts";
import { MOODS } from "../../../sim/options.ts";
import type { Mood } from "../../../sim/options.ts";
import { PLAIN_PROXY, PLAIN_SERVER, Rig } from "../../../sim/rig.ts";

const LATER = Infinity;
const ALL = {
  kind: "streams",
  filter: {},
  from: 1,
  limit: 1000,
  until: LATER,
  isFull: true,
} as const;

function ask(rig: Rig, question: Question): Answer {
  return answerQuestion(rig.world.workers[0]!.engine, question);
}

function list(rig: Rig, question: Partial<Question & { kind: "streams" }> = {}): StreamRecord[] {
  const answer = ask(rig, { ...ALL, ...question });
  return answer.kind === "streams" ? answer.streams : [];
}

const silent = Object.fromEntries(MOODS.map((mood) => [mood, mood === "silence" ? 1 : 0]));

describe("one stream", () => {
  test("a relayed one: names, times, bytes, both sides", () => {
    const timeouts = { ...PLAIN_PROXY.timeouts, client: 5000, server: 3000 };
    const rig = new Rig({ conduit: "loop", proxies: [{ ...PLAIN_PROXY, timeouts }] });
    const client = rig.connect({ payload: 10 });
    rig.answer(client);
    rig.wait(1000);
    rig.send(client, new Uint8Array(10));
    rig.wait(500);
    const [record] = list(rig);
    const object = rig.world.servers[0]!.object;
    expect(record).toMatchObject({
      worker: 1,
      slot: 1,
      state: "relay",
      frontend: "p1",
      frontendRow: object.backend.row,
      backend: "p1",
      backendRow: object.backend.row,
      server: object.spec.name,
      serverRow: object.row,
      ageMs: 1500,
      bytesUp: 10,
      bytesDown: 0,
      retries: 0,
      queuePlace: 0,
      doubt: "",
    });
    // What was sent to the server counts as its activity too.
    expect(record!.expiresMs).toBe(2500);
    expect(record!.front).toMatchObject({ idleMs: 500, expiresMs: 4500, hasEnded: false });
    expect(record!.back).toMatchObject({ idleMs: 500, expiresMs: 2500, isBlocked: false });
    expect(record!.front.remote).toMatch(/^[0-9.]+:[0-9]+$/);
    expect(record!.front.local).toBe("127.0.0.1:8000");
    expect(record!.client).toBe(record!.front.remote);
  });

  test("one that waits in a queue, and one that connects", () => {
    const servers = [{ ...PLAIN_SERVER, maxconn: 1 }];
    const timeouts = { ...PLAIN_PROXY.timeouts, connect: 700 };
    const moods = silent as Record<Mood, number>;
    const rig = new Rig({ proxies: [{ ...PLAIN_PROXY, servers, timeouts }], moods });
    rig.connect();
    rig.connect();
    rig.connect();
    rig.wait(100);
    const [connecting, second, third] = list(rig);
    expect(connecting).toMatchObject({ state: "connect", expiresMs: 600 });
    expect(connecting!.back?.expiresMs).toBe(-1);
    expect(second).toMatchObject({ state: "queue", queuePlace: 1, queuedMs: 100, server: "" });
    expect(third).toMatchObject({ state: "queue", queuePlace: 2, back: null });
  });

  test("is found by slot and generation until it ends", () => {
    const rig = new Rig();
    const client = rig.connect();
    rig.answer(client);
    const { slot, generation } = list(rig)[0]!;
    const find = (wanted: number): StreamRecord | null => {
      const answer = ask(rig, { kind: "stream", slot, generation: wanted });
      return answer.kind === "stream" ? answer.stream : null;
    };
    expect(find(generation)?.frontend).toBe("p1");
    expect(find(generation + 1)).toBeNull();
    rig.end(client);
    expect(find(generation)).toBeNull();
    expect(ask(rig, { kind: "stream", slot: 99_999, generation })).toEqual({
      kind: "stream",
      stream: null,
    });
  });

  test("is suspicious when nothing will end it", () => {
    const rig = new Rig();
    rig.answer(rig.connect());
    expect(list(rig)[0]!.doubt).toBe("no time limit");
    expect(list(rig, { filter: { isSuspicious: true } })).toHaveLength(1);
  });
});

describe("pages", () => {
  test("hold what fits, and say where to go on", () => {
    const rig = new Rig();
    for (let i = 0; i < 7; i++) rig.answer(rig.connect());
    const slots: number[] = [];
    let next = 1;
    let pages = 0;
    for (; next !== 0; pages++) {
      const answer = ask(rig, { ...ALL, from: next, limit: 3 });
      if (answer.kind !== "streams") throw new Error("another answer");
      slots.push(...answer.streams.map(({ slot }) => slot));
      next = answer.next;
    }
    expect(slots).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(pages).toBe(3);
  });

  test("leave out who came after the time that is asked for", () => {
    const rig = new Rig();
    rig.answer(rig.connect());
    rig.answer(rig.connect());
    const until = rig.world.clock.nowMs();
    rig.wait(10);
    rig.answer(rig.connect());
    expect(list(rig, { until })).toHaveLength(2);
    expect(list(rig)).toHaveLength(3);
  });

  test("filters leave out the rest", () => {
    const rig = new Rig({ proxies: [{ ...PLAIN_PROXY, servers: [PLAIN_SERVER, PLAIN_SERVER] }] });
    for (let i = 0; i < 4; i++) rig.answer(rig.connect());
    const [a] = rig.world.servers;
    const { row, backend } = a!.object;
    expect(list(rig, { filter: { serverRow: row } })).toHaveLength(2);
    expect(list(rig, { filter: { backendRow: backend.row } })).toHaveLength(4);
    expect(list(rig, { filter: { frontendRow: backend.row + 1 } })).toHaveLength(0);
    rig.wait(50);
    rig.answer(rig.connect());
    expect(list(rig, { filter: { olderThanMs: 20 } })).toHaveLength(4);
  });

  test("one question has limits of slots and of streams, whatever is asked", () => {
    const rig = new Rig();
    const { engine } = rig.world.workers[0]!;
    rig.answer(rig.connect());
    while (engine.streams.length <= ASK_SLOTS_MAX + 10) {
      engine.streams.push(new Stream(engine, engine.streams.length));
    }
    const empty = ask(rig, { ...ALL, from: 2 });
    expect(empty).toMatchObject({ streams: [], next: ASK_SLOTS_MAX + 2 });
    const last = ask(rig, { ...ALL, from: ASK_SLOTS_MAX + 2 });
    expect(last).toMatchObject({ streams: [], next: 0 });
    const live = engine.streams[1]!;
    for (let slot = 2; slot < 600; slot++) engine.streams[slot] = live;
    expect(list(rig, { limit: 1e9 })).toHaveLength(ASK_STREAMS_MAX);
  });
});

describe("holders", () => {
  test("of a server and of a backend: how many, the oldest, some of them", () => {
    const rig = new Rig();
    for (let i = 0; i < 5; i++) {
      rig.answer(rig.connect());
      rig.wait(100);
    }
    const { row, backend } = rig.world.servers[0]!.object;
    const answer = ask(rig, { kind: "holders", filter: { serverRow: row }, from: 1, examples: 2 });
    if (answer.kind !== "holders") throw new Error("another answer");
    expect(answer).toMatchObject({ count: 5, oldestMs: 500, next: 0 });
    expect(answer.examples.map(({ slot, ageMs }) => [slot, ageMs])).toEqual([
      [1, 500],
      [2, 400],
    ]);
    const filter = { backendRow: backend.row };
    const whole = ask(rig, { kind: "holders", filter, from: 1, examples: 0 });
    expect(whole).toMatchObject({ count: 5, oldestMs: 500, examples: [] });
  });

  test("of a server that nobody is on: none, without a look at any stream", () => {
    const rig = new Rig({ proxies: [{ ...PLAIN_PROXY, servers: [PLAIN_SERVER, PLAIN_SERVER] }] });
    rig.answer(rig.connect());
    const { row } = rig.world.servers[1]!.object;
    expect(ask(rig, { kind: "holders", filter: { serverRow: row }, from: 1, examples: 3 })).toEqual(
      {
        kind: "holders",
        count: 0,
        oldestMs: -1,
        examples: [],
        next: 0,
      },
    );
  });
});
