/** The QUIC engine of a worker that has died: what it had not counted is counted, then it goes. */
import { expect, test } from "bun:test";

import { nativeAddresses, nativeModule } from "../../../src/conduit/native.ts";
import { QuicAccount } from "../../../src/conduit/quic/account.ts";
import { ENGINE_MEMORY_BYTES } from "../../../src/conduit/quic/engine-memory.ts";
import { quicAddresses, quicModule } from "../../../src/conduit/quic/native-quic.ts";
import { countServerIdle, countServerOpen } from "../../../src/conduit/quic/presence.ts";
import {
  CAUSE_INTERNAL,
  CAUSE_LOCAL,
  CAUSE_RESET,
  QUIC_NUMBERS,
} from "../../../src/conduit/quic/transport.ts";
import { buryQuic } from "../../../src/control/burial.ts";
import {
  PROXY_QUIC_BACK,
  PROXY_QUIC_FRONT,
  PROXY_STRIDE,
} from "../../../src/tables/generated/proxy.ts";
import * as count from "../../../src/tables/generated/quic-count.ts";
import {
  SERVER_QUIC_IDLE,
  SERVER_QUIC_OPEN,
  SERVER_STRIDE,
} from "../../../src/tables/generated/server.ts";
import { fullSizes, reserveTables, Tables } from "../../../src/tables/tables.ts";
import {
  bindUdp,
  dialTo,
  makeTransport,
  nativeBind,
  nativeServer,
  PROXY_ROW,
  pumpedHooks,
} from "../../support/native-lab.ts";
import type { EngineOrders } from "../../support/quic-engine-worker.ts";
import { ConnectionEnd, CountingAccount } from "../../support/transport-suite.ts";

const FRONT_ROW = PROXY_STRIDE;
const BACK_ROW = 2 * PROXY_STRIDE;
const WORKER = 1;
const CLIENTS = 3;
const DIALS = 2;
/** Datagrams that are nothing. */
const NOISE = 7;

/** A field of a proxy's QUIC counters of the worker. */
function counted(tables: Tables, row: number, isFront: boolean, field: number): number {
  const { quicFront, quicBack } = tables.perWorker[WORKER - 1]!;
  const at = (row / PROXY_STRIDE) * count.QUIC_COUNT_STRIDE + field;
  return (isFront ? quicFront : quicBack).floats[at >> 1]!;
}

const numberOf = (name: (typeof QUIC_NUMBERS)[number]): number => 2 * QUIC_NUMBERS.indexOf(name);

