/** Removal of servers that the configuration has. */
import { describe, expect, test } from "bun:test";

import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";

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

describe("ids within a transaction", () => {
  const idsOf = (lab: ControlLab): string =>
    [...lab.control.model.backends.get("b")!.servers]
      .map(({ spec }) => `${spec.name}=${spec.id}`)
      .join(" ");

  test("the lowest that is free by then is taken", async () => {
    const lab = await makeControlLab(CONFIG);
    const lines = [
      "del server b/s1",
      "add server b/first 127.0.0.1:3",
      "add server b/third 127.0.0.1:4",
      "add server b/ninth 127.0.0.1:5 id 9",
      "del server b/third",
      "add server b/again 127.0.0.1:6",
      "add server b/fourth 127.0.0.1:7",
    ];
    expect(await lab.ask("transaction", lines.join("\n"))).toBe("7 changes made.");
    expect(idsOf(lab)).toBe("s2=2 first=1 ninth=9 again=3 fourth=4");
  });

  test("one that a renamed server has is taken, and refused", async () => {
    const lab = await makeControlLab(CONFIG);
    const lines = ["set server b/s1 name moved", "add server b/new 127.0.0.1:3 id 1"];
    expect(await lab.ask("transaction", lines.join("\n"))).toContain(
      "custom id 1 already used by server 'moved'",
    );
  });
});
