/**
 * sluice and haproxy side by side, with the same configuration, checking the same servers: what
 * both say of a fault, and when.
 */
import { test } from "bun:test";
import { appendFileSync } from "node:fs";

import { readStats } from "../support/check-cases.ts";
import { type Balancer, findBalancer, startBalancer } from "../support/haproxy.ts";
import { temporaryFolder } from "../support/procs.ts";
import { findServerProgram } from "../support/real-servers.ts";

/** Columns of `show stat` that are compared. */
const COLUMNS = {
  check: ["check_status", "check_code"],
  agent: ["agent_status", "agent_code"],
} as const;
const NAMES = ["haproxy", "sluice"] as const;
type Name = (typeof NAMES)[number];

/**
 * Longest that a fault may go unseen: far beyond interval, limit and `fall`, for slow machines.
 */
const SEEN_WITHIN_MS = 10_000;
const POLL_MS = 15;

/** `UP L7OK/0`, or what else `show stat` says of a server: state, check status and code. */
export type Words = string;

/** A test that needs both balancers and these programs; skipped by name without them. */
export function beside(name: string, programs: readonly string[], run: () => Promise<void>): void {
  const missing = programs.filter((program) => findServerProgram(program) === undefined);
  for (const one of ["haproxy", "sluice"] as const) {
    if (findBalancer(one) === undefined) missing.push(one);
  }
  const title = missing.length > 0 ? `${name} (without ${missing.join(", ")})` : name;
  test.skipIf(missing.length > 0)(title, run);
}

/** Both of them, running. */
export class BothBalancers implements AsyncDisposable {
  readonly #kind: string;
  readonly #folder = temporaryFolder();
  readonly #running = new Map<Name, Balancer>();

  private constructor(kind: string) {
    this.#kind = kind;
  }

  /** @param kind what the report calls these checks @param sections of the configuration */
  static async start(kind: string, sections: string, global = ""): Promise<BothBalancers> {
    const both = new BothBalancers(kind);
    try {
      // All that start are to be known before one that does not is told.
      const begun = await Promise.allSettled(
        NAMES.map((name) => both.#begin(name, sections, global)),
      );
      for (const one of begun) if (one.status === "rejected") throw one.reason;
    } catch (error) {
      await both[Symbol.asyncDispose]();
      throw error;
    }
    return both;
  }

  async #begin(name: Name, sections: string, global: string): Promise<void> {
    const config = `global
  stats socket ${this.#socket(name)} level admin
  max-spread-checks 50ms
${global}
defaults
  mode tcp
  timeout connect 400ms
  timeout check 400ms
  timeout client 10s
  timeout server 10s
  default-server inter 150ms rise 2 fall 2
${sections}`;
    const env = { SLUICE_LOG_FORMAT: "off" };
    this.#running.set(name, await startBalancer(name, { config, ports: [], env }));
  }

  #socket(name: Name): string {
    return this.#folder.file(`${name}.sock`);
  }

  /** Process of sluice. */
  get sluicePid(): number {
    return this.#running.get("sluice")?.pid ?? 0;
  }

  /**
   * Waits until both say so of the server `s` of each backend, and notes how long each took.
   * @param fault what has just happened @param wanted words by backend
   */
  async sees(
    fault: string,
    wanted: Record<string, Words>,
    of: "check" | "agent" = "check",
  ): Promise<void> {
    const startedAt = performance.now();
    const seenMs = new Map<string, number>();
    const last = new Map<string, Words>();
    const pairs = NAMES.flatMap((name) =>
      Object.keys(wanted).map((backend) => ({ name, backend })),
    );
    const keyOf = ({ name, backend }: { name: Name; backend: string }): string =>
      `${name} ${backend}`;
    while (seenMs.size < pairs.length) {
      for (const name of NAMES) {
        const stats = await readStats(this.#socket(name)).catch(() => undefined);
        if (stats === undefined) continue;
        for (const backend of Object.keys(wanted)) {
          const key = keyOf({ name, backend });
          const words = wordsOf(stats.get(`${backend}/s`) ?? {}, of);
          last.set(key, words);
          if (words === wanted[backend] && !seenMs.has(key)) {
            seenMs.set(key, Math.round(performance.now() - startedAt));
          }
        }
      }
      if (performance.now() - startedAt > SEEN_WITHIN_MS) {
        const open = pairs.filter((pair) => !seenMs.has(keyOf(pair)));
        const told = open.map((pair) => `${keyOf(pair)}: '${last.get(keyOf(pair))}'`).join(", ");
        throw new Error(`${fault}: wanted ${JSON.stringify(wanted)}, last seen ${told}`);
      }
      await Bun.sleep(POLL_MS);
    }
    this.#report(fault, wanted, seenMs);
  }

  /** A line a backend into the file that SLUICE_CHECKS_REPORT names. */
  #report(fault: string, wanted: Record<string, Words>, seenMs: Map<string, number>): void {
    const path = process.env["SLUICE_CHECKS_REPORT"];
    if (path === undefined) return;
    for (const [backend, words] of Object.entries(wanted)) {
      const [haproxy, sluice] = NAMES.map((name) => seenMs.get(`${name} ${backend}`));
      const line = [`${this.#kind} ${backend}`, fault, words, `${sluice} ms`, `${haproxy} ms`];
      appendFileSync(path, `| ${line.join(" | ")} |\n`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const balancer of this.#running.values()) await balancer[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

function wordsOf(fields: Record<string, string>, of: "check" | "agent"): Words {
  const [statusColumn, codeColumn] = COLUMNS[of];
  const state = (fields["status"] ?? "").replace(/ \d+\/\d+$/, "");
  const status = (fields[statusColumn] ?? "").replace(/^\* /, "");
  const code = fields[codeColumn] ?? "";
  return `${state} ${status}${code === "" ? "" : `/${code}`}`;
}
