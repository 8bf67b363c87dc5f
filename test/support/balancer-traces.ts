/**
 * Which server haproxy chose: cases, and how to record them again.
 *
 *   bun test/support/balancer-traces.ts     needs haproxy; rewrites balancer-traces.json
 *
 * Each case opens and closes connections in an order that its seed gives; the trace is the list of
 * servers (from 1) in the order of the connections. test/unit/balance/traces.test.ts replays them.
 */
import { join } from "node:path";

import type { BalanceSpec } from "../../src/tables/spec.ts";
import { makeRandom } from "./balancer-farm.ts";

/** One backend and one order of connections. */
export type TraceCase = {
  name: string;
  /** Lines of the section, as haproxy reads them. */
  lines: string[];
  balance: Partial<BalanceSpec>;
  weights: number[];
  /** Connections to open. */
  opens: number;
  /** Share of closings among the steps, in percent; 100 = each connection ends before the next. */
  closing: number;
  family: 4 | 6;
};

/** A step of a case: a connection from an address, or the end of the n-th that is open. */
export type TraceStep = { open: string } | { close: number };

const plain = (algorithm: BalanceSpec["algorithm"], weights: number[], closing: number) => ({
  name: `${algorithm} ${weights.join(",")}${closing === 100 ? "" : ", held"}`,
  lines: [`balance ${algorithm}`],
  balance: { algorithm },
  weights,
  opens: closing === 100 ? 200 : 60,
  closing,
  family: 4 as const,
});

const hashed = (
  what: "source" | "hash src",
  type: string,
  balance: Partial<BalanceSpec>,
  weights: number[],
  family: 4 | 6 = 4,
  closing = 100,
): TraceCase => ({
  name: `${what}, ${type === "" ? "default" : type}, ${weights.join(",")}, IPv${family}`,
  lines: [`balance ${what}`, ...(type === "" ? [] : type.split("; "))],
  balance: { algorithm: what === "source" ? "source" : "hash", ...balance },
  weights,
  opens: 60,
  closing,
  family,
});

/** All cases. A case that changes must be recorded again. */
export const TRACE_CASES: readonly TraceCase[] = [
  plain("roundrobin", [1, 1, 1], 100),
  plain("roundrobin", [1, 2, 3], 100),
  plain("roundrobin", [5, 1, 1], 100),
  plain("roundrobin", [13, 7, 99, 1], 100),
  plain("roundrobin", [10, 20, 30], 40),
  plain("static-rr", [1, 1, 1, 1], 100),
  plain("static-rr", [7, 3, 1, 1], 100),
  plain("static-rr", [10, 20, 30], 40),
  plain("leastconn", [1, 1, 1], 40),
  plain("leastconn", [1, 2, 4], 40),
  plain("leastconn", [10, 3, 7, 256], 40),
  plain("first", [1, 1], 40),
  hashed("source", "", {}, [1, 1, 1]),
  hashed("source", "", {}, [10, 20, 30, 7]),
  hashed("source", "", {}, [1, 1, 1], 6),
  hashed("source", "hash-type map-based sdbm avalanche", { avalanche: true }, [1, 2, 3]),
  hashed("source", "hash-type map-based sdbm avalanche", { avalanche: true }, [1, 2, 3], 6),
  hashed(
    "source",
    "hash-type consistent",
    { hashType: "consistent", avalanche: true },
    [1, 1, 1, 1],
  ),
  hashed("source", "hash-type consistent sdbm", { hashType: "consistent" }, [1, 5, 1]),
  hashed("hash src", "", {}, [1, 1, 1]),
  hashed("hash src", "hash-type map-based djb2", { hashFunction: "djb2" }, [1, 2, 4]),
  hashed("hash src", "hash-type map-based wt6", { hashFunction: "wt6" }, [5, 3], 6),
  hashed(
    "hash src",
    "hash-type consistent crc32 avalanche",
    { hashType: "consistent", hashFunction: "crc32", avalanche: true },
    [1, 1, 1, 5],
  ),
  hashed(
    "source",
    "hash-type consistent; hash-balance-factor 125",
    { hashType: "consistent", avalanche: true, balanceFactor: 125 },
    [1, 2, 3, 4],
    4,
    40,
  ),
  hashed(
    "hash src",
    "hash-type consistent; hash-balance-factor 200",
    { hashType: "consistent", avalanche: true, balanceFactor: 200 },
    [1, 1, 1],
    4,
    30,
  ),
];

