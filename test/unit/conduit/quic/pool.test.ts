/** Connections to a QUIC server: which stream goes on which, and when they are closed. */
import { describe, expect, test } from "bun:test";

import { CLOSE_REFUSED, CLOSE_RESET, CLOSE_TIMEOUT } from "../../../../src/conduit/conduit.ts";
import type { Conduit, ConduitOwner } from "../../../../src/conduit/conduit.ts";
import type { QuicConduit } from "../../../../src/conduit/quic/quic-conduit.ts";
import { QUIC_COUNTS, QUIC_MOMENTS, QUIC_NUMBERS } from "../../../../src/conduit/quic/transport.ts";
import type { DialTarget } from "../../../../src/conduit/tcp/dial.ts";
import { SERVER_STATE_DRAIN, SERVER_STATE_MAINT } from "../../../../src/tables/generated/enums.ts";
import {
  SERVER_QUIC_IDLE,
  SERVER_QUIC_OPEN,
  SERVER_STATE,
} from "../../../../src/tables/generated/server.ts";
import { QuicLab, SERVER_ROW } from "../../../support/quic-lab.ts";

const PORT = 443;

/** Counts what it is told. */
class Caller implements ConduitOwner {
  opens = 0;
  closeCode = -1;
  onOpen(): void {
    this.opens++;
  }
  onData(_side: number, _bytes: Uint8Array, _offset: number, length: number): number {
    return length;
  }
  onDrain(): void {}
  onEnd(): void {}
  onEndAhead(): void {}
  onMoved(): void {}
  onReset(): void {}
  onStop(): void {}
  onClose(_side: number, code: number): void {
    this.closeCode = code;
  }
}

type Call = { caller: Caller; conduit: Conduit };

function dial(lab: QuicLab, target: DialTarget, sni = ""): Call {
  const caller = new Caller();
  const conduit = lab.hub.dial(target, caller, { sni, session: null });
  if (typeof conduit === "number") throw new Error(`dialling failed with ${conduit}`);
  return { caller, conduit };
}

function dialMany(lab: QuicLab, target: DialTarget, count: number): Call[] {
  const calls = Array.from({ length: count }, () => dial(lab, target));
  lab.until(() => calls.every(({ caller }) => caller.opens === 1));
  lab.settle();
  return calls;
}

/** The far side does nothing any more, until what is returned is called. */
function freezeFar(lab: QuicLab): () => void {
  const { turn, nextAtMs } = lab.far;
  lab.far.turn = () => false;
  lab.far.nextAtMs = () => Infinity;
  return () => {
    lab.far.turn = turn;
    lab.far.nextAtMs = nextAtMs;
  };
}

const open = (lab: QuicLab): number => lab.tables.servers.words[SERVER_ROW + SERVER_QUIC_OPEN]!;
const idle = (lab: QuicLab): number => lab.tables.servers.words[SERVER_ROW + SERVER_QUIC_IDLE]!;

