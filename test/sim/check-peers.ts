/** What simulated servers and agents answer to checks. */
import type { CheckResult } from "../../src/check/result.ts";
import type { Choices } from "../support/sim-random.ts";
import type { ResultKind } from "./check-model.ts";

/** How a server is for a while. */
export type Mood = "well" | "ill" | "silent" | "flapping" | "slow";

/** As they are drawn: most are well. */
export const MOODS: readonly Mood[] = ["well", "well", "ill", "silent", "flapping", "slow"];

/** One answer; times since the start of the probe, ms. */
export type Answer = {
  /** -1 = no connection. */
  connectMs: number;
  /** 0 = within the start, -1 = never. */
  answerMs: number;
  result: CheckResult;
};

/** Draws what comes of one probe. */
export function drawAnswer(mood: Mood, isAgent: boolean, choices: Choices): Answer {
  const isGood = mood === "well" || mood === "slow" || (mood === "flapping" && choices.chance(0.5));
  const isLost = choices.chance(mood === "silent" ? 1 : 0.02);
  const result = isGood ? goodResult(isAgent, choices) : badResult(isAgent, choices);
  const connectMs = isLost && choices.chance(0.5) ? -1 : choices.between(1, 60);
  if (isLost) return { connectMs, answerMs: -1, result };
  if (choices.chance(0.1)) return { connectMs: -1, answerMs: 0, result };
  const slowMs = mood === "slow" ? choices.between(0, 3000) : choices.between(0, 100);
  return { connectMs, answerMs: connectMs + 1 + slowMs, result };
}

function goodResult(isAgent: boolean, choices: Choices): CheckResult {
  if (isAgent) return { code: "L7OK", info: "up" };
  return choices.chance(0.2) ? { code: "L7OK", number: 200 } : { code: "L4OK" };
}

function badResult(isAgent: boolean, choices: Choices): CheckResult {
  if (isAgent && choices.chance(0.5)) return { code: "L7STS", info: "down" };
  return choices.pick([
    { code: "L4CON", info: "Connection refused" },
    { code: "L7RSP" },
    { code: "SOCKERR" },
  ] as const);
}

/** What a result is to the model. */
export function verdictOf({ code }: CheckResult, isAgent: boolean): ResultKind {
  if (code === "L4OK" || code === "L7OK") return "passed";
  return isAgent && code === "L7STS" ? "refused" : "failed";
}
