/**
 * Expressions, conditions and log formats, mangled: parsers answer with a value or a sentence,
 * never an exception; what they accept compiles and runs. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { compileAcl, compileCondition, compileSample } from "../../src/expr/evaluate.ts";
import { parseAclTest, parseCondition, parseSample } from "../../src/expr/parse.ts";
import { fakeContext } from "../unit/expr/fake-context.ts";
import { HAPROXY_ACLS } from "../unit/expr/haproxy-acls.ts";
import { HAPROXY_REFUSALS, HAPROXY_SAMPLES } from "../unit/expr/haproxy-samples.ts";
import { mutateText, seededRandom } from "./mutate.ts";

const ROUNDS = 20_000;
const ALPHABET = "(),\"'\\ %{}[]:/.-_abz019!|#\n\0\x7fé";
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
const context = fakeContext({
  addresses: { client: "192.0.2.1", destination: "2001:db8::1" },
  ports: { client: 1, destination: 65_535 },
  texts: { fe_name: "front" },
});

/** Runs `check`, naming the input if it throws. */
function guard(input: string, check: () => boolean): boolean {
  try {
    return check();
  } catch (error) {
    throw new Error(`seed ${seed}: ${JSON.stringify(input)}`, { cause: error });
  }
}

test(`mangled expressions, seed ${seed}`, () => {
  const random = seededRandom(seed);
  const seeds = [...HAPROXY_SAMPLES, ...HAPROXY_REFUSALS].map(([text]) => text);
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = mutateText(random, seeds, ALPHABET);
    const works = guard(text, () => {
      const parsed = parseSample(text);
      if (!parsed.ok) return parsed.message === "";
      compileSample(parsed.value)(context);
      return true;
    });
    if (works) accepted++;
  }
  expect(accepted).toBeGreaterThan(ROUNDS / 100);
});

test(`mangled tests and conditions, seed ${seed}`, () => {
  const random = seededRandom(seed + 1);
  const seeds = HAPROXY_ACLS.map(([text]) => text);
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = mutateText(random, seeds, ALPHABET);
    const works = guard(text, () => {
      const words = text.split(" ");
      const condition = parseCondition(["if", "{", ...words, "}"], new Map());
      if (condition.ok) compileCondition(condition.value)(context);
      const parsed = parseAclTest(words);
      if (!parsed.ok) return parsed.message === "";
      compileAcl({ tests: [parsed.value] })(context);
      return true;
    });
    if (works) accepted++;
  }
  expect(accepted).toBeGreaterThan(ROUNDS / 100);
});
