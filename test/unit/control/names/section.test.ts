/** A section at work: how many names at a time, which families, when again. */
import { describe, expect, test } from "bun:test";

import { DNS_ACTIVE_MAX, DNS_TIMER_MS_MAX } from "../../../../src/base/limits.ts";
import { seededRandom32 } from "../../../../src/base/prng.ts";
import { Section } from "../../../../src/control/names/section.ts";
import type { NameEntry } from "../../../../src/control/names/section.ts";
import type { WireEars } from "../../../../src/control/names/transport.ts";
import type { ResolversSpec } from "../../../../src/tables/spec.ts";
import { encodeReply } from "../../../support/dns-server.ts";
import { makeNamesLab } from "../../../support/names-lab.ts";
import { SimClock } from "../../../support/sim-clock.ts";

const SPEC: ResolversSpec = {
  name: "d",
  nameservers: [
    {
      name: "k",
      address: { family: "ipv4", host: "127.0.0.1", port: 53 },
      isTcp: false,
      maxconn: 0,
    },
  ],
  families: "ipv4",
  retries: 3,
  payloadBytes: 512,
  resolveMs: 1000,
  retryMs: 1000,
  hold: { valid: 0, obsolete: 0, nx: 0, refused: 0, timeout: 0, other: 0 },
  origin: { file: "t", line: 1 },
};

/** A section over a clock, whose name server answers after 5 ms, or never. */
function makeSection(spec: ResolversSpec, isSilent = false) {
  const clock = new SimClock();
  const finished: NameEntry[] = [];
  const turns: (() => void)[] = [];
  let underWay = 0;
  let most = 0;
  const openUdp = (_to: unknown, ears: WireEars) => ({
    send: (bytes: Buffer) => {
      most = Math.max(most, ++underWay);
      if (isSilent) return true;
      clock.start(1, 5, () => {
        underWay--;
        const question = {
          id: bytes.readUInt16BE(0),
          name: "",
          type: "A",
          isTcp: false,
          from: 0,
          bytes,
        };
        const [reply] = encodeReply(question, {});
        // The question as it came, with nothing behind it.
        const end = bytes.length - 11;
        const message = Buffer.concat([reply!.subarray(0, 12), bytes.subarray(12, end)]);
        ears.onData(message);
      });
      return true;
    },
    close: () => undefined,
  });
  const section = new Section(spec, {
    transport: { openUdp, openTcp: openUdp, hasIpv6: () => Promise.resolve(false) },
    random32: seededRandom32(1),
    nowMs: () => clock.nowMs(),
    startTimer: (delayMs, run) => clock.start(1, delayMs, run),
    soon: (run) => void turns.push(run),
    finished: (entry) => void finished.push(entry),
  });
  const runFor = (ms: number): void => {
    const endMs = clock.nowMs() + ms;
    for (;;) {
      for (let run = turns.shift(); run !== undefined; run = turns.shift()) run();
      const next = clock.nextAtMs();
      if (next > endMs) break;
      clock.advance(Math.max(0, next - clock.nowMs()));
      clock.fire(1);
    }
    clock.advance(Math.max(0, endMs - clock.nowMs()));
  };
  return { section, clock, finished, runFor, most: () => most };
}

describe("many names", () => {
  test("are asked for some at a time, and none is forgotten", () => {
    const { section, finished, runFor, most } = makeSection(SPEC);
    for (let i = 0; i < 3 * DNS_ACTIVE_MAX; i++) section.join(`n${i}.test`, "A");
    runFor(900);
    expect(new Set(finished).size).toBe(3 * DNS_ACTIVE_MAX);
    expect(most()).toBe(DNS_ACTIVE_MAX);
  });

  test("that nobody wants any more make room", () => {
    const { section, finished, runFor } = makeSection(SPEC, true);
    const first = Array.from({ length: DNS_ACTIVE_MAX }, (_, i) => section.join(`n${i}.test`, "A"));
    const waiting = section.join("last.test", "A");
    runFor(500);
    expect(waiting.resolution.isAsking).toBe(false);
    section.leave(first[0]!);
    expect(waiting.resolution.isAsking).toBe(true);
    expect(finished).toEqual([]);
  });
});

test("a name that several want is forgotten with the last of them", () => {
  const { section, finished, runFor } = makeSection(SPEC);
  const entry = section.join("a.test", "A");
  expect(section.join("A.test.", "A")).toBe(entry);
  expect(section.join("a.test", "AAAA")).not.toBe(entry);
  section.leave(entry);
  runFor(3000);
  expect(finished.filter((one) => one === entry).length).toBeGreaterThan(1);
  section.leave(entry);
  finished.length = 0;
  runFor(3000);
  expect(finished).not.toContain(entry);
});

test("timers that do not count any more do not pile up", () => {
  const hour = 3_600_000;
  const { section, clock, finished, runFor } = makeSection({
    ...SPEC,
    retryMs: hour,
    resolveMs: 50,
    retries: 1,
  });
  section.join("a.test", "A");
  const sizes: number[] = [];
  for (let i = 0; i < 5; i++) {
    runFor(4 * DNS_TIMER_MS_MAX);
    sizes.push(section.timers);
  }
  expect(finished.length).toBeGreaterThan(1000);
  expect(Math.max(...sizes)).toBeLessThan(2000);
  expect(sizes.at(-1)).toBeLessThanOrEqual(sizes[1]! + 10);
  expect(clock.nextAtMs()).toBeLessThan(Infinity);
});

describe("dns-accept-family auto", () => {
  const config = `resolvers d
 nameserver k 127.0.0.1:53
defaults
 timeout connect 1s\n timeout client 1s\n timeout server 1s
backend b
 server s a.test:80 resolvers d init-addr none
`;
  for (const [hasIpv6, types] of [
    [true, ["AAAA", "A"]],
    [false, ["A"]],
  ] as const) {
    test(`${hasIpv6 ? "with" : "without"} a route for IPv6`, async () => {
      const { asked, clock, runTo } = await makeNamesLab(
        config,
        () => ({ reply: {}, latencyMs: 1 }),
        seededRandom32(1),
        hasIpv6,
      );
      runTo(clock.nowMs() + 500);
      expect([...new Set(asked.map(({ type }) => type))]).toEqual([...types]);
    });
  }
});
