/** What a benchmark is: something to start a contestant over, and numbers to take from it. */
import type { Contestant, ContestantName, Setup } from "./contestants.ts";

/** How much effort a run is worth. */
export interface Effort {
  /** Length of one measured load. */
  seconds: number;
  /** Length of the load before it, so that caches, pools and compiled code are in place. */
  warmupSeconds: number;
  /** Idle connections. */
  connections: number;
  /** Multiplies the objects of a big configuration. */
  scale: number;
  /** Bound of a bulk transfer; none in a real run. */
  bytesMax?: number;
}

/** A real run, and one of a few hundred milliseconds that only shows that everything works. */
export const EFFORTS = {
  full: { seconds: 3, warmupSeconds: 5, connections: 5_000, scale: 1 },
  quick: { seconds: 1, warmupSeconds: 0.5, connections: 2_000, scale: 0.2 },
  tiny: { seconds: 0.2, warmupSeconds: 0, connections: 50, scale: 0.005, bytesMax: 10_000_000 },
} as const satisfies Record<string, Effort>;

/** One number that a workload reports. */
export interface Metric {
  name: string;
  unit: string;
  better: "lower" | "higher";
  /** What the ratio to haproxy must reach, if anything. */
  goal?: number;
  /** What sluice's own value must not exceed, if anything. */
  valueMax?: number;
}

/** What a workload decides about the setup; workers and front ports are given. */
export type Wanted = Omit<Setup, "workers" | "frontPort" | "bulkFrontPort">;

/** A contestant with the ports on which it is reached. */
export type Running = Contestant & Pick<Setup, "frontPort" | "bulkFrontPort">;

/** What a workload is given. */
export interface Context {
  contestant: ContestantName;
  workers: number;
  effort: Effort;
  /** Starts the contestant and waits until it listens on `frontPort`. */
  start(wanted: Wanted): Promise<Running>;
  /** Starts it without waiting. */
  launch(wanted: Wanted): Running;
}

/** A benchmark. */
export interface Workload {
  name: string;
  /** A sentence for the report. */
  what: string;
  metrics: readonly Metric[];
  /** Who can run it; all unless said. */
  contestants?: readonly ContestantName[];
  /** One measurement: the values of `metrics`, in order. */
  run(context: Context): Promise<number[]>;
}
