/**
 * What the QUIC benchmarks measure: sluice's transport alone, node:quic, and sluice between two
 * such ends in four ways. Each contestant is a chain of processes; CPU is counted of those that are
 * measured: of sluice, or, where nothing is between the ends, of both.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { findSluice } from "../../test/support/haproxy.ts";
import { freePort, isListening } from "../../test/support/ports.ts";
import {
  cpuSeconds,
  type Process,
  processTree,
  residentBytes,
  startProcess,
  temporaryFolder,
  until,
} from "../../test/support/procs.ts";
import { certificates, SERVER_NAME } from "../../test/support/quic-certificates.ts";
import { freeUdpPort, udpSockets } from "../../test/support/quic-programs.ts";
import type { Job, JobResult } from "./client.ts";
import type { ServerSetup } from "./peer.ts";

/** Who is measured, in the order of the table. */
export const QUIC_CONTESTANTS = [
  "transport",
  "node:quic",
  "tcp-quic",
  "quic-tcp",
  "quic-quic",
  "session",
] as const;

/** One of them. */
export type QuicContestant = (typeof QUIC_CONTESTANTS)[number];

const ALPN = "bench";
/** A million streams take their time. */
const JOB_LIMIT_MS = 900_000;

type Chain = { isFrontQuic: boolean; isBackQuic: boolean; words: string; hasSluice: boolean };

const CHAINS: Record<QuicContestant, Chain> = {
  transport: { isFrontQuic: true, isBackQuic: true, words: "", hasSluice: false },
  "node:quic": { isFrontQuic: true, isBackQuic: true, words: "", hasSluice: false },
  "tcp-quic": { isFrontQuic: false, isBackQuic: true, words: "", hasSluice: true },
  "quic-tcp": { isFrontQuic: true, isBackQuic: false, words: "", hasSluice: true },
  "quic-quic": { isFrontQuic: true, isBackQuic: true, words: "", hasSluice: true },
  session: { isFrontQuic: true, isBackQuic: true, words: "quic-map session", hasSluice: true },
};

/** Why it cannot be run here; undefined = it can. */
export function missingQuicPart(name: QuicContestant): string | undefined {
  if (Bun.which("openssl") === null) return "openssl";
  if (CHAINS[name].hasSluice && findSluice() === undefined) return "dist/sluice";
  return undefined;
}

/** A client at work, and what to read when it measures. */
export interface Running {
  /** Waits until it measures, then until it is done. @returns its result, and CPU in between */
  measured(): Promise<JobResult & { cpu: number }>;
  /** Waits until all its streams are open and silent. */
  idle(): Promise<void>;
}

/** A started contestant. */
export interface QuicChain extends AsyncDisposable {
  readonly name: QuicContestant;
  readonly isFrontQuic: boolean;
  /** Resident memory of what is measured: of sluice, or of the server. */
  residentBytes(): number;
  /** Starts a client. It is ended with the chain. */
  run(job: Partial<Job> & Pick<Job, "what">, isNice?: boolean): Running;
}

const scriptOf = (name: QuicContestant): string =>
  join(import.meta.dir, name === "node:quic" ? "node-peer.ts" : "peer.ts");

function configOf(chain: Chain, workers: number, port: number, serverPort: number): string {
  const { server, authority } = certificates();
  const front = chain.isFrontQuic
    ? `quic4@127.0.0.1:${port} ssl crt ${server.both} alpn ${ALPN} ${chain.words}`
    : `127.0.0.1:${port}`;
  const trust = `verify required ca-file ${authority} sni str(${SERVER_NAME})`;
  const back = chain.isBackQuic
    ? `quic4@127.0.0.1:${serverPort} ssl ${trust} alpn ${ALPN}`
    : `127.0.0.1:${serverPort}`;
  return `global
  nbthread ${workers}
  maxconn 9000
defaults
  mode tcp
  timeout connect 20s
  timeout client 5m
  timeout server 5m
listen bench
  bind ${front}
  server s1 ${back}
`;
}

/** Starts the server, sluice where it belongs to it, and waits until they serve. */
export async function startChain(name: QuicContestant, workers: number): Promise<QuicChain> {
  const chain = CHAINS[name];
  const { server: certificate, authority } = certificates();
  const folder = temporaryFolder();
  const children: Process[] = [];
  const start = (command: string[]): Process => {
    const child = startProcess(command, { env: { SLUICE_LOG_FORMAT: "off" } });
    children.push(child);
    return child;
  };
  const dispose = async (): Promise<void> => {
    for (const child of children.reverse()) await child[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  };
  try {
    const serverPort = chain.isBackQuic ? freeUdpPort() : freePort();
    const setup: ServerSetup = { port: serverPort, isQuic: chain.isBackQuic, certificate };
    const server = start([process.execPath, scriptOf(name), "server", JSON.stringify(setup)]);
    await ready(server, () => server.output().includes("READY"));
    const port = !chain.hasSluice ? serverPort : chain.isFrontQuic ? freeUdpPort() : freePort();
    let sluice: Process | undefined;
    if (chain.hasSluice) {
      const path = folder.file("sluice.cfg");
      writeFileSync(path, configOf(chain, workers, port, serverPort));
      const child = start([findSluice() ?? "sluice", "-db", "-f", path]);
      sluice = child;
      await ready(child, () => (chain.isFrontQuic ? udpSockets(port) > 0 : isListening(port)));
    }
    return {
      name,
      isFrontQuic: chain.isFrontQuic,
      residentBytes: () => sum((sluice ?? server).pid, residentBytes),
      run(job, isNice = false) {
        const whole: Job = {
          port,
          isQuic: chain.isFrontQuic,
          connections: 1,
          streams: 1,
          warmupMs: 0,
          measureMs: 0,
          countMax: 0,
          bytesMax: 0,
          name: SERVER_NAME,
          authority,
          ...job,
        };
        const nice = isNice ? ["nice", "-n", "19"] : [];
        const command = [...nice, process.execPath, scriptOf(name), "client"];
        const client = start([...command, JSON.stringify(whole)]);
        const measuredPids = sluice === undefined ? [server.pid, client.pid] : [sluice.pid];
        return running(client, measuredPids);
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function running(client: Process, pids: readonly number[]): Running {
  const says = (what: RegExp): RegExpExecArray | null => what.exec(client.output());
  const wait = async (what: RegExp): Promise<RegExpExecArray> =>
    await until(
      `${what} of a client`,
      () => {
        const found = says(what);
        if (found === null && client.hasExited()) throw new Error(`client: ${client.output()}`);
        return found;
      },
      JOB_LIMIT_MS,
    );
  const cpuOf = (): number => pids.reduce((total, pid) => total + sum(pid, cpuSeconds), 0);
  return {
    async measured() {
      await wait(/^BEGIN$/m);
      const before = cpuOf();
      const [, text = "{}"] = await wait(/^RESULT (.*)$/m);
      const result = JSON.parse(text) as JobResult;
      return { ...result, cpu: cpuOf() - before };
    },
    async idle() {
      await wait(/^IDLE$/m);
    },
  };
}

/** Of a process with its children; one that has just ended counts nothing. */
function sum(pid: number, read: (pid: number) => number): number {
  try {
    return processTree(pid).reduce((total, one) => total + read(one), 0);
  } catch {
    return 0;
  }
}

async function ready(child: Process, isReady: () => boolean): Promise<void> {
  await until("a process to serve", () => {
    if (child.hasExited()) throw new Error(child.output());
    return isReady();
  });
}
