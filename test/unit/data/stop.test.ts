/** A soft stop: listeners close, streams end by themselves, the worker tells when all is over. */
import { describe, expect, test } from "bun:test";

import { softStop } from "../../sim/control-actions.ts";
import { PLAIN_PROXY, Rig } from "../../sim/rig.ts";

describe.each(["tcp", "loop"] as const)("soft stop on %s conduits", (conduit) => {
  const told = (rig: Rig): boolean[] => rig.world.workers.map((worker) => worker.hasStopped);

  test("an idle worker has stopped at once", () => {
    const rig = new Rig({ conduit, workers: 2 });
    softStop(rig.world);
    rig.run();
    expect(told(rig)).toEqual([true, true]);
  });

  test("a busy one when its last stream has ended", () => {
    const rig = new Rig({ conduit, workers: 2 });
    const client = rig.connect();
    rig.answer(client);
    softStop(rig.world);
    rig.run();
    expect(told(rig)).toEqual([false, true]);
    rig.end(client);
    expect(client.outcome?.termination).toBe("--");
    expect(told(rig)).toEqual([true, true]);
  });
});

describe("soft stop", () => {
  test("whoever the kernel has greeted is let in", () => {
    const rig = new Rig({ conduit: "loop" });
    const client = rig.queue();
    const { world } = rig;
    softStop(world);
    // The worker hears of the stop before it looks at its sockets.
    rig.readMessage();
    rig.run();
    expect(client.links).toHaveLength(1);
    expect(world.workers[0]!.hasStopped).toBe(false);
    rig.answer(client);
    rig.end(client);
    expect(world.workers[0]!.hasStopped).toBe(true);
  });

  // The worker told that it had stopped for each such client, and went on accepting in between.
  test("clients that are let in last, and end at once, end the worker once", () => {
    const proxy = { ...PLAIN_PROXY, hasBackend: false };
    const rig = new Rig({ conduit: "loop", proxies: [proxy] });
    const clients = [rig.queue(), rig.queue()];
    softStop(rig.world);
    // The simulation itself refuses a second telling.
    rig.readMessage();
    rig.run();
    expect(clients.map((client) => client.outcome?.termination)).toEqual(["SC", "SC"]);
    expect(rig.world.workers[0]!.hasStopped).toBe(true);
  });
});
