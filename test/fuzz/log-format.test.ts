/**
 * Log formats, mangled: the parser never throws, and a line made from what it accepts stays one
 * line. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { compileLogFormat } from "../../src/expr/evaluate.ts";
import { parseLogFormat, TCP_CLF_LOG_FORMAT, TCP_LOG_FORMAT } from "../../src/expr/parse.ts";
import { fakeContext } from "../unit/expr/fake-context.ts";
import { mutateText, seededRandom } from "./mutate.ts";

const ROUNDS = 20_000;
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
const SEEDS = [
  TCP_LOG_FORMAT,
  TCP_CLF_LOG_FORMAT,
  "%{+Q}o %{-Q}ci %[src,ipmask(24)] %(name)s %%",
  '%{+X}ci:%{+X}cp %{+E}[str(a"b)] %{+Q,+X}fi %T %Tl %Ts %ms %ID %OG',
  '%[fe_name,upper,concat(-,,"%")] %bi:%bp %si:%sp %tsc %hr %sslv %H %pid %rt %lc',
];

test(`mangled log formats, seed ${seed}`, () => {
  const random = seededRandom(seed);
  const context = fakeContext({
    addresses: { client: "192.0.2.1", backDestination: "::1" },
    texts: { fe_name: "front\nforged line\x1b[31m" },
  });
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = mutateText(random, SEEDS, "%{}[]()+-,QEXMo \"'\\cift").replace(
      /[\x00-\x1f]/g,
      " ",
    );
    try {
      for (const use of ["log", "name"] as const) {
        const parsed = parseLogFormat(text, use);
        if (!parsed.ok) {
          expect(parsed.message).not.toBe("");
          continue;
        }
        accepted++;
        expect(compileLogFormat(parsed.value)(context)).not.toMatch(/[\n\x1b]/);
      }
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
  expect(accepted).toBeGreaterThan(ROUNDS / 100);
});
