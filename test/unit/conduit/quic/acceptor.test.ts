/** A listening QUIC endpoint: what is accepted, what is refused, and how it closes. */
import { expect, test } from "bun:test";

import { FRONT } from "../../../../src/conduit/conduit.ts";
import type { Conduit } from "../../../../src/conduit/conduit.ts";
import type { QuicAcceptor } from "../../../../src/conduit/quic/acceptor.ts";
import { PROXY_FRONT_MAXCONN, PROXY_QUIC_FRONT } from "../../../../src/tables/generated/proxy.ts";
import { bindSpec, FRONTEND, PROXY_ROW, QuicLab } from "../../../support/quic-lab.ts";

const PORT = 443;

type Listening = { lab: QuicLab; accepted: Conduit[]; acceptor: QuicAcceptor };

function listen(frontend = FRONTEND): Listening {
  const lab = new QuicLab();
  const accepted: Conduit[] = [];
  const acceptor = lab.hub.listen(bindSpec(), PORT, frontend, (conduit) => {
    conduit.setOwner(null, FRONT);
    accepted.push(conduit);
  });
  expect(acceptor.start()).toBe(0);
  return { lab, accepted, acceptor };
}

test("each bidirectional stream of a client is a conduit", () => {
  const { lab, accepted } = listen();
  const client = lab.connect(PORT);
  lab.until(() => client.isConnected);
  for (let i = 0; i < 3; i++) client.openStream();
  lab.until(() => accepted.length === 3);
});

test("a stream for one direction is refused, and its peer told", () => {
  const { lab, accepted } = listen();
  const client = lab.connect(PORT);
  lab.until(() => client.isConnected);
  const stream = client.openStream(true);
  stream.send(new Uint8Array(100));
  lab.until(() => stream.log.length > 0);
  expect(stream.log).toEqual(["stop 0"]);
  expect(accepted).toHaveLength(0);
});

test("while it pauses handshakes are not answered, and come again", () => {
  const { lab, acceptor } = listen();
  acceptor.pause();
  const client = lab.connect(PORT);
  lab.pass(1000);
  expect(client.isConnected).toBe(false);
  expect(client.closed).toBeNull();
  acceptor.start();
  lab.until(() => client.isConnected);
});

test("closing ends idle connections, lets streams end, and takes no new ones", () => {
  const { lab, acceptor, accepted } = listen();
  const idle = lab.connect(PORT);
  const busy = lab.connect(PORT);
  lab.until(() => idle.isConnected && busy.isConnected);
  const stream = busy.openStream();
  lab.until(() => accepted.length === 1);
  acceptor.close();
  lab.until(() => idle.closed !== null);
  expect(busy.closed).toBeNull();
  const late = busy.openStream();
  lab.until(() => late.log.length === 2);
  expect(accepted).toHaveLength(1);
  stream.send(new Uint8Array(10));
  lab.settle();
  expect(accepted[0]!.write(new Uint8Array(5), 0, 5)).toBe(5);
  accepted[0]!.close();
  lab.until(() => busy.closed !== null);
  expect(stream.receivedBytes()).toBe(5);
  lab.pass(10_000);
  expect(lab.nearAccount.live).toBe(0);
});

test("a client that leaves ends all its streams", () => {
  const { lab, accepted } = listen();
  const client = lab.connect(PORT);
  lab.until(() => client.isConnected);
  for (let i = 0; i < 3; i++) client.openStream();
  lab.until(() => accepted.length === 3);
  lab.far.closeConnection(client.handle, true, 0n, "");
  lab.settle();
  for (const conduit of accepted) conduit.abort();
  lab.pass(10_000);
  expect([lab.near.streamCount, lab.near.connectionCount, lab.nearAccount.live]).toEqual([0, 0, 0]);
});

test("a connection without a stream is closed after the client's limit of time", () => {
  const { lab, accepted } = listen({ ...FRONTEND, timeoutClient: 3000 });
  const idle = lab.connect(PORT);
  const busy = lab.connect(PORT);
  lab.until(() => idle.isConnected && busy.isConnected);
  const stream = busy.openStream();
  lab.until(() => accepted.length === 1);
  lab.pass(2000);
  expect(idle.closed).toBeNull();
  lab.pass(3000);
  expect(idle.closed).toMatchObject({ code: 0n });
  expect(busy.closed).toBeNull();
  stream.finish();
  accepted[0]!.close();
  lab.pass(2000);
  expect(busy.closed).toBeNull();
  lab.pass(3000);
  expect(busy.closed).not.toBeNull();
});

test("as many connections live as the frontend may have, with or without streams", () => {
  const { lab, acceptor } = listen();
  const words = lab.tables.proxies.words;
  words[PROXY_ROW + PROXY_FRONT_MAXCONN] = 3;
  const live = [lab.connect(PORT), lab.connect(PORT)];
  lab.until(() => live.every(({ isConnected }) => isConnected));
  // The account of the lab counts elsewhere.
  words[PROXY_ROW + PROXY_QUIC_FRONT] = 3;
  const last = lab.connect(PORT);
  lab.until(() => last.isConnected);
  const more = lab.connect(PORT);
  lab.pass(1500);
  expect(more.isConnected).toBe(false);
  expect(acceptor.isAccepting).toBe(true);
  words[PROXY_ROW + PROXY_QUIC_FRONT] = 2;
  lab.until(() => more.isConnected);
});

// The stream was accepted, and its connection closed under it without a word to its owner.
test("a connection that is about to be closed takes no new stream", () => {
  const { lab, accepted } = listen({ ...FRONTEND, timeoutClient: 1000 });
  const client = lab.connect(PORT);
  lab.until(() => client.isConnected);
  const slow = client.openStream();
  slow.setReading(false);
  lab.until(() => accepted.length === 1);
  // Over for us; the client has not taken all of it, so the connection lingers.
  for (let i = 0; i < 2; i++) {
    expect(accepted[0]!.write(new Uint8Array(50_000), 0, 50_000)).toBe(50_000);
    lab.settle();
  }
  accepted[0]!.close();
  lab.pass(2000);
  expect(client.closed).toBeNull();
  const late = client.openStream();
  lab.until(() => late.log.length === 2);
  expect(late.log.toSorted()).toEqual(["reset 0", "stop 0"]);
  expect(accepted).toHaveLength(1);
  lab.until(() => client.closed !== null);
});

// Cut off after five seconds, whatever it still took.
test("a slow reader gets all of it before its connection is closed, however long it takes", () => {
  const { lab, accepted, acceptor } = listen();
  const client = lab.connect(PORT);
  lab.until(() => client.isConnected);
  const slow = client.openStream();
  slow.setReading(false);
  lab.until(() => accepted.length === 1);
  for (let i = 0; i < 2; i++) {
    expect(accepted[0]!.write(new Uint8Array(50_000), 0, 50_000)).toBe(50_000);
    lab.settle();
  }
  acceptor.close();
  accepted[0]!.close();
  let taken = 0;
  for (let i = 0; i < 8; i++) {
    lab.pass(3000);
    const piece = Math.min(10_000, lab.far.peek(slow.stream));
    lab.far.consume(slow.stream, piece);
    taken += piece;
  }
  expect(client.closed).toBeNull();
  slow.setReading(true);
  lab.until(() => client.closed !== null);
  expect(taken + slow.receivedBytes()).toBe(100_000);
  expect(slow.hasEnd()).toBe(true);
});
