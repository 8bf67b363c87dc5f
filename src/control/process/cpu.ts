/**
 * How many processors this process may really use: those it is allowed to run on, and not more than
 * the quota of its control group (a container's limit). Linux; elsewhere the runtime's count.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** Reads a file; undefined when it is not there. */
export type ReadText = (path: string) => string | undefined;

const readText: ReadText = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
};

/** Usable processors, at least 1. A quota of 1.5 counts as 2: half a processor is not wasted. */
export function usableCpuCount(
  read: ReadText = readText,
  fallback: number = availableParallelism(),
): number {
  const allowed = countAllowed(read("/proc/self/status")) ?? fallback;
  const quota = quotaOf(read) ?? Number.POSITIVE_INFINITY;
  return Math.max(1, Math.min(allowed, Math.ceil(quota)));
}

/** `Cpus_allowed_list: 0-3,8` of /proc/self/status. */
function countAllowed(status: string | undefined): number | undefined {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status ?? "")?.[1];
  if (list === undefined) return undefined;
  let count = 0;
  for (const range of list.split(",")) {
    const [first = "", last = first] = range.split("-");
    count += Number(last) - Number(first) + 1;
  }
  return Number.isInteger(count) && count > 0 ? count : undefined;
}

/** The smallest quota, in processors, from this process's control group up to the root. */
function quotaOf(read: ReadText): number | undefined {
  const lines = (read("/proc/self/cgroup") ?? "").split("\n").map((line) => line.split(":"));
  const quotas: number[] = [];
  for (const [, controllers = "", ...rest] of lines) {
    const path = rest.join(":");
    if (path === "") continue;
    const isV2 = controllers === "";
    if (!isV2 && !controllers.split(",").includes("cpu")) continue;
    // In a container the own group is often mounted as the root, whatever its path says.
    for (const folder of [...ancestors(path), ""]) {
      const quota = isV2 ? quotaV2(read, folder) : quotaV1(read, controllers, folder);
      if (quota !== undefined) quotas.push(quota);
    }
  }
  return quotas.length === 0 ? undefined : Math.min(...quotas);
}

function ancestors(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  return parts.map((_, index) => `/${parts.slice(0, parts.length - index).join("/")}`);
}

/** `cpu.max`: `150000 100000`, or `max 100000`. */
function quotaV2(read: ReadText, folder: string): number | undefined {
  const text = read(`/sys/fs/cgroup${folder}/cpu.max`);
  const [quota = "", period = ""] = (text ?? "").trim().split(/\s+/);
  return ratio(Number(quota), Number(period));
}

function quotaV1(read: ReadText, controllers: string, folder: string): number | undefined {
  const mounts = [`/sys/fs/cgroup/${controllers}`, "/sys/fs/cgroup/cpu"];
  for (const mount of mounts) {
    const quota = Number(read(`${mount}${folder}/cpu.cfs_quota_us`) ?? Number.NaN);
    const period = Number(read(`${mount}${folder}/cpu.cfs_period_us`) ?? Number.NaN);
    const value = ratio(quota, period);
    if (value !== undefined) return value;
  }
  return undefined;
}

function ratio(quota: number, period: number): number | undefined {
  return quota > 0 && period > 0 ? quota / period : undefined;
}
