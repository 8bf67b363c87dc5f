/**
 * From the command line and the environment to a plan, or to an exit code: files, flags, the demo,
 * `-c`, the dumps, and every message that goes with them. Nothing is bound or started here.
 */
import { sleepMs } from "../../base/clock.ts";
import { quicReason } from "../../conduit/quic/native-quic.ts";
import { dumpKeywords } from "../../config/dump.ts";
import type { FileAccess } from "../../config/files.ts";
import { readFlags } from "../../config/flags.ts";
import type { SluiceFlags } from "../../config/flags.ts";
import type { Overrides } from "../../config/from-flags.ts";
import { loadConfiguration } from "../../config/load.ts";
import { countsAsWarnings, formatMessage, formatMessages } from "../../config/message.ts";
import type { Message } from "../../config/message.ts";
import { hasListener } from "../../config/plan.ts";
import { RESOLVE_DEADLINE_MS } from "../../config/resolve.ts";
import type { RuntimeConfig } from "../../config/runtime.ts";
import { readTextOrNone, systemFiles, thisMachine } from "../../config/system.ts";
import type { Plan } from "../../tables/spec.ts";
import { moduleQuic, quicMessages } from "../quic-start.ts";
import type { RunOptions } from "./arguments.ts";
import type { Demo } from "./demo.ts";
import { dumpConfiguration, sharedLibraries } from "./dumps.ts";
import type { Output } from "./output.ts";

/** A plan to serve, or the code to exit with. `lines`: messages that the caller still prints. */
export type Loaded =
  | { plan: Plan; runtime: RuntimeConfig; lines: string[] }
  | { exitCode: number; lines: string[]; isRefused: boolean };

/** Variables that steer the program or its tests and are no settings of a start. */
const INTERNAL = /^SLUICE_(?:BIN|(?:TEST|SIM|FUZZ)_\w+)$/;

/** What the environment sets. */
export function environmentFlags(): { flags: SluiceFlags; messages: Message[] } {
  const entries = Object.entries(process.env).filter(([name]) => !INTERNAL.test(name));
  return readFlags(Object.fromEntries(entries), readTextOrNone);
}

/** True when neither arguments nor flags say what to serve. */
export function wantsDemo(argv: readonly string[], flags: SluiceFlags): boolean {
  return argv.length === 0 && flags.config === undefined && flags.bind === undefined;
}

/** Loads everything. @param demo what it adds */
export async function loadPlan(
  options: RunOptions,
  output: Output,
  demo?: Pick<Demo, "text" | "files">,
): Promise<Loaded> {
  const texts = demo === undefined ? [] : [demo.text];
  const { flags, messages: flagMessages } = environmentFlags();
  const files =
    options.files.length === 0 && flags.config !== undefined ? [flags.config] : options.files;
  if (files.length === 0 && flags.bind === undefined && texts.length === 0) {
    return {
      exitCode: 1,
      lines: ["sluice: nothing to serve: name a file with -f FILE (or --help)"],
      isRefused: false,
    };
  }
  const machine = thisMachine(sleepMs, RESOLVE_DEADLINE_MS);
  const {
    plan,
    runtime,
    messages: loadMessages,
  } = await loadConfiguration({
    files,
    texts,
    environment: process.env,
    flags,
    overrides: overridesOf(options),
    skipComing: options.skipComing,
    system: {
      ...machine,
      files: withMemory(machine.files, demo?.files),
      quicProblem: () => quicReason() || undefined,
    },
  });
  const secret = plan?.global.clusterSecret;
  const quic = plan === null ? [] : quicMessages(plan, moduleQuic(secret));
  const messages = [...flagMessages, ...loadMessages, ...quic];
  const lines = formatMessages(messages, process.pid);
  const isBroken = plan === null || messages.some(({ severity }) => severity === "alert");
  const isZeroWarning = options.zeroWarning || plan?.global.zeroWarning === true;
  if (!isBroken && isZeroWarning && countsAsWarnings(messages)) {
    const text = "Some warnings were found and 'zero-warning' is set. Aborting.";
    const closing = formatMessage(alertOf(text), process.pid);
    return { exitCode: 1, lines: [...lines, closing], isRefused: false };
  }
  printDumps(options, output, files);
  // A check says what HAProxy says, and no more.
  if (isBroken) return { exitCode: 1, lines, isRefused: !options.checkOnly };
  if (options.checkOnly) {
    return { exitCode: checkResult(plan, messages, options, output), lines, isRefused: false };
  }
  return { plan, runtime, lines };
}

/** Files of the disk, and some that are in memory alone. */
function withMemory(disk: FileAccess, files: ReadonlyMap<string, string> | undefined): FileAccess {
  if (files === undefined) return disk;
  return {
    ...disk,
    readText: (path, bytesMax) => {
      const content = files.get(path);
      return content === undefined ? disk.readText(path, bytesMax) : { content };
    },
  };
}

function alertOf(text: string): Message {
  return { severity: "alert", text };
}

/** The closing words of `-c`, and its exit code. */
function checkResult(
  plan: Plan,
  messages: readonly Message[],
  options: RunOptions,
  output: Output,
): number {
  if (messages.some(({ severity }) => severity === "warning")) output.print("Warnings were found.");
  if (!hasListener(plan) && plan.global.statsSockets.length === 0) {
    output.print("Configuration file has no error but will not start (no listener) => exit(2).");
    return 2;
  }
  if (options.verbose) output.print("Configuration file is valid");
  return 0;
}

function overridesOf(options: RunOptions): Overrides {
  const overrides: Overrides = {};
  if (options.maxconn !== undefined) overrides.maxconn = options.maxconn;
  if (options.proxyMaxconn !== undefined) overrides.proxyMaxconn = options.proxyMaxconn;
  if (options.localPeer !== undefined) overrides.localPeer = options.localPeer;
  if (options.pidfile !== undefined) overrides.pidfile = options.pidfile;
  if (options.daemon) overrides.daemon = true;
  if (options.debug || options.foreground) overrides.daemon = false;
  if (options.ignoreResolution) overrides.ignoresResolution = true;
  if (options.quiet) overrides.quiet = true;
  if (options.verbose) overrides.quiet = false;
  if (options.zeroWarning) overrides.zeroWarning = true;
  if (options.diagnostics) overrides.diagnostics = true;
  if (options.serverVerifyNone) overrides.serverVerifyNone = true;
  if (options.dnsIpv4Only) overrides.dnsIpv4Only = true;
  return overrides;
}

/** `-dK`, `-dC` and `-dL`: what they print goes to stdout even with `-q`. */
function printDumps(options: RunOptions, output: Output, files: readonly string[]): void {
  const lines: string[] = [];
  if (options.dumpKeywords !== undefined) {
    const known = dumpKeywords(options.dumpKeywords);
    if (known === undefined) output.say("alert", `-dK${options.dumpKeywords}: no such class.`);
    lines.push(...(known ?? dumpKeywords("help") ?? []));
  }
  if (options.dumpConfig === true)
    lines.push(...dumpConfiguration(files, systemFiles, process.env));
  if (options.dumpLibraries) lines.push(...sharedLibraries(readTextOrNone("/proc/self/maps")));
  if (lines.length > 0) output.dump(lines);
}