describe("sharing", () => {
  test("many streams go over one connection", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const calls = dialMany(lab, lab.target(PORT), 50);
    expect(lab.arrivals).toHaveLength(1);
    expect(open(lab)).toBe(1);
    expect(idle(lab)).toBe(0);
    for (const { conduit } of calls) conduit.close();
    expect(idle(lab)).toBe(1);
  });

  test("a new one is made when the server's limit is reached, and only then", () => {
    const lab = new QuicLab();
    lab.serve(PORT, { streamsBidiMax: 4 });
    const calls = dialMany(lab, lab.target(PORT), 10);
    expect(lab.arrivals.length).toBeGreaterThanOrEqual(3);
    expect(lab.arrivals.every(({ streams }) => streams.length <= 4)).toBe(true);
    const made = lab.arrivals.length;
    // What one leaves, the next takes.
    calls[0]!.conduit.abort();
    lab.settle();
    dialMany(lab, lab.target(PORT), 0);
    expect(lab.arrivals).toHaveLength(made);
  });

  test("a limit of our own does the same, whatever the server allows", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT, { streamsMax: 4 });
    const calls = dialMany(lab, target, 9);
    expect(open(lab)).toBe(3);
    calls[0]!.conduit.close();
    lab.settle();
    dialMany(lab, target, 1);
    expect(open(lab)).toBe(3);
  });
  test("limits of one at a time still serve everybody", () => {
    const lab = new QuicLab();
    lab.serve(PORT, { streamsBidiMax: 1 });
    dialMany(lab, lab.target(PORT), 8);
    expect(lab.arrivals.filter(({ streams }) => streams.length === 1)).toHaveLength(8);
  });

  test("a server that allows no stream is not asked over and over", () => {
    const lab = new QuicLab();
    lab.serve(PORT, { streamsBidiMax: 0 });
    const target = lab.target(PORT);
    const calls = [dial(lab, target), dial(lab, target), dial(lab, target)];
    lab.pass(2000);
    expect(lab.arrivals).toHaveLength(1);
    expect(calls.every(({ caller }) => caller.opens === 0 && caller.closeCode === -1)).toBe(true);
    for (const { conduit } of calls) conduit.abort();
    lab.pass(20_000);
    expect(open(lab)).toBe(0);
  });

  test("names that differ do not share a connection", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT);
    const calls = ["a.test", "b.test", "a.test"].map((sni) => dial(lab, target, sni));
    lab.until(() => calls.every(({ caller }) => caller.opens === 1));
    lab.settle();
    expect(lab.arrivals).toHaveLength(2);
  });

  // A client that named ever new servers had one kept for each, for ever.
  test("tickets are kept for the names used last, a bounded number of them", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT, { poolPurgeDelayMs: 0 });
    const isResumed = (name: string): boolean => {
      const { caller, conduit } = dial(lab, target, name);
      lab.until(() => caller.opens === 1);
      lab.settle();
      const resumed = conduit.facts!()!.isResumed;
      conduit.close();
      lab.settle();
      return resumed;
    };
    for (let i = 0; i < 200; i++) expect(isResumed(`name-${i}.example`)).toBe(false);
    expect(isResumed("name-199.example")).toBe(true);
    expect(isResumed("name-0.example")).toBe(false);
  });

  test("max-reuse: a connection that has done its share takes no more", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT, { maxReuse: 1 });
    for (let i = 0; i < 4; i++) {
      const { caller, conduit } = dial(lab, target);
      lab.until(() => caller.opens === 1);
      conduit.close();
    }
    lab.settle();
    expect(lab.arrivals).toHaveLength(2);
    lab.pass(10_000);
    expect(open(lab)).toBe(0);
    expect(lab.arrivals.every(({ closed }) => closed !== null)).toBe(true);
  });
});

describe("idle connections", () => {
  test("are used again, then closed after the purge delay", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT, { poolPurgeDelayMs: 2000 });
    dialMany(lab, target, 1)[0]!.conduit.close();
    lab.pass(1000);
    dialMany(lab, target, 1)[0]!.conduit.close();
    expect(lab.arrivals).toHaveLength(1);
    lab.pass(6000);
    expect(open(lab)).toBe(0);
    expect(idle(lab)).toBe(0);
    expect(lab.nearAccount.live).toBe(0);
  });

  test("beyond pool-max-conn are not kept", () => {
    const lab = new QuicLab();
    lab.serve(PORT, { streamsBidiMax: 1 });
    const target = lab.target(PORT, { poolMaxConn: 2 });
    const calls = dialMany(lab, target, 6);
    for (const { conduit } of calls) conduit.close();
    lab.settle();
    expect(idle(lab)).toBe(2);
    expect(open(lab)).toBe(2);
  });

  test("pool-max-conn 0 and a purge delay of 0 keep none", () => {
    for (const change of [{ poolMaxConn: 0 }, { poolPurgeDelayMs: 0 }]) {
      const lab = new QuicLab();
      lab.serve(PORT);
      dialMany(lab, lab.target(PORT, change), 3).forEach(({ conduit }) => conduit.close());
      expect(open(lab)).toBe(0);
    }
  });

  for (const [name, state] of [
    ["drain", SERVER_STATE_DRAIN],
    ["maintenance", SERVER_STATE_MAINT],
  ] as const) {
    test(`${name}: streams end by themselves, then the connection is closed`, () => {
      const lab = new QuicLab();
      lab.serve(PORT);
      const target = lab.target(PORT);
      const calls = dialMany(lab, target, 2);
      calls[0]!.conduit.close();
      lab.tables.servers.words[SERVER_ROW + SERVER_STATE] = state;
      lab.pass(1000);
      expect(open(lab)).toBe(1);
      calls[1]!.conduit.close();
      lab.settle();
      expect(open(lab)).toBe(0);
    });

    test(`${name}: one that is idle is closed soon`, () => {
      const lab = new QuicLab();
      lab.serve(PORT);
      dialMany(lab, lab.target(PORT), 1)[0]!.conduit.close();
      expect(open(lab)).toBe(1);
      lab.tables.servers.words[SERVER_ROW + SERVER_STATE] = state;
      lab.pass(1000);
      expect(open(lab)).toBe(0);
    });
  }

  // They waited until something else had the connection look, which then stayed without a stream.
  test("whose target is replaced during the handshake still serve who waits for it", () => {
    const lab = new QuicLab();
    lab.serve(PORT, { streamsBidiMax: 2 });
    const target = lab.target(PORT);
    const calls = [dial(lab, target), dial(lab, target)];
    lab.hub.forget(target);
    lab.until(() => calls.every(({ caller }) => caller.opens === 1));
    lab.settle();
    expect(lab.arrivals).toHaveLength(1);
    expect(open(lab)).toBe(1);
    for (const { conduit } of calls) conduit.close();
    lab.pass(5000);
    expect(open(lab)).toBe(0);
    expect(lab.nearAccount.live).toBe(0);
  });

  test("of a target that was replaced go at once, busy ones with their last stream", () => {
    const lab = new QuicLab();
    lab.serve(PORT, { streamsBidiMax: 1 });
    const target = lab.target(PORT);
    const calls = dialMany(lab, target, 2);
    calls[0]!.conduit.close();
    expect(idle(lab)).toBe(1);
    lab.hub.forget(target);
    expect([open(lab), idle(lab)]).toEqual([1, 0]);
    calls[1]!.conduit.close();
    lab.pass(5000);
    expect(open(lab)).toBe(0);
    expect(lab.nearAccount.live).toBe(0);
  });
});

