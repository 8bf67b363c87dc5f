/** A connection to the runtime API, from the client's side of the socket. */
import { describe, expect, test } from "bun:test";

import type { RunningCall } from "../../../src/api/call.ts";
import { message, output, pieces } from "../../../src/api/command.ts";
import { API_INPUT_BYTES_MAX, API_WRITE_LENGTH } from "../../../src/base/limits.ts";
import { Refusal } from "../../../src/base/refusals.ts";
import { SessionRig } from "../../support/api-session.ts";

const LEVEL = "admin\n\n";

describe("without a prompt", () => {
  test("a line is answered, then the connection ends", async () => {
    const rig = new SessionRig();
    await rig.send("show cli level\n");
    expect(rig.text()).toBe(LEVEL);
    expect(rig.hasShutDown).toBe(true);
    expect(rig.isClosed).toBe(false);
    await rig.endInput();
    expect(rig.isClosed).toBe(true);
    expect(rig.endedCount).toBe(1);
  });

  test("a client that does not close its side is given a moment", async () => {
    const rig = new SessionRig();
    await rig.send("show cli level\n");
    await rig.send("what comes too late\n");
    await rig.pass(5_000);
    expect(rig.text()).toBe(LEVEL);
    expect(rig.isClosed).toBe(true);
    expect(rig.endedCount).toBe(1);
  });

  test("several commands, several lines that came together", async () => {
    const rig = new SessionRig();
    await rig.send("show cli level;show cli level\nshow cli level\n");
    expect(rig.text()).toBe(LEVEL.repeat(3));
    expect(rig.hasShutDown).toBe(true);
  });

  test("a line that has begun is waited for", async () => {
    const rig = new SessionRig();
    await rig.send("show cli level\nshow cli");
    expect(rig.text()).toBe(LEVEL);
    expect(rig.hasShutDown).toBe(false);
    await rig.send(" level\n");
    expect(rig.text()).toBe(LEVEL);
    expect(rig.hasShutDown).toBe(true);
  });

  test("a half-closed client is answered; a line without its end is not run", async () => {
    const rig = new SessionRig();
    rig.session.received(Buffer.from("show cli level\nquit"));
    await rig.endInput();
    expect(rig.text()).toBe(LEVEL);
    expect(rig.isClosed).toBe(true);
  });

  test("a client that says nothing", async () => {
    const rig = new SessionRig();
    await rig.endInput();
    expect(rig.text()).toBe("");
    expect(rig.isClosed).toBe(true);
  });

  test("a command without words has an empty answer", async () => {
    const rig = new SessionRig();
    await rig.send("\n");
    expect(rig.text()).toBe("\n");
    await new SessionRig().send(";\n");
  });

  test("quit ends it at once", async () => {
    const rig = new SessionRig();
    await rig.send("show cli level;quit;show cli level\nshow cli level\n");
    expect(rig.text()).toBe(LEVEL);
    expect(rig.hasShutDown).toBe(true);
  });

  test("an overlong line is told, and ends it", async () => {
    const rig = new SessionRig();
    await rig.send("x".repeat(20_000));
    expect(rig.text()).toStartWith("The command line is too big for the buffer size.");
    expect(rig.hasShutDown).toBe(true);
  });
});

describe("with a prompt", () => {
  test("it stays, line after line", async () => {
    const rig = new SessionRig();
    await rig.send("prompt\n", "show cli level\n", "\n", "show cli level;show cli level\n");
    expect(rig.text()).toBe(`\n> ${LEVEL}> \n> ${LEVEL}${LEVEL}> `);
    await rig.send("prompt\n");
    expect(rig.text()).toBe("\n");
    expect(rig.hasShutDown).toBe(true);
  });

  test("interactive without one, timed, and back", async () => {
    const rig = new SessionRig();
    await rig.send("prompt i\n", "show cli level\n");
    expect(rig.text()).toBe(`\n${LEVEL}`);
    rig.clock.advance(1000 * (86_400 + 2 * 3600 + 3 * 60 + 4));
    await rig.send("prompt timed\n");
    expect(rig.text()).toBe("\n[1:02:03:04]> ");
    await rig.send("prompt timed\n", "prompt n\n");
    expect(rig.text()).toBe("\n> \n");
    expect(rig.hasShutDown).toBe(true);
  });

  test("a payload is asked for", async () => {
    const rig = new SessionRig({ load: ({ payload = "" }) => output(`<${payload}>`) });
    await rig.send("prompt\n", "load <<\n", "a\n", "b\n\n");
    expect(rig.text()).toBe("\n> + + <a\nb>\n\n> ");
  });

  test("the client's leaving ends it", async () => {
    const rig = new SessionRig();
    await rig.send("prompt\n");
    await rig.endInput();
    expect(rig.isClosed).toBe(true);
    expect(rig.endedCount).toBe(1);
  });
});

