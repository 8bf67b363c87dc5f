/**
 * Rounds of questions and hold rules (HAProxy manual 5.3.2) against a small model of them, over
 * simulated name servers that change their minds, are late, or fall silent. What the model says of
 * each server is compared after everything that happens. `SLUICE_TEST_SEED` repeats one seed.
 */
import { expect, test } from "bun:test";

import { hostOfServer, isUnresolved } from "../../../../src/control/names/server-names.ts";
import { below, pick, seededRandom } from "../../../fuzz/mutate.ts";
import type { Random } from "../../../fuzz/mutate.ts";
import type { DnsRecord } from "../../../support/dns-server.ts";
import { RCODE } from "../../../support/dns-server.ts";
import { makeNamesLab } from "../../../support/names-lab.ts";
import type { SimAnswer } from "../../../support/names-lab.ts";

const SEEDS = 80;
const LENGTH_MS = 20_000;
const NAMES = ["a.test", "b.test", "c.test"];
const PORTS = [1053, 2053];

/** What a name server says about a name for a while. */
type Phase = {
  untilMs: number;
  kind: "A" | "AAAA" | "nx" | "refused" | "other" | "silent";
  hosts: string[];
  latencyMs: number;
};

type Settings = {
  retries: number;
  resolveMs: number;
  retryMs: number;
  hold: Record<"nx" | "refused" | "other" | "timeout" | "obsolete", number>;
  prefer: "ipv4" | "ipv6";
};

/** A name server's answer as the model sees it: late answers are none. */
type Heard = { atMs: number; kind: Phase["kind"] | "empty"; hosts: string[] };

function makeWorld(random: Random, retryMs: number): Map<string, Phase[]> {
  const world = new Map<string, Phase[]>();
  const kinds = (["A", "A", "A", "AAAA", "nx", "refused", "other", "silent"] as const).filter(
    (kind) => kind === "A" || random() < 0.6,
  );
  for (const port of PORTS) {
    for (const name of NAMES) {
      const phases: Phase[] = [];
      for (let untilMs = 0; untilMs < 2 * LENGTH_MS + 100_000;) {
        untilMs += 50 + below(random, 4000);
        const kind = pick(random, kinds);
        // What comes in the very moment of giving up may count or not.
        const latency = 1 + below(random, random() < 0.2 ? 900 : 40);
        const count = 1 + below(random, 3);
        const digits = Array.from({ length: count }, () => 1 + below(random, 4));
        const hosts = [...new Set(digits)].map((n) =>
          kind === "A" ? `10.0.0.${n}` : `2001::${n}`,
        );
        phases.push({
          untilMs,
          kind,
          hosts,
          latencyMs: latency === retryMs ? latency + 1 : latency,
        });
      }
      world.set(`${port} ${name}`, phases);
    }
  }
  return world;
}

function phaseAt(world: Map<string, Phase[]>, port: number, name: string, nowMs: number): Phase {
  return world.get(`${port} ${name}`)!.find(({ untilMs }) => nowMs - 100_000 < untilMs)!;
}

function answerOf(phase: Phase, name: string, type: string): SimAnswer {
  const { kind, hosts, latencyMs } = phase;
  if (kind === "silent") return undefined;
  if (kind === "A" || kind === "AAAA") {
    const answers: DnsRecord[] = hosts.map((data) => ({ name, type: kind, data }));
    return { reply: { answers: kind === type ? answers : [] }, latencyMs };
  }
  const rcode = { nx: RCODE.nx, refused: RCODE.refused, other: RCODE.servFail }[kind];
  return { reply: { rcode }, latencyMs };
}

/** One name and its server, computed round by round without any machinery. */
class Model {
  /** What the server should be like from which moment on, the newest last. */
  readonly states: { fromMs: number; host: string | undefined }[];

  constructor(
    world: Map<string, Phase[]>,
    name: string,
    set: Settings,
    startMs: number,
    endMs: number,
  ) {
    this.states = [{ fromMs: startMs, host: undefined }];
    const seen = new Map<string, number>();
    let host: string | undefined;
    let lastValidMs = startMs;
    let atMs = startMs;
    while (atMs < endMs) {
      const round = playRound(world, name, set, atMs);
      atMs = round.atMs;
      if (round.kind === "valid") {
        lastValidMs = atMs;
        for (const one of round.hosts) seen.set(one, atMs);
        for (const [one, when] of seen) {
          if (!round.hosts.includes(one) && atMs - when >= set.hold.obsolete) seen.delete(one);
        }
        host = choose(host, round.hosts, seen, set.prefer);
      } else if (atMs - lastValidMs >= set.hold[round.kind]) {
        host = undefined;
      }
      this.states.push({ fromMs: atMs, host });
      atMs += set.resolveMs;
    }
  }

  at(nowMs: number): string | undefined {
    return this.states.findLast(({ fromMs }) => fromMs <= nowMs)!.host;
  }
}

function choose(
  host: string | undefined,
  fresh: string[],
  seen: Map<string, number>,
  prefer: Settings["prefer"],
): string | undefined {
  const isWanted = (one: string): boolean => one.includes(":") === (prefer === "ipv6");
  const best = fresh.find(isWanted) ?? fresh[0];
  if (host === undefined || !seen.has(host)) return best;
  return best !== undefined && isWanted(best) && !isWanted(host) ? best : host;
}

