/**
 * Control of a configuration without workers, sockets or a clock: commands run against it as a
 * session runs them. Grace periods end when `settle` is called.
 */
import { runCommand, RunningCall } from "../../src/api/call.ts";
import type { Outcome } from "../../src/api/call.ts";
import type { Asker } from "../../src/api/command.ts";
import { splitLine } from "../../src/api/lines.ts";
import { Lb } from "../../src/balance/lb.ts";
import type { CheckNews, ToChecks } from "../../src/check/messages.ts";
import type { RuntimeConfig } from "../../src/config/runtime.ts";
import { buildPlan, makeWorkshop } from "../../src/control/build.ts";
import type { Workshop } from "../../src/control/build.ts";
import { CheckDesk } from "../../src/control/checks/desk.ts";
import type { Control } from "../../src/control/control.ts";
import type { Notice } from "../../src/control/logs/sentences.ts";
import { makeControl } from "../../src/control/make-control.ts";
import type { ControlParts } from "../../src/control/make-control.ts";
import type { ProxyObject, ServerObject } from "../../src/control/model.ts";
import { MutationLog } from "../../src/control/mutation-log.ts";
import { makeKeeper } from "../../src/control/server-state.ts";
import { PROCESS_MAXCONN } from "../../src/tables/generated/process.ts";
import { SERVER_STRIDE } from "../../src/tables/generated/server.ts";
import type { Mutation, ShutdownSelector } from "../../src/tables/mutations.ts";
import type { Plan } from "../../src/tables/spec.ts";
import { reserveTables, Tables } from "../../src/tables/tables.ts";
import { loadText, planOf } from "../unit/config/load-text.ts";
import type { TestMachine } from "../unit/config/load-text.ts";
import { adminAsker } from "./rig-control.ts";

/** Connections that the process was started for. */
export const LAB_MAXCONN = 500;

/** A control and all that it tells. */
export type ControlLab = {
  control: Control;
  /** `level text` of what was logged. */
  told: string[];
  /** Streams that were to be ended: `server 64 down`. */
  shut: string[];
  /** Mutations since the last look. */
  mutations: Mutation[];
  /** What the thread of checks was told. */
  orders: ToChecks[];
  /** What it says of a server, as of now. */
  hear(
    path: string,
    news: Partial<CheckNews> & Pick<CheckNews, "result">,
    kind?: "check" | "agent",
  ): void;
  /** The connection that asks. */
  readonly asker: Asker;
  /** Runs one command line; several commands and payloads behind `<<` as they are. */
  run(line: string, payload?: string): Promise<Outcome>;
  /** Its code and text. */
  ask(line: string, payload?: string): Promise<string>;
  server(path: string): ServerObject;
  /** Everything that a command might change, for comparing. */
  snapshot(): unknown;
  /** Ends grace periods. */
  settle(): void;
};

/** What a test does at the moments of a start at which a process begins with more than its plan. */
export type LabStart = {
  /** Files that there are. */
  machine?: TestMachine;
  /** Why QUIC cannot be begun once the plan is made; left out: it can. */
  quicProblem?: string;
  /** The plan is there, nothing of it is made. */
  planned?(plan: Plan): void;
  /** Objects are made; no worker is there. */
  built?(shop: Workshop, runtime: RuntimeConfig): void;
};

