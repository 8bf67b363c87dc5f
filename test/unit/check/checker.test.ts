/** When checks run and what their results do, over a clock that the test moves. */
import { describe, expect, test } from "bun:test";

import { Checker } from "../../../src/check/checker.ts";
import type { Checked, CheckEvent, CheckSchedule } from "../../../src/check/checker.ts";
import { initialHealth } from "../../../src/check/health.ts";
import type { CheckTarget, ProbeEars } from "../../../src/check/probe.ts";
import type { CheckResult } from "../../../src/check/result.ts";
import type { CheckSpec, ServerSpec } from "../../../src/tables/spec.ts";

const REFUSED: CheckResult = { code: "L4CON", info: "Connection refused" };
const PASSED: CheckResult = { code: "L4OK" };

/** A clock, probes that wait for their result, and everything that was told. */
class Lab {
  now = 0;
  readonly events: CheckEvent<string>[] = [];
  /** Start of each probe: `name@ms`. */
  readonly probes: string[] = [];
  /** Probes under way: name and how to end them. */
  readonly waiting = new Map<string, ProbeEars>();
  readonly running = new Set<string>();
  cancelled = 0;
  readonly resting = new Set<string>();
  readonly checker: Checker<string>;
  #timers: { atMs: number; run: () => void }[] = [];

  /** @param options `lateMs`: so much later than asked does each timer come */
  constructor(options: { spreadPercent?: number; maxSpreadMs?: number; lateMs?: number } = {}) {
    this.checker = new Checker<string>({
      nowMs: () => this.now,
      startTimer: (delayMs, run) => {
        const timer = { atMs: this.now + delayMs + (options.lateMs ?? 0), run };
        this.#timers.push(timer);
        return { stop: () => (this.#timers = this.#timers.filter((one) => one !== timer)) };
      },
      random32: () => 0,
      startProbe: ({ target }, ears) => {
        const name = target.address.family === "unix" ? target.address.path : "";
        this.probes.push(`${name}@${this.now}`);
        this.waiting.set(name, ears);
        // One that sees more than a connection knows what silence means.
        const late = (): CheckResult => ({ code: name.startsWith("tls") ? "L6TOUT" : "L4TOUT" });
        return { cancel: () => void this.cancelled++, late };
      },
      running: (key, isRunning) => {
        if (isRunning) this.running.add(key);
        else this.running.delete(key);
      },
      spreadPercent: options.spreadPercent ?? 0,
      maxSpreadMs: options.maxSpreadMs ?? 0,
      isWanted: (key) => !this.resting.has(key),
      tell: (event) => void this.events.push(event),
    });
  }

  /** Moves time on, timer by timer. */
  run(untilMs: number): void {
    for (;;) {
      const due = this.#timers
        .filter(({ atMs }) => atMs <= untilMs)
        .toSorted((left, right) => left.atMs - right.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== due);
      this.now = Math.max(this.now, due.atMs);
      due.run();
    }
    this.now = untilMs;
  }

  setHealth(key: string, health: number): void {
    this.checker.recount(key, health);
    this.checker.restart(key);
  }

  /** Ends the probe of a server. */
  answer(name: string, result: CheckResult): void {
    const ears = this.waiting.get(name);
    this.waiting.delete(name);
    if (ears === undefined) throw new Error(`no probe of ${name} is under way`);
    ears.done(result);
  }
}

function server(
  key: string,
  check: Partial<CheckSchedule> = {},
  rest: Partial<Pick<ServerSpec, "initState" | "onError">> = {},
  timeouts = { connect: -1, check: -1 },
): Checked<string> {
  const schedule: CheckSchedule = {
    kind: "check",
    intervalMs: 1000,
    fastIntervalMs: 200,
    downIntervalMs: 3000,
    rise: 2,
    fall: 3,
    onError: rest.onError ?? "fail-check",
    connectMs: timeouts.connect,
    checkMs: timeouts.check,
    ...check,
  };
  const health = initialHealth({
    initState: rest.initState ?? "up",
    check: schedule as unknown as CheckSpec,
  });
  const address = { family: "unix", path: key } as const;
  const target = { address, proxyHeader: 0, mark: 0, tos: 0 } as unknown as CheckTarget;
  return { key, schedule, job: { target, program: { kind: "connect" } }, health };
}

describe("when", () => {
  test("first checks are spread over the shortest interval", () => {
    const lab = new Lab();
    lab.checker.addAll(["a", "b", "c", "d"].map((key) => server(key)));
    lab.run(199);
    // A start stands at `rise`, not at the top: its interval is the fast one.
    expect(lab.probes).toEqual(["a@0", "b@50", "c@100", "d@150"]);
  });

  test("a longer interval of its own spreads a server over that", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a"), server("b", { fastIntervalMs: 1000 })]);
    lab.run(600);
    expect(lab.probes).toEqual(["a@0", "b@500"]);
  });

  test("max-spread-checks bounds the spread", () => {
    const lab = new Lab({ maxSpreadMs: 20 });
    lab.checker.addAll([server("a"), server("b")]);
    lab.run(15);
    expect(lab.probes).toEqual(["a@0", "b@10"]);
  });

  test("the next one comes an interval after the end of the last, not its start", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a")]);
    lab.run(100);
    lab.answer("a", PASSED);
    lab.run(1099);
    expect(lab.probes).toEqual(["a@0"]);
    lab.run(1100);
    expect(lab.probes).toEqual(["a@0", "a@1100"]);
  });

  test("down: downinter; on the way up: fastinter; up: inter", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a")]);
    lab.run(0);
    lab.answer("a", REFUSED);
    lab.run(3000);
    lab.answer("a", PASSED);
    lab.run(3200);
    lab.answer("a", PASSED);
    lab.run(4200);
    expect(lab.probes).toEqual(["a@0", "a@3000", "a@3200", "a@4200"]);
  });

