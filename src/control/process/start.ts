/**
 * A start, from the command line to a process that serves, and what happens when it ends.
 *
 *   options ─▶ plan ─▶ (background) ─▶ limits ─▶ sockets, workers ─▶ pid file, privileges
 *           ─▶ traffic ─▶ checks, signals, old processes told ─▶ … ─▶ exit code
 */
import { unlinkSync, writeFileSync } from "node:fs";

import { assert, describeError } from "../../base/assert.ts";
import { sleepMs, systemClock } from "../../base/clock.ts";
import { errorRemedy, errorText, SluiceError } from "../../base/errors.ts";
import { BIND_ATTEMPTS_MAX, WORKERS_MAX } from "../../base/limits.ts";
import { random32 } from "../../base/prng.ts";
import { systemLibc } from "../../base/system-libc.ts";
import { nativeModule, nativeReason } from "../../conduit/native.ts";
import { quicModule } from "../../conduit/quic/native-quic.ts";
import { automaticFullconn, hasListener } from "../../config/plan.ts";
import type { RuntimeConfig } from "../../config/runtime.ts";
import { readTextOrNone } from "../../config/system.ts";
import type { Plan } from "../../tables/spec.ts";
import { startChecks } from "../checks/start.ts";
import type { Control } from "../control.ts";
import { LogHub } from "../logs/hub.ts";
import { MailPost } from "../mail/post.ts";
import { makeControl } from "../make-control.ts";
import { startNames } from "../names/names.ts";
import { BindError, startServing } from "../serve.ts";
import type { Serving } from "../serve.ts";
import { makeKeeper } from "../server-state.ts";
import type { StateKeeper } from "../server-state.ts";
import { Watchdog } from "../watchdog.ts";
import { nativeNeeds } from "../without-native.ts";
import type { OldProcesses, RunOptions } from "./arguments.ts";
import { usableCpuCount } from "./cpu.ts";
import { leaveTerminal, runInBackground, takeReadyDescriptor } from "./daemon.ts";
import type { Demo } from "./demo.ts";
import { startDemo } from "./demo.ts";
import { decideLimits, readDescriptorLimits } from "./descriptors.ts";
import { Journal } from "./journal.ts";
import { environmentFlags, loadPlan, wantsDemo } from "./load.ts";
import type { Output } from "./output.ts";
import { dropPrivileges } from "./privileges.ts";
import type { PrivilegeCalls } from "./privileges.ts";
import { Signals } from "./signals.ts";
import type { SignalTarget } from "./signals.ts";
import { ProcessState } from "./state.ts";
import { describeCut, describeStates, describeStopped } from "./states.ts";

/** Distance of attempts to bind. */
const BIND_PAUSE_MS = 10;
const EADDRINUSE = 98;

/**
 * Something that serves beside the traffic: the runtime API, statistics pages. Its sockets are
 * opened with the others, before privileges drop; it answers once there is something to describe.
 */
export type Service = {
  /** @throws SluiceError when a socket cannot be had */
  open(plan: Plan, warn: (text: string) => void): OpenService | Promise<OpenService>;
};

/** A service whose sockets are open. */
export type OpenService = {
  serve(control: Control): void;
  /** The process ends. */
  close(): void;
};

