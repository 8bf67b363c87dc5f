/** Removal of servers that the configuration has. */
import { expect, test } from "bun:test";

import { makeControlLab } from "../../../support/control-lab.ts";

const CONFIG = `defaults plain
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend b
  balance leastconn
  server s1 127.0.0.1:1 disabled
  server s2 127.0.0.1:2
`;

test("a server that was configured as disabled is not in maintenance once it is enabled", async () => {
  // `disabled` leaves a bit of its own in the administrative state: it was taken for maintenance,
  // and a server in use was removed.
  const lab = await makeControlLab(CONFIG);
  const refused = "WRONG_STATE: Only servers in maintenance mode can be deleted.";
  await lab.ask("enable server b/s1");
  expect(await lab.ask("del server b/s1")).toBe(refused);
  await lab.ask("set server b/s1 state drain");
  expect(await lab.ask("del server b/s1")).toBe(refused);
  await lab.ask("disable server b/s1");
  expect(await lab.ask("del server b/s1")).toBe("Server deleted.");
});
