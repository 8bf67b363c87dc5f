/** What carries a worker's bytes: a loop of its own, or Bun's sockets without native module. */
import type { Engine, Environment } from "../data/engine.ts";

/** The part of the engine's environment that sockets and time are. */
export type Sockets = Pick<
  Environment,
  "startTimer" | "nextTurn" | "dial" | "forgetTarget" | "listen" | "hasDescriptor" | "configure"
> & {
  /** Begins to work for the engine: notes and timers reach it from now on. */
  start(engine: Engine): void;
};

/** Told of exceptions inside callbacks: bugs, never network errors. */
export type Fault = (where: string, text: string) => void;
