/**
 * The frame of a conformance case: one configuration and one piece of traffic, played through
 * haproxy and through sluice, each with fresh servers and ports; then the two observations are
 * compared. Ports and times are masked, so that equal behaviour gives equal observations.
 */
import { describe, expect, test } from "bun:test";

import {
  type Balancer,
  type BalancerName,
  findBalancer,
  startBalancer,
} from "../support/haproxy.ts";
import { type Peer, startSyslog, type Syslog } from "../support/peers.ts";
import { freePort, freePortRange } from "../support/ports.ts";
import { TEST_TIMEOUT_MS } from "../support/procs.ts";
import { Flags, type ScriptServer } from "../support/tcp-script.ts";
import { normaliseTcplog } from "./tcplog.ts";

/** One run of one case: its names for ports and servers, and what it started. */
export interface Lab {
  readonly balancerName: BalancerName;
  /** A free port; the same number for the same name. */
  port(name: string): number;
  /** `bind 127.0.0.1:PORT` of that port, and the start waits until it listens. */
  bind(name: string): string;
  /** `bind 127.0.0.1:FIRST-LAST` of `count` ports; `port(name)` is the first. */
  bindRange(name: string, count: number): string;
  /** The server that the case declared under this name. */
  server(name: string): AnyServer;
  /** The same, declared with a script. */
  script(name: string): ScriptServer;
  peer(name: string): Peer;
  /** `server NAME 127.0.0.1:PORT`, for the configuration. */
  line(name: string): string;
  /** Flags for scripts of this run. */
  readonly flags: Flags;
  readonly syslog: Syslog;
  /** Defined once it has started: in `traffic`. */
  readonly balancer: Balancer;
  /** Waits for `count` tcplog lines of clients, and gives them normalised, in order. */
  logs(count: number): Promise<string[]>;
}

/** A server of a case. */
export type AnyServer = Peer | ScriptServer | (AsyncDisposable & { readonly port: number });

/** A case: a behaviour that sluice shares with haproxy. */
export interface ConformanceCase<T> {
  name: string;
  /** Servers by name, started afresh for each run. */
  servers?: Record<string, (flags: Flags) => AnyServer | Promise<AnyServer>>;
  /** Lines for the sections `global` and `defaults`, which are given. */
  global?: string;
  defaults?: string;
  /** The proxy sections. */
  config(lab: Lab): string;
  /** Plays the traffic; what it returns is compared. */
  traffic(lab: Lab): Promise<T>;
  /** How many tcplog lines must come; they are compared too, in order of the alphabet. */
  logs?: number;
  /** Instead of equality. */
  compare?(sluice: T, haproxy: T): void;
  /** Replaces the time limits of `defaults`, which never fire by themselves. */
  timeouts?: string;
}

const TIMEOUTS = `  timeout connect 20s
  timeout client 60s
  timeout server 60s`;

/** A case has a dozen conditions to wait for, twice, and may be played again. */
const CASE_LIMIT_MS = 12 * TEST_TIMEOUT_MS;

/** Registers cases under a title; skipped by name when haproxy or sluice is missing. */
export function conformance(title: string, cases: readonly ConformanceCase<unknown>[]): void {
  const missing = (["haproxy", "sluice"] as const).filter((name) => !findBalancer(name));
  describe(`${title}${missing.length > 0 ? ` (without ${missing.join(" and ")})` : ""}`, () => {
    for (const one of cases) {
      test.skipIf(missing.length > 0)(one.name, () => compareRuns(one), CASE_LIMIT_MS);
    }
  });
}

/** Lets a case keep its own type of observation in a list of cases. */
export function behaviour<T>(one: ConformanceCase<T>): ConformanceCase<unknown> {
  return one as ConformanceCase<unknown>;
}

/**
 * Cases about checks go by time, of two programs: where a busy machine made one come a check
 * later, the two are played once more. A difference that stays is one.
 */
async function compareRuns(one: ConformanceCase<unknown>): Promise<void> {
  try {
    await compareOnce(one);
  } catch (error) {
    console.warn(`${one.name}: played again, since ${String(error).split("\n")[0]}`);
    await compareOnce(one);
  }
}

async function compareOnce(one: ConformanceCase<unknown>): Promise<void> {
  const reference = await runCase(one, "haproxy");
  const own = await runCase(one, "sluice");
  if (one.compare === undefined) expect(own.observation).toEqual(reference.observation);
  else one.compare(own.observation, reference.observation);
  expect(own.logs).toEqual(reference.logs);
}

interface Run {
  observation: unknown;
  logs: string[];
}

async function runCase(one: ConformanceCase<unknown>, balancerName: BalancerName): Promise<Run> {
  await using stack = new AsyncDisposableStack();
  const flags = new Flags();
  const syslog = stack.use(await startSyslog());
  const servers = new Map<string, AnyServer>();
  for (const [name, start] of Object.entries(one.servers ?? {})) {
    servers.set(name, stack.use(await start(flags)));
  }
  const lab = openLab(balancerName, servers, flags, syslog);
  const config = `global
  log 127.0.0.1:${syslog.port} local0
  nbthread 2
${one.global ?? ""}
defaults
  mode tcp
  log global
  option tcplog
${one.timeouts ?? TIMEOUTS}
${one.defaults ?? ""}
${one.config(lab)}
`;
  const ports = lab.ports();
  lab.balancer = stack.use(await startBalancer(balancerName, { config, ports }));
  const observation = await one.traffic(lab);
  const logs = one.logs === undefined ? [] : await lab.logs(one.logs);
  return { observation, logs: logs.sort() };
}

function openLab(
  balancerName: BalancerName,
  servers: ReadonlyMap<string, AnyServer>,
  flags: Flags,
  syslog: Syslog,
): Lab & { balancer: Balancer; ports(): number[] } {
  const ports = new Map<string, number>();
  const bound = new Set<number>();
  let balancer: Balancer | undefined;
  const port = (name: string): number => {
    const known = ports.get(name) ?? freePort();
    ports.set(name, known);
    return known;
  };
  const server = (name: string): AnyServer => {
    const found = servers.get(name);
    if (found === undefined) throw new Error(`the case declares no server ${name}`);
    return found;
  };
  return {
    balancerName,
    flags,
    syslog,
    port,
    server,
    script(name) {
      const found = server(name);
      if (!("transcripts" in found)) throw new Error(`server ${name} has no script`);
      return found;
    },
    peer(name) {
      const found = server(name);
      if (!("accepted" in found)) throw new Error(`server ${name} is a script`);
      return found;
    },
    bind(name) {
      bound.add(port(name));
      return `bind 127.0.0.1:${port(name)}`;
    },
    bindRange(name, count) {
      const first = freePortRange(count);
      ports.set(name, first);
      bound.add(first);
      return `bind 127.0.0.1:${first}-${first + count - 1}`;
    },
    line: (name) => `server ${name} 127.0.0.1:${server(name).port}`,
    ports: () => [...bound],
    get balancer(): Balancer {
      if (balancer === undefined) throw new Error("the balancer runs in `traffic` only");
      return balancer;
    },
    set balancer(started: Balancer) {
      balancer = started;
    },
    async logs(count) {
      const lines = await syslog.matching(/\]: \S+:\d* \[/, count);
      return lines.map(normaliseTcplog);
    },
  };
}
