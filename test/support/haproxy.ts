/**
 * Starts and stops a load balancer from a haproxy.cfg: Debian's haproxy or sluice, which take the
 * same file and the same arguments. Ready means that every port the configuration binds listens.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { isListening } from "./ports.ts";
import {
  type Process,
  runProcess,
  type StartOptions,
  startProcess,
  temporaryFolder,
  until,
} from "./procs.ts";

/** The two that read the same configuration. */
export type BalancerName = "haproxy" | "sluice";

const PROJECT = join(import.meta.dir, "../..");

/** The sluice binary under test, or undefined when it is not built. */
export function findSluice(): string | undefined {
  const path = process.env["SLUICE_BIN"] ?? join(PROJECT, "dist/sluice");
  return existsSync(path) ? path : undefined;
}

/** The binary that plays `name`, or undefined when it is missing. */
export function findBalancer(name: BalancerName): string | undefined {
  return name === "sluice" ? findSluice() : (Bun.which("haproxy") ?? undefined);
}

/** The binary that plays `name`; throws when it is missing. */
export function balancerBinary(name: BalancerName): string {
  const path = findBalancer(name);
  if (path === undefined) throw new Error(`${name} is missing`);
  return path;
}

/** How to start a balancer. */
export interface BalancerOptions extends StartOptions {
  /** Text of the configuration. */
  config: string;
  /** Ports that must listen before the start counts as done. */
  ports: number[];
  /** Instead of `-db -f FILE`. The path of the configuration comes as `{config}`. */
  args?: string[];
  /** Run by a shell before the binary takes its place, such as `ulimit -n 64`. */
  shellBefore?: string;
}

/** A running balancer. */
export interface Balancer extends Process {
  readonly name: BalancerName;
  /** Its folder: the configuration is `haproxy.cfg` in it. */
  readonly folder: string;
}

/** Starts the balancer and waits until it listens; throws with its output if it ends instead. */
export async function startBalancer(
  name: BalancerName,
  options: BalancerOptions,
): Promise<Balancer> {
  const folder = temporaryFolder();
  const path = folder.file("haproxy.cfg");
  // haproxy refuses a file whose last line is not ended; sluice takes it.
  const isStrict = balancerBinary(name).endsWith("haproxy");
  writeFileSync(path, isStrict ? options.config.replace(/\n?$/, "\n") : options.config);
  const args = (options.args ?? ["-db", "-f", "{config}"]).map((a) => a.replace("{config}", path));
  const command = [balancerBinary(name), ...args];
  const wrapped =
    options.shellBefore === undefined
      ? command
      : ["sh", "-c", `${options.shellBefore}; exec "$@"`, "sh", ...command];
  const child = startProcess(wrapped, options);
  const balancer: Balancer = {
    ...child,
    name,
    folder: folder.path,
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
  try {
    await until(`${name} listens on ${options.ports.join(", ")}`, () => {
      if (child.hasExited()) throw new Error(`${name} ended: ${child.output()}`);
      return options.ports.every(isListening);
    });
  } catch (error) {
    await balancer[Symbol.asyncDispose]();
    throw new Error(`${String(error)}\n${child.output()}\n--- with\n${options.config}`);
  }
  return balancer;
}

/** What `-c -f FILE` says of `config`. */
export async function checkConfig(
  name: BalancerName,
  config: string,
  args: string[] = [],
): Promise<{ code: number; output: string }> {
  using folder = temporaryFolder();
  const path = folder.file("haproxy.cfg");
  writeFileSync(path, config);
  return await runProcess([balancerBinary(name), "-c", ...args, "-f", path]);
}
