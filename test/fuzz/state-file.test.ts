/**
 * Server state files, mangled: a load never throws nor is refused because of one, and what applies
 * is within its limits. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { parseStateFile } from "../../src/config/state-file.ts";
import { loadText } from "../unit/config/load-text.ts";
import { below, mutateText, seededRandom } from "./mutate.ts";

const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
const ROUNDS = 6_000;
const ALPHABET = "\"'\\ \t\n\r#${}[]*-.,:;/@%()!|&<>=0159aAzZ\0\x7fé";

const FILE =
  "global\n server-state-file /state\ndefaults\n mode tcp\n timeout client 1s\n" +
  " timeout connect 1s\n timeout server 1s\n load-server-state-from-file global\nbackend b\n" +
  " server s1 127.0.0.1:80 check weight 10\n server s2 db.test:80 disabled\n";

const SEEDS = [
  "1\n# be_id be_name srv_id srv_name srv_addr\n" +
    "3 b 1 s1 127.0.0.1 2 0 5 10 100 6 3 4 6 0 0 0 - 80 - 0 81 127.0.0.2 - 0\n" +
    "3 b 2 s2 10.0.0.9 0 65 1 1 100 1 0 2 0 0 0 0 other.test 80 - 0 0 - - 0\n",
  "1\n3 b 1 s1 127.0.0.1 3 8 5 10 100 6 3 4 2 0 0 0 - 80 -\n3 b 2 s2 - 1 5 1 1 0 1 0 2 0 0 0 0 - 80 -\n",
  "2\n",
];

test(`mangled state files, seed ${seed}`, async () => {
  const random = seededRandom(seed);
  let applied = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = mutateText(random, SEEDS, ALPHABET);
    const cut = below(random, 4) === 0 ? text.slice(0, below(random, text.length + 1)) : text;
    try {
      const { plan, messages } = await loadText(FILE, { machine: { files: { "/state": cut } } });
      for (const { severity, text: said } of messages) {
        expect(severity).toBe("warning");
        expect(said).not.toContain("undefined");
      }
      if (plan === null) throw new Error("refused because of a state file");
      applied += plan.savedServers.length;
      for (const { weight = 0, sinceChangeSeconds } of plan.savedServers) {
        expect(weight >= 0 && weight <= 256).toBe(true);
        expect(Number.isSafeInteger(sinceChangeSeconds)).toBe(true);
      }
      for (const { address, check } of plan.proxies[0]?.servers ?? []) {
        expect(check.port >= 0 && check.port <= 65535).toBe(true);
        if (address !== undefined && "port" in address) expect(address.port).toBeLessThan(65536);
      }
    } catch (error) {
      throw new Error(`seed ${seed}, round ${round}: ${JSON.stringify(cut)}`, { cause: error });
    }
  }
  expect(applied).toBeGreaterThan(ROUNDS / 10);
});

test("a file that is cut anywhere applies in part never", () => {
  const whole = SEEDS[0] ?? "";
  for (let length = 0; length < whole.length; length++) {
    const cut = whole.slice(0, length);
    const last = cut.slice(cut.lastIndexOf("\n") + 1);
    // Whole lines are whole files, and a comment may end anywhere.
    if (parseStateFile(cut).ok) expect(last).toMatch(/^(?:#|$)/u);
  }
});
