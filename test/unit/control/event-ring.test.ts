/** The ring of events: what it keeps, who waits for more, and what a slow reader misses. */
import { describe, expect, test } from "bun:test";

import { EVENT_RING_LINES } from "../../../src/base/limits.ts";
import { EventRing } from "../../../src/control/event-ring.ts";
import { Events } from "../../../src/control/events.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";

const sizes = { proxies: 1, listeners: 1, servers: 1, queueEntries: 1, arenaWords: 16 };

function make(): { events: Events; ring: EventRing } {
  const events = new Events();
  const tables = new Tables(reserveTables({ workers: 1, ...sizes }));
  return { events, ring: new EventRing(events, { epochMicros: () => 1e15 }, tables) };
}

const say = (events: Events, text: string): void => events.tell({ kind: "globals-changed", text });

describe("the ring", () => {
  test("keeps lines with their time, and nothing of what changes nothing", () => {
    const { events, ring } = make();
    events.tell({ kind: "idle" });
    say(events, "maxconn\n500");
    expect(ring.read(0)).toEqual({
      text: "2001-09-09T01:46:40.000Z globals-changed maxconn 500\n",
      next: 1,
    });
    expect(ring.read(1)).toEqual({ text: "", next: 1 });
  });

  test("tells a reader how many lines it has missed", () => {
    const { events, ring } = make();
    for (let i = 0; i < EVENT_RING_LINES + 5; i++) say(events, `n${i}`);
    const { text, next } = ring.read(0);
    const lines = text.trimEnd().split("\n");
    expect(lines[0]).toBe("# 5 events were lost, the reader is too slow");
    expect(lines[1]).toEndWith(" n5");
    expect(lines.length).toBe(EVENT_RING_LINES + 1);
    expect([next, ring.dropped, ring.oldest]).toEqual([EVENT_RING_LINES + 5, 5, 5]);
  });
});

describe("a follower", () => {
  test("gets what is there, then what comes, until it leaves", async () => {
    const { events, ring } = make();
    say(events, "before");
    const gone = new AbortController();
    const lines = ring.follow(ring.oldest, "\0", gone.signal);
    expect((await lines.next()).value).toEndWith(" before\0");
    const next = lines.next();
    say(events, "after");
    expect((await next).value).toEndWith(" after\0");
    const last = lines.next();
    gone.abort();
    expect((await last).done).toBe(true);
  });

  test("that is slow holds up nobody", async () => {
    const { events, ring } = make();
    const gone = new AbortController();
    const lines = ring.follow(0, "\n", gone.signal);
    const first = lines.next();
    say(events, "one");
    expect((await first).value).toEndWith(" one\n");
    for (let i = 0; i < 3 * EVENT_RING_LINES; i++) say(events, `n${i}`);
    const { value } = await lines.next();
    expect(value).toStartWith(`# ${2 * EVENT_RING_LINES} events were lost`);
    gone.abort();
  });
});
