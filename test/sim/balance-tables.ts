/**
 * The tables of docs/outliers.md: how the algorithms do over servers with faults, simulated.
 * `bun test/sim/balance-tables.ts` prints them, `--write` puts them into the page.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { runQueues } from "./balance-queues.ts";
import type { Contestant, QueueCase, QueueResult, QueueServer } from "./balance-queues.ts";

const EJECTION = "outlier-ejection interval 2s eject 30s";

/** Who is compared. */
export const CONTESTANTS: readonly Contestant[] = [
  { name: "roundrobin", lines: " balance roundrobin" },
  { name: "leastconn", lines: " balance leastconn" },
  { name: "random(2)", lines: " balance random(2)" },
  { name: "peak-ewma", lines: " balance peak-ewma" },
  { name: "peak-ewma first-byte", lines: " balance peak-ewma first-byte" },
  { name: "roundrobin, ejection", lines: ` balance roundrobin\n ${EJECTION}` },
  { name: "peak-ewma, ejection", lines: ` balance peak-ewma\n ${EJECTION}` },
];

const PLAIN: QueueServer = { connectMs: 0.5, serviceMs: 10, slots: 4 };

/** Eight servers, the first `odd.length` of them different, at about half of what they can do. */
function eight(name: string, ...odd: Partial<QueueServer>[]): QueueCase {
  const servers = Array.from({ length: 8 }, (_, i) => ({ ...PLAIN, ...odd[i] }));
  return { name, servers, arrivalsPerSecond: 1400 };
}

const PAUSE = { pause: { everyMs: 5000, forMs: 400 } };

/** What is simulated. */
export const CASES = {
  equal: eight("eight equal servers"),
  slow: eight("one answers 20 times as slowly", { serviceMs: 200 }),
  far: eight("one connects 200 ms late", { connectMs: 200 }),
  refusing: eight("one refuses at once", { refusesInMs: 0.2 }),
  pauses: eight(
    "each stands still for 400 ms every 5 s",
    ...Array.from({ length: 8 }, () => PAUSE),
  ),
  late: {
    ...eight("one answers 20 times as slowly, nearly idle", { serviceMs: 200 }),
    arrivalsPerSecond: 100,
  },
  idle: {
    ...eight("one connects 200 ms late, nearly idle", { connectMs: 200 }),
    arrivalsPerSecond: 20,
  },
} satisfies Record<string, QueueCase>;

/** Results of a case, by contestant. */
export async function compare(
  subject: QueueCase,
  seed: number,
  forMs: number,
): Promise<Map<string, QueueResult>> {
  const results = new Map<string, QueueResult>();
  for (const contestant of CONTESTANTS) {
    results.set(contestant.name, await runQueues(subject, contestant, seed, forMs));
  }
  return results;
}

/** A table in Markdown: a row a contestant, a pair of columns a case. */
async function tables(): Promise<string> {
  const lines: string[] = [];
  for (const subject of Object.values(CASES)) {
    const share = subject === CASES.equal || subject === CASES.pauses ? "" : " to the odd one |";
    lines.push(`**${subject.name}**`, "", `| | p50 | p99 | failed attempts |${share}`);
    lines.push(`|---|---|---|---|${share === "" ? "" : "---|"}`);
    for (const [name, result] of await compare(subject, 1, 60_000)) {
      const total = result.served.reduce((a, b) => a + b, 0);
      const odd = ((result.served[0]! * 100) / total).toFixed(1);
      const failed = result.failedPercent === 0 ? "0" : `${result.failedPercent.toFixed(1)} %`;
      const { p50, p99 } = result;
      const tail = p99 < 10_000 ? `${p99.toFixed(0)} ms` : `${(p99 / 1000).toFixed(0)} s`;
      const cells = [`${p50.toFixed(1)} ms`, tail, failed];
      lines.push(`| ${name} | ${cells.join(" | ")} |${share === "" ? "" : ` ${odd} % |`}`);
    }
    lines.push("");
  }
  return lines.join("\n");
}

const BEGIN = "<!-- simulated tables: bun test/sim/balance-tables.ts --write -->\n";
const END = "<!-- end of simulated tables -->";

if (import.meta.main) {
  const text = await tables();
  console.log(text);
  if (process.argv.includes("--write")) {
    const path = join(import.meta.dir, "../../docs/outliers.md");
    const page = readFileSync(path, "utf8");
    const [before, rest] = page.split(BEGIN);
    const after = rest?.split(END)[1];
    if (before === undefined || after === undefined) throw new Error("docs/outliers.md: no marks");
    writeFileSync(path, `${before}${BEGIN}\n${text}\n${END}${after}`);
  }
}
