/**
 * Directions of QUIC streams that are broken off one by one: what the other side sees, and what the
 * record says. Over the simulated process, with clients and servers of either kind.
 */
import { describe, expect, test } from "bun:test";

import type { SimClient, SimLink } from "../../../sim/far.ts";
import { QuicStreamSocket } from "../../../sim/quic-socket.ts";
import { PLAIN_PROXY, PLAIN_QUIC, PLAIN_SERVER, Rig } from "../../../sim/rig.ts";

type Joined = { rig: Rig; client: SimClient; link: SimLink };

function join(isQuicFront: boolean, isQuicBack: boolean): Joined {
  const servers = [{ ...PLAIN_SERVER, isQuic: isQuicBack }];
  const proxies = [{ ...PLAIN_PROXY, isQuic: isQuicFront, servers }];
  const rig = new Rig({ proxies, quic: PLAIN_QUIC, payloadBytesMax: 0 });
  const client = isQuicFront ? rig.connectOverQuic(10) : rig.connect({ payload: 10 });
  if (!isQuicBack) rig.answer(client);
  rig.run();
  expect(client.link?.isThere).toBe(true);
  return { rig, client, link: client.link! };
}

function quic({ socket }: SimClient | SimLink): QuicStreamSocket {
  if (!(socket instanceof QuicStreamSocket)) throw new TypeError("this one is over TCP");
  return socket;
}

/** All that has come, as a count. */
function takeAll(socket: QuicStreamSocket): number {
  let count = 0;
  for (let piece = socket.take(100); piece !== undefined; piece = socket.take(100)) {
    count += piece.length;
  }
  return count;
}

const termination = (client: SimClient): string | undefined => client.outcome?.termination;

describe("QUIC on both sides", () => {
  test("a client's reset reaches the server with its code; the answer still comes", () => {
    const { rig, client, link } = join(true, true);
    quic(client).breakOff(0x1234_5678_9abcn);
    rig.run();
    expect(quic(link).resetSeen).toBe(0x1234_5678_9abcn);
    expect(client.outcome).toBeNull();
    expect(quic(link).send(new Uint8Array([1, 2, 3]))).toBe(3);
    link.finish();
    rig.run();
    expect(takeAll(quic(client))).toBe(3);
    expect(quic(client).sawEnd).toBe(true);
    expect(termination(client)).toBe("CD");
  });

  test("a client that stops reading stops the server, and may go on sending", () => {
    const { rig, client, link } = join(true, true);
    quic(client).stop(77n);
    rig.run();
    expect(quic(link).stopSeen).toBe(77n);
    expect(client.outcome).toBeNull();
    expect(quic(client).send(new Uint8Array([1, 2, 3]))).toBe(3);
    client.finish();
    rig.run();
    expect(takeAll(quic(link))).toBe(3);
    expect(quic(link).sawEnd).toBe(true);
    expect(termination(client)).toBe("CD");
  });

  test("a stop after the end of what it would stop is nobody's fault", () => {
    const { rig, client, link } = join(true, true);
    link.finish();
    rig.run();
    quic(client).stop(5n);
    client.finish();
    rig.run();
    expect(quic(link).stopSeen).toBeNull();
    expect(termination(client)).toBe("--");
  });

  // It was logged as an end in order, or, with nothing sent, another server was tried: the client
  // had been told that the answer was broken off.
  test("a server that broke its direction off and died has aborted", () => {
    const { rig, client, link } = join(true, true);
    quic(link).breakOff(9n);
    rig.run();
    expect(quic(client).resetSeen).toBe(9n);
    expect(client.outcome).toBeNull();
    const { serverSide } = rig.world.quic!;
    for (const { handle } of serverSide.connections()) serverSide.break(handle, "protocol");
    rig.run();
    expect(termination(client)).toBe("SD");
  });
});

describe("QUIC on one side", () => {
  test.each([
    { name: "reset", act: (socket: QuicStreamSocket) => socket.breakOff(3n) },
    { name: "stop", act: (socket: QuicStreamSocket) => socket.stop(3n) },
  ])("a client's $name aborts a TCP server", ({ act }) => {
    const { rig, client, link } = join(true, false);
    act(quic(client));
    rig.run();
    expect(link.socket.sawReset).toBe(true);
    expect(termination(client)).toBe("CD");
  });

  test.each([
    { name: "reset", act: (socket: QuicStreamSocket) => socket.breakOff(3n) },
    { name: "stop", act: (socket: QuicStreamSocket) => socket.stop(3n) },
  ])("a server's $name aborts a TCP client", ({ act }) => {
    const { rig, client, link } = join(false, true);
    act(quic(link));
    rig.run();
    expect(client.socket.sawReset).toBe(true);
    expect(termination(client)).toBe("SD");
  });

  test("a reset of a TCP client breaks both directions off, with the protocol's code", () => {
    const { rig, client, link } = join(false, true);
    client.reset();
    rig.run();
    expect(quic(link).resetSeen).toBe(1n);
    expect(quic(link).stopSeen).toBe(1n);
    expect(termination(client)).toBe("CD");
  });
});

// It was logged as an abort in the data phase, with a server that it never had.
describe("a client that breaks off before it has a server", () => {
  const acts = [
    { name: "reset", act: (socket: QuicStreamSocket) => socket.breakOff(3n) },
    { name: "stop", act: (socket: QuicStreamSocket) => socket.stop(3n) },
  ];

  test.each(acts)("is logged in the queue with a $name there", ({ act }) => {
    const servers = [{ ...PLAIN_SERVER, maxconn: 1 }];
    const proxies = [{ ...PLAIN_PROXY, isQuic: true, servers }];
    const rig = new Rig({ proxies, quic: PLAIN_QUIC, payloadBytesMax: 0 });
    const first = rig.connectOverQuic(10);
    rig.answer(first);
    const second = rig.connectOverQuic(10);
    act(quic(second));
    rig.run();
    expect(termination(second)).toBe("CQ");
    expect(termination(first)).toBeUndefined();
  });

  test.each(acts)("is logged in the connect phase with a $name there", ({ act }) => {
    const proxies = [{ ...PLAIN_PROXY, isQuic: true, servers: [PLAIN_SERVER] }];
    const rig = new Rig({ proxies, quic: PLAIN_QUIC, payloadBytesMax: 0 });
    const client = rig.connectOverQuic(10);
    act(quic(client));
    rig.run();
    expect(termination(client)).toBe("CC");
  });
});
