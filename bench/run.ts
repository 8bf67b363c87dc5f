/**
 * Runs workloads in interleaved rounds: every contestant has its turn in each round, and the order
 * moves on from round to round, so that what else the machine does hits all of them alike.
 */
import { freePort, isListening } from "../test/support/ports.ts";
import { until } from "../test/support/procs.ts";
import { type Contestant, type ContestantName, startContestant } from "./contestants.ts";
import type { Context, Effort, Metric, Running, Wanted, Workload } from "./workload.ts";
import { beside } from "./workloads/beside.ts";
import { bulk, duplex } from "./workloads/bulk.ts";
import { controlChanges, controlShow, controlStorm } from "./workloads/control.ts";
import { idle } from "./workloads/idle.ts";
import { outlierWorkloads } from "./workloads/outliers.ts";
import { connections, requests } from "./workloads/requests.ts";
import { loadBackends, loadServers, start } from "./workloads/start.ts";

/** All workloads, in the order of the report. */
export const WORKLOADS: readonly Workload[] = [
  bulk,
  duplex,
  requests,
  connections,
  idle,
  beside,
  start,
  loadBackends,
  loadServers,
  controlShow,
  controlChanges,
  controlStorm,
  ...outlierWorkloads,
];

/** All rounds of one metric of one workload with one number of workers. */
export interface Result {
  workload: string;
  what: string;
  workers: number;
  metric: Metric;
  /** A value per round, by contestant. */
  samples: Partial<Record<ContestantName, number[]>>;
}

/** What to run. */
export interface RunPlan {
  workloads: readonly Workload[];
  contestants: readonly ContestantName[];
  workerCounts: readonly number[];
  rounds: number;
  effort: Effort;
  /** Called before each measurement. */
  onStep?(text: string): void;
}

/** Runs the plan; throws when a contestant fails. */
export async function runPlan(plan: RunPlan): Promise<Result[]> {
  const results: Result[] = [];
  for (const workload of plan.workloads) {
    for (const workers of plan.workerCounts) {
      results.push(...(await runRounds(plan, workload, workers)));
    }
  }
  return results;
}

async function runRounds(plan: RunPlan, workload: Workload, workers: number): Promise<Result[]> {
  const { name, what } = workload;
  const results = workload.metrics.map((metric): Result => {
    return { workload: name, what, workers, metric, samples: {} };
  });
  for (let round = 0; round < plan.rounds; round++) {
    for (let turn = 0; turn < plan.contestants.length; turn++) {
      const contestant = plan.contestants[(turn + round) % plan.contestants.length];
      if (contestant === undefined) continue;
      if (workload.contestants?.includes(contestant) === false) continue;
      plan.onStep?.(`${name}, ${workers} workers, round ${round + 1}: ${contestant}`);
      const values = await workload.run(contextOf(contestant, workers, plan.effort));
      for (const [i, result] of results.entries()) {
        (result.samples[contestant] ??= []).push(values[i] ?? Number.NaN);
      }
    }
  }
  return results;
}

function contextOf(contestant: ContestantName, workers: number, effort: Effort): Context {
  const launch = (wanted: Wanted): Running => {
    const ports = { frontPort: freePort(), bulkFrontPort: freePort() };
    const running: Contestant = startContestant(contestant, { ...wanted, ...ports, workers });
    return { ...running, ...ports };
  };
  return {
    contestant,
    workers,
    effort,
    launch,
    async start(wanted) {
      const running = launch(wanted);
      try {
        await until(`${contestant} listens`, () => {
          if (running.process.hasExited()) throw new Error(running.process.output());
          return isListening(running.frontPort);
        });
      } catch (error) {
        await running[Symbol.asyncDispose]();
        throw error;
      }
      return running;
    },
  };
}
