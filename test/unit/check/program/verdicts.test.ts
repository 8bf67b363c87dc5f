/**
 * Checks of steps against servers of all kinds, over sockets, beside what haproxy was recorded to
 * say of the very same (`test/support/record-steps.ts` records it again). Where we differ, the
 * difference stands in DIFFERENCES with its reason.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";

import type { CheckJob, ProbeProgram } from "../../../../src/check/probe.ts";
import { shownNumber } from "../../../../src/check/result.ts";
import type { CheckResult } from "../../../../src/check/result.ts";
import { makeStartProbe } from "../../../../src/check/start-probe.ts";
import { escapeUnprintable } from "../../../../src/expr/log-format.ts";
import type { CheckSpec } from "../../../../src/tables/spec.ts";
import { jobOf, TEST_ENVIRONMENT } from "../../../support/check-memory.ts";
import { certificates } from "../../../support/quic-certificates.ts";
import cases from "../../../support/step-cases.json";
import { blackholePort, startStepServer } from "../../../support/step-servers.ts";
import type { StepCase, StepServer, StepVerdict } from "../../../support/step-servers.ts";
import { loadBackend } from "../../config/checks/programs.ts";
import { planOf, proxyOf } from "../../config/load-text.ts";

const CASES = cases as unknown as StepCase[];
/** Times of a check. Where a result is due before they end, they are long. */
const LIMIT_MS = 400;
const LIMIT_LONG_MS = 20_000;
const REFUSED_PORT = 2;

/** Verdicts of ours that differ. */
const DIFFERENCES: Record<string, Partial<StepVerdict>> = {
  // Whether the reset is seen beside the failure is chance with haproxy.
  "tcp/connect-ssl-reset": {
    info: "SSL handshake failure (Connection reset by peer) at step 1 of tcp-check (connect)",
  },
  "ssl/reset": { info: "SSL handshake failure (Connection reset by peer)" },
};

const { authority, otherAuthority, server } = certificates();
const FILES = {
  AUTHORITY: readFileSync(authority, "utf8"),
  OTHER_AUTHORITY: readFileSync(otherAuthority, "utf8"),
};
const TLS = { cert: readFileSync(server.chain, "utf8"), key: readFileSync(server.key, "utf8") };

const startProbe = makeStartProbe({
  ...TEST_ENVIRONMENT,
  strerror: (errno) =>
    ({ 104: "Connection reset by peer", 111: "Connection refused" })[errno] ?? `error ${errno}`,
  environment: (name) => (name === "HOME" ? "/root" : undefined),
  stateOf: () => "UP; address=127.0.0.1",
});

const servers: StepServer[] = [];
const results = new Map<string, { result: CheckResult; heard: string }>();

/** What the configuration makes of a case's lines. */
async function specOf(step: StepCase): Promise<{ program: ProbeProgram; check: CheckSpec }> {
  const lines = step.lines.map((line) => ` ${line}`).join("\n");
  const words = `127.0.0.1:1 check ${step.srv ?? ""}`;
  const result = await loadBackend(lines, { server: words, machine: { files: FILES } });
  const { checkProgram, servers: list } = proxyOf(planOf(result), "b");
  const check = list[0]?.check;
  if (check === undefined) throw new Error("no server");
  return { program: checkProgram, check };
}

function probe(job: CheckJob, isLate: boolean): Promise<CheckResult> {
  return new Promise((resolve) => {
    const started = startProbe(job, {
      done: (result) => {
        clearTimeout(timer);
        resolve(result);
      },
      connecting: () => undefined,
      connected: () => undefined,
    });
    const timer = setTimeout(
      () => {
        resolve(started.late());
        started.cancel();
      },
      isLate ? LIMIT_MS : LIMIT_LONG_MS,
    );
  });
}

async function runCase(step: StepCase): Promise<void> {
  const { program, check } = await specOf(step);
  const scripted = await startStepServer(step.script, step.tls === true ? TLS : undefined);
  servers.push(scripted);
  const other = step.port === "refused" ? REFUSED_PORT : blackholePort();
  const port = step.port === undefined ? scripted.port : other;
  const { target } = jobOf({ kind: "redis" });
  const job: CheckJob = {
    target: {
      ...target,
      address: { family: "ipv4", host: "127.0.0.1", port },
      names: { ...target.names, server: "s1" },
      ...(check.tls === undefined ? {} : { tls: check.tls }),
      ...(check.stepTls === undefined ? {} : { stepTls: check.stepTls }),
    },
    program,
  };
  const result = await probe(job, step.verdict.status.endsWith("TOUT"));
  results.set(step.name, { result, heard: scripted.heard() });
}

beforeAll(async () => {
  for (let at = 0; at < CASES.length; at += 40) {
    await Promise.all(CASES.slice(at, at + 40).map(runCase));
  }
}, 120_000);

afterAll(() => {
  for (const scripted of servers) scripted.stop();
});

describe("as haproxy", () => {
  test.each(CASES.map((step) => [step.name, step] as const))("%s", (name, step) => {
    const found = results.get(name);
    if (found === undefined) throw new Error("it has no result");
    const { result, heard } = found;
    const { request, ...recorded } = step.verdict;
    expect({
      status: result.code,
      number: shownNumber(result) ?? null,
      info: result.info ?? "",
    }).toEqual({
      ...recorded,
      info: escapeUnprintable(recorded.info),
      ...DIFFERENCES[name],
    } as { status: CheckResult["code"]; number: number | null; info: string });
    if (request !== undefined) expect(heard).toBe(request);
  });
});
