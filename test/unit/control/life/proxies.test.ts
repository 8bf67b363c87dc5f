/** Names of proxies that come again before the ones that had them are purged. */
import { expect, test } from "bun:test";

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
