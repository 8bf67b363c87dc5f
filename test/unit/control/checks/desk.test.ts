/** What control makes of results: who hears of them, what outlives an address, and so on. */
import { expect, test } from "bun:test";

import { changeSpec } from "../../../../src/control/change/server-address.ts";
import type { ServerSpec } from "../../../../src/tables/spec.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";

const CONFIG = `
defaults
  mode tcp
backend b
  balance static-rr
  server s1 127.0.0.1:1 weight 10 check agent-check agent-port 9
`;

const REFUSED = { code: "L4CON", info: "Connection refused" } as const;

/** Puts the server at no address, and back, as DNS does. */
function loseAddress(lab: ControlLab): void {
  const server = lab.server("b/s1");
  const { address, ...without } = server.spec;
  changeSpec(lab.control, server, without as ServerSpec);
  changeSpec(lab.control, server, { ...without, address: address! });
}

test("everybody who listens hears of a result", async () => {
  const lab = await makeControlLab(CONFIG);
  const heard: string[] = [];
  lab.control.checks.onNews((server) => void heard.push(`first ${server.spec.name}`));
  lab.control.checks.onNews((server) => void heard.push(`second ${server.spec.name}`));
  lab.hear("b/s1", { result: REFUSED });
  expect(heard).toEqual(["first s1", "second s1"]);
});

test("what is known of a server's checks outlives a time without an address", async () => {
  const lab = await makeControlLab(CONFIG);
  lab.hear("b/s1", { result: REFUSED });
  lab.hear("b/s1", { result: { code: "L7STS", info: "down" }, isUp: false, health: 0 }, "agent");
  const { checks } = lab.control;
  const server = lab.server("b/s1");
  loseAddress(lab);
  expect(checks.recordOf(server)?.result).toEqual(REFUSED);
  expect(checks.isAgentDown(server)).toBe(true);
  expect(checks.agentRecordOf(server)?.result).toMatchObject({ code: "L7STS" });
});

test("an order that an agent repeats in vain is told once", async () => {
  const lab = await makeControlLab(CONFIG);
  const orders = { admin: "ready", weight: { percent: 50 } } as const;
  for (let i = 0; i < 3; i++) lab.hear("b/s1", { result: { code: "CHECKED", orders } }, "agent");
  expect(lab.told.filter((text) => text.includes("its agent cannot be followed"))).toHaveLength(1);
});
