/**
 * Records again what haproxy says of the servers of step-cases.json, and writes its verdicts there.
 *
 *   bun test/support/record-steps.ts      needs haproxy and openssl
 *
 * Each case is a backend of its own; a verdict is three columns of `show stat`, and what the check
 * sent where the case has that.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { readStats } from "./check-cases.ts";
import type { StatLine } from "./check-cases.ts";
import { startBalancer } from "./haproxy.ts";
import type { BalancerName } from "./haproxy.ts";
import { temporaryFolder, TEST_TIMEOUT_MS } from "./procs.ts";
import { certificates } from "./quic-certificates.ts";
import cases from "./step-cases.json";
import { blackholePort, startStepServer } from "./step-servers.ts";
import type { StepCase, StepServer, StepVerdict } from "./step-servers.ts";

/** All cases, with what haproxy said. */
export const STEP_CASES = cases as unknown as readonly StepCase[];
const CASES_FILE = join(import.meta.dir, "step-cases.json");
/** A port that nobody has. */
export const REFUSED_PORT = 2;
const SETTLE_MS = 5_000;
const ROUND_MS = 100;

/** The configuration: one backend a case. */
function configOf(socket: string, peers: readonly StepServer[]): string {
  const { authority, otherAuthority } = certificates();
  const backends = STEP_CASES.map((step, index) => {
    const words = (step.srv ?? "")
      .replaceAll("OTHER_AUTHORITY", otherAuthority)
      .replaceAll("AUTHORITY", authority);
    const lines = step.lines.map((line) => ` ${line}\n`).join("");
    const times = "inter 1500 rise 1 fall 1";
    return `backend b${index}\n${lines} server s1 127.0.0.1:${portOf(step, peers[index])} check ${times} ${words}\n`;
  });
  return `global
 ssl-server-verify none
 tune.bufsize 16384
 spread-checks 0
 stats socket ${socket}
defaults
 timeout connect 1s
 timeout client 5s
 timeout server 5s
 timeout check 600ms
${backends.join("")}`;
}

function portOf(step: StepCase, peer: StepServer | undefined): number {
  if (step.port === undefined) return peer?.port ?? 0;
  return step.port === "refused" ? REFUSED_PORT : blackholePort();
}

/** The verdict of a line; undefined while a check is under way. */
function verdictOf(
  fields: StatLine | undefined,
  name: string,
  heard: string,
): StepVerdict | undefined {
  const status = fields?.["check_status"] ?? "";
  if (status === "" || status === "INI" || status.startsWith("*")) return undefined;
  const code = fields?.["check_code"] ?? "";
  const plain = (words: string): string => words.replaceAll(name, "b");
  return {
    status,
    number: code === "" ? null : Number(code),
    info: plain(fields?.["last_chk"] ?? ""),
    request: plain(heard),
  };
}

/**
 * Has a balancer check one server a case.
 * @param isFinal whether a verdict is waited for no longer: a busy machine is late at times
 * @returns its verdicts in order, undefined = none
 */
export async function playSteps(
  name: BalancerName,
  isFinal: (step: StepCase, verdict: StepVerdict) => boolean = () => true,
): Promise<(StepVerdict | undefined)[]> {
  using folder = temporaryFolder();
  const { server } = certificates();
  const tls = { cert: readFileSync(server.chain, "utf8"), key: readFileSync(server.key, "utf8") };
  const peers = await Promise.all(
    STEP_CASES.map((step) => startStepServer(step.script, step.tls === true ? tls : undefined)),
  );
  const socket = folder.file("api");
  const found: (StepVerdict | undefined)[] = STEP_CASES.map(() => undefined);
  {
    const config = configOf(socket, peers);
    await using _balancer = await startBalancer(name, { config, ports: [] });
    await Bun.sleep(SETTLE_MS);
    const waiting = new Map(STEP_CASES.entries());
    for (const end = performance.now() + TEST_TIMEOUT_MS; waiting.size > 0;) {
      const stats = await readStats(socket);
      for (const [index, step] of waiting) {
        const own = `b${index}`;
        const verdict = verdictOf(stats.get(`${own}/s1`), own, peers[index]?.heard() ?? "");
        found[index] = verdict ?? found[index];
        if (verdict !== undefined && isFinal(step, verdict)) waiting.delete(index);
      }
      if (performance.now() > end) break;
      await Bun.sleep(ROUND_MS);
    }
  }
  for (const peer of peers) peer.stop();
  return found;
}

async function record(): Promise<void> {
  const found = await playSteps("haproxy");
  const lines = STEP_CASES.map((step, index) => {
    const verdict = found[index] ?? step.verdict;
    const { request: _request, ...rest } = verdict;
    return JSON.stringify({ ...step, verdict: "request" in step.verdict ? verdict : rest });
  });
  writeFileSync(CASES_FILE, `[\n${lines.join(",\n")}\n]\n`);
  console.log(`${found.filter((one) => one !== undefined).length} of ${lines.length} recorded`);
}

if (import.meta.main) {
  await record();
  process.exit(0);
}
