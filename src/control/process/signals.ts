/**
 * Signals of a serving process (HAProxy management manual, chapter 4). Main thread.
 *
 *   SIGUSR1        soft stop after `grace`; `hard-stop-after` bounds it     exit code 0
 *   SIGTERM, INT   ends everything, then dies by that very signal          128 + number
 *   SIGHUP         states of proxies and servers go to the log
 *   SIGUSR2, TTOU, TTIN   belong to the master and to systems without shared ports: a notice
 */
import { sleepMs, startTimer } from "../../base/clock.ts";
import type { GlobalSpec } from "../../tables/spec.ts";
import type { Severity } from "./output.ts";

/** What signals act on. */
export type SignalTarget = {
  /** Closes listeners, lets streams end; ends them after so many ms, -1 = never. */
  softStop(hardStopMs: number): void;
  /** Ends everything now. */
  stop(): void;
  /** Resolves once nothing is left. */
  done: Promise<unknown>;
  states(): string[];
  /** Says of each proxy that it has stopped. */
  sayStopped(): void;
  /** Says of each proxy how many connections are about to be cut. */
  sayCut(): void;
  /** To the log and, while there is one, to the terminal. */
  say(severity: Severity, text: string): void;
};

/** How long an immediate stop waits for workers to end before it goes without them, ms. */
const STOP_WAIT_MS = 500;

const SIGNALS = ["SIGUSR1", "SIGUSR2", "SIGHUP", "SIGTTOU", "SIGTTIN", "SIGPIPE"] as const;
const ENDINGS = ["SIGTERM", "SIGINT"] as const;

type Handled = (typeof SIGNALS)[number] | (typeof ENDINGS)[number];

/**
 * Catches signals from the moment that a port may be seen to listen. What comes before the process
 * serves is kept and acted on then; only a stop is obeyed at once.
 */
export class Signals {
  readonly #listeners = new Map<Handled, () => void>();
  #early: Handled[] = [];
  #act: (signal: Handled) => void;

  constructor() {
    this.#act = (signal) => {
      if (signal === "SIGTERM" || signal === "SIGINT") this.#dieBy(signal);
      else this.#early.push(signal);
    };
    for (const signal of [...SIGNALS, ...ENDINGS]) {
      const listener = (): void => this.#act(signal);
      this.#listeners.set(signal, listener);
      process.on(signal, listener);
    }
  }

  /** From now on signals act on a process that serves. */
  attach(global: GlobalSpec, target: SignalTarget): void {
    const softStop = softStopOnce(global, target);
    this.#act = (signal) => {
      switch (signal) {
        case "SIGUSR1":
          return softStop();
        case "SIGTERM":
        case "SIGINT":
          target.stop();
          return void Promise.race([target.done, sleepMs(STOP_WAIT_MS)]).then(() => {
            this.#dieBy(signal);
          });
        case "SIGHUP":
          target.say("warning", "SIGHUP received, dumping servers states.");
          for (const line of target.states()) target.say("warning", line);
          return;
        case "SIGUSR2":
          return target.say("notice", "SIGUSR2 ignored: only a master process (-W) can reload.");
        case "SIGTTOU":
        case "SIGTTIN":
          return target.say("notice", `${signal} ignored: listening ports are shared.`);
        case "SIGPIPE":
          return;
      }
    };
    const early = this.#early;
    this.#early = [];
    for (const signal of early) this.#act(signal);
  }

  /** Gives all signals back to the system. */
  release(): void {
    for (const [signal, listener] of this.#listeners) process.removeListener(signal, listener);
  }

  #dieBy(signal: Handled): void {
    this.release();
    process.kill(process.pid, signal);
  }
}

/** A soft stop after the grace period; further requests change nothing. */
function softStopOnce(global: GlobalSpec, target: SignalTarget): () => void {
  let isStopping = false;
  return () => {
    if (isStopping) return;
    isStopping = true;
    if (global.graceMs <= 0) {
      beginSoftStop(global, target);
      return;
    }
    target.say("notice", `Scheduling a soft-stop in ${global.graceMs} ms.`);
    startTimer(global.graceMs, () => {
      target.say("notice", "Grace period expired, proceeding with soft-stop now.");
      beginSoftStop(global, target);
    });
  };
}

function beginSoftStop(global: GlobalSpec, target: SignalTarget): void {
  const limitMs = global.hardStopAfterMs;
  target.sayStopped();
  if (limitMs >= 0) {
    const timer = startTimer(limitMs, () => {
      target.say("warning", "soft-stop running for too long, performing a hard-stop.");
      target.sayCut();
    });
    void target.done.then(() => timer.stop());
  }
  target.softStop(limitMs);
}