  test("spread-checks moves the interval by its percentage", () => {
    const lab = new Lab({ spreadPercent: 10 });
    lab.checker.addAll([server("a")]);
    lab.run(0);
    lab.answer("a", PASSED);
    lab.run(1099);
    expect(lab.probes).toHaveLength(1);
    lab.run(1100);
    expect(lab.probes).toHaveLength(2);
  });

  test("maintenance pauses, and the checks go on afterwards", () => {
    const lab = new Lab();
    lab.resting.add("a");
    lab.checker.addAll([server("a")]);
    lab.run(2500);
    expect(lab.probes).toEqual([]);
    lab.resting.clear();
    lab.run(3000);
    expect(lab.probes).toEqual(["a@3000"]);
  });

  test("20,000 servers cost one timer at a time", () => {
    const lab = new Lab();
    const keys = Array.from({ length: 20_000 }, (_, index) => `s${index}`);
    lab.checker.addAll(keys.map((key) => server(key)));
    lab.run(200);
    expect(lab.probes).toHaveLength(20_000);
    expect(new Set(lab.probes).size).toBe(20_000);
  });
});

describe("results", () => {
  test("the first failure of a fresh server takes it down", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a")]);
    lab.run(7);
    lab.answer("a", REFUSED);
    expect(lab.events).toMatchObject([
      { key: "a", result: REFUSED, durationMs: 7, health: 0, isUp: false, hasChanged: true },
    ]);
  });

  test("an up server takes `fall` failures", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a", {}, { initState: "fully-up" })]);
    for (const atMs of [0, 200, 400]) {
      lab.run(atMs);
      lab.answer("a", REFUSED);
    }
    expect(lab.events.map(({ isUp }) => isUp)).toEqual([true, true, false]);
    expect(lab.events.map(({ hasChanged }) => hasChanged)).toEqual([false, false, true]);
  });

  test("no answer within the interval is a time-out, and the probe is cancelled", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a")]);
    lab.run(1000);
    expect(lab.events).toMatchObject([{ result: { code: "L4TOUT" }, durationMs: 1000 }]);
    expect(lab.cancelled).toBe(1);
  });

  test("a probe may know better what it means that nobody answered", () => {
    const lab = new Lab();
    lab.checker.addAll([server("tls-a")]);
    lab.run(1000);
    expect(lab.events).toMatchObject([{ result: { code: "L6TOUT" }, isUp: false }]);
    expect(lab.cancelled).toBe(1);
  });

  test("a handshake that was done passes as a connection does", () => {
    const lab = new Lab();
    lab.checker.addAll([server("tls-a", {}, { initState: "down" })]);
    lab.run(0);
    lab.answer("tls-a", { code: "L6OK" });
    expect(lab.events).toMatchObject([{ result: { code: "L6OK" }, isUp: true }]);
  });

  test("timeout connect bounds it when timeout check is set as well", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a", {}, {}, { connect: 300, check: 500 })]);
    lab.run(300);
    expect(lab.events).toMatchObject([{ result: { code: "L4TOUT" }, durationMs: 300 }]);
  });

  test("of a thread that is late with everything, silence comes to an end too", () => {
    const lab = new Lab({ lateMs: 130 });
    lab.checker.addAll([server("a")]);
    lab.run(20_000);
    expect(lab.events.length).toBeGreaterThan(1);
    expect(lab.events[0]).toMatchObject({ result: { code: "L4TOUT" }, isUp: false });
  });

  test("an answer after the time-out changes nothing", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a")]);
    lab.run(1000);
    lab.answer("a", PASSED);
    expect(lab.events).toHaveLength(1);
  });

  test("what stays as it was has not moved; another kind of failure has", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a", { downIntervalMs: 10 })]);
    for (const [atMs, code] of [
      [0, "L4CON"],
      [10, "L4CON"],
      [20, "SOCKERR"],
    ] as const) {
      lab.run(atMs);
      lab.answer("a", { code });
    }
    expect(lab.events.map(({ hasMoved }) => hasMoved)).toEqual([true, false, true]);
  });

  test("an answer for a server that was removed changes nothing", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a")]);
    lab.run(0);
    lab.checker.remove("a");
    lab.answer("a", REFUSED);
    lab.run(10_000);
    expect(lab.events).toEqual([]);
    expect(lab.probes).toHaveLength(1);
  });

  test("failures count while there is something to lose", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a", { downIntervalMs: 100, fastIntervalMs: 100 })]);
    for (const atMs of [0, 100, 200]) {
      lab.run(atMs);
      lab.answer("a", REFUSED);
    }
    expect(lab.events.map(({ hasFailed }) => hasFailed)).toEqual([true, false, false]);
  });

  test("stop ends everything", () => {
    const lab = new Lab();
    lab.checker.addAll([server("a"), server("b")]);
    lab.run(0);
    lab.checker.stop();
    lab.run(10_000);
    expect(lab.probes).toEqual(["a@0"]);
    expect(lab.cancelled).toBe(1);
  });
});