/** The steps of a case: always the same ones. */
export function traceSteps(subject: TraceCase): TraceStep[] {
  const random = makeRandom(subject.name.length);
  const steps: TraceStep[] = [];
  let opened = 0;
  let held = 0;
  while (opened < subject.opens) {
    const isFull = subject.closing === 100 && held > 0;
    if (isFull || (held > 0 && subject.closing < 100 && random() % 100 < subject.closing)) {
      steps.push({ close: random() % held });
      held--;
      continue;
    }
    const low = random() % 250;
    const high = random() % 7;
    const v6 = `2001:db8:${(high * 4099).toString(16)}:0:0:0:${low.toString(16)}:1`;
    steps.push({ open: subject.family === 4 ? `127.0.${high}.${low + 1}` : v6 });
    opened++;
    held++;
  }
  return steps;
}

/** The four big-endian words of an address that `traceSteps` made. */
export function traceWords(address: string): Int32Array {
  const words = new Int32Array(4);
  if (address.includes(".")) {
    for (const part of address.split(".")) words[0] = (words[0]! << 8) | Number(part);
    return words;
  }
  address.split(":").forEach((part, index) => {
    words[index >> 1] = (words[index >> 1]! << 16) | Number.parseInt(part, 16);
  });
  return words;
}

/** File of the traces, by name of the case. */
export const TRACE_FILE = join(import.meta.dir, "balancer-traces.json");

const STEP_MS = 6;

async function record(subject: TraceCase, serverPort: number): Promise<number[]> {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const port = probe.port;
  probe.stop(true);
  const isV6 = subject.family === 6;
  const text = [
    "global\n  log stdout format raw local0\n  nbthread 1",
    "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s",
    "  option logasap\n  log global\n  log-format server=%s",
    `listen l\n  bind ${isV6 ? `[::1]:${port} accept-proxy` : `127.0.0.1:${port}`}`,
    ...subject.lines.map((line) => `  ${line}`),
    ...subject.weights.map((w, i) => `  server ${i + 1} 127.0.0.1:${serverPort} weight ${w}`),
    "",
  ].join("\n");
  const child = Bun.spawn(["haproxy", "-db", "-f", "/dev/stdin"], {
    stdin: new Blob([text]),
    stdout: "pipe",
    stderr: "inherit",
  });
  await Bun.sleep(200);
  const held: { end(): unknown }[] = [];
  for (const step of traceSteps(subject)) {
    if ("close" in step) held.splice(step.close, 1)[0]!.end();
    else held.push(await connect(step.open, port, isV6));
    await Bun.sleep(STEP_MS);
  }
  child.kill();
  const lines = (await new Response(child.stdout).text()).split("\n");
  return lines.filter((line) => line.includes("server=")).map((line) => Number(line.split("=")[1]));
}

function connect(from: string, port: number, isV6: boolean): Promise<{ end(): unknown }> {
  const socket = {
    data() {},
    open(one: { write(text: string): unknown }) {
      if (isV6) one.write(`PROXY TCP6 ${from} ::1 1000 2000\r\n`);
    },
  };
  const options = { hostname: isV6 ? "::1" : "127.0.0.1", port, socket };
  return Bun.connect(isV6 ? options : ({ ...options, localAddress: from } as typeof options));
}

if (import.meta.main) {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const traces: Record<string, string> = {};
  for (const subject of TRACE_CASES) {
    const trace = await record(subject, server.port);
    if (trace.length !== subject.opens) throw new Error(`${subject.name}: ${trace.length} lines`);
    traces[subject.name] = trace.join(" ");
  }
  await Bun.write(TRACE_FILE, `${JSON.stringify(traces, null, 2)}\n`);
  process.exit(0);
}
