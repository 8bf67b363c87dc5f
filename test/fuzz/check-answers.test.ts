/**
 * Mangled answers to every kind of check, whole and in parts, from servers that then close, reset,
 * or do nothing: each check has one result, of the words that there are, in one short line, and
 * leaves its connection closed. One seed a run: `SLUICE_FUZZ_SEED` repeats it.
 */
import { beforeAll, expect, test } from "bun:test";

import type { StepProgram } from "../../src/check/program/compile.ts";
import { HttpAnswer } from "../../src/check/program/http-answer.ts";
import { startRun } from "../../src/check/program/run.ts";
import { dialogueFor } from "../../src/check/protocols/index.ts";
import { CHECK_CODES } from "../../src/check/result.ts";
import type { CheckResult } from "../../src/check/result.ts";
import { jobOf, MemoryWire, TEST_ENVIRONMENT } from "../support/check-memory.ts";
import { CHECK_SCRIPTS } from "../support/check-scripts.ts";
import cases from "../support/step-cases.json";
import { MemoryConnection } from "../support/step-memory.ts";
import type { StepCase } from "../support/step-servers.ts";
import { programOf } from "../unit/config/checks/programs.ts";
import { below, mutateBytes, pick, seededRandom } from "./mutate.ts";
import type { Random } from "./mutate.ts";

const ROUNDS = 6_000;
const SEED = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
const WORDS_BYTES_MAX = 127;
const CASES = cases as unknown as StepCase[];
/** Answers that something is made of; too long ones would make the rest rare. */
const ANSWER_LENGTH_MAX = 4_000;

const latin = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

/** What the servers of the cases send, put together. */
const ANSWERS = [
  ...CASES.map(({ script }) =>
    script.map((act) => (act[0] === "send" || act[0] === "drip" ? act[1] : "")).join(""),
  ),
  ...CHECK_SCRIPTS.map(({ steps }) =>
    steps.map((step) => (typeof step === "object" && "send" in step ? step.send : "")).join(""),
  ),
]
  .filter((text) => text !== "" && text.length < ANSWER_LENGTH_MAX)
  .map(latin);

/** Bytes in parts: of one, of a few, or whole. */
function partsOf(random: Random, bytes: Uint8Array): Uint8Array[] {
  const size = pick(random, [1, 2, 3, 7, 50, bytes.length + 1]);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size));
  return parts;
}

type End = "close" | "reset" | "nothing";
const ENDS: readonly End[] = ["close", "reset", "nothing"];

/** Plays an answer to a list of steps. */
function playSteps(program: StepProgram, parts: readonly Uint8Array[], end: End): CheckResult {
  const connections: MemoryConnection[] = [];
  const results: CheckResult[] = [];
  const probe = startRun(
    jobOf(program),
    program,
    {
      environment: TEST_ENVIRONMENT,
      variables: new Map(),
      open: (target, _max, ears) => {
        const connection = new MemoryConnection(target, ears);
        connections.push(connection);
        return connection;
      },
    },
    {
      connecting: () => undefined,
      connected: () => undefined,
      done: (result) => void results.push(result),
    },
  );
  // Connections that steps open meanwhile have their turn too.
  for (let at = 0; at < connections.length && at < 4; at++) {
    const connection = connections[at];
    if (connection === undefined || connection.isClosed) continue;
    connection.ears.opened();
    for (const part of parts) connection.deliver(part);
    if (end !== "nothing") connection.end(end === "reset");
  }
  const result = results[0] ?? probe.late();
  if (results.length === 0) probe.cancel();
  expect(results.length).toBeLessThan(2);
  expect(connections.every(({ isClosed }) => isClosed)).toBe(true);
  return result;
}

function playDialogue(
  kind: (typeof CHECK_SCRIPTS)[number],
  parts: readonly Uint8Array[],
  end: End,
): CheckResult {
  const dialogue = dialogueFor(jobOf(kind.program), TEST_ENVIRONMENT);
  if (dialogue === undefined) throw new Error(`no dialogue for ${kind.program.kind}`);
  const wire = new MemoryWire();
  dialogue.opened(wire);
  for (const part of parts) wire.deliver(dialogue, part);
  if (end !== "nothing") wire.end(dialogue, end === "reset");
  expect(wire.extra).toBe(0);
  return wire.result ?? dialogue.late?.() ?? { code: "L7TOUT" };
}

function checkResult(result: CheckResult): void {
  expect(CHECK_CODES).toContain(result.code);
  const { info = "", number = 0 } = result;
  // Characters that would break a line are written as four: `#0D`.
  expect(/[\0-\x1f\x7f]/u.test(info)).toBe(false);
  expect(info.length).toBeLessThanOrEqual(4 * WORDS_BYTES_MAX);
  expect(Number.isSafeInteger(number)).toBe(true);
}

const programs: StepProgram[] = [];

beforeAll(async () => {
  for (const step of CASES) {
    if (step.srv !== undefined || step.port !== undefined) continue;
    const program = await programOf(step.lines.map((line) => ` ${line}`).join("\n"), {
      global: " ssl-server-verify none",
    });
    if (program.kind === "tcp" || program.kind === "http") programs.push(program);
  }
});

test("every check has one result, whatever is answered", () => {
  const random = seededRandom(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    const parts = partsOf(random, mutateBytes(random, ANSWERS));
    const end = pick(random, ENDS);
    checkResult(playSteps(pick(random, programs), parts, end));
    checkResult(playDialogue(pick(random, CHECK_SCRIPTS), parts, end));
  }
});

test("how an HTTP answer is cut makes no difference to what it is", () => {
  const random = seededRandom(SEED + 1);
  const answers = ANSWERS.filter((bytes) => /HTTP/u.test(Buffer.from(bytes).toString("latin1")));
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutateBytes(random, answers);
    const isHead = below(random, 10) === 0;
    const [whole, cut] = [new HttpAnswer(isHead), new HttpAnswer(isHead)];
    whole.update(bytes);
    const parts = partsOf(random, bytes);
    for (let i = 1; i <= parts.length; i++) cut.update(Buffer.concat(parts.slice(0, i)));
    expect(factsOf(cut)).toEqual(factsOf(whole));
  }
});

function factsOf(answer: HttpAnswer): object {
  const { isWrong, isComplete, hasHead, status, reason, version, headers } = answer;
  // What came before the fault depends on where it was cut.
  if (isWrong) return { isWrong };
  const body = Buffer.from(answer.body()).toString("latin1");
  return { isComplete, hasHead, status, reason, version, headers, body };
}
