/**
 * The thread of checks: started with the first order, looked after, replaced when it dies or hangs.
 * Nothing of control waits for it. Main thread.
 */
import type { Pointer } from "bun:ffi";
import { Worker } from "node:worker_threads";

import { describeError } from "../../base/assert.ts";
import { startTimer, systemClock } from "../../base/clock.ts";
import { EXTERNAL_CHECKS_MAX } from "../../base/limits.ts";
import type { CheckCrowd } from "../../check/checker.ts";
import { killGroup } from "../../check/external.ts";
import type {
  CheckEstate,
  CheckNews,
  ChecksStart,
  FromChecks,
  ToChecks,
} from "../../check/messages.ts";
import { nativeModule } from "../../conduit/native.ts";
import { ENGINE_MEMORY_BYTES } from "../../conduit/quic/engine-memory.ts";
import { quicModule } from "../../conduit/quic/native-quic.ts";

/** What the thread needs of the process. */
export type CheckThreadOptions = {
  /** Its entry module. */
  url: URL;
  start: Omit<ChecksStart, "estate">;
  receive: (news: readonly CheckNews[]) => void;
  /** It is a new one: it wants to be told everything. */
  restarted: () => void;
  say: (severity: "notice" | "warning" | "alert", text: string) => void;
  /** Pause between two looks at it, ms; left out: that of production. */
  lookMs?: number;
};

/** Pause between two looks at it, and looks without an answer after which it is given up, ms. */
const LOOK_MS = 2000;
const MISSES_MAX = 8;
/** Pause before a thread that died at once is replaced, ms. */
const RESTART_PAUSE_MS = 1000;

/** What a thread leaves behind. @prop engine of QUIC, which writes into the memory of `shared` */
type Estate = { shared: CheckEstate; loop?: Pointer; engine?: Pointer };

/** One thread at a time. */
export class CheckThread {
  private readonly options: CheckThreadOptions;
  private thread: Worker | null = null;
  /** Of threads that live, or are about to end. */
  private readonly estates = new Map<Worker, Estate>();
  private isClosed = false;
  private startedAtMs = 0;
  private misses = 0;
  private ticker: { stop(): void } | null = null;
  private pause: { stop(): void } | null = null;

  constructor(options: CheckThreadOptions) {
    this.options = options;
  }

  /** Sends an order; the first starts the thread. */
  send(order: ToChecks): void {
    if (this.isClosed || this.pause !== null) return;
    if (this.thread === null) {
      if (order.type === "stop") return;
      this.spawn();
    }
    this.thread?.postMessage(order);
  }

  /** Ends it. */
  close(): void {
    this.isClosed = true;
    this.ticker?.stop();
    this.pause?.stop();
    const { thread } = this;
    this.thread = null;
    if (thread === null) return;
    thread.removeAllListeners();
    void thread.terminate();
    const estate = this.estates.get(thread);
    if (estate !== undefined) killPrograms(estate);
  }

  private spawn(): void {
    const { url, start } = this.options;
    const shared: CheckEstate = {
      programs: new SharedArrayBuffer(EXTERNAL_CHECKS_MAX * Int32Array.BYTES_PER_ELEMENT),
      quicMemory: new SharedArrayBuffer(ENGINE_MEMORY_BYTES),
    };
    const workerData: ChecksStart = { ...start, estate: shared };
    const thread = new Worker(url, { workerData });
    this.thread = thread;
    this.estates.set(thread, { shared });
    this.startedAtMs = systemClock.nowMs();
    this.misses = 0;
    thread.on("message", (message: FromChecks) => this.hear(thread, message));
    thread.on("error", (error: unknown) => {
      this.options.say("alert", `The thread of checks failed: ${describeError(error)}`);
    });
    thread.on("exit", (code: number) => {
      this.bury(thread);
      this.lost(thread, `exit code ${code}`);
    });
    // Checks alone do not keep a process alive.
    thread.unref();
    this.look();
  }

  private hear(thread: Worker, message: FromChecks): void {
    switch (message.type) {
      case "loop":
      case "engine": {
        const estate = this.estates.get(thread);
        if (estate !== undefined) estate[message.type] = message.pointer as Pointer;
        return;
      }
      case "news":
        this.options.receive(message.news);
        return;
      case "crowd":
        this.options.say("warning", crowdWords(message.crowd));
        return;
      case "fault":
        this.options.say("alert", `Checks: ${message.text}`);
        return;
      case "pong":
        this.misses = 0;
        return;
    }
  }

  /** Asks whether it lives; one that is silent for long hangs, and nobody else would notice. */
  private look(): void {
    this.ticker?.stop();
    const lookMs = this.options.lookMs ?? LOOK_MS;
    this.ticker = startTimer(lookMs, () => {
      const { thread } = this;
      if (thread === null) return;
      if (this.misses++ < MISSES_MAX) {
        thread.postMessage({ type: "ping" } satisfies ToChecks);
        this.look();
        return;
      }
      thread.removeAllListeners();
      // What fails in it now is told no more, and must not end the process either.
      thread.on("error", () => undefined);
      void thread.terminate().then(() => this.bury(thread));
      this.lost(thread, `silent for ${(MISSES_MAX * lookMs) / 1000} seconds`);
    });
  }

  /** The thread has ended: nobody else closes its sockets, or ends its programs. */
  private bury(thread: Worker): void {
    const estate = this.estates.get(thread);
    if (estate === undefined) return;
    this.estates.delete(thread);
    killPrograms(estate);
    const { loop, engine } = estate;
    if (engine !== undefined) quicModule()?.engineDestroy(engine);
    const native = nativeModule();
    if (loop === undefined || native === null) return;
    const bell = native.loopBell(loop);
    native.loopDestroy(loop);
    native.close(bell);
  }

  private lost(thread: Worker, why: string): void {
    if (this.thread !== thread || this.isClosed) return;
    this.thread = null;
    this.ticker?.stop();
    const text = `The thread of checks is gone (${why}), starting a new one.`;
    this.options.say("alert", text);
    const isYoung = systemClock.nowMs() - this.startedAtMs < RESTART_PAUSE_MS;
    this.pause = startTimer(isYoung ? RESTART_PAUSE_MS : 0, () => {
      this.pause = null;
      if (!this.isClosed) this.options.restarted();
    });
  }
}

/** Ends its programs with all that they have started: nobody waits for them any more. */
function killPrograms({ shared }: Estate): void {
  const programs = new Int32Array(shared.programs);
  for (let at = 0; at < programs.length; at++) {
    const pid = Atomics.exchange(programs, at, 0);
    if (pid > 0) killGroup(pid);
  }
}

function crowdWords({ probesMax, delayed, late, waiting }: CheckCrowd): string {
  const lateWords = late === 0 ? "" : `, ${late} of them longer than their interval`;
  return (
    `Checks: ${delayed} had to wait because ${probesMax} were under way, the most that the ` +
    `limit of descriptors allows${lateWords}; ${waiting} wait now.`
  );
}
