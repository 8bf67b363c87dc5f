/** Limits of process, frontend and listener over several workers; what waits at them. */
import { describe, expect, test } from "bun:test";

import { PARKED_MAX } from "../../../../src/base/limits.ts";
import type { Conduit } from "../../../../src/conduit/conduit.ts";
import { admit } from "../../../../src/data/accept/admission.ts";
import { PROCESS_CURRENT, PROCESS_MAXCONN } from "../../../../src/tables/generated/process.ts";
import type { SimClient } from "../../../sim/far.ts";
import { PLAIN_PROXY, Rig } from "../../../sim/rig.ts";

/** Clients that have a stream. */
const admitted = (clients: readonly SimClient[]): number[] =>
  clients.filter((client) => client.stream >= 0).map((client) => client.id);

type Limit = { name: string; rig: () => Rig };

const LIMITS: readonly Limit[] = [
  { name: "the process", rig: () => new Rig({ workers: 2, processMaxconn: 3 }) },
  {
    name: "the frontend",
    rig: () => new Rig({ workers: 2, proxies: [{ ...PLAIN_PROXY, maxconn: 3 }] }),
  },
  {
    name: "the listener",
    rig: () => new Rig({ workers: 2, proxies: [{ ...PLAIN_PROXY, listenerMaxconn: 3 }] }),
  },
];

describe.each([...LIMITS])("maxconn of $name", ({ rig: makeRig }) => {
  test("is never exceeded, whichever worker accepts", () => {
    const rig = makeRig();
    const clients = [1, 2, 1, 2, 1, 2].map((worker) => rig.connect({ worker }));
    expect(admitted(clients)).toEqual([1, 2, 3]);
    expect(rig.world.tables.process.words[PROCESS_CURRENT]).toBe(3);
  });

  test("room that comes back goes to who waits, on any worker", () => {
    const rig = makeRig();
    const clients = [1, 1, 1, 2, 2].map((worker) => rig.connect({ worker }));
    expect(admitted(clients)).toEqual([1, 2, 3]);
    rig.answer(clients[0]!);
    rig.end(clients[0]!);
    expect(admitted(clients)).toEqual([1, 2, 3, 4]);
    clients[1]!.reset();
    rig.run();
    expect(admitted(clients)).toEqual([1, 2, 3, 4, 5]);
  });

  test("what a waiting client sends, it sends later", () => {
    const rig = makeRig();
    const clients = [1, 1, 1, 1].map((worker) => rig.connect({ worker, payload: 500 }));
    const last = clients[3]!;
    while (last.send(rig.world.choices)) rig.run();
    expect(last.stream).toBe(-1);
    clients[0]!.reset();
    rig.run();
    const link = rig.answer(last);
    while (link.read(100)) rig.run();
    expect(link.receivedBytes).toBe(500);
  });

  test("a client that leaves while it waits leaves nothing behind", () => {
    const rig = makeRig();
    const clients = [1, 1, 1, 1, 1].map((worker) => rig.connect({ worker }));
    clients[3]!.reset();
    rig.run();
    for (const client of clients.slice(0, 3)) client.reset();
    rig.run();
    expect(clients[4]!.stream).toBeGreaterThanOrEqual(0);
    expect(rig.world.tables.process.words[PROCESS_CURRENT]).toBe(1);
  });
});

// Clients of QUIC go on opening streams on connections that live: the backlog of the system is
// none.
test("so many wait at a limit, and those beyond are broken off", () => {
  const rig = new Rig({ processMaxconn: 1 });
  rig.connect();
  const { engine } = rig.world.workers[0]!;
  const listener = [...engine.listeners.values()][0]!;
  let aborted = 0;
  const waiting = { pause: () => {}, abort: () => void aborted++ } as unknown as Conduit;
  for (let i = 0; i < PARKED_MAX + 5; i++) admit(engine, listener, waiting);
  expect(listener.parked).toHaveLength(PARKED_MAX);
  expect(aborted).toBe(5);
});

describe("limits that change", () => {
  test("one that is raised lets in more", () => {
    const rig = new Rig({ processMaxconn: 1 });
    const clients = [1, 2, 3].map(() => rig.connect());
    rig.world.tables.process.words[PROCESS_MAXCONN] = 3;
    clients[0]!.reset();
    rig.run();
    expect(admitted(clients)).toEqual([1, 2, 3]);
  });
});

describe("rates", () => {
  test("rate-limit sessions holds over all workers, and goes on in the next second", () => {
    const rig = new Rig({ workers: 2, proxies: [{ ...PLAIN_PROXY, rateLimit: 2 }] });
    const clients = [1, 2, 1, 2, 1].map((worker) => rig.connect({ worker }));
    expect(admitted(clients)).toHaveLength(2);
    rig.wait(1010);
    expect(admitted(clients)).toHaveLength(4);
    rig.wait(1010);
    expect(admitted(clients)).toHaveLength(5);
  });

  test("maxconnrate holds over all frontends", () => {
    const rig = new Rig({ processRate: 3, proxies: [PLAIN_PROXY, PLAIN_PROXY] });
    const clients = [1, 1, 1, 1, 1].map((worker) => rig.connect({ worker }));
    expect(admitted(clients)).toHaveLength(3);
    rig.wait(1010);
    expect(admitted(clients)).toHaveLength(5);
  });
});