/** Runs a start or a check. @returns the exit code of the process */
export async function runStart(
  options: RunOptions,
  argv: readonly string[],
  entries: ThreadEntries,
  output: Output,
  services: readonly Service[] = [],
): Promise<number> {
  const readyFd = takeReadyDescriptor();
  output.isQuiet = options.quiet;
  if (options.directory !== undefined) {
    try {
      process.chdir(options.directory);
    } catch (error) {
      const facts = { path: options.directory, reason: reason(error) };
      return tellEnd(output, new SluiceError("SLC_WORKING_FOLDER", facts));
    }
  }
  const mayDetach = readyFd === undefined && !options.checkOnly;
  if (mayDetach && options.daemon && !options.debug && !options.foreground) {
    return runInBackground(argv);
  }
  const demo = wantsDemo(argv, environmentFlags().flags) ? startDemo() : undefined;
  const loaded = await loadPlan(options, output, demo);
  // The background process loads once more, and says all this itself.
  if (mayDetach && "plan" in loaded && loaded.plan.global.daemon) return runInBackground(argv);
  if ("plan" in loaded) output.isQuiet = loaded.plan.global.quiet;
  for (const line of loaded.lines) output.raw(line);
  if ("exitCode" in loaded) {
    if (loaded.isRefused) output.say("notice", errorRemedy("SLC_CONFIG_REFUSED"));
    return loaded.exitCode;
  }
  output.level = loaded.plan.sluice.logLevel;
  try {
    const { plan, runtime, lines: startupLines } = loaded;
    const input = { plan, runtime, startupLines, services };
    return await serve({ ...input, options, entries, output, readyFd, demo });
  } catch (error) {
    return tellEnd(output, error instanceof SluiceError ? error : unexpected(error));
  }
}

/** The last words of a start that cannot go on. @returns the exit code */
function tellEnd(output: Output, error: SluiceError): number {
  output.say("alert", error.message);
  output.say("notice", errorRemedy(error.code));
  return 1;
}

function unexpected(error: unknown): SluiceError {
  return new SluiceError("SLC_UNEXPECTED", { reason: describeError(error) });
}

/** Modules that threads begin with. */
export type ThreadEntries = { worker: URL; checker: URL };

type ServeInput = {
  plan: Plan;
  runtime: RuntimeConfig;
  startupLines: readonly string[];
  services: readonly Service[];
  options: RunOptions;
  entries: ThreadEntries;
  output: Output;
  readyFd: number | undefined;
  demo: Demo | undefined;
};

async function serve(input: ServeInput): Promise<number> {
  const { plan, options, output } = input;
  if (!hasListener(plan) && plan.global.statsSockets.length === 0) {
    throw new SluiceError("SLC_NO_LISTENER", {});
  }
  if (options.noReusePort) plan.global.noreuseport = true;
  refuseNativeNeeds(plan, output);
  const workers = Math.min(plan.global.nbthread || usableCpuCount(), WORKERS_MAX);
  const { maxconn, probesMax } = applyLimits(plan, workers, options, output);
  const journal = new Journal(output);
  catchFaults(journal);
  const signals = new Signals();
  const opened: OpenService[] = [];
  const state = new ProcessState(plan, input.runtime, (severity, text) =>
    journal.say(severity, text),
  );
  const { serving, hub } = await openAndServe(input, opened, () =>
    bindAndServe(input, { journal, state }, workers, maxconn),
  );
  const { keeper, mails } = makeTellers(serving, journal);
  const checking = startChecks(
    serving.shop,
    keeper,
    probesMax,
    input.entries.checker,
    (severity, text) => journal.say(severity, text),
  );
  const checks = checking.desk;
  const control = makeControl({
    serving,
    hub,
    keeper,
    checks,
    runtime: input.runtime,
    saver: state.saver,
    mails,
    startupLines: input.startupLines,
    describeErrno: (errno) => systemLibc().strerror(errno),
    say: (severity, text) => journal.say(severity, text),
  });
  state.begin(control, systemLibc());
  const names = startNames(control);
  for (const service of opened) service.serve(control);
  const watchdog = new Watchdog(control);
  signals.attach(plan.global, signalTarget({ serving, checks, state, journal }));
  for (const old of options.oldProcesses) signalAll(old, old.signal);
  for (const line of input.demo?.greeting ?? []) output.print(line);
  // From here on a start counts as done: quiet or not, what happens is told.
  output.isQuiet = false;
  if (input.readyFd !== undefined) {
    output.isAttached = false;
    leaveTerminal(input.readyFd);
  }
  const code = await serving.done;
  watchdog.stop();
  names.stop();
  checking.close();
  for (const service of opened) service.close();
  mails.close();
  state.close();
  journal.close();
  signals.release();
  input.demo?.stop();
  return code;
}