describe("answers", () => {
  const refuse = (): never => {
    const holders = [{ kind: "stream", text: "2 streams on worker 3" }] as const;
    throw new Refusal("IN_USE", "Still in use.", holders);
  };

  test("a refusal is its sentence", async () => {
    const rig = new SessionRig({ refuse });
    await rig.send("refuse;show cli level\n");
    expect(rig.text()).toBe(`Still in use.\n\n${LEVEL}`);
    expect(rig.told).toEqual([]);
  });

  test("a fault of ours is told here and there, and the connection goes on", async () => {
    const fail = (): never => {
      throw new Error("odd");
    };
    const failLater = async (): Promise<never> => {
      await undefined;
      throw new Error("later");
    };
    const rig = new SessionRig({ fail, failLater });
    await rig.send("fail; failLater;show cli level\n");
    expect(rig.text()).toBe(
      `Internal error: Error: odd\n\nInternal error: Error: later\n\n${LEVEL}`,
    );
    expect(rig.told[0]).toStartWith("alert runtime API : 'fail' failed: Error: odd\n");
    expect(rig.told[1]).toStartWith("alert runtime API : 'failLater' failed: Error: later\n");
  });

  test("severities, where they are wanted", async () => {
    const rig = new SessionRig({ refuse, warn: () => message("warning", "hot") });
    await rig.send("set severity-output number;refuse;warn;show env HOME\n");
    expect(rig.text()).toBe("\n[3]: Still in use.\n\n[4]: hot\n\nHOME=/\n\n");
    const words = new SessionRig({ refuse }, { severityOutput: "string" });
    await words.send("refuse;set severity-output none;refuse\n");
    expect(words.text()).toBe("[err]: Still in use.\n\n\nStill in use.\n\n");
  });

  test("no sentence holds an empty line", async () => {
    const rig = new SessionRig({ odd: () => message("info", "a\n\n\nb\n\n") });
    await rig.send("odd;echo a\\\n\\\nb\n");
    expect(rig.text()).toBe("a\nb\n\na\nb\n\n");
  });

  test("as JSON: one line", async () => {
    const count = { kind: "message", severity: 6, text: "2 left\n", data: { version: 7 } } as const;
    const rig = new SessionRig({ refuse, count: () => count });
    await rig.send("json count; json refuse; json show cli level; json nothing\n");
    const lines = rig.text().split("\n\n");
    expect(JSON.parse(lines[0]!)).toEqual({
      code: "OK",
      severity: 6,
      text: "2 left",
      result: { version: 7 },
      version: 7,
    });
    expect(JSON.parse(lines[1]!)).toEqual({
      code: "IN_USE",
      severity: 3,
      text: "Still in use.",
      result: null,
      holders: [{ kind: "stream", text: "2 streams on worker 3" }],
    });
    expect(JSON.parse(lines[2]!)).toMatchObject({ code: "OK", result: { level: "admin" } });
    expect(JSON.parse(lines[3]!)).toMatchObject({ code: "UNKNOWN_COMMAND", severity: 6 });
    expect(lines[4]).toBe("");
  });
});

