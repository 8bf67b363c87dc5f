/**
 * The two whose checks are measured, with one configuration: thousands of servers, each an address
 * of its own on the loopback behind one listener, and a frontend for other traffic.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

import { balancerBinary, findBalancer } from "../../test/support/haproxy.ts";
import { freePort, isListening } from "../../test/support/ports.ts";
import {
  cpuSeconds,
  type Process,
  residentBytes,
  startProcess,
  temporaryFolder,
  until,
} from "../../test/support/procs.ts";

/** Who is measured. */
export const CHECKS_CONTESTANTS = ["sluice", "haproxy"] as const;

/** One of them. */
export type ChecksContestant = (typeof CHECKS_CONTESTANTS)[number];

/** How servers are asked. */
export type CheckKind = "connect" | "http" | "tcp";

/** What is to be checked, and how. */
export interface ChecksSetup {
  servers: number;
  backends: number;
  intervalMs: number;
  kind: CheckKind;
  spreadPercent: number;
  /** Without it nothing is checked: the same servers, for comparison. */
  isChecked: boolean;
  /** Where half of the servers are, and where the other half. */
  ports: readonly [number, number];
  /** The server of other traffic. */
  trafficServerPort: number;
  /** Who receives the log, over UDP. */
  logPort: number;
}

/** A started contestant. */
export interface ChecksBalancer extends AsyncDisposable {
  readonly process: Process;
  readonly frontPort: number;
  readonly runtimeSocket: string;
  residentBytes(): number;
  /** CPU of all of it, and of its busiest threads: seconds by thread. */
  cpu(): { whole: number; threads: ReadonlyMap<string, number> };
}

/** haproxy takes seconds for 20,000 servers in one backend, and longer on a busy machine. */
const START_LIMIT_MS = 120_000;

/** Why it cannot be measured here; undefined = it can. */
export function missingChecksPart(name: ChecksContestant): string | undefined {
  if (findBalancer(name) === undefined) return name === "sluice" ? "dist/sluice" : name;
  for (const program of ["nginx", "tcpdump"]) if (Bun.which(program) === null) return program;
  return process.getuid?.() === 0 ? undefined : "root (tcpdump sees when checks arrive)";
}

const PROGRAMS: Record<CheckKind, string> = {
  connect: "",
  http: "  option httpchk GET /\n",
  tcp: `  option tcp-check
  tcp-check send "GET / HTTP/1.0\\r\\n\\r\\n"
  tcp-check expect string hello
`,
};

/** Address of server number `index`: it is told by it when its checks arrive. */
export function addressOf(index: number): string {
  return `127.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
}

/** Number of the server with the last three bytes of an address of `addressOf`. */
export function indexOf(second: number, third: number, fourth: number): number {
  return ((second - 1) << 16) | (third << 8) | fourth;
}

function configOf(setup: ChecksSetup, frontPort: number, runtimeSocket: string): string {
  const words = setup.isChecked ? ` check inter ${setup.intervalMs}ms` : "";
  const each = Math.ceil(setup.servers / setup.backends);
  const backends: string[] = [];
  for (let first = 0; first < setup.servers; first += each) {
    const lines = [`backend b${backends.length}\n${setup.isChecked ? PROGRAMS[setup.kind] : ""}`];
    for (let i = first; i < Math.min(first + each, setup.servers); i++) {
      lines.push(`  server s${i} ${addressOf(i)}:${setup.ports[i % 2]}${words}\n`);
    }
    backends.push(lines.join(""));
  }
  return `global
  nbthread 1
  maxconn 1000
  no strict-limits
  spread-checks ${setup.spreadPercent}
  stats socket ${runtimeSocket} level admin
  stats timeout 1h
  log 127.0.0.1:${setup.logPort} local0 notice
defaults
  mode tcp
  log global
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend front
  bind 127.0.0.1:${frontPort}
  default_backend traffic
backend traffic
  server t 127.0.0.1:${setup.trafficServerPort}
${backends.join("")}`;
}

/** Starts it, and waits until it listens. */
export async function startChecks(
  name: ChecksContestant,
  setup: ChecksSetup,
): Promise<ChecksBalancer> {
  const folder = temporaryFolder();
  const frontPort = freePort();
  const path = folder.file("balancer.cfg");
  const runtimeSocket = folder.file("runtime.sock");
  writeFileSync(path, configOf(setup, frontPort, runtimeSocket));
  const child = startProcess([balancerBinary(name), "-db", "-f", path], {
    env: { SLUICE_LOG_FORMAT: "off" },
  });
  const dispose = async (): Promise<void> => {
    await child[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  };
  try {
    const listens = (): boolean => {
      if (child.hasExited()) throw new Error(child.output());
      return isListening(frontPort);
    };
    await until(`${name} listens`, listens, START_LIMIT_MS);
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    process: child,
    frontPort,
    runtimeSocket,
    residentBytes: () => residentBytes(child.pid),
    cpu: () => ({ whole: cpuSeconds(child.pid), threads: threadSeconds(child.pid) }),
    [Symbol.asyncDispose]: dispose,
  };
}

/** Time on a processor of each thread, s. */
function threadSeconds(pid: number): Map<string, number> {
  const seconds = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const text = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1");
      seconds.set(thread, Number(text.split(" ")[0]) / 1e9);
    } catch {
      // It has just ended.
    }
  }
  return seconds;
}