/** Who changes states of servers, and tells of it in logs and mails. */
function makeTellers(
  { shop, pool }: Serving,
  journal: Journal,
): { keeper: StateKeeper; mails: MailPost } {
  const { tables, model, lb } = shop;
  const mails = new MailPost({
    mailers: model.plan.mailers,
    lost: (text) => {
      journal.say("warning", text);
      mails.onLost?.(text);
    },
  });
  const keeper = makeKeeper({
    tables,
    model,
    lb,
    pool,
    tell: (proxy, notice) => {
      journal.tell(proxy, notice);
      mails.tell(proxy.spec, notice);
    },
    nowMs: systemClock.nowMs,
  });
  return { keeper, mails };
}

/** What signals act on. */
function signalTarget(parts: {
  serving: Serving;
  checks: Pick<Control["checks"], "stop">;
  state: ProcessState;
  journal: Journal;
}): SignalTarget {
  const { serving, checks, state, journal } = parts;
  const { model } = serving.shop;
  return {
    softStop: (hardStopMs) => {
      checks.stop();
      serving.softStop(hardStopMs);
    },
    stop: () => {
      checks.stop();
      serving.stop();
      // Now: the process waits for workers only so long.
      state.close();
    },
    done: serving.done,
    states: () => describeStates(model),
    sayStopped: () => {
      for (const { proxy, notice } of describeStopped(model)) journal.tell(proxy, notice);
    },
    sayCut: () => {
      for (const { proxy, notice } of describeCut(model)) journal.tell(proxy, notice);
    },
    say: (severity, text) => journal.say(severity, text),
  };
}

/** Opens the services, then the rest; what fails leaves none of their sockets behind. */
async function openAndServe<Served>(
  { plan, services, output }: ServeInput,
  opened: OpenService[],
  begin: () => Promise<Served>,
): Promise<Served> {
  try {
    for (const service of services) {
      opened.push(await service.open(plan, (text) => output.say("warning", text)));
    }
    return await begin();
  } catch (error) {
    for (const service of opened) service.close();
    throw error;
  }
}

/** Without the native part, words that need it are refused by name. */
function refuseNativeNeeds(plan: Plan, output: Output): void {
  if (nativeModule() !== null) return;
  const needs = nativeNeeds(plan);
  if (needs.length === 0) return;
  const why = nativeReason();
  for (const need of needs) {
    output.say("alert", `config : ${need} needs the native part, which is not active (${why}).`);
  }
  throw new SluiceError("SLC_NEEDS_NATIVE", { count: needs.length });
}

/** Brings the plan into service; while old processes hold an address, tries for two seconds. */
async function bindAndServe(
  input: ServeInput,
  { journal, state }: { journal: Journal; state: ProcessState },
  workers: number,
  maxconn: number,
): Promise<{ serving: Serving; hub: LogHub }> {
  const { plan, options, output } = input;
  let hub: LogHub | undefined;
  const hooks = {
    workerUrl: input.entries.worker,
    workers,
    maxconn,
    notice: journal.say.bind(journal),
    beforeWorkers: (shop: Serving["shop"]): void => state.restore(shop),
    beforeTraffic: (shop: Serving["shop"]): void => {
      const warn = (text: string): void => output.say("warning", text);
      hub = new LogHub({ plan, model: shop.model, clock: systemClock, random32, warn });
      journal.attach(hub);
      // What opens files at its first use must have done so before the root changes.
      systemLibc();
      if (plan.global.chroot !== undefined) quicModule();
      if (plan.global.pidfile !== undefined) writePidFile(plan.global.pidfile);
      for (const text of dropPrivileges(plan.global, systemCalls)) output.say("warning", text);
    },
    logs: {
      handle: (ring: Parameters<LogHub["handle"]>[0], row: number) => hub?.handle(ring, row),
      flush: () => hub?.flush(),
    },
  };
  for (let attempt = 1; ; attempt++) {
    try {
      const serving = await startServing(plan, hooks);
      assert(hub !== undefined, "bindAndServe: serving begins with the logs open");
      return { serving, hub };
    } catch (error) {
      if (!(error instanceof BindError)) throw error;
      const isTaken = error.failures.every(({ errno }) => errno === EADDRINUSE);
      const mayWait = isTaken && options.oldProcesses.length > 0 && attempt < BIND_ATTEMPTS_MAX;
      if (!mayWait) {
        if (attempt > 1) for (const old of options.oldProcesses) signalAll(old, "SIGTTIN");
        sayBindFailures(error, output);
        throw new SluiceError("SLC_BIND_FAILED", {});
      }
      if (attempt === 1) for (const old of options.oldProcesses) signalAll(old, "SIGTTOU");
      await sleepMs(BIND_PAUSE_MS);
    }
  }
}

