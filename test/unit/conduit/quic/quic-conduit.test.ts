/** QUIC streams as conduits, over simulated transports: the suite of all, and their own. */
import { describe, expect, test } from "bun:test";

import {
  BACK,
  CLOSE_CLEAN,
  CLOSE_RESET,
  CLOSE_UNSENT,
  FRONT,
  WRITE_CLOSED,
} from "../../../../src/conduit/conduit.ts";
import type { Conduit, ConduitOwner } from "../../../../src/conduit/conduit.ts";
import { QUIC_COUNTS, QUIC_MOMENTS } from "../../../../src/conduit/quic/transport.ts";
import { Endpoint } from "../../../../src/conduit/sockaddr.ts";
import { runConduitSuite } from "../../../support/conduit-suite.ts";
import { bindSpec, FarStream, FRONTEND, QuicLab } from "../../../support/quic-lab.ts";
import type { FarConnection } from "../../../support/quic-lab.ts";

const PORT = 443;
const NO_HINTS = { sni: "", session: null };

/** Remembers what it is told, with codes. */
class Taker implements ConduitOwner {
  readonly log: string[] = [];
  bytes = 0;
  appetite = Infinity;

  onOpen(): void {
    this.log.push("open");
  }

  onData(_side: number, _bytes: Uint8Array, _offset: number, length: number): number {
    const taken = Math.min(length, this.appetite);
    this.appetite -= taken;
    this.bytes += taken;
    return taken;
  }

  onDrain(): void {}
  onEndAhead(): void {
    this.log.push("end ahead");
  }

  onMoved(): void {}

  onEnd(): void {
    this.log.push("end");
  }

  onReset(_side: number, code: bigint): void {
    this.log.push(`reset ${code}`);
  }

  onStop(_side: number, code: bigint): void {
    this.log.push(`stop ${code}`);
  }

  onClose(_side: number, code: number): void {
    this.log.push(`close ${code}`);
  }
}

/** Bytes that wait on this side, over all streams of its only connection. */
function unread(lab: QuicLab): number {
  const handles: number[] = [];
  lab.near.listConnections(0, handles, 1);
  const numbers = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
  lab.near.connectionNow(handles[0]!, numbers);
  return numbers[QUIC_COUNTS + QUIC_MOMENTS.indexOf("unread")]!;
}

type Accepted = { lab: QuicLab; conduit: Conduit; peer: FarStream; client: FarConnection };

/** A stream that a client of the far side has opened. */
function accept(owner: ConduitOwner, lab = new QuicLab()): Accepted {
  const accepted: Conduit[] = [];
  const acceptor = lab.hub.listen(bindSpec(), PORT, FRONTEND, (conduit) => {
    conduit.setOwner(owner, FRONT);
    accepted.push(conduit);
  });
  expect(acceptor.start()).toBe(0);
  const client = lab.connect(PORT);
  lab.until(() => client.isConnected);
  const peer = client.openStream();
  lab.until(() => accepted.length === 1);
  return { lab, conduit: accepted[0]!, peer, client };
}

/** A stream dialled to a server of the far side. */
function dial(owner: ConduitOwner, lab = new QuicLab()): { lab: QuicLab; conduit: Conduit } {
  lab.serve(PORT);
  const conduit = lab.hub.dial(lab.target(PORT), owner, NO_HINTS);
  if (typeof conduit === "number") throw new Error(`dialling failed with ${conduit}`);
  return { lab, conduit };
}

function suite(): void {
  const lab = new QuicLab();
  lab.serve(PORT);
  const waiting: { owner: ConduitOwner; done(conduit: Conduit): void }[] = [];
  const acceptor = lab.hub.listen(bindSpec(), 1443, FRONTEND, (conduit) => {
    const { owner, done } = waiting.shift()!;
    conduit.setOwner(owner, FRONT);
    done(conduit);
  });
  acceptor.start();
  runConduitSuite({
    name: "QUIC stream over a simulated transport",
    accept: async (owner) => {
      const client = lab.connect(1443);
      lab.until(() => client.isConnected);
      const peer = client.openStream();
      let accepted: Conduit | null = null;
      waiting.push({ owner, done: (conduit) => (accepted = conduit) });
      lab.until(() => accepted !== null);
      return { conduit: accepted!, peer };
    },
    dial: async (owner) => {
      const before = lab.arrivals.length;
      // A target of its own: no stream of another test is on its connection.
      const conduit = lab.hub.dial(lab.target(PORT), owner, NO_HINTS);
      if (typeof conduit === "number") throw new Error(`dialling failed with ${conduit}`);
      const peer = async (): Promise<FarStream> => {
        lab.until(() => (lab.arrivals[before]?.streams.length ?? 0) > 0);
        return lab.arrivals[before]!.streams[0]!;
      };
      return { conduit, peer };
    },
    resetUnsent: CLOSE_UNSENT,
    dialNobody: (owner) => lab.hub.dial(lab.target(999), owner, NO_HINTS),
    until: async (condition) => lab.until(condition),
    settle: async () => lab.settle(),
  });
}

suite();

