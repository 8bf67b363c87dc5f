/**
 * The running process as whoever changes or describes it sees it: one object that the runtime API,
 * the statistics page, signals and state files share. Made when serving begins. Main thread.
 */
import type { Clock } from "../base/clock.ts";
import type { RuntimeConfig } from "../config/runtime.ts";
import type { Plan } from "../tables/spec.ts";
import type { Tables } from "../tables/tables.ts";
import type { AskedPool } from "./ask.ts";
import type { Workshop } from "./build.ts";
import type { CheckDesk } from "./checks/desk.ts";
import type { Events } from "./events.ts";
import type { Grace } from "./life/grace.ts";
import type { References } from "./life/references.ts";
import type { LogPump } from "./log-pump.ts";
import type { LogHub } from "./logs/hub.ts";
import type { MailPost } from "./mail/post.ts";
import type { Model } from "./model.ts";
import type { OutlierDesk } from "./outlier/desk.ts";
import type { StateKeeper } from "./server-state.ts";
import type { StateSaver } from "./state/saver.ts";
import type { WorkerPool } from "./workers.ts";

export type Control = {
  readonly plan: Plan;
  readonly tables: Tables;
  readonly model: Model;
  readonly shop: Workshop;
  readonly pool: WorkerPool;
  readonly pump: LogPump;
  readonly hub: LogHub;
  readonly keeper: StateKeeper;
  readonly checks: CheckDesk;
  /** Servers that do worse than their peers, and are left alone for a while. */
  readonly outliers: OutlierDesk;
  readonly clock: Clock;
  /** Resolves when all workers are past a mutation. */
  readonly grace: Grace;
  /** Who holds what beyond the look of it: servers on their way out, sessions of the API. */
  readonly references: References;
  /** What has changed, told to whoever waits, watches or writes state. */
  readonly events: Events;
  /** Defaults and settings of the configuration, for objects made at run time. */
  readonly runtime: RuntimeConfig;
  /** `set env` and `show env`; the process's environment as the configuration left it. */
  readonly environment: Map<string, string>;
  /** Mails about servers. */
  readonly mails: Pick<MailPost, "counts">;
  /** Writes the state file; null = there is none. */
  readonly saver: StateSaver | null;
  /** Lines that the start printed (`show startup-logs`). */
  readonly startupLines: readonly string[];
  readonly startedAtMs: number;
  readonly startedEpochMs: number;
  /** Limit of `set maxconn global`: what the process was started with. */
  readonly maxconnHard: number;
  /** The system's words for an error number. */
  describeErrno(errno: number): string;
  /** Says something in the process's log. */
  say(severity: "notice" | "warning" | "alert", text: string): void;
};

/** The part of it that lives of servers, proxies and listeners need: the simulator has it too. */
export type LifeControl = Pick<
  Control,
  "plan" | "tables" | "model" | "shop" | "grace" | "references" | "events" | "describeErrno"
> & {
  readonly pool: AskedPool & Pick<WorkerPool, "shutdown">;
  readonly pump: Pick<LogPump, "drain">;
  readonly checks: Pick<CheckDesk, "remove">;
  readonly runtime: Pick<RuntimeConfig, "forget">;
};