/** Prints a sentence for each bind that failed. */
function sayBindFailures(error: BindError, output: Output): void {
  for (const { proxy, section, bind, errno } of error.failures) {
    const kind = section === "listen" ? "proxy" : section;
    output.say(
      "alert",
      `Binding [${bind.origin.file}:${bind.origin.line}] for ${kind} ${proxy}: ` +
        `cannot bind socket (${systemLibc().strerror(errno)}) for [${bind.text}]`,
    );
  }
}

/** Decides `maxconn` and what depends on it. */
function applyLimits(
  plan: Plan,
  workers: number,
  options: RunOptions,
  output: Output,
): { maxconn: number; probesMax: number } {
  const native = nativeModule();
  const { soft, hard } = readDescriptorLimits(readTextOrNone("/proc/self/limits"));
  const decision = decideLimits({
    plan,
    workers,
    soft,
    hard,
    raise: (wanted) => (native === null ? soft : native.raiseDescriptors(wanted)),
    ...(options.memoryLimitMb === undefined ? {} : { memoryLimitMb: options.memoryLimitMb }),
  });
  if (!decision.ok) throw decision.error;
  for (const text of decision.warnings) output.say("warning", text);
  if (options.debug) output.raw(`Note: setting global.maxconn to ${decision.maxconn}.`);
  for (const proxy of plan.proxies) {
    // Only servers with a range of limits look at it.
    const isRanged = proxy.servers.some(({ minconn, maxconn }) => minconn !== maxconn);
    if (isRanged) proxy.fullconn = automaticFullconn(plan, proxy, decision.maxconn);
  }
  return decision;
}

const systemCalls: PrivilegeCalls = {
  chroot: (path) => {
    if (systemLibc().chroot(path) !== 0) throw new Error("chroot");
  },
  chdir: (path) => process.chdir(path),
  setgroups: (groups) => process.setgroups?.(groups),
  setgid: (gid) => process.setgid?.(gid),
  setuid: (uid) => process.setuid?.(uid),
  isRoot: () => process.getuid?.() === 0,
};

function writePidFile(path: string): void {
  try {
    // A new file, not the content of an old one: nobody reads half of it.
    unlinkSync(path);
  } catch {
    // There was none.
  }
  try {
    writeFileSync(path, `${process.pid}\n`, { mode: 0o644 });
  } catch {
    throw new SluiceError("SLC_PID_FILE", { path });
  }
}

function signalAll(old: OldProcesses, signal: NodeJS.Signals): void {
  for (const pid of old.pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It is gone already, which is what the signal is for.
    }
  }
}

/** Exceptions of control are told and survived: workers go on serving meanwhile. */
function catchFaults(journal: Journal): void {
  const tell = (error: unknown): void => {
    journal.say("alert", errorText("SLC_INTERNAL", { reason: describeError(error) }));
    if (error instanceof Error && error.stack !== undefined) journal.say("notice", error.stack);
  };
  process.on("uncaughtException", tell);
  process.on("unhandledRejection", tell);
}

function reason(error: unknown): string {
  const errno = error instanceof Error && "errno" in error ? Number(error.errno) : 0;
  return errno === 0 ? describeError(error) : systemLibc().strerror(Math.abs(errno));
}
