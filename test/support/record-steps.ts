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
import { temporaryFolder } from "./procs.ts";
import { certificates } from "./quic-certificates.ts";
import cases from "./step-cases.json";
import { blackholePort, startStepServer } from "./step-servers.ts";
import type { StepCase, StepServer } from "./step-servers.ts";

const CASES = cases as unknown as StepCase[];
const CASES_FILE = join(import.meta.dir, "step-cases.json");
/** A port that nobody has. */
export const REFUSED_PORT = 2;
const SETTLE_MS = 5_000;
const ROUNDS_MAX = 40;
const ROUND_MS = 100;

/** The configuration: one backend a case. */
function configOf(socket: string, peers: readonly StepServer[]): string {
  const { authority, otherAuthority } = certificates();
  const backends = CASES.map((step, index) => {
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

/** Takes the verdict of a case from its line; false while a check is under way. */
function takeVerdict(step: StepCase, fields: StatLine, name: string, heard: string): boolean {
  const status = fields["check_status"] ?? "";
  if (status === "" || status === "INI" || status.startsWith("*")) return false;
  const { request } = step.verdict;
  const code = fields["check_code"] ?? "";
  const plain = (words: string): string => words.replaceAll(name, "b");
  step.verdict = {
    status,
    number: code === "" ? null : Number(code),
    info: plain(fields["last_chk"] ?? ""),
    ...(request === undefined ? {} : { request: plain(heard) }),
  };
  return true;
}

async function record(): Promise<void> {
  using folder = temporaryFolder();
  const { server } = certificates();
  const tls = { cert: readFileSync(server.chain, "utf8"), key: readFileSync(server.key, "utf8") };
  const peers = await Promise.all(
    CASES.map((step) => startStepServer(step.script, step.tls === true ? tls : undefined)),
  );
  const socket = folder.file("api");
  const missing = new Set(CASES.keys());
  {
    const config = configOf(socket, peers);
    await using _balancer = await startBalancer("haproxy", { config, ports: [] });
    await Bun.sleep(SETTLE_MS);
    for (let round = 0; round < ROUNDS_MAX && missing.size > 0; round++) {
      const stats = await readStats(socket);
      for (const index of missing) {
        const step = CASES[index];
        const fields = stats.get(`b${index}/s1`);
        if (step === undefined || fields === undefined) continue;
        const heard = peers[index]?.heard() ?? "";
        if (takeVerdict(step, fields, `b${index}`, heard)) missing.delete(index);
      }
      await Bun.sleep(ROUND_MS);
    }
  }
  for (const peer of peers) peer.stop();
  writeFileSync(CASES_FILE, `[\n${CASES.map((step) => JSON.stringify(step)).join(",\n")}\n]\n`);
  console.log(`${CASES.length - missing.size} of ${CASES.length} recorded`);
}

if (import.meta.main) {
  await record();
  process.exit(0);
}