/** Builds a configuration in memory. */
export async function makeControlLab(text: string, start: LabStart = {}): Promise<ControlLab> {
  const { machine } = start;
  const loaded = await loadText(text, machine === undefined ? {} : { machine });
  const plan = planOf(loaded);
  start.planned?.(plan);
  const sizes = { proxies: 32, listeners: 32, servers: 64, queueEntries: 16, arenaWords: 65_536 };
  const tables = new Tables(reserveTables({ workers: 1, ...sizes }));
  tables.process.words[PROCESS_MAXCONN] = LAB_MAXCONN;
  const told: string[] = [];
  const shut: string[] = [];
  const mutations: Mutation[] = [];
  const log = new MutationLog(
    tables,
    (records) => void mutations.push(...records.map(({ mutation }) => mutation)),
    (run) => run(),
  );
  const shop = makeWorkshop(plan, tables, new Lb(tables, 0, () => 0), log, null, 1);
  // Whether the machine has the module or not: there are no workers that would use it.
  shop.quic = {
    settings: () => ({ addresses: {}, secret: "00", chunksMax: 1 }),
    problemOfBind: () => "",
    problemOfServer: () => "",
  };
  buildPlan(shop);
  const { quicProblem = "" } = start;
  shop.quic = {
    ...shop.quic,
    problemOfBind: () => quicProblem,
    problemOfServer: () => quicProblem,
  };
  if (loaded.runtime !== null) start.built?.(shop, loaded.runtime);
  log.flush();
  const pool = {
    onLost: () => undefined,
    shutdown: (selector: ShutdownSelector, cause: string) => {
      shut.push(`${selector.kind} ${cause}`);
      return Promise.resolve(0);
    },
    serving: () => [],
  };
  const keeper = makeKeeper({
    tables,
    model: shop.model,
    lb: shop.lb,
    pool,
    tell: (_proxy: ProxyObject, { level, text: said }: Notice) =>
      void told.push(`${level} ${said}`),
    nowMs: () => 0,
  });
  const orders: ToChecks[] = [];
  const checks = new CheckDesk({
    keeper,
    send: (order) => void orders.push(order),
    quicAddresses: () => null,
  });
  checks.start(shop.model);
  keeper.checks = checks;
  const control = makeControl({
    serving: { shop, pool, pump: { onRing: null, drain: () => 0 } },
    keeper,
    checks,
    runtime: loaded.runtime,
    hub: {},
    startupLines: [],
    describeErrno: (errno: number) => `errno ${errno}`,
    say: () => undefined,
  } as unknown as ControlParts);
  const findServer = (path: string): ServerObject => {
    const [backend = "", name = ""] = path.split("/");
    return shop.model.backends.get(backend)!.serversByName.get(name)!;
  };
  const asker = adminAsker();
  const run = async (line: string, payload?: string): Promise<Outcome> => {
    const raw = { ...splitLine(line).commands[0]!, ...(payload === undefined ? {} : { payload }) };
    return await runCommand(new RunningCall(control, asker, raw), raw);
  };
  return {
    control,
    asker,
    told,
    shut,
    mutations,
    orders,
    hear: (path, news, kind = "check") => hearNews(checks, orders, findServer(path), news, kind),
    run,
    ask: async (line, payload) => {
      const { code, reply } = await run(line, payload);
      const said = reply.kind === "pieces" ? "" : reply.text;
      return code === "OK" ? said : `${code}: ${said}`;
    },
    server: findServer,
    snapshot: () => snapshotOf(control),
    settle: () => control.grace.check(),
  };
}

/** News of the thread of checks about a server, with usual values where nothing is said. */
function hearNews(
  checks: CheckDesk,
  orders: readonly ToChecks[],
  server: ServerObject,
  news: Partial<CheckNews> & Pick<CheckNews, "result">,
  kind: "check" | "agent",
): void {
  const known = orders.flatMap((order) => (order.type === "add" ? order.checks : []));
  const found = known.find(
    ({ serverRow, schedule }) => serverRow === server.row && schedule.kind === kind,
  );
  if (found === undefined) throw new Error(`${server.spec.name} has no ${kind}`);
  const { id } = found;
  const epochs = orders.flatMap((order) => {
    return "epoch" in order && order.id === id ? [order.epoch] : [];
  });
  const usual = { durationMs: 0, health: found.health, isUp: true, hasChanged: false };
  const progress = { hasMoved: true, counted: 1, needed: 1 };
  const epoch = epochs.at(-1) ?? found.epoch;
  checks.receive([{ id, epoch, ...usual, ...progress, ...news }]);
}

function snapshotOf({ model, tables, environment }: Control): unknown {
  return {
    process: [...tables.process.words],
    proxies: [...tables.proxies.words],
    servers: [...tables.servers.words.subarray(0, SERVER_STRIDE * 64)],
    listeners: [...tables.listeners.words],
    environment: [...environment],
    objects: model.proxies.map((proxy) => ({
      spec: structuredClone(proxy.spec),
      version: proxy.version,
      names: [...proxy.serversByName.keys()],
      servers: proxy.servers.map(({ spec, version }) => ({ spec: structuredClone(spec), version })),
      listeners: proxy.listeners.map(({ spec, version }) => ({ text: spec.text, version })),
    })),
  };
}
