/** Listeners that come and go at run time. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";

/** Runs with a frontend that listens on a unix socket; the workers of the lab bind nothing. */
async function withUnixBind(run: (lab: ControlLab, path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bind-"));
  const path = join(folder, "front.sock");
  try {
    const lab = await makeControlLab(`frontend f
  mode tcp
  timeout client 1s
  bind ${path} name u
`);
    writeFileSync(path, "");
    await run(lab, path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("the file of a unix socket goes with it, not one that comes to its place", () =>
  withUnixBind(async (lab, path) => {
    // It went with the end of the grace period, when it was another listener's.
    expect(await lab.ask("del bind f/u")).toBe("Listener deleted.");
    expect(existsSync(path)).toBe(false);
    expect(await lab.ask(`add bind f ${path} name u`)).toBe("New listener registered.");
    writeFileSync(path, "");
    lab.settle();
    expect(existsSync(path)).toBe(true);
  }));
