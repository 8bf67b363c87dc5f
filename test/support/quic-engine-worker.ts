/**
 * A worker thread that has nothing but a QUIC engine: it listens, echoes what comes, and dials a
 * server of its own accord. It counts now and then, so that something is left uncounted when it is
 * killed.
 */
import { useNativeAddresses } from "../../src/conduit/native.ts";
import type { NativeAddresses } from "../../src/conduit/native.ts";
import { QuicAccount } from "../../src/conduit/quic/account.ts";
import { EngineMemory } from "../../src/conduit/quic/engine-memory.ts";
import { useQuicAddresses } from "../../src/conduit/quic/native-quic.ts";
import { QuicProfile } from "../../src/conduit/quic/profile.ts";
import { WORKER_QUIC_ENGINE, WORKER_STRIDE } from "../../src/tables/generated/worker.ts";
import type { QuicBindSpec, QuicServerSpec } from "../../src/tables/spec.ts";
import { Tables } from "../../src/tables/tables.ts";
import type { SharedBlocks } from "../../src/tables/tables.ts";
import { dialTo, makeTransport, pumpedHooks } from "./native-lab.ts";
import { ConnectionEnd } from "./transport-suite.ts";

/** What the thread is told to do. */
export type EngineOrders = {
  blocks: SharedBlocks;
  memory: SharedArrayBuffer;
  native: NativeAddresses;
  quic: NativeAddresses;
  fd: number;
  /** Rows of the proxies that clients and servers count for. */
  frontRow: number;
  backRow: number;
  /** Where to dial, and how often. */
  port: number;
  dials: number;
  /** Certificates and trust of both sides: a thread would make its own. */
  bind: QuicBindSpec;
  server: QuicServerSpec;
};

declare const self: Worker;
const WORKER = 1;

self.onmessage = ({ data }: MessageEvent<EngineOrders>) => {
  useNativeAddresses(data.native);
  useQuicAddresses(data.quic);
  const tables = new Tables(data.blocks);
  const account = new QuicAccount(tables, WORKER, () => {});
  const memory = new EngineMemory(data.memory);
  const transport = makeTransport(WORKER, pumpedHooks(), account, { memory });
  const row = WORKER * WORKER_STRIDE;
  tables.workers.floats[(row + WORKER_QUIC_ENGINE) >> 1] = Number(transport.engine);
  transport.listen(QuicProfile.ofBind(data.bind), data.fd, data.frontRow, {
    onAccepted: (connection) => {
      const end = new ConnectionEnd(transport);
      end.handle = connection;
      end.onOpened = (stream) => (stream.isEcho = true);
      return end;
    },
  });
  const profile = QuicProfile.ofServer(data.server);
  const dialled = Array.from({ length: data.dials }, () => {
    const end = new ConnectionEnd(transport);
    const dial = { ...dialTo(data.port, profile), proxyRow: data.backRow };
    end.handle = transport.connect(dial, end);
    return end;
  });
  let isTold = false;
  setInterval(() => {
    transport.turn(16);
    if (isTold || !dialled.every(({ isConnected }) => isConnected)) return;
    isTold = true;
    transport.countLive();
    self.postMessage("serving");
  }, 1);
};
