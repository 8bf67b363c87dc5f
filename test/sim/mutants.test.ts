/** Every deliberately broken copy of the data plane is caught by an invariant of the simulator. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";

import { CHECK_MUTANTS } from "./check-mutants.ts";
import { MUTANTS } from "./mutants.ts";

/** Seeds within which a mutant must be caught. */
const SEEDS = 1000;

describe("mutants are caught", () => {
  [...MUTANTS, ...CHECK_MUTANTS].forEach((mutant, index) => {
    test(mutant.name, () => {
      const main = join(import.meta.dir, "mutant-main.ts");
      const child = Bun.spawnSync([process.execPath, main, String(index), String(SEEDS)]);
      const text = child.stdout.toString();
      expect(child.stderr.toString()).toBe("");
      const { isUsed, found } = JSON.parse(text) as {
        isUsed: boolean;
        found?: { seed: number; message: string };
      };
      expect(isUsed).toBe(true);
      expect(found?.message ?? `nothing within ${SEEDS} seeds`).toMatch(mutant.caughtBy);
    });
  });
});
