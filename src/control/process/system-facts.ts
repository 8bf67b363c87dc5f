/**
 * What the system tells of the machine and of this process, for `show dev`, `show libs`, `show fd`.
 * All from /proc and the runtime; undefined where /proc is not there (a chroot). Main thread.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { arch, cpus, hostname, release, type, version } from "node:os";

import { readTextOrNone } from "../../config/system.ts";
import { PROCESS_WORKER_COUNT } from "../../tables/generated/process.ts";
import { WORKER_BELL_DESCRIPTOR, WORKER_STRIDE } from "../../tables/generated/worker.ts";
import type { Control } from "../control.ts";
import { readDescriptorLimits } from "./descriptors.ts";

/** A mapped file: addresses from its first to behind its last byte. */
export type Library = { from: number; to: number; path: string };

/** Files that are mapped to be run, each once, in the order of their addresses. */
export function listLibraries(): Library[] | undefined {
  const text = readTextOrNone("/proc/self/maps");
  if (text === undefined) return undefined;
  const ranges = new Map<string, Library & { isRun: boolean }>();
  for (const line of text.split("\n")) {
    const found = /^([0-9a-f]+)-([0-9a-f]+) (\S+) .*? (\/.*)$/.exec(line);
    if (found === null) continue;
    const [, from = "", to = "", rights = "", path = ""] = found;
    const known = ranges.get(path);
    const isRun = rights.includes("x") || known?.isRun === true;
    const first = known?.from ?? Number.parseInt(from, 16);
    ranges.set(path, { from: first, to: Number.parseInt(to, 16), path, isRun });
  }
  return [...ranges.values()].filter(({ isRun }) => isRun);
}

/** A descriptor and whose it is. */
export type Descriptor = {
  kind: "pipe" | "listener" | "front" | "back" | "other";
  owner: string;
};

/** Open descriptors and what they are of, by number. */
export function listDescriptors(): Map<number, string> | undefined {
  const open = new Map<number, string>();
  try {
    const names = readdirSync("/proc/self/fd").map(Number);
    for (const fd of names.sort((a, b) => a - b)) {
      const target = linkOf(fd);
      if (target !== undefined) open.set(fd, target);
    }
  } catch {
    return undefined;
  }
  return open;
}

function linkOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // It was the descriptor of the look itself, or has been closed since.
    return undefined;
  }
}

/** Descriptors that control knows: listeners and the bells of workers. */
export function descriptorsOf({ model, tables }: Control): Map<number, Descriptor> {
  const known = new Map<number, Descriptor>();
  for (const { fds, spec, frontend } of model.listenerByRow.values()) {
    const name = spec.name ?? `sock-${spec.id}`;
    for (const [index, fd] of fds.entries()) {
      if (fd < 0) continue;
      const owner = `fe=${frontend.spec.name},bind=${name},worker=${index + 1}`;
      known.set(fd, { kind: "listener", owner });
    }
  }
  for (let worker = 1; worker <= tables.process.words[PROCESS_WORKER_COUNT]!; worker++) {
    const fd = tables.workers.words[worker * WORKER_STRIDE + WORKER_BELL_DESCRIPTOR]!;
    if (fd > 0) known.set(fd, { kind: "other", owner: `bell,worker=${worker}` });
  }
  return known;
}

/** The machine. */
export function platformFacts(): Record<string, string | number> {
  const read = (path: string): string | undefined => readTextOrNone(path)?.trim();
  const vendor = read("/sys/class/dmi/id/sys_vendor");
  const family = read("/sys/class/dmi/id/product_family");
  const processors = cpus();
  const flags = /^flags\s*:.*\bhypervisor\b/m.test(read("/proc/cpuinfo") ?? "");
  const cgroup = read("/proc/1/cgroup") ?? "";
  return {
    ...(vendor === undefined ? {} : { "machine vendor": vendor }),
    ...(family === undefined ? {} : { "machine family": family }),
    "cpu model": processors[0]?.model ?? "unknown",
    "cpu count": processors.length,
    "virtual machine": flags ? "yes" : "no",
    container: /docker|kubepods|containerd|lxc/.test(cgroup) ? "yes" : "no",
    "OS name": type(),
    "OS release": release(),
    "OS version": version(),
    "OS architecture": arch(),
    "node name": hostname(),
  };
}

/** The process. */
export function processFacts({ startedEpochMs, plan }: Control): Record<string, string | number> {
  const { soft, hard } = readDescriptorLimits(readTextOrNone("/proc/self/limits"));
  const memory = process.memoryUsage();
  return {
    pid: process.pid,
    "started at": new Date(startedEpochMs).toISOString(),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    ...(plan.global.chroot === undefined ? {} : { chroot: plan.global.chroot }),
    "fd limit (soft)": soft,
    "fd limit (hard)": hard,
    "memory resident": memory.rss,
    "memory heap": memory.heapUsed,
    runtime: `Bun ${Bun.version}`,
  };
}