describe("what runs in its time", () => {
  test("one after the other, also those that wait", async () => {
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const rig = new SessionRig({
      slow: async () => {
        order.push("slow begins");
        await gate.promise;
        order.push("slow ends");
        return output("slow");
      },
      quick: () => {
        order.push("quick");
        return output("quick");
      },
    });
    await rig.send("show cli level;slow;quick\n", "quick\n");
    // What was answered before does not wait for what takes its time.
    expect(rig.text()).toBe(LEVEL);
    expect(order).toEqual(["slow begins"]);
    gate.resolve();
    await rig.settle();
    expect(rig.text()).toBe("slow\n\nquick\n\nquick\n\n");
    expect(order).toEqual(["slow begins", "slow ends", "quick", "quick"]);
  });

  test("a client that is ahead is not read any more, until its turn comes", async () => {
    const gate = Promise.withResolvers<void>();
    const slow = (): Promise<ReturnType<typeof output>> => gate.promise.then(() => output("slow"));
    const rig = new SessionRig({ slow }, { prompt: "interactive" });
    const count = Math.ceil(API_INPUT_BYTES_MAX / 15) + 1;
    await rig.send("slow\n", "show cli level\n".repeat(count));
    expect(rig.isPaused).toBe(true);
    gate.resolve();
    await rig.settle();
    expect(rig.isPaused).toBe(false);
    expect(rig.text()).toBe(`slow\n\n${LEVEL.repeat(count)}`);
  });

  test("many commands leave turns to others", async () => {
    const rig = new SessionRig({
      work: () => {
        rig.clock.advance(1);
        return output("done");
      },
    });
    await rig.send("work\n".repeat(100));
    expect(rig.turnCount).toBeGreaterThan(15);
    expect(rig.text()).toBe("done\n\n".repeat(100));
  });

  /** A command that waits for `gone`. */
  const waiting = (endsAt: "half-close" | "any-input" | undefined) => ({
    hold: async (call: Parameters<import("../../support/api-session.ts").FakeCommand>[0]) => {
      call.endsAt = endsAt;
      call.abortIfLeft();
      const { promise, resolve } = Promise.withResolvers<void>();
      if (call.gone.aborted) resolve();
      call.gone.addEventListener("abort", () => resolve());
      await promise;
      return output("interrupted");
    },
  });

  test("the half close ends what wants it, whenever it comes", async () => {
    const later = new SessionRig(waiting("half-close"));
    await later.send("hold\n");
    expect(later.text()).toBe("");
    await later.endInput();
    expect(later.text()).toBe("interrupted\n\n");
    const before = new SessionRig(waiting("half-close"));
    before.session.received(Buffer.from("hold\n"));
    await before.endInput();
    expect(before.text()).toBe("interrupted\n\n");
  });

  test("but not while more of what was sent waits", async () => {
    const rig = new SessionRig(waiting("half-close"));
    rig.session.received(Buffer.from("hold\nshow cli level\n"));
    await rig.endInput();
    expect(rig.text()).toBe("");
    await rig.vanish();
    expect(rig.endedCount).toBe(1);
  });

  test("further input ends what wants that", async () => {
    const rig = new SessionRig(waiting("any-input"));
    await rig.send("hold\n");
    expect(rig.text()).toBe("");
    await rig.send("show cli level\n");
    expect(rig.text()).toBe(`interrupted\n\n${LEVEL}`);
  });

  test("a command that wants neither hears of the client's leaving only", async () => {
    const rig = new SessionRig(waiting(undefined));
    await rig.send("hold\n", "show cli level\n");
    await rig.endInput();
    expect(rig.text()).toBe("");
    expect(rig.isClosed).toBe(false);
    await rig.vanish();
    expect(rig.endedCount).toBe(1);
    expect(rig.text()).toBe("");
  });
});

describe("long answers", () => {
  const LINE = `${"x".repeat(99)}\n`;
  const COUNT = 20_000;

  test("are made as the client takes them, in large writes, and hold no memory", async () => {
    let made = 0;
    let closed = 0;
    function* lines(): Generator<string> {
      for (; made < COUNT; made++) yield LINE;
    }
    const rig = new SessionRig({ long: () => pieces(lines(), () => void closed++) });
    rig.room = 0;
    await rig.send("long\n");
    expect(made * LINE.length).toBeLessThanOrEqual(API_WRITE_LENGTH + LINE.length);
    for (let taken = 0; taken < 10; taken++) {
      await rig.take(10_000);
      expect(made * LINE.length - rig.received.length).toBeLessThan(3 * API_WRITE_LENGTH);
    }
    expect(closed).toBe(0);
    await rig.take(Infinity);
    expect(rig.text()).toBe(`${LINE.repeat(COUNT)}\n`);
    expect(closed).toBe(1);
    expect(rig.writes.filter((bytes) => bytes < 10_000).length).toBeLessThan(8);
  });

  test("end with the client", async () => {
    let closed = 0;
    let made = 0;
    async function* lines(): AsyncGenerator<string> {
      try {
        for (;;) {
          made++;
          yield LINE;
        }
      } finally {
        closed++;
      }
    }
    const rig = new SessionRig({ long: () => pieces(lines(), () => void closed++) });
    rig.room = 1_000;
    await rig.send("long;show cli level\n");
    await rig.vanish();
    expect(closed).toBe(2);
    expect(made).toBeLessThan(1_000);
    expect(rig.text()).toHaveLength(1_000);
    expect(rig.endedCount).toBe(1);
  });

  test("what is there goes out while the next piece is waited for", async () => {
    const gate = Promise.withResolvers<void>();
    async function* lines(): AsyncGenerator<string> {
      yield "draining\n";
      yield "2 left\n";
      await gate.promise;
      yield "deleted";
    }
    const rig = new SessionRig({ del: () => pieces(lines()) });
    await rig.send("del\n");
    expect(rig.text()).toBe("draining\n2 left\n");
    gate.resolve();
    await rig.settle();
    expect(rig.text()).toBe("deleted\n\n");
  });

  test("leave turns to others", async () => {
    function* lines(): Generator<string> {
      for (let i = 0; i < 100; i++) {
        rig.clock.advance(1);
        yield LINE;
      }
    }
    const rig = new SessionRig({ long: () => pieces(lines()) });
    await rig.send("long\n");
    expect(rig.turnCount).toBeGreaterThan(15);
    expect(rig.text()).toHaveLength(100 * LINE.length + 1);
  });

  test("a fault in the middle is told", async () => {
    function* lines(): Generator<string> {
      yield "one\ntw";
      throw new Refusal("SYSTEM", "The disk is full.");
    }
    const rig = new SessionRig({ long: () => pieces(lines()) });
    await rig.send("long;json long\n");
    const [plain, json] = rig.text().split("\n\n");
    expect(plain).toBe("one\ntw\nThe disk is full.");
    expect(JSON.parse(json!)).toEqual({
      text: "one\ntw\nThe disk is full.",
      result: null,
      code: "SYSTEM",
      severity: 3,
    });
  });

  test("as JSON: a text that is streamed, or a value", async () => {
    const rig = new SessionRig({
      text: () => pieces(['a "q"\n', "ü\\\n"]),
      value: () => ({ kind: "pieces", pieces: ['[{"a":1},', "2]"], isJson: true }),
    });
    await rig.send("json text;json value\n");
    const [text, value] = rig.text().split("\n\n");
    expect(JSON.parse(text!)).toMatchObject({ code: "OK", text: 'a "q"\nü\\\n', result: null });
    expect(JSON.parse(value!)).toMatchObject({ code: "OK", text: "", result: [{ a: 1 }, 2] });
  });
});