describe("on-error", () => {
  const WANTED = [
    ["fastinter", 4, true],
    ["fail-check", 3, true],
    ["sudden-death", 2, true],
    ["mark-down", 0, false],
  ] as const;
  for (const [onError, health, isUp] of WANTED) {
    test(`${onError}: health ${health}, asked again soon`, () => {
      const lab = new Lab();
      lab.checker.addAll([server("a", {}, { initState: "fully-up", onError })]);
      lab.run(0);
      lab.answer("a", PASSED);
      lab.checker.reportErrors("a", "ten connections failed in a row");
      expect(lab.checker.healthOf("a")).toBe(health);
      expect(lab.events.at(-1)?.isUp).toBe(isUp);
      lab.run(200);
      expect(lab.probes).toEqual(["a@0", "a@200"]);
    });
  }
});

describe("changes at run time", () => {
  test("a server that comes is checked at once; suspended, not before it is resumed", () => {
    const lab = new Lab();
    lab.checker.add(server("a"), false);
    lab.checker.add(server("b"), true);
    lab.run(500);
    expect(lab.probes).toEqual(["a@0"]);
    lab.checker.resume("b");
    lab.checker.resume("b");
    lab.run(501);
    expect(lab.probes).toEqual(["a@0", "b@500"]);
  });

  test("a result of a check that was suspended does not count", () => {
    const lab = new Lab();
    lab.checker.add(server("a"), false);
    lab.run(0);
    lab.checker.suspend("a");
    expect(lab.cancelled).toBe(1);
    lab.answer("a", REFUSED);
    lab.run(60_000);
    expect(lab.events).toEqual([]);
    expect(lab.probes).toHaveLength(1);
  });

  test("another address: what was counted stays, the next check is soon", () => {
    const lab = new Lab();
    lab.checker.add(server("a"), false);
    lab.run(0);
    lab.answer("a", PASSED);
    const { schedule, job } = server("z");
    lab.checker.replace("a", schedule, job);
    lab.checker.replace("unknown", schedule, job);
    lab.run(200);
    expect(lab.probes).toEqual(["a@0", "z@200"]);
    expect(lab.checker.healthOf("a")).toBe(4);
    lab.answer("z", REFUSED);
    expect(lab.events.at(-1)).toMatchObject({ key: "a", isUp: true, health: 3 });
  });

  test("a counter that an operator has set is where checks go on", () => {
    const lab = new Lab();
    lab.checker.add(server("a"), false);
    lab.run(0);
    lab.setHealth("a", 0);
    lab.run(200);
    lab.answer("a", PASSED);
    expect(lab.events.at(-1)).toMatchObject({ isUp: false, health: 1 });
    lab.run(400);
    lab.answer("a", PASSED);
    expect(lab.events.at(-1)).toMatchObject({ isUp: true, hasChanged: true, health: 4 });
  });
});
