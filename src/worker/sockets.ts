/** What carries a worker's bytes: a loop of its own, or Bun's sockets without native module. */
import type { Engine, Environment } from "../data/engine.ts";

/** The part of the engine's environment that sockets and time are. */
export type Sockets = Pick<
  Environment,
  | "startTimer"
  | "nextTurn"
  | "dial"
  | "forgetTarget"
  | "listen"
  | "hasDescriptor"
  | "configure"
  | "configureQuic"
  | "quic"
> & {
  /** Begins to work for the engine: notes and timers reach it from now on. */
  start(engine: Engine): void;
  /**
   * The last stream has ended and none will come: what is kept open for later is closed.
   * @param done called when the thread may end
   */
  stop(done: () => void): void;
  /** The thread ends now: peers that would not notice are told. */
  cut(): void;
};

/** Told of exceptions inside callbacks: bugs, never network errors. */
export type Fault = (where: string, text: string) => void;
