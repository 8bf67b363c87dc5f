/** Usable processors: what the process may run on, and what its control group grants. */
import { expect, test } from "bun:test";

import { usableCpuCount } from "../../../../src/control/process/cpu.ts";

const ALL = "Name:\tx\nCpus_allowed_list:\t0-7\n";

const CASES: readonly { name: string; files: Record<string, string>; expected: number }[] = [
  { name: "no quota", files: { "/proc/self/status": ALL }, expected: 8 },
  {
    name: "a list with gaps",
    files: { "/proc/self/status": "Cpus_allowed_list:\t0,2-3,5\n" },
    expected: 4,
  },
  {
    name: "v2: 1.5 processors count as 2",
    files: {
      "/proc/self/status": ALL,
      "/proc/self/cgroup": "0::/\n",
      "/sys/fs/cgroup/cpu.max": "150000 100000\n",
    },
    expected: 2,
  },
  {
    name: "v2: no limit",
    files: {
      "/proc/self/status": ALL,
      "/proc/self/cgroup": "0::/a\n",
      "/sys/fs/cgroup/a/cpu.max": "max 100000\n",
    },
    expected: 8,
  },
  {
    name: "v2: the smallest of the groups above",
    files: {
      "/proc/self/status": ALL,
      "/proc/self/cgroup": "0::/a/b\n",
      "/sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
      "/sys/fs/cgroup/a/cpu.max": "300000 100000\n",
    },
    expected: 3,
  },
  {
    name: "v1",
    files: {
      "/proc/self/status": ALL,
      "/proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n3:memory:/\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    },
    expected: 1,
  },
  {
    name: "v1: a quota of -1 is none",
    files: {
      "/proc/self/status": ALL,
      "/proc/self/cgroup": "1:cpu:/\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    },
    expected: 8,
  },
  { name: "no /proc: what the runtime says", files: {}, expected: 3 },
];

for (const { name, files, expected } of CASES) {
  test(name, () => expect(usableCpuCount((path) => files[path], 3)).toBe(expected));
}
