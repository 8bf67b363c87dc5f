/**
 * Steps of `tcp-check` and `http-check` by the binary, over sockets: what `show stat` says of each
 * server of `test/support/step-cases.json`, beside what haproxy was recorded to say.
 */
import { expect, test } from "bun:test";

import { escapeUnprintable } from "../../src/expr/log-format.ts";
import { findBalancer } from "../support/haproxy.ts";
import { playSteps, STEP_CASES } from "../support/record-steps.ts";
import type { StepCase, StepVerdict } from "../support/step-servers.ts";

/** Whether the reset is seen beside the failure is chance with haproxy. */
const RESET = " (Connection reset by peer)";

function shown({ status, number, info }: StepVerdict): object {
  return { status, number, info: escapeUnprintable(info).replace(RESET, "") };
}

function isAsHaproxy(step: StepCase, verdict: StepVerdict): boolean {
  return Bun.deepEquals(shown(verdict), shown(step.verdict));
}

test.skipIf(findBalancer("sluice") === undefined)("verdicts as recorded of haproxy", async () => {
  const found = await playSteps("sluice", isAsHaproxy);
  const wanted = STEP_CASES.map(({ name, verdict }) => [name, shown(verdict)]);
  const ours = STEP_CASES.map(({ name }, index) => {
    const verdict = found[index];
    return [name, verdict === undefined ? undefined : shown(verdict)];
  });
  expect(ours).toEqual(wanted);
});
