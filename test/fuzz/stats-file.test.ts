/**
 * Stats files, mangled: the reader never throws, warns in whole sentences and a bounded number of
 * times, and puts only whole numbers into counters. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import {
  BACK_FIELDS,
  countedOf,
  fieldsOf,
  groupsOf,
  readCounters,
} from "../../src/control/state/counters.ts";
import { dumpStatsFile, loadStatsFile } from "../../src/control/state/stats-file.ts";
import { Shards } from "../../src/control/stats/shards.ts";
import { makeControlLab } from "../support/control-lab.ts";
import { mutateBytes, seededRandom } from "./mutate.ts";

const ROUNDS = 3000;
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
const NOW = 1_800_000_000;
const CONFIG = `
defaults
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
listen l
  guid both
  bind abns@sluice-stats-fuzz-${process.pid} guid-prefix li
  server s 127.0.0.1:2 guid srv
`;

test("mangled stats files", async () => {
  const random = seededRandom(seed);
  const { control } = await makeControlLab(CONFIG);
  const { shop, model, tables } = control;
  const shards = new Shards(tables);
  const written = [...dumpStatsFile(model, shards, () => NOW)].join("");
  const seeds = [
    written,
    "#fe guid,stot,\nboth,1024,\nli-0,5\n// comment\n#be guid,unknown,lastsess,\nsrv,1,2,\n",
    "#be guid,\u0000,,,\n,,,\n#\n#be guid,stot,\nsrv,9007199254740991,\nsrv,1e3,\nsrv,0x10,\n",
  ].map((text) => Buffer.from(text));
  for (let round = 0; round < ROUNDS; round++) {
    const text = Buffer.from(mutateBytes(random, seeds)).toString();
    const warnings: string[] = [];
    loadStatsFile(shop, "x", text, NOW, (warning) => void warnings.push(warning));
    expect(warnings.length).toBeLessThan(22);
    for (const warning of warnings) expect(warning).toMatch(/^config: [^\n]*\.$/u);
    for (const counted of countedOf(groupsOf(model.proxies))) {
      const sums = readCounters(shards, counted);
      for (const [, offset] of fieldsOf(counted.kind)) {
        expect(Number.isSafeInteger(sums[offset >> 1])).toBe(true);
      }
    }
  }
  expect(BACK_FIELDS.length).toBeGreaterThan(10);
});
