/**
 * When checks arrive: the first packet of each connection, seen by tcpdump with the kernel's time,
 * so that neither the listener nor the reader adds to it. A check that only connects is reset
 * before anybody accepts it: a listener would not see it at all.
 */
import { readFileSync } from "node:fs";

import { runProcess, startProcess, temporaryFolder, until } from "../../test/support/procs.ts";
import { indexOf } from "./contestants.ts";

/** Arrivals of a while. */
export interface Arrivals {
  /** Checks that arrived, by server: times in ms, in order. */
  readonly byServer: readonly number[][];
  readonly count: number;
}

/** libpcap's file: a head, then records. */
const FILE_HEAD = 24;
const RECORD_HEAD = 16;
/** Ethernet, IPv4 without options: where the destination is. */
const LINK_HEAD = 14;
const DESTINATION = LINK_HEAD + 16;
const SNAP_BYTES = 64;
const BUFFER_KB = 65_536;

/**
 * Records for a while.
 * @param ports of the servers
 * @param servers how many there are
 */
export async function recordArrivals(
  ports: readonly number[],
  servers: number,
  durationMs: number,
): Promise<Arrivals> {
  using folder = temporaryFolder();
  const file = folder.file("arrivals.pcap");
  const isOurs = ports.map((port) => `dst port ${port}`).join(" or ");
  const first = "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn";
  // Root stays root: the file is in a folder of its own.
  const command = [
    "tcpdump",
    "-i",
    "lo",
    "--immediate-mode",
    "-n",
    "-Z",
    "root",
    "-s",
    String(SNAP_BYTES),
  ];
  command.push("-B", String(BUFFER_KB), "-w", file, `${first} and (${isOurs})`);
  await using child = startProcess(command);
  await until("tcpdump listens", () => child.output().includes("listening on"));
  await Bun.sleep(durationMs);
  child.kill("SIGINT");
  await child.exited;
  const lost = Number(/(\d+) packets? dropped by kernel/.exec(child.output())?.[1] ?? 0);
  if (lost > 0) throw new Error(`tcpdump lost ${lost} packets`);
  return readArrivals(readFileSync(file), servers);
}

/** Reads a file of tcpdump: whole first packets of connections to addresses of `addressOf`. */
export function readArrivals(bytes: Uint8Array, servers: number): Arrivals {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const byServer: number[][] = Array.from({ length: servers }, () => []);
  let count = 0;
  for (let at = FILE_HEAD; at + RECORD_HEAD <= bytes.length;) {
    const atMs = view.getUint32(at, true) * 1000 + view.getUint32(at + 4, true) / 1000;
    const length = view.getUint32(at + 8, true);
    const to = at + RECORD_HEAD + DESTINATION;
    at += RECORD_HEAD + length;
    if (at > bytes.length) break;
    byServer[indexOf(bytes[to + 1]!, bytes[to + 2]!, bytes[to + 3]!)]?.push(atMs);
    count++;
  }
  return { byServer, count };
}

/**
 * Checks a second of all servers, from the intervals of each: arrivals of a while would count some
 * intervals once more than others where checks come in bunches.
 */
export function checksPerSecond({ byServer }: Arrivals): number {
  let perSecond = 0;
  for (const times of byServer) {
    const [first = 0, last = 0] = [times[0], times.at(-1)];
    if (last > first) perSecond += (1000 * (times.length - 1)) / (last - first);
  }
  return perSecond;
}

/** How far the time between two checks of a server is from what was asked for, ms, ascending. */
export function deviationsOf({ byServer }: Arrivals, intervalMs: number): Float64Array {
  const deviations: number[] = [];
  for (const times of byServer) {
    for (let i = 1; i < times.length; i++) {
      deviations.push(Math.abs(times[i]! - times[i - 1]! - intervalMs));
    }
  }
  return Float64Array.from(deviations).sort();
}

/** Value below which a share of ascending values lies; NaN of none. */
export function quantile(ascending: Float64Array, share: number): number {
  const at = Math.min(ascending.length - 1, Math.floor(ascending.length * share));
  return ascending[at] ?? Number.NaN;
}

/** Why nothing can be recorded; undefined = it can. */
export async function recordingProblem(): Promise<string | undefined> {
  const { code, output } = await runProcess(["tcpdump", "-i", "lo", "-c", "0", "-d"]);
  return code === 0 ? undefined : output.trim();
}
