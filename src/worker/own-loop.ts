/**
 * A worker on its own event loop (conduit/loop): how it sleeps, who wakes it, and what it leaves in
 * its row so that control can close its sockets should it die.
 */
import { describeError } from "../base/assert.ts";
import { systemClock } from "../base/clock.ts";
import { CLOSE_RESOURCE } from "../conduit/conduit.ts";
import type { DialHints } from "../conduit/conduit.ts";
import { ListeningDescriptor } from "../conduit/loop/loop-acceptor.ts";
import { adoptAccepted, dialOnLoop } from "../conduit/loop/loop-conduit.ts";
import { GO_ON, MAIL, NativeLoop, SLEEP } from "../conduit/loop/native-loop.ts";
import type { Native } from "../conduit/native.ts";
import { checkDescriptors } from "../data/accept/descriptors.ts";
import type { Engine } from "../data/engine.ts";
import type { ListeningSocket } from "../data/views.ts";
import {
  WORKER_BELL_ARMED,
  WORKER_BELL_DESCRIPTOR,
  WORKER_INBOX_HEAD,
  WORKER_INBOX_TAIL,
  WORKER_LOOP,
  WORKER_MAIL,
  WORKER_STRIDE,
} from "../tables/generated/worker.ts";
import type { Tables } from "../tables/tables.ts";
import { hasDescriptor } from "./bun-sockets.ts";
import { WorkerQuic } from "./quic.ts";
import type { QuicNames } from "./quic.ts";
import type { Fault, Sockets } from "./sockets.ts";

/** What a loop is made of. */
export type OwnLoopOptions = {
  native: Native;
  worker: number;
  /** Eventfd of the worker's former loop, -1 = none. */
  bell: number;
  tables: Tables;
  quicMemory: SharedArrayBuffer;
  fault: Fault;
  notice(text: string): void;
  ringControl(): void;
};

const EOPNOTSUPP = 95;

/** Sockets of a native loop. @throws when the loop cannot be made */
export function makeOwnLoop(options: OwnLoopOptions): Sockets {
  const { native, worker, bell, tables, fault, quicMemory: memory } = options;
  let engine: Engine | null = null;
  let seenMail = 0;
  const words = tables.workers.words;
  const row = worker * WORKER_STRIDE;
  const prepareSleep = (): number => {
    if (engine !== null) engine.readNotes();
    Atomics.store(words, row + WORKER_BELL_ARMED, 1);
    // Whoever writes now rings; what was written before is seen here.
    const mail = Atomics.load(words, row + WORKER_MAIL);
    const hasNotes =
      words[row + WORKER_INBOX_HEAD]! !== Atomics.load(words, row + WORKER_INBOX_TAIL);
    if (mail === seenMail && !hasNotes) return SLEEP;
    Atomics.store(words, row + WORKER_BELL_ARMED, 0);
    if (mail === seenMail) return GO_ON;
    seenMail = mail;
    return MAIL;
  };
  const woken = (): void => {
    Atomics.store(words, row + WORKER_BELL_ARMED, 0);
  };
  const hooks = {
    prepareSleep,
    woken,
    fault: (where: string, error: unknown) => fault(where, describeError(error)),
  };
  const loop = new NativeLoop(native, bell, systemClock, hooks, adoptAccepted);
  words[row + WORKER_BELL_DESCRIPTOR] = loop.bell;
  tables.workers.floats[(row + WORKER_LOOP) >> 1] = Number(loop.pointer);
  const names: QuicNames = {
    server: (at) => {
      const server = engine?.server(at);
      return server === undefined ? "" : `${server.backend.spec.name}/${server.name}`;
    },
    proxy: (at) => engine?.proxies.get(at)?.spec.name ?? "",
  };
  const quic = new WorkerQuic({ ...options, loop, memory, names });
  return {
    startTimer: (delayMs, run) => loop.startTimer(delayMs, run),
    nextTurn: (run) => loop.nextTurn(run),
    dial: (target, owner, hints) =>
      target.quic === null
        ? dialOnLoop(loop, target, owner)
        : (quic.open()?.dial(target, owner, hints ?? NO_HINTS) ?? CLOSE_RESOURCE),
    forgetTarget: (target) => quic.hub?.forget(target),
    listen: (spec, fd, frontend, onAccept) => {
      if (spec.quic !== undefined) {
        return quic.open()?.listen(spec.quic, fd, frontend, onAccept) ?? NO_QUIC;
      }
      return new ListeningDescriptor(loop, fd, onAccept, () => {
        if (engine !== null) checkDescriptors(engine);
      });
    },
    hasDescriptor,
    configure(globals) {
      loop.readBuffer = new Uint8Array(globals.bufsize);
    },
    quic: quic.desk,
    configureQuic: (settings) => quic.configure(settings),
    start(started) {
      engine = started;
      loop.start();
    },
    stop: (done) => quic.stop(done),
    cut: () => quic.cut(),
  };
}

const NO_HINTS: DialHints = { sni: "", session: null };

/** In place of a listener that cannot be had: why was told. */
const NO_QUIC: ListeningSocket = {
  isAccepting: false,
  start: () => -EOPNOTSUPP,
  pause: () => {},
};