test.skipIf(quicModule() === null)(
  "an engine whose thread was killed",
  async () => {
    const tables = new Tables(reserveTables(fullSizes(WORKER)));
    const memory = new SharedArrayBuffer(ENGINE_MEMORY_BYTES);
    const account = new CountingAccount();
    // The far end of both sides: clients of the worker, and the server that it dials.
    const far = makeTransport(2, pumpedHooks(), account);
    const [toWorker, toFar] = [bindUdp(), bindUdp()];
    far.listen(nativeBind(), toFar.fd, PROXY_ROW, { onAccepted: () => new ConnectionEnd(far) });
    const thread = new Worker(new URL("../../support/quic-engine-worker.ts", import.meta.url));
    const orders: EngineOrders = {
      blocks: tables.blocks,
      memory,
      native: nativeAddresses()!,
      quic: quicAddresses()!,
      fd: toWorker.fd,
      frontRow: FRONT_ROW,
      backRow: BACK_ROW,
      port: toFar.port,
      dials: DIALS,
      bind: nativeBind().bind!,
      server: nativeServer().server!,
    };
    let isServing = false;
    thread.onmessage = () => {
      isServing = true;
    };
    thread.postMessage(orders);
    const until = async (condition: () => boolean): Promise<void> => {
      for (let i = 0; i < 10_000 && !condition(); i++) {
        far.turn(8);
        await Bun.sleep(1);
      }
      expect(condition()).toBe(true);
    };
    await until(() => isServing);
    // It reads them before what the clients send.
    const stranger = await Bun.udpSocket({});
    const noise = new Uint8Array(5);
    for (let i = 0; i < NOISE; i++) stranger.send(noise, toWorker.port, "127.0.0.1");
    stranger.close();
    const clients = Array.from({ length: CLIENTS }, () => {
      const end = new ConnectionEnd(far);
      end.handle = far.connect(dialTo(toWorker.port, nativeServer()), end);
      return end;
    });
    await until(() => clients.every(({ isConnected }) => isConnected));
    const streams = clients.map((client) => client.open());
    for (const stream of streams) stream.send(new Uint8Array(1000));
    await until(() => streams.every((stream) => stream.receivedBytes === 1000));
    // One of them has been closed, and waits to be released.
    far.closeConnection(clients[0]!.handle, true, 5n, "");
    await until(() => counted(tables, FRONT_ROW, true, count.QUIC_COUNT_ENDED + 2 * 2) === 1);
    countServerOpen(tables, WORKER, SERVER_STRIDE, DIALS);
    countServerIdle(tables, WORKER, SERVER_STRIDE, 1);
    const words = tables.proxies.words;
    expect(words[FRONT_ROW + PROXY_QUIC_FRONT]).toBe(CLIENTS);
    expect(words[BACK_ROW + PROXY_QUIC_BACK]).toBe(DIALS);
    const gone = new Promise((resolve) => thread.addEventListener("close", resolve));
    thread.terminate();
    await gone;
    // What it told last of handshakes under way.
    new QuicAccount(tables, WORKER, () => {}).halfOpen(FRONT_ROW, 2);

    expect(buryQuic(tables, WORKER, memory, [SERVER_STRIDE])).toBe(CLIENTS + DIALS);

    expect(words[FRONT_ROW + PROXY_QUIC_FRONT]).toBe(0);
    expect(words[BACK_ROW + PROXY_QUIC_BACK]).toBe(0);
    const { servers } = tables;
    expect(servers.words[SERVER_STRIDE + SERVER_QUIC_OPEN]).toBe(0);
    expect(servers.words[SERVER_STRIDE + SERVER_QUIC_IDLE]).toBe(0);
    const front = (field: number): number => counted(tables, FRONT_ROW, true, field);
    const back = (field: number): number => counted(tables, BACK_ROW, false, field);
    expect(front(numberOf("handshakesDone"))).toBe(CLIENTS);
    expect(back(numberOf("handshakesDone"))).toBe(DIALS);
    expect(front(count.QUIC_COUNT_HALF_OPEN)).toBe(0);
    expect(front(numberOf("streamsBidiRemote"))).toBe(CLIENTS);
    for (const field of [count.QUIC_COUNT_OPENED, count.QUIC_COUNT_RELEASED]) {
      expect([front(field), back(field)]).toEqual([CLIENTS, DIALS]);
    }
    expect(front(numberOf("malformed"))).toBe(NOISE);
    // The closed one ended once; the others with their worker.
    const lost = count.QUIC_COUNT_ENDED + 2 * CAUSE_INTERNAL;
    expect([front(lost), back(lost)]).toEqual([CLIENTS - 1, DIALS]);
    // Once: there is nothing left to bury.
    expect(buryQuic(tables, WORKER, memory, [SERVER_STRIDE])).toBe(0);

    // Its successor on the same socket knows the keys, and tells the clients that all is lost.
    const successor = makeTransport(WORKER, pumpedHooks(), new CountingAccount(), {
      generation: 2,
    });
    successor.listen(nativeBind(), toWorker.fd, FRONT_ROW, {
      onAccepted: () => new ConnectionEnd(successor),
    });
    for (const client of clients.slice(1)) client.open().send(new Uint8Array(500));
    await until(() => {
      successor.turn(8);
      return clients.slice(1).every(({ cause }) => cause !== 0);
    });
    expect(clients.map(({ cause }) => cause)).toEqual([0, CAUSE_RESET, CAUSE_RESET]);
    expect(account.closedCauses).toContain(CAUSE_LOCAL);
    successor.destroy();
    far.destroy();
    for (const { fd } of [toWorker, toFar]) nativeModule()!.close(fd);
  },
  60_000,
);
