/** Addresses that a bind at run time must not take. */
import { expect, test } from "bun:test";

import { makeControlLab } from "../../../support/control-lab.ts";
import { freePort } from "../../../support/ports.ts";
import { temporaryFolder } from "../../../support/procs.ts";

test("an address that this process listens on, and a path that anybody listens on", async () => {
  using folder = temporaryFolder();
  const path = folder.file("theirs.sock");
  const port = freePort();
  const lab = await makeControlLab(`frontend f
  mode tcp
  timeout client 1s
  bind 127.0.0.1:${port} name p
  bind abns@mine name a
frontend g
  mode tcp
  timeout client 1s
`);
  using theirs = Bun.listen({ unix: path, socket: { data: () => {} } });
  expect(theirs.data).toBeUndefined();
  const taken = "frontend f listens there already.";
  for (const [address, why] of [
    [`127.0.0.1:${port}`, taken],
    [`0.0.0.0:${port}`, taken],
    [`:${port}`, taken],
    ["abns@mine", taken],
    [`unix@${path}`, "a process listens on that path; it would lose its socket."],
  ]) {
    const answer = await lab.ask(`add bind g ${address}`);
    expect(answer).toStartWith("EXISTS: cannot bind [");
    expect(answer).toEndWith(`]: ${why}`);
  }
  // Another address of the same port is another matter.
  expect(await lab.ask(`add bind g 127.0.0.2:${port}`)).toBe("New listener registered.");
});
