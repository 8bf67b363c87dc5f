/** The thread of checks dies, throws or hangs: another takes its place, nothing is left open. */
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";

import type { ChecksStart } from "../../../../src/check/messages.ts";
import { nativeAddresses } from "../../../../src/conduit/native.ts";
import { CheckThread } from "../../../../src/control/checks/thread.ts";
import { descriptorCount, temporaryFolder, until } from "../../../support/procs.ts";

const ENTRY = new URL("../../../support/mortal-checks.ts", import.meta.url);
const LOOK_MS = 50;

/** A thread, what was said of it, and how often it was new. */
function lab(environment: Record<string, string> = {}) {
  const said: string[] = [];
  let restarts = 0;
  const thread: CheckThread = new CheckThread({
    url: ENTRY,
    start: { native: nativeAddresses(), environment } as unknown as ChecksStart,
    receive: () => undefined,
    restarted: () => {
      restarts++;
      // As the desk does: everything is told again.
      thread.send({ type: "remove", id: 100 + restarts });
    },
    say: (_severity, text) => void said.push(text),
    lookMs: LOOK_MS,
  });
  const follows = (id: number): Promise<unknown> =>
    until(`the thread follows ${id}`, () => said.includes(`Checks: followed remove ${id}`));
  return { thread, said, follows };
}

const DEATHS: readonly { what: string; id: number; says: string }[] = [
  { what: "an exception", id: 1, says: "The thread of checks failed: Error: of the test" },
  { what: "its own exit", id: 2, says: "The thread of checks is gone (exit code 7)" },
  { what: "an endless loop", id: 3, says: "The thread of checks is gone (silent for 0.4 seconds)" },
];

describe("a thread of checks that is lost by", () => {
  for (const { what, id, says } of DEATHS) {
    test(what, async () => {
      const { thread, said, follows } = lab();
      try {
        thread.send({ type: "remove", id: 9 });
        await follows(9);
        const before = descriptorCount(process.pid);
        thread.send({ type: "remove", id });
        await follows(101);
        expect(said.join("\n")).toContain(says);
        expect(said.join("\n")).toContain("starting a new one.");
        // It goes on with new orders, and the sockets of the one before are closed.
        thread.send({ type: "remove", id: 10 });
        await follows(10);
        await until("descriptors are closed", () => descriptorCount(process.pid) <= before);
      } finally {
        thread.close();
      }
    });
  }

  test("one death after the other: each is replaced, none at once", async () => {
    const { thread, said, follows } = lab();
    try {
      for (const round of [1, 2, 3]) {
        thread.send({ type: "remove", id: 2 });
        await follows(100 + round);
      }
      expect(said.filter((text) => text.includes("starting a new one")).length).toBe(3);
    } finally {
      thread.close();
    }
  });
});

/** What it has begun runs on, or is it dead? Nobody has waited for it, then it is a zombie. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) !== "Z";
  } catch {
    return false;
  }
}

describe("programs and sockets of QUIC end with their thread, which is lost by", () => {
  for (const { what, id } of [...DEATHS, { what: "the end of all", id: 0 }]) {
    test(what, async () => {
      using folder = temporaryFolder();
      const [script, pids] = [folder.file("script"), folder.file("pids")];
      writeFileSync(script, `#!/bin/sh\nsleep 1000 &\necho $$ $! >> ${pids}\nwait\n`);
      chmodSync(script, 0o755);
      const read = (): number[][] =>
        existsSync(pids)
          ? readFileSync(pids, "utf8")
              .split("\n")
              .filter((line) => line !== "")
              .map((line) => line.split(" ").map(Number))
          : [];
      const { thread, follows } = lab({ PROGRAM: script });
      try {
        thread.send({ type: "remove", id: 9 });
        await follows(9);
        const [[shell, child] = []] = await until("the program to run", () =>
          read().length === 1 ? read() : undefined,
        );
        expect([shell, child].map((pid) => isAlive(pid!))).toEqual([true, true]);
        const before = descriptorCount(process.pid);
        if (id === 0) thread.close();
        else {
          thread.send({ type: "remove", id });
          await follows(101);
          await until("the next one's program to run", () => read().length === 2);
          await until("descriptors are closed", () => descriptorCount(process.pid) <= before);
        }
        await until("the program to be gone", () => !isAlive(shell!) && !isAlive(child!));
        const [, [next] = []] = read();
        if (next !== undefined) expect(isAlive(next)).toBe(true);
      } finally {
        thread.close();
      }
    });
  }
});

test("a thread that answers is not replaced", async () => {
  const { thread, said, follows } = lab();
  try {
    thread.send({ type: "remove", id: 9 });
    await follows(9);
    await Bun.sleep(LOOK_MS * 12);
    thread.send({ type: "remove", id: 10 });
    await follows(10);
    expect(said.some((text) => text.includes("is gone"))).toBe(false);
  } finally {
    thread.close();
  }
});

test("checks that had to wait are a warning", async () => {
  const { thread, said, follows } = lab();
  try {
    thread.send({ type: "remove", id: 4 });
    await follows(4);
    expect(said[0]).toBe(
      "Checks: 9 had to wait because 5 were under way, the most that the limit of descriptors " +
        "allows, 3 of them longer than their interval; 2 wait now.",
    );
  } finally {
    thread.close();
  }
});