type Round = { atMs: number; hosts: string[]; kind: "valid" | keyof Settings["hold"] };

function playRound(
  world: Map<string, Phase[]>,
  name: string,
  set: Settings,
  startMs: number,
): Round {
  const types = set.prefer === "ipv4" ? ["A", "AAAA"] : ["AAAA", "A"];
  let atMs = startMs;
  let tries = set.retries;
  for (let index = 0; ;) {
    const type = types[index]!;
    const heard = PORTS.flatMap((port): Heard[] => {
      const phase = phaseAt(world, port, name, atMs);
      const isMissed = phase.kind === "silent" || phase.latencyMs >= set.retryMs;
      if (isMissed) return [];
      const isOther = (phase.kind === "A" || phase.kind === "AAAA") && phase.kind !== type;
      const kind = isOther ? "empty" : phase.kind;
      return [{ atMs: atMs + phase.latencyMs, kind, hosts: phase.hosts }];
    }).toSorted((left, right) => left.atMs - right.atMs);
    const good = heard.find(({ kind }) => kind === "A" || kind === "AAAA");
    if (good !== undefined) return { atMs: good.atMs, hosts: good.hosts, kind: "valid" };
    const last = heard.at(-1);
    atMs = heard.length === PORTS.length ? last!.atMs : atMs + set.retryMs;
    if (last === undefined) {
      if (--tries === 0) return { atMs, hosts: [], kind: "timeout" };
      continue;
    }
    index = 1 - index;
    if (index > 0 || --tries > 0) continue;
    const { kind } = last;
    return { atMs, hosts: [], kind: kind === "nx" || kind === "refused" ? kind : "other" };
  }
}

async function runSeed(seed: number): Promise<Set<string>> {
  const random = seededRandom(seed);
  const ms = (most: number): number => 1 + below(random, most);
  const set: Settings = {
    retries: 1 + below(random, 3),
    resolveMs: 50 + below(random, 1000),
    retryMs: 100 + below(random, 500),
    hold: {
      nx: ms(3000),
      refused: ms(3000),
      other: ms(3000),
      timeout: ms(3000),
      obsolete: random() < 0.5 ? 0 : ms(3000),
    },
    prefer: pick(random, ["ipv4", "ipv6"] as const),
  };
  const world = makeWorld(random, set.retryMs);
  const holds = Object.entries(set.hold).map(([kind, hold]) => ` hold ${kind} ${hold}\n`);
  const config = `global
 dns-accept-family ipv4,ipv6
resolvers d
${PORTS.map((port) => ` nameserver n${port} 127.0.0.1:${port}\n`).join("")}${holds.join("")}
 resolve_retries ${set.retries}
 timeout resolve ${set.resolveMs}
 timeout retry ${set.retryMs}
defaults
 timeout connect 1s\n timeout client 1s\n timeout server 1s
 default-server init-addr none resolvers d resolve-prefer ${set.prefer}
backend b
${NAMES.map((name, i) => ` server s${i} ${name}:80\n`).join("")}
`;
  const { lab, clock, runTo } = await makeNamesLab(
    config,
    (port, { name, type }, nowMs) => answerOf(phaseAt(world, port, name, nowMs), name, type),
    () => below(random, 2 ** 32),
  );
  const startMs = clock.nowMs();
  const models = NAMES.map((name) => new Model(world, name, set, startMs, startMs + LENGTH_MS));
  const marks = new Set<string>();
  let before: (string | undefined)[] = [];
  const compare = (): void => {
    const now = NAMES.map((_, i) => {
      const server = lab.server(`b/s${i}`);
      const host = hostOfServer(server);
      expect([seed, clock.nowMs(), i, isUnresolved(lab.control, server)]).toEqual([
        seed,
        clock.nowMs(),
        i,
        host === undefined,
      ]);
      return host;
    });
    if (clock.nextAtMs() === clock.nowMs()) return;
    const wanted = models.map((model) => model.at(clock.nowMs()));
    expect({ seed, atMs: clock.nowMs() - startMs, hosts: now }).toEqual({
      seed,
      atMs: clock.nowMs() - startMs,
      hosts: wanted,
    });
    for (const [i, host] of now.entries()) {
      const old = before[i];
      if (old === host) continue;
      marks.add(old === undefined ? "up" : host === undefined ? "down" : "moved");
    }
    before = now;
  };
  runTo(startMs + LENGTH_MS, compare);
  for (const line of lab.told) {
    const why = /\((DNS \w+ status|unspecified DNS error)\)/.exec(line)?.[1];
    if (why !== undefined) marks.add(why);
  }
  return marks;
}

const only = process.env["SLUICE_TEST_SEED"];

test("servers are what the model says, whatever name servers do", async () => {
  if (only !== undefined) return void (await runSeed(Number(only)));
  const marks = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) for (const mark of await runSeed(seed)) marks.add(mark);
  // A run in which these never happened would show nothing.
  expect([...marks].toSorted()).toEqual([
    "DNS NX status",
    "DNS refused status",
    "DNS timeout status",
    "down",
    "moved",
    "unspecified DNS error",
    "up",
  ]);
});
