/** Names of proxies that come again before the ones that had them are purged. */
import { expect, test } from "bun:test";

import { QuicAccount } from "../../../../src/conduit/quic/account.ts";
import { PROXY_GENERATION, PROXY_STRIDE } from "../../../../src/tables/generated/proxy.ts";
import {
  QUIC_COUNT_OPENED,
  QUIC_COUNT_STRIDE,
} from "../../../../src/tables/generated/quic-count.ts";
import { makeControlLab } from "../../../support/control-lab.ts";

const CONFIG = `defaults d
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend b
  server s1 127.0.0.1:1
`;

test("a frontend that comes again before the purge keeps its settings, and is not told gone", async () => {
  // The purge forgot the settings of the name, and told the state file that the frontend was gone.
  const lab = await makeControlLab(CONFIG);
  await lab.ask("add frontend f from d");
  await lab.ask("del frontend f");
  await lab.ask("add frontend f from d");
  const told: string[] = [];
  lab.control.events.listen(({ kind }) => void told.push(kind));
  lab.settle();
  expect(told).toEqual(["frontend-purged"]);
  const path = `abns@sluice-${process.pid}-again`;
  expect(await lab.ask(`add bind f ${path}`)).toBe("New listener registered.");
});

test("the row of a frontend is held until the last QUIC connection is released", async () => {
  const lab = await makeControlLab(CONFIG);
  const { control } = lab;
  await lab.ask("add frontend f from d");
  const { row } = control.model.frontends.get("f")!;
  const ring = (): void => control.events.tellIdle();
  const account = new QuicAccount(control.tables, 1, ring);
  account.opened(row, true);
  account.opened(row, true);
  expect(await lab.ask("del frontend f")).toBe("Frontend deleted.");
  lab.settle();
  const { words } = control.tables.proxies;
  const generation = (): number => words[row + PROXY_GENERATION]!;
  const before = generation();
  account.released(row, true);
  expect(generation()).toBe(before);
  // What the last one counts at its end is still its own.
  const { floats } = control.tables.perWorker[0]!.quicFront;
  const at = (row / PROXY_STRIDE) * QUIC_COUNT_STRIDE;
  expect(floats[(at + QUIC_COUNT_OPENED) >> 1]).toBe(2);
  account.released(row, true);
  expect(generation()).toBe(before + 1);
  // The next one there begins with nothing.
  expect(floats.subarray(at >> 1, (at + QUIC_COUNT_STRIDE) >> 1).every((one) => one === 0)).toBe(
    true,
  );
});
