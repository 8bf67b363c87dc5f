/** Connections to a name server that die, lie or flood. */
import { describe, expect, test } from "bun:test";

import { DNS_LATE_MAX, DNS_SILENT_MS, DNS_UNASKED_MAX } from "../../../../src/base/limits.ts";
import { makeQuestion } from "../../../../src/control/names/message.ts";
import type { Asked } from "../../../../src/control/names/nameserver.ts";
import { systemTransport } from "../../../../src/control/names/sockets.ts";
import { TcpLines } from "../../../../src/control/names/tcp-lines.ts";
import type { WireEars } from "../../../../src/control/names/transport.ts";
import { startPeer } from "../../../support/peers.ts";
import { until } from "../../../support/procs.ts";

/** A connection as the lines see it. */
type Seen = { ears: WireEars; sent: number[]; isClosed: boolean; takesAll: boolean };

/** Lines over connections that are up at once. */
function makeLines(linesMax = 1) {
  const seen: Seen[] = [];
  const lost: Asked[] = [];
  const answered: Asked[] = [];
  const state = { nowMs: 0, outdated: 0, id: 0 };
  const lines = new TcpLines({
    open: (ears) => {
      const one: Seen = { ears, sent: [], isClosed: false, takesAll: true };
      seen.push(one);
      return {
        send: (bytes) => {
          if (one.takesAll) one.sent.push(bytes.readUInt16BE(2));
          return one.takesAll;
        },
        close: () => void (one.isClosed = true),
      };
    },
    nowMs: () => state.nowMs,
    random32: () => state.id++,
    linesMax,
    sent: () => undefined,
    outdated: () => state.outdated++,
    answered: (asked, bytes) => void (bytes === undefined ? lost : answered).push(asked),
  });
  const ask = (): Asked => {
    const question = makeQuestion("a.test", "A", 512);
    const asked: Asked = {
      question,
      answered: () => undefined,
      isCancelled: false,
      port: undefined,
      id: 0,
    };
    lines.ask(asked);
    return asked;
  };
  return { lines, seen, lost, answered, state, ask };
}

/** A message behind its length; `id` undefined: an empty one. */
function message(id?: number): Buffer {
  if (id === undefined) return Buffer.alloc(2);
  const bytes = Buffer.alloc(2 + 12);
  bytes.writeUInt16BE(12);
  bytes.writeUInt16BE(id, 2);
  return bytes;
}

describe("a connection that is dead", () => {
  test("is left when a question on it goes unanswered, and takes no other with it", () => {
    const { lines, seen, lost, state, ask } = makeLines();
    const first = ask();
    seen[0]!.ears.onOpen?.();
    state.nowMs = DNS_SILENT_MS - 1;
    const second = ask();
    state.nowMs = DNS_SILENT_MS;
    lines.cancel(first);
    expect([seen[0]!.isClosed, seen.length, lost]).toEqual([true, 2, []]);
    seen[1]!.ears.onOpen?.();
    expect(seen[1]!.sent).toEqual([second.id]);
  });

  test("also when it never came up", () => {
    const { lines, seen, state, ask } = makeLines();
    const first = ask();
    state.nowMs = DNS_SILENT_MS;
    lines.cancel(first);
    ask();
    expect(seen.map(({ isClosed }) => isClosed)).toEqual([true, false]);
  });

  test("questions that were given up early do not end it; those do that add up", () => {
    const { lines, seen, state, ask } = makeLines();
    let opened = 0;
    for (let i = 0; i < 100; i++) {
      const asked = ask();
      if (seen.length > opened) seen[opened++]!.ears.onOpen?.();
      state.nowMs += DNS_SILENT_MS / 10;
      lines.cancel(asked);
    }
    expect(seen.length).toBe(10);
  });

  test("one that answers, however late, is kept", () => {
    const { lines, seen, state, ask } = makeLines();
    for (let i = 0; i < 3 * DNS_LATE_MAX; i++) {
      const asked = ask();
      if (i === 0) seen[0]!.ears.onOpen?.();
      state.nowMs += DNS_SILENT_MS - 1;
      lines.cancel(asked);
      seen[0]!.ears.onData(message(asked.id));
    }
    expect([seen.length, seen[0]!.isClosed]).toEqual([1, false]);
    expect(state.outdated).toBe(3 * DNS_LATE_MAX);
  });

  test("a question that does not go out whole is lost, with those that wait there", () => {
    const { seen, lost, ask } = makeLines();
    const first = ask();
    seen[0]!.ears.onOpen?.();
    seen[0]!.takesAll = false;
    const second = ask();
    expect(lost).toEqual([first, second]);
    const third = ask();
    seen[1]!.ears.onOpen?.();
    expect(seen[1]!.sent).toEqual([third.id]);
  });
});

describe("what nobody asked for", () => {
  test("empty messages without end: the connection is closed, who waits is told", () => {
    const { seen, lost, state, ask } = makeLines();
    const asked = ask();
    seen[0]!.ears.onOpen?.();
    seen[0]!.ears.onData(Buffer.alloc(65_536));
    expect([seen[0]!.isClosed, lost]).toEqual([true, [asked]]);
    expect(state.outdated).toBe(DNS_UNASKED_MAX + 1);
  });

  test("a few are let pass: the answer still counts", () => {
    const { seen, answered, ask } = makeLines();
    const asked = ask();
    seen[0]!.ears.onOpen?.();
    const few = Array.from({ length: DNS_UNASKED_MAX }, () => message(0xffff));
    seen[0]!.ears.onData(Buffer.concat([...few, message(asked.id)]));
    expect([seen[0]!.isClosed, answered]).toEqual([false, [asked]]);
  });

  test("an answer that comes twice is late once", () => {
    const { lines, seen, ask } = makeLines();
    const asked = ask();
    seen[0]!.ears.onOpen?.();
    lines.cancel(asked);
    const many = Array.from({ length: DNS_UNASKED_MAX + 2 }, () => message(asked.id));
    seen[0]!.ears.onData(Buffer.concat(many));
    expect(seen[0]!.isClosed).toBe(true);
  });

  test("questions that were given up do not pile up", () => {
    const { lines, seen, ask } = makeLines();
    for (let i = 0; i <= DNS_LATE_MAX; i++) {
      const asked = ask();
      if (i === 0) seen[0]!.ears.onOpen?.();
      lines.cancel(asked);
    }
    expect(seen[0]!.isClosed).toBe(true);
  });
});

test("what a real connection does not take at once ends it", async () => {
  let isGone = false;
  await using peer = startPeer({ close: () => void (isGone = true) });
  const to = { family: "ipv4", host: "127.0.0.1", port: peer.port } as const;
  const { promise, resolve } = Promise.withResolvers<void>();
  const wire = systemTransport.openTcp(to, {
    onOpen: resolve,
    onData: () => undefined,
    onClose: () => undefined,
  });
  await promise;
  expect(wire.send(Buffer.alloc(64 << 20))).toBe(false);
  expect(wire.send(Buffer.alloc(1))).toBe(false);
  await until("the connection to go", () => isGone);
});
