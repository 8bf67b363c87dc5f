/** Puts the running parts together for whoever changes or describes them. */
import { systemClock } from "../base/clock.ts";
import type { RuntimeConfig } from "../config/runtime.ts";
import { PROCESS_MAXCONN } from "../tables/generated/process.ts";
import { AgentOrdersTaker } from "./checks/agent.ts";
import { tellCheckEvents } from "./checks/check-events.ts";
import type { CheckDesk } from "./checks/desk.ts";
import type { Control } from "./control.ts";
import { Events } from "./events.ts";
import { Grace } from "./life/grace.ts";
import { References } from "./life/references.ts";
import type { LogHub } from "./logs/hub.ts";
import type { MailPost } from "./mail/post.ts";
import { reportConnectErrors } from "./observe.ts";
import { OutlierDesk } from "./outlier/desk.ts";
import type { Serving } from "./serve.ts";
import { enterServer } from "./server-state.ts";
import type { StateKeeper } from "./server-state.ts";
import { restoreChecks } from "./state/server-state-file.ts";

/** What the process around it provides. */
export type ControlParts = {
  serving: Serving;
  hub: LogHub;
  keeper: StateKeeper;
  checks: CheckDesk;
  runtime: RuntimeConfig;
  saver: Control["saver"];
  /** Left out: none are sent. */
  mails?: MailPost;
  startupLines: readonly string[];
  describeErrno: Control["describeErrno"];
  say: Control["say"];
};

/** Makes the control object; once a process. */
export function makeControl(parts: ControlParts): Control {
  const { serving, hub, keeper, checks, runtime, startupLines, mails } = parts;
  const { shop, pool, pump } = serving;
  const { tables, model } = shop;
  const { plan } = model;
  const grace = new Grace(tables);
  const events = new Events();
  // Workers ring control's bell for log records, for a grace period, and for what is idle now.
  pump.onRing = () => {
    grace.check();
    events.tellIdle();
  };
  restoreChecks(keeper, checks);
  followServers(keeper, checks, events);
  tellCheckEvents(checks, events);
  const outliers = new OutlierDesk(keeper);
  outliers.follow(events);
  pool.onErrors = (row, generation, count) => {
    reportConnectErrors({ model, checks }, row, generation, count);
  };
  pool.onLost = () => {
    grace.check();
    events.tell({ kind: "worker-lost" });
  };
  if (mails !== undefined) {
    mails.onLost = (text) => events.tell({ kind: "mails-lost", text });
  }
  const control: Control = {
    plan,
    tables,
    model,
    shop,
    pool,
    pump,
    hub,
    keeper,
    checks,
    outliers,
    clock: systemClock,
    grace,
    references: new References(tables),
    events,
    runtime,
    environment: new Map(Object.entries(plan.global.environment)),
    saver: parts.saver,
    mails: mails ?? { counts: () => [] },
    startupLines,
    startedAtMs: systemClock.nowMs(),
    startedEpochMs: systemClock.epochMicros() / 1000,
    maxconnHard: tables.process.words[PROCESS_MAXCONN]!,
    describeErrno: parts.describeErrno,
    say: parts.say,
  };
  const agents = new AgentOrdersTaker(control);
  checks.onOrders = (server, orders) => agents.take(server, orders);
  return control;
}

/** Servers that come are checked and follow whom they track; a change of state is an event. */
function followServers(keeper: StateKeeper, checks: CheckDesk, events: Events): void {
  keeper.onChange = (server) => {
    events.tell({ kind: "server-health", server, proxy: server.backend });
  };
  events.listen(({ kind, server }) => {
    if (server === undefined) return;
    if (kind === "server-added") {
      enterServer(keeper, server);
      checks.refresh(server);
    } else if (kind === "server-removed") {
      keeper.tracking.unlink(server);
    }
  });
}
