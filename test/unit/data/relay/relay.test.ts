/** Two joined sides: idle times, half-closes, aborts; the simulator does the rest. */
import { describe, expect, test } from "bun:test";

import type { SimClient } from "../../../sim/far.ts";
import type { TimeoutOptions } from "../../../sim/options.ts";
import { PLAIN_PROXY, Rig } from "../../../sim/rig.ts";

function joined(timeouts: Partial<TimeoutOptions>, payload = 0): { rig: Rig; client: SimClient } {
  const all = { ...PLAIN_PROXY.timeouts, ...timeouts };
  const proxy = { ...PLAIN_PROXY, timeouts: all };
  const rig = new Rig({ proxies: [proxy], payloadBytesMax: 1000 });
  const client = rig.connect({ payload });
  rig.answer(client);
  return { rig, client };
}

const termination = (client: SimClient): string | undefined => client.outcome?.termination;

type IdleCase = { name: string; timeouts: Partial<TimeoutOptions>; ends: string; afterMs: number };

const IDLE: readonly IdleCase[] = [
  { name: "client", timeouts: { client: 100, server: 300 }, ends: "cD", afterMs: 100 },
  { name: "server", timeouts: { client: 300, server: 100 }, ends: "sD", afterMs: 100 },
  {
    name: "equal ones are the client's",
    timeouts: { client: 80, server: 80 },
    ends: "cD",
    afterMs: 80,
  },
  {
    name: "tunnel in place of both",
    timeouts: { client: 20, server: 20, tunnel: 200 },
    ends: "cD",
    afterMs: 200,
  },
];

describe("idle times", () => {
  test.each([...IDLE])("$name", ({ timeouts, ends, afterMs }) => {
    const { rig, client } = joined(timeouts);
    rig.wait(afterMs - 5);
    expect(client.outcome).toBeNull();
    rig.wait(20);
    expect(termination(client)).toBe(ends);
    expect(client.socket.nearAborted).toBe(false);
  });

  test("bytes of either direction put them off", () => {
    const { rig, client } = joined({ client: 100, server: 100 }, 50);
    for (let i = 0; i < 10; i++) {
      rig.wait(60);
      client.sentBytes += client.socket.send(new Uint8Array(0));
      client.send(rig.world.choices);
      rig.run();
      if (client.sentBytes === 50) break;
      expect(client.outcome).toBeNull();
    }
    rig.wait(130);
    expect(termination(client)).toBe("cD");
  });

  test("none at all waits for ever", () => {
    const { rig, client } = joined({});
    rig.wait(60_000);
    expect(client.outcome).toBeNull();
  });

  test("client-fin binds the side that still owes an end", () => {
    const { rig, client } = joined({ client: 10_000, server: 10_000, clientFin: 50 });
    client.link!.finish();
    rig.run();
    rig.wait(45);
    expect(client.outcome).toBeNull();
    rig.wait(25);
    expect(termination(client)).toBe("cD");
  });

  test("server-fin likewise", () => {
    const { rig, client } = joined({ client: 10_000, server: 10_000, serverFin: 50 });
    client.finish();
    rig.run();
    rig.wait(70);
    expect(termination(client)).toBe("sD");
  });
});

describe("ends and aborts", () => {
  test("an end of one side is passed on, the other direction goes on", () => {
    const { rig, client } = joined({}, 10);
    client.finish();
    rig.run();
    const link = client.link!;
    expect(link.socket.nearFinished).toBe(true);
    expect(link.socket.nearClosed).toBe(false);
    while (link.send(rig.world.choices)) rig.run();
    while (client.read(100)) rig.run();
    expect(client.receivedBytes).toBe(link.sentBytes);
    link.finish();
    rig.run();
    expect(termination(client)).toBe("--");
  });

  test("both ends in one turn need no half-close", () => {
    const { rig, client } = joined({});
    client.finish();
    client.link!.finish();
    rig.run();
    expect(termination(client)).toBe("--");
    expect(client.socket.nearAborted).toBe(false);
  });

  test.each(["client", "server"])("a reset of the %s resets the other", (who) => {
    const { rig, client } = joined({});
    const link = client.link!;
    if (who === "client") client.reset();
    else link.reset();
    rig.run();
    expect(termination(client)).toBe(who === "client" ? "CD" : "SD");
    const other = who === "client" ? link.socket : client.socket;
    expect(other.nearAborted).toBe(true);
  });

  test("a side that ends and is gone later cuts the other off, in order for the log", () => {
    const { rig, client } = joined({});
    client.finish();
    rig.run();
    client.reset();
    rig.run();
    expect(termination(client)).toBe("--");
    expect(client.link!.socket.nearAborted).toBe(true);
  });
});
