import { systemLibc } from "../../src/base/system-libc.ts";
/** Starts one check over real sockets, and waits for its result. */
import type { CheckJob, CheckTarget, ProbeProgram } from "../../src/check/probe.ts";
import type { CheckResult } from "../../src/check/result.ts";
import { makeStartProbe } from "../../src/check/start-probe.ts";
import { jobOf, TEST_ENVIRONMENT } from "./check-memory.ts";

/** What became of a check. */
export type Checked = {
  result: CheckResult;
  /** What its ears heard, in order. */
  heard: ("connecting" | "connected" | "done")[];
  /** It gave no result in time: `result` is what that means. */
  isLate: boolean;
};

const startProbe = makeStartProbe({
  ...TEST_ENVIRONMENT,
  strerror: (errno) => systemLibc().strerror(errno),
});

/** A job for a port of 127.0.0.1. */
export function jobAt(
  port: number,
  program: ProbeProgram,
  more: Partial<CheckTarget> = {},
): CheckJob {
  const { target } = jobOf({ kind: "redis" });
  const address = { family: "ipv4", host: "127.0.0.1", port } as const;
  return { target: { ...target, address, ...more }, program };
}

/** Runs one. @param limitMs time after which it is given up */
export function check(job: CheckJob, limitMs: number): Promise<Checked> {
  return new Promise((resolve) => {
    const heard: Checked["heard"] = [];
    let timer: Timer | undefined;
    const probe = startProbe(job, {
      connecting: () => void heard.push("connecting"),
      connected: () => void heard.push("connected"),
      done: (result) => {
        heard.push("done");
        clearTimeout(timer);
        resolve({ result, heard, isLate: false });
      },
    });
    if (heard.includes("done")) return;
    timer = setTimeout(() => {
      const result = probe.late();
      probe.cancel();
      resolve({ result, heard, isLate: true });
    }, limitMs);
  });
}

/** The prober that `check` uses, for tests that give checks up themselves. */
export const startCheck = startProbe;

/** Descriptors of this process that are open. */
export function countDescriptors(): number {
  return [...new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })].length;
}