describe("one-way aborts", () => {
  test("a reset, then a stop, are told with their codes", () => {
    const owner = new Taker();
    const { lab, peer, conduit } = accept(owner);
    lab.far.reset(peer.stream, 5n);
    lab.until(() => owner.log.length === 1);
    expect(conduit.write(Uint8Array.from([9]), 0, 1)).toBe(1);
    lab.far.stop(peer.stream, (1n << 61n) + 7n);
    lab.until(() => owner.log.length === 2);
    expect(owner.log).toEqual(["reset 5", `stop ${(1n << 61n) + 7n}`]);
    expect(conduit.write(Uint8Array.from([9]), 0, 1)).toBe(WRITE_CLOSED);
    conduit.close();
    lab.settle();
    expect(lab.near.streamCount).toBe(0);
  });

  test("a reset leaves the other direction open, and so does a stop", () => {
    const owner = new Taker();
    const { lab, peer, conduit } = accept(owner);
    conduit.reset!(12n);
    peer.send(new Uint8Array(5000));
    peer.finish();
    lab.until(() => owner.log.includes("end") || owner.log.includes(`close ${CLOSE_CLEAN}`));
    expect(owner.bytes).toBe(5000);
    lab.settle();
    expect(peer.log).toEqual(["reset 12"]);
    const other = new Taker();
    const second = accept(other);
    second.conduit.stop!(13n);
    second.conduit.write(new Uint8Array(3000), 0, 3000);
    second.conduit.finish();
    second.lab.until(() => second.peer.hasEnd());
    expect(second.peer.receivedBytes()).toBe(3000);
    expect(second.peer.log).toContain("stop 13");
    second.lab.settle();
    expect(other.log).toEqual([]);
  });

  test("an abort without a code takes the protocol's; what was finished stays whole", () => {
    const { lab, peer, conduit } = accept(new Taker());
    conduit.abort();
    lab.settle();
    expect(peer.log.toSorted()).toEqual(["reset 1", "stop 1"]);
    const second = accept(new Taker());
    second.conduit.write(new Uint8Array(2000), 0, 2000);
    second.conduit.finish();
    second.conduit.abort(44n);
    second.lab.until(() => second.peer.hasEnd());
    expect(second.peer.receivedBytes()).toBe(2000);
    expect(second.peer.hasReset()).toBe(false);
    expect(second.peer.log).toContain("stop 44");
  });
});

describe("backpressure", () => {
  test("what is not taken stays with the peer, to the byte", () => {
    const owner = new Taker();
    owner.appetite = 1;
    const { lab, peer, conduit } = accept(owner);
    peer.send(new Uint8Array(1_000_000));
    lab.settle();
    expect(owner.bytes).toBe(1);
    expect(unread(lab)).toBe(64 * 1024);
    owner.appetite = 1000;
    conduit.resume();
    lab.settle();
    expect(owner.bytes).toBe(1001);
    expect(unread(lab)).toBe(64 * 1024);
    owner.appetite = Infinity;
    conduit.resume();
    lab.until(() => owner.bytes === 1_000_000);
  });

  test("an end behind bytes that are kept is told ahead", () => {
    const owner = new Taker();
    owner.appetite = 0;
    const { lab, peer, conduit } = accept(owner);
    peer.send(new Uint8Array(100));
    lab.settle();
    expect(owner.log).toEqual([]);
    peer.finish();
    lab.settle();
    expect(owner.log).toEqual(["end ahead"]);
    owner.appetite = Infinity;
    conduit.resume();
    expect(owner.log).toEqual(["end ahead", "end"]);
  });

  test("a large stream lets others have their turn", () => {
    const owner = new Taker();
    const { lab, peer, conduit } = accept(owner);
    conduit.pause();
    peer.send(new Uint8Array(60_000));
    lab.settle();
    expect(owner.bytes).toBe(0);
    conduit.resume();
    lab.until(() => owner.bytes === 60_000);
  });
});

describe("the end of a connection", () => {
  test("is an abort for each of its streams, with the application's code", () => {
    const owner = new Taker();
    const { lab, client, conduit } = accept(owner);
    lab.far.closeConnection(client.handle, true, 31n, "bye");
    lab.until(() => owner.log.length > 0);
    expect(owner.log).toEqual([`close ${CLOSE_RESET}`]);
    expect(conduit.abortCode).toBe(31n);
    lab.pass(10_000);
    expect(lab.near.streamCount).toBe(0);
    expect(lab.nearAccount.live).toBe(0);
  });

  test("that fell silent is an abort too", () => {
    const owner = new Taker();
    const { lab } = accept(owner);
    lab.network.cut([...lab.near.connections()][0]!);
    lab.until(() => owner.log.length > 0);
    expect(owner.log).toEqual([`close ${CLOSE_RESET}`]);
  });

  test("before anything went out lets another server be tried", () => {
    const owner = new Taker();
    const { lab, conduit } = dial(owner);
    lab.until(() => owner.log.length > 0);
    expect(owner.log).toEqual(["open"]);
    lab.settle();
    lab.far.closeConnection(lab.arrivals[0]!.handle, true, 0n, "");
    lab.until(() => owner.log.length > 1);
    expect(owner.log[1]).toBe(`close ${CLOSE_UNSENT}`);
    expect(conduit.write(new Uint8Array(1), 0, 1)).toBe(WRITE_CLOSED);
  });
});

test("tells where it comes from and what it speaks", () => {
  const { conduit, lab } = accept(new Taker());
  const remote = new Endpoint();
  conduit.remoteEndpoint(remote);
  expect(remote.family).toBe(4);
  expect(conduit.facts!()).toMatchObject({ alpn: "test", sni: "example.test" });
  conduit.setOwner(new Taker(), BACK);
  conduit.abort();
  lab.settle();
});