describe("failures", () => {
  test("nobody there: everybody who waits is told", () => {
    const lab = new QuicLab();
    const target = lab.target(999);
    const calls = [dial(lab, target), dial(lab, target)];
    lab.until(() => calls.every(({ caller }) => caller.closeCode >= 0));
    expect(calls.map(({ caller }) => caller.closeCode)).toEqual([CLOSE_REFUSED, CLOSE_REFUSED]);
    expect(open(lab)).toBe(0);
  });

  test("no answer: a limit of time ends the handshake", () => {
    const lab = new QuicLab();
    const endpoint = lab.serve(PORT);
    lab.far.setAccepting(endpoint, false);
    const { caller } = dial(lab, lab.target(PORT));
    lab.until(() => caller.closeCode >= 0);
    expect(caller.closeCode).toBe(CLOSE_TIMEOUT);
  });

  test("an attempt that nobody wants any more is given up", () => {
    const lab = new QuicLab();
    const endpoint = lab.serve(PORT);
    lab.far.setAccepting(endpoint, false);
    const { conduit, caller } = dial(lab, lab.target(PORT));
    conduit.abort();
    lab.pass(10_000);
    expect(caller.closeCode).toBe(-1);
    expect(open(lab)).toBe(0);
    expect(lab.nearAccount.live).toBe(0);
  });

  // Each of these once began a handshake of its own: a client that opened streams and reset them at
  // once had the proxy make 5000 a second, and hold their memory until each had been closed.
  test("clients that come and go at once share one attempt", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT);
    for (let i = 0; i < 50; i++) dial(lab, target).conduit.abort();
    expect(open(lab)).toBe(1);
    expect(lab.nearAccount.ends).toEqual([]);
    lab.settle();
    expect(lab.arrivals).toHaveLength(1);
    expect(idle(lab)).toBe(1);
    dialMany(lab, target, 1);
    expect(lab.arrivals).toHaveLength(1);
  });

  test("where nothing may be kept idle, nor is an attempt that nobody wants", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    dial(lab, lab.target(PORT, { poolMaxConn: 0 })).conduit.abort();
    expect(open(lab)).toBe(0);
  });

  // A server that was killed and restarted within moments neither knows the connections of before
  // nor says so: until they had been idle too long, every new stream was lost on one of them.
  test("a connection whose server has fallen silent takes no new stream", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT);
    const [before] = dialMany(lab, target, 1);
    const thaw = freezeFar(lab);
    before!.conduit.write(new Uint8Array(10), 0, 10);
    lab.pass(3000);
    thaw();
    // What it would have answered comes later than the next stream.
    dial(lab, target);
    expect(open(lab)).toBe(2);
    // Nor is it kept for later ones.
    before!.conduit.abort();
    expect([open(lab), idle(lab)]).toEqual([1, 0]);
  });

  // A path that takes no large packets any more: small ones pass, so that the server is heard.
  test("a connection on which most of what is sent is lost takes no new stream", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT);
    const [before] = dialMany(lab, target, 1);
    before!.conduit.write(new Uint8Array(3000), 0, 3000);
    const told = lab.near.connectionNow.bind(lab.near);
    let sent = 10_000;
    let lost = 0;
    lab.near.connectionNow = (connection, out) => {
      const isThere = told(connection, out);
      if (connection !== (before!.conduit as QuicConduit).connection) return isThere;
      sent += 1400;
      out[QUIC_NUMBERS.indexOf("bytesSent")] = sent;
      out[QUIC_NUMBERS.indexOf("bytesLost")] = lost;
      out[QUIC_COUNTS + QUIC_MOMENTS.indexOf("unsent")] = 3000;
      return isThere;
    };
    lab.pass(5000);
    dialMany(lab, target, 1);
    expect(open(lab)).toBe(1);
    for (let i = 0; i < 10; i++) {
      lost += 1400;
      lab.pass(500);
    }
    dialMany(lab, target, 1);
    expect(open(lab)).toBe(2);
  });

  test("a connection that is only quiet stays in use, and so does one that speaks again", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT);
    const [before] = dialMany(lab, target, 1);
    lab.pass(4000);
    dialMany(lab, target, 1);
    expect(open(lab)).toBe(1);
    const thaw = freezeFar(lab);
    before!.conduit.write(new Uint8Array(10), 0, 10);
    lab.pass(3000);
    thaw();
    lab.pass(2000);
    dialMany(lab, target, 1);
    expect(open(lab)).toBe(1);
  });

  // Purged as idle, it took with it whoever waited for its stream to be gone.
  test("a connection without streams is kept while somebody waits for one", () => {
    const lab = new QuicLab();
    lab.serve(PORT, { streamsBidiMax: 1 });
    const target = lab.target(PORT, { poolPurgeDelayMs: 1000 });
    const [first] = dialMany(lab, target, 1);
    first!.conduit.close();
    lab.settle();
    // The server has not let go of the stream: it allows no other.
    const { caller, conduit } = dial(lab, target);
    lab.pass(10_000);
    expect([open(lab), idle(lab), caller.opens, caller.closeCode]).toEqual([1, 0, 0, -1]);
    const [stream] = lab.arrivals[0]!.streams;
    stream!.finish();
    lab.far.release(stream!.stream);
    lab.until(() => caller.opens === 1);
    conduit.close();
  });

  test("a connection that dies takes its streams, and who only waited goes elsewhere", () => {
    const lab = new QuicLab();
    lab.serve(PORT, { streamsBidiMax: 2 });
    const target = lab.target(PORT);
    const calls = dialMany(lab, target, 2);
    for (const { conduit } of calls) conduit.write(new Uint8Array(10), 0, 10);
    lab.settle();
    lab.far.closeConnection(lab.arrivals[0]!.handle, true, 9n, "");
    lab.until(() => calls.every(({ caller }) => caller.closeCode >= 0));
    expect(calls.map(({ caller }) => caller.closeCode)).toEqual([CLOSE_RESET, CLOSE_RESET]);
    dialMany(lab, target, 2);
    expect(lab.arrivals).toHaveLength(2);
  });

  test("an owner that dials again while a connection dies gets another one", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    const target = lab.target(PORT);
    const again: Call[] = [];
    const caller = new Caller();
    caller.onClose = () => void again.push(dial(lab, target));
    const conduit = lab.hub.dial(target, caller, { sni: "", session: null });
    expect(typeof conduit).toBe("object");
    lab.until(() => caller.opens === 1);
    lab.settle();
    lab.far.closeConnection(lab.arrivals[0]!.handle, true, 0n, "");
    lab.until(() => again[0]?.caller.opens === 1);
    lab.settle();
    expect(lab.arrivals).toHaveLength(2);
    expect(open(lab)).toBe(1);
  });

  test("streams that the server opens are refused", () => {
    const lab = new QuicLab();
    lab.serve(PORT);
    dialMany(lab, lab.target(PORT), 1);
    const stream = lab.arrivals[0]!.openStream();
    stream.send(new Uint8Array(100));
    lab.until(() => stream.log.length === 2);
    expect(stream.log.toSorted()).toEqual(["reset 0", "stop 0"]);
  });
});
