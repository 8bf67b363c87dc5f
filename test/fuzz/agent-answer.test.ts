/**
 * Answers of agents, mangled: whatever the bytes are, they can do no more than the protocol's
 * words, what is told of them stays one printable line, and how they are cut up changes nothing.
 * `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { AgentLine, parseAgentLine } from "../../src/check/protocols/agent-words.ts";
import { dialogueFor } from "../../src/check/protocols/index.ts";
import type { CheckResult } from "../../src/check/result.ts";
import { jobOf, playInMemory, TEST_ENVIRONMENT } from "../support/check-memory.ts";
import { CHECK_SCRIPTS } from "../support/check-scripts.ts";
import { below, mutateBytes, pick, seededRandom } from "./mutate.ts";

const ROUNDS = 20_000;
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
const WORDS = [
  ..."up down fail failed stopped ready drain maint".split(" "),
  ..."75% weight:10 weight:300% maxconn:30 maxconn: 0% # , hello __proto__ constructor".split(" "),
];

function corpus(): Uint8Array[] {
  return CHECK_SCRIPTS.filter(({ program }) => program.kind === "agent").flatMap(({ steps }) =>
    steps.flatMap((step) =>
      typeof step === "object" && "send" in step ? [Buffer.from(step.send, "latin1")] : [],
    ),
  );
}

/** A line of words of the protocol, of others, and of separators in between. */
function makeLine(random: () => number): Uint8Array {
  const words = Array.from({ length: below(random, 6) }, () => pick(random, WORDS));
  return Buffer.from(
    words.join(pick(random, [" ", ",", "\t", "", "  "])) + pick(random, ["\n", "\r", ""]),
  );
}

const ORDERS: Record<string, (value: unknown) => boolean> = {
  health: (value) => ["up", "down", "failed", "stopped"].includes(String(value)),
  admin: (value) => ["ready", "drain", "maint"].includes(String(value)),
  maxconn: (value) => isWithin(value, 2 ** 31 - 1),
  weight: (value) => {
    const entries = Object.entries(value as object);
    const [[name, number] = []] = entries;
    const limit = name === "percent" ? 25_600 : name === "absolute" ? 256 : -1;
    return entries.length === 1 && isWithin(number, limit);
  },
};

function isWithin(value: unknown, limit: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= limit;
}

/** What is wrong with a result; empty = nothing. */
function faultsOf(result: CheckResult, bytes: Uint8Array): string[] {
  const faults: string[] = [];
  const text = Buffer.from(bytes).toString("latin1").toLowerCase();
  for (const [name, value] of Object.entries(result.orders ?? {})) {
    if (ORDERS[name]?.(value) !== true) faults.push(`order ${name} ${JSON.stringify(value)}`);
  }
  const { health, admin, maxconn, weight } = result.orders ?? {};
  const said = health === "failed" ? "fail" : health;
  if (said !== undefined && !text.includes(said)) faults.push(`${said} was not said`);
  if (admin !== undefined && !text.includes(admin)) faults.push(`${admin} was not said`);
  if (maxconn !== undefined && !text.includes("maxconn:")) faults.push("maxconn was not said");
  if (weight !== undefined && !/[0-9]%|weight:/.test(text)) faults.push("weight was not said");
  const wanted = health === undefined ? "CHECKED" : health === "up" ? "L7OK" : "L7STS";
  if (result.code !== wanted) faults.push(`${result.code} instead of ${wanted}`);
  if (/[\x00-\x1f\x7f]/.test(result.info ?? "")) faults.push("an info of more than a line");
  return faults;
}

test("an agent can do no more than the words of the protocol", () => {
  const random = seededRandom(seed);
  const seeds = corpus();
  let ordered = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = random() < 0.5 ? mutateBytes(random, seeds) : makeLine(random);
    const line = new AgentLine().read(bytes);
    if (line === undefined) continue;
    const result = parseAgentLine(line);
    if (result.orders !== undefined) ordered++;
    expect([seed, round, ...faultsOf(result, bytes)]).toEqual([seed, round]);
  }
  expect(ordered).toBeGreaterThan(ROUNDS / 20);
});

test("how an answer is cut up changes nothing", () => {
  const random = seededRandom(seed);
  const seeds = corpus();
  const job = jobOf({ kind: "agent", send: "" });
  const play = (send: string, isByteWise: boolean): CheckResult => {
    const dialogue = dialogueFor(job, TEST_ENVIRONMENT);
    if (dialogue === undefined) throw new Error("agents have a dialogue");
    const { result, wire } = playInMemory(dialogue, [{ send, isByteWise }, "close"]);
    expect(wire.extra).toBe(0);
    return result;
  };
  for (let round = 0; round < ROUNDS / 40; round++) {
    const send = Buffer.from(mutateBytes(random, seeds)).toString("latin1").slice(0, 2_000);
    expect([seed, round, play(send, true)]).toEqual([seed, round, play(send, false)]);
  }
});

test("no dialogue throws, or ends twice, whatever it is told", () => {
  const random = seededRandom(seed);
  const all = CHECK_SCRIPTS.flatMap(({ steps }) =>
    steps.flatMap((step) =>
      typeof step === "object" && "send" in step ? [Buffer.from(step.send, "latin1")] : [],
    ),
  ).filter((bytes) => bytes.length < 2_000);
  for (let round = 0; round < ROUNDS / 4; round++) {
    const { program } = pick(random, CHECK_SCRIPTS);
    const dialogue = dialogueFor(jobOf(program), TEST_ENVIRONMENT);
    if (dialogue === undefined) throw new Error(`no dialogue for ${program.kind}`);
    const steps = Array.from({ length: 1 + below(random, 4) }, () => ({
      send: Buffer.from(mutateBytes(random, all)).toString("latin1"),
      isByteWise: random() < 0.2,
    }));
    const end = pick(random, [[], ["close"], ["reset"]] as const);
    const { result, wire } = playInMemory(dialogue, [...steps, ...end]);
    expect([seed, round, wire.extra]).toEqual([seed, round, 0]);
    expect(/[\x00-\x1f\x7f]/.test(result.info ?? "")).toBe(false);
  }
});