describe("time limits", () => {
  test("a client that is idle is let go", async () => {
    const rig = new SessionRig({}, { timeoutMs: 10_000 });
    await rig.send("prompt\n");
    await rig.pass(9_000);
    await rig.send("\n");
    await rig.pass(9_000);
    expect(rig.isClosed).toBe(false);
    await rig.pass(1_001);
    expect(rig.isClosed).toBe(true);
    expect(rig.endedCount).toBe(1);
  });

  test("one that does not take its answer, too", async () => {
    const rig = new SessionRig({}, { timeoutMs: 10_000 });
    rig.room = 3;
    await rig.send("show cli level\n");
    await rig.pass(9_000);
    await rig.take(1);
    await rig.pass(9_000);
    expect(rig.isClosed).toBe(false);
    await rig.pass(2_000);
    expect(rig.isClosed).toBe(true);
  });

  test("a command may take longer", async () => {
    const gate = Promise.withResolvers<void>();
    const slow = (): Promise<ReturnType<typeof output>> => gate.promise.then(() => output("slow"));
    const rig = new SessionRig({ slow }, { timeoutMs: 10_000 });
    await rig.send("slow\n");
    for (let i = 0; i < 5; i++) await rig.pass(8_000);
    gate.resolve();
    await rig.settle();
    expect(rig.text()).toBe("slow\n\n");
  });

  test("the connection may change its own", async () => {
    const rig = new SessionRig({}, { timeoutMs: 10_000 });
    await rig.send("prompt i;set timeout cli 1m\n");
    await rig.pass(50_000);
    expect(rig.isClosed).toBe(false);
    await rig.send("set timeout cli 2\n");
    await rig.pass(2_001);
    expect(rig.isClosed).toBe(true);
  });
});

describe("an answer that tells of a change", () => {
  const change = (rig: () => SessionRig) => ({
    change: () => {
      rig().sequence++;
      return message("info", "done");
    },
    enable: (call: RunningCall) => {
      call.settles = true;
      return message("info", "enabled");
    },
    add: (call: RunningCall) => {
      rig().sequence++;
      call.settles = false;
      return message("info", "added");
    },
  });

  test("goes out when all workers have applied it", async () => {
    const rig: SessionRig = new SessionRig(change(() => rig));
    await rig.send("change\n");
    expect(rig.text()).toBe("");
    rig.waiters[0]?.();
    await rig.settle();
    expect(rig.text()).toBe("done\n\n");
  });

  test("is waited for once, for all that came together", async () => {
    const rig: SessionRig = new SessionRig(change(() => rig));
    await rig.send("change;change;show cli level\n");
    expect(rig.waiters.length).toBe(1);
    rig.waiters[0]?.();
    await rig.settle();
    expect(rig.text()).toBe(`done\n\ndone\n\n${LEVEL}`);
  });

  test("waits for what was changed before it, too", async () => {
    const rig: SessionRig = new SessionRig(change(() => rig));
    await rig.send("add;enable\n");
    expect(rig.text()).toBe("");
    rig.waiters[0]?.();
    await rig.settle();
    expect(rig.text()).toBe("added\n\nenabled\n\n");
  });

  test("of something that nobody uses yet waits for nobody", async () => {
    const rig: SessionRig = new SessionRig(change(() => rig));
    await rig.send("add\n");
    expect(rig.text()).toBe("added\n\n");
    expect(rig.waiters.length).toBe(0);
  });
});
