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

/** Installs all handlers. @returns takes them away again */
export function handleSignals(global: GlobalSpec, target: SignalTarget): () => void {
  let isStopping = false;
  const softStop = (): void => {
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
  const die = (signal: NodeJS.Signals): void => {
    target.stop();
    void Promise.race([target.done, sleepMs(STOP_WAIT_MS)]).then(() => {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
  };
  const dump = (): void => {
    target.say("warning", "SIGHUP received, dumping servers states.");
    for (const line of target.states()) target.say("warning", line);
  };
  const handlers: [NodeJS.Signals, () => void][] = [
    ["SIGUSR1", softStop],
    ["SIGTERM", () => die("SIGTERM")],
    ["SIGINT", () => die("SIGINT")],
    ["SIGHUP", dump],
    [
      "SIGUSR2",
      () => target.say("notice", "SIGUSR2 ignored: only a master process (-W) can reload."),
    ],
    ["SIGTTOU", () => target.say("notice", "SIGTTOU ignored: listening ports are shared.")],
    ["SIGTTIN", () => target.say("notice", "SIGTTIN ignored: listening ports are shared.")],
    ["SIGPIPE", () => {}],
  ];
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.removeListener(signal, handler);
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
