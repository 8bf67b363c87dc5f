/** What the checks of a backend's servers ask, once all lines are known. Pure. */
import type { CheckProgramSpec, CheckStepSpec } from "../../tables/spec.ts";
import type { GlobalDraft } from "../draft-global.ts";
import type { ChecksDraft, HttpRule, RequestDraft } from "./draft.ts";
import { requestStep } from "./send-rule.ts";

type HttpChoice = Extract<ChecksDraft["choice"], { kind: "http" }>;

/** What `global` says about programs that check. */
export type ProgramRules = Pick<GlobalDraft, "externalCheck" | "insecureFork">;

/** The program. What it lacks was reported by `checkChecks`. */
export function programOf(checks: ChecksDraft, global: ProgramRules): CheckProgramSpec {
  const { choice } = checks;
  if (choice.kind === "tcp") return { kind: "tcp", steps: [...checks.tcpRules] };
  if (choice.kind === "external") {
    return {
      kind: "external",
      command: checks.externalCommand ?? "",
      path: checks.externalPath ?? "",
      preservesEnvironment: global.externalCheck.preservesEnvironment,
      mayFork: global.insecureFork,
    };
  }
  if (choice.kind !== "http") return choice;
  const { disableOn404, sendState } = checks;
  return { kind: "http", steps: httpSteps(checks, choice), disableOn404, sendState };
}

/** The option's request joins the first one of the rules, or is the first. */
function httpSteps(checks: ChecksDraft, choice: HttpChoice): CheckStepSpec[] {
  const rules = withRequest(checks.httpRules, choice);
  const steps = rules.map((rule): CheckStepSpec => {
    if (rule.kind !== "request") return rule;
    const { request, origin, comment, number } = rule;
    const step = requestStep(request, origin, comment);
    return number === undefined ? step : { ...step, number };
  });
  const asked = steps.findLastIndex(({ kind }) => kind === "http-send");
  if (steps.slice(asked).some(({ kind }) => kind === "expect")) return steps;
  // What a request without an expectation behind it wants: manual 4.2, `http-check expect`.
  return [
    ...steps,
    {
      kind: "expect",
      origin: choice.origin,
      isNegated: false,
      match: { kind: "status", ranges: [{ from: 200, to: 399 }] },
      minRecv: -1,
    },
  ];
}

function withRequest(rules: readonly HttpRule[], choice: HttpChoice): HttpRule[] {
  const at = rules.findIndex(({ kind }) => kind === "request");
  const found = rules[at];
  if (found?.kind === "request") {
    const request = choice.isLater
      ? joined(found.request, choice.request)
      : joined(choice.request, found.request);
    return rules.with(at, { ...found, request });
  }
  const own: HttpRule = { kind: "request", request: choice.request, origin: choice.origin };
  const opening = rules.findIndex(({ kind }) => kind !== "set-var" && kind !== "unset-var");
  const place = rules[opening]?.kind === "connect" ? opening + 1 : 0;
  // The option's request counts as a step of its own.
  const shifted = rules.map((rule) =>
    rule.number === undefined ? rule : { ...rule, number: rule.number + 1 },
  );
  return shifted.toSpliced(place, 0, own);
}

/** Where both say something, `last` does; headers are taken as a whole. */
function joined(first: RequestDraft, last: RequestDraft): RequestDraft {
  return { ...first, ...last };
}
