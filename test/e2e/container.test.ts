/** The container recipe, tried without an engine: see scripts/container-check.ts. */
import { expect, test } from "bun:test";
import { join } from "node:path";

import { findSluice } from "../support/haproxy.ts";
import { runProcess } from "../support/procs.ts";

const CHECK = join(import.meta.dir, "../../scripts/container-check.ts");

/** Namespaces and mounts need root, and a machine that lets root have them. */
function canUnshare(): boolean {
  if (process.getuid?.() !== 0 || Bun.which("unshare") === null) return false;
  const mount = "mount -t tmpfs none /mnt";
  return Bun.spawnSync(["unshare", "--mount", "--pid", "--fork", "sh", "-c", mount]).success;
}

const isPossible = canUnshare();

test.skipIf(findSluice() === undefined || !isPossible)(
  `the image runs as a user on a read-only root${isPossible ? "" : " (needs root and namespaces)"}`,
  async () => {
    const { code, output } = await runProcess([process.execPath, CHECK], { limitMs: 60_000 });
    expect(output).not.toContain("FAILED");
    expect(code).toBe(0);
  },
);
