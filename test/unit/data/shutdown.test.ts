/** Streams shut down by their owner: which, how many at a time, and by nobody else. */
import { describe, expect, test } from "bun:test";

import { SHUTDOWN_STREAMS_PER_TURN } from "../../../src/base/limits.ts";
import { endStream } from "../../../src/data/account/end.ts";
import { runFor } from "../../../src/data/owner.ts";
import { shutBySelector } from "../../../src/data/shutdown.ts";
import type { Stream } from "../../../src/data/stream.ts";
import type { ShutdownSelector } from "../../../src/tables/mutations.ts";
import type { SimClient } from "../../sim/far.ts";
import { PLAIN_PROXY, PLAIN_SERVER, Rig } from "../../sim/rig.ts";

/** Asks a worker and lets it work. @returns the answers so far */
function shut(rig: Rig, selector: ShutdownSelector, worker = 1): number[] {
  const answers: number[] = [];
  const { engine } = rig.world.workers[worker - 1]!;
  rig.world.hasShutDown = true;
  rig.world.as(rig.world.workers[worker - 1]!, () => {
    shutBySelector(engine, { type: "shutdown", id: 1, selector, cause: "killed" }, (count) =>
      answers.push(count),
    );
    return true;
  });
  rig.world.settleStep();
  return answers;
}

function streamOf(rig: Rig, client: SimClient): Stream {
  const { streams } = rig.world.workers[client.worker - 1]!.engine;
  const found = streams.find((stream) => stream?.uniqueCounter === client.stream);
  if (found === undefined || found === null) throw new Error(`${client} has no stream`);
  return found;
}

const rowOf = (rig: Rig): number => rig.world.servers[0]!.object.row;
const termination = (client: SimClient): string | undefined => client.outcome?.termination;

function connected(rig: Rig, count: number): SimClient[] {
  return Array.from({ length: count }, () => {
    const client = rig.connect();
    rig.answer(client);
    return client;
  });
}

describe.each(["pipe", "tcp", "loop"] as const)("shutdown on %s conduits", (conduit) => {
  test("ends the streams of a server, and tells how many", () => {
    const rig = new Rig({ conduit });
    const clients = connected(rig, 3);
    expect(shut(rig, { kind: "server", row: rowOf(rig) })).toEqual([3]);
    rig.run();
    expect(clients.map(termination)).toEqual(["K-", "K-", "K-"]);
  });

  test("so many a turn, and those that come meanwhile stay", () => {
    const rig = new Rig({ conduit });
    const clients = connected(rig, SHUTDOWN_STREAMS_PER_TURN + 5);
    const answers = shut(rig, { kind: "server", row: rowOf(rig) });
    expect(answers).toEqual([]);
    const { engine } = rig.world.workers[0]!;
    expect(engine.streamCount).toBe(5);
    const late = rig.queue();
    rig.run();
    expect(answers).toEqual([SHUTDOWN_STREAMS_PER_TURN + 5]);
    expect(new Set(clients.map(termination))).toEqual(new Set(["K-"]));
    rig.answer(late);
    expect(termination(late)).toBeUndefined();
    expect(engine.streamCount).toBe(1);
  });
});

describe("shutdown", () => {
  // Whoever got the slot of a stream that was shut down was shut down next, and so on to the last.
  test("a waiter that gets a freed slot is not hit", () => {
    const rig = new Rig({
      proxies: [{ ...PLAIN_PROXY, servers: [{ ...PLAIN_SERVER, maxconn: 1 }] }],
    });
    const first = rig.connect();
    rig.answer(first);
    const waiters = [rig.connect(), rig.connect()];
    expect(shut(rig, { kind: "server", row: rowOf(rig) })).toEqual([1]);
    rig.run();
    expect([first, ...waiters].map(termination)).toEqual(["K-", undefined, undefined]);
    rig.answer(waiters[0]!);
    expect(streamOf(rig, waiters[0]!).connectedAtMs).toBeGreaterThan(0);
  });

  test("the log says in which phase it was, as HAProxy's does", () => {
    const rig = new Rig({
      proxies: [{ ...PLAIN_PROXY, servers: [{ ...PLAIN_SERVER, maxconn: 1 }] }],
    });
    const connecting = rig.connect();
    const waiting = rig.connect();
    const { row } = rig.world.servers[0]!.object.backend;
    expect(shut(rig, { kind: "backend", row })).toEqual([2]);
    rig.run();
    expect([connecting, waiting].map(termination)).toEqual(["KC", "KQ"]);
  });

  test("one stream by its name; a name that is stale, or another worker's, finds none", () => {
    const rig = new Rig({ workers: 2 });
    const [client, other] = connected(rig, 2);
    const { slot, generation } = streamOf(rig, client!);
    const name = { kind: "stream", worker: 1, slot, generation } as const;
    expect(shut(rig, { ...name, generation: generation + 1 })).toEqual([0]);
    expect(shut(rig, { ...name, slot: 9999 })).toEqual([0]);
    expect(shut(rig, name, 2)).toEqual([0]);
    expect(shut(rig, name)).toEqual([1]);
    rig.run();
    expect(termination(client!)).toBe("K-");
    expect(shut(rig, name)).toEqual([0]);
    expect(termination(other!)).toBeUndefined();
  });
});

/** Founding rule 3: whoever is not the owner asks. */
describe("a stream is touched by its owner only", () => {
  test("another worker, and control, cannot end it", () => {
    const rig = new Rig({ workers: 2 });
    const [client] = connected(rig, 1);
    const stream = streamOf(rig, client!);
    for (const thread of [0, 2]) {
      const before = runFor(thread);
      expect(() => endStream(stream, 0x4b, 0x2d, false)).toThrow("only its owner");
      const { engine } = rig.world.workers[0]!;
      const request = {
        type: "shutdown",
        id: 1,
        selector: { kind: "all" },
        cause: "killed",
      } as const;
      expect(() => shutBySelector(engine, request, () => {})).toThrow("only its owner");
      runFor(before);
    }
    expect(termination(client!)).toBeUndefined();
    expect(shut(rig, { kind: "all" })).toEqual([1]);
    rig.run();
    expect(termination(client!)).toBe("K-");
  });
});
