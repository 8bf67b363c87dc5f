/** Programs as checks: what they are given, what their ends mean, and that nothing stays. */
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";

import { EXTERNAL_CHECKS_MAX } from "../../../src/base/limits.ts";
import { ExternalChecks } from "../../../src/check/external.ts";
import type { ExternalProgram } from "../../../src/check/external.ts";
import type { CheckNames, Probe } from "../../../src/check/probe.ts";
import type { CheckResult } from "../../../src/check/result.ts";
import { jobOf, TEST_ENVIRONMENT } from "../../support/check-memory.ts";
import { processTree, temporaryFolder, until, within } from "../../support/procs.ts";

const ENVIRONMENT = {
  ...TEST_ENVIRONMENT,
  servedOf: () => 5,
  environmentAll: () => ({ INHERITED: "yes", PATH: "/nowhere" }),
};

const NAMES: Partial<CheckNames> = {
  backend: "b",
  backendId: 3,
  server: "s",
  serverId: 4,
  maxconn: 7,
  proxyAddress: { family: "ipv4", host: "127.0.0.1", port: 80 },
  serverAddress: { family: "ipv6", host: "::1", port: 81 },
};

type Started = { probe: Probe; result: Promise<CheckResult>; heard: string[] };

function start(
  checks: ExternalChecks,
  program: Partial<ExternalProgram>,
  names: Partial<CheckNames> = NAMES,
): Started {
  const whole: ExternalProgram = {
    kind: "external",
    command: "/bin/true",
    path: "/usr/bin:/bin",
    preservesEnvironment: false,
    mayFork: true,
    ...program,
  };
  const job = jobOf(whole);
  Object.assign(job.target.names, names);
  const heard: string[] = [];
  const { promise, resolve } = Promise.withResolvers<CheckResult>();
  const probe = checks.start(job, whole, {
    done(result) {
      heard.push("done");
      resolve(result);
    },
    connecting: () => void heard.push("connecting"),
    connected: () => void heard.push("connected"),
  });
  return { probe, result: promise, heard };
}

/** A folder with a script in it. */
function makeScript(
  text: string,
  mode = 0o755,
): { path: string; file(name: string): string } & Disposable {
  const folder = temporaryFolder();
  const path = folder.file("script");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return { ...folder, path, file: folder.file };
}

async function resultOf(text: string, mode?: number): Promise<CheckResult> {
  using script = makeScript(text, mode);
  const { result } = start(new ExternalChecks(ENVIRONMENT), { command: script.path });
  return await within("the program's end", result);
}

describe("what an end means, as haproxy says it", () => {
  const NO_EXEC = "Failed to exec process for external health check: error";
  const cases: [string, string, CheckResult, number?][] = [
    ["exit 0", "#!/bin/sh\nexit 0", { code: "PROCOK", number: 0 }],
    ["exit 3", "#!/bin/sh\nexit 3", { code: "PROCERR", number: 3 }],
    ["exit 255", "#!/bin/sh\nexit 255", { code: "PROCERR", number: 255 }],
    ["killed", "#!/bin/sh\nkill -KILL $$", { code: "PROCERR", number: -1 }],
    ["no interpreter is named", "exit 4", { code: "PROCERR", number: 4 }],
    ["much output", "#!/bin/sh\nhead -c 1000000 /dev/zero", { code: "PROCOK", number: 0 }],
    ["not executable", "", { code: "PROCERR", number: 255, info: `${NO_EXEC} 13` }, 0o644],
    [
      "its interpreter is missing",
      "#!/no/such",
      { code: "PROCERR", number: 255, info: `${NO_EXEC} 2` },
    ],
  ];
  for (const [name, text, wanted, mode] of cases) {
    test(name, async () => expect(await resultOf(text, mode)).toEqual(wanted));
  }

  test("there is no such file", async () => {
    const { result } = start(new ExternalChecks(ENVIRONMENT), { command: "/no/such/program" });
    expect(await result).toEqual({ code: "PROCERR", number: 255, info: `${NO_EXEC} 2` });
  });

  test("nothing may be started without insecure-fork-wanted", async () => {
    const { result } = start(new ExternalChecks(ENVIRONMENT), { mayFork: false });
    expect(await result).toEqual({ code: "SOCKERR", info: "error 11" });
  });
});

/** What a program sees: its arguments, variables and descriptors. */
async function seenBy(
  program: Partial<ExternalProgram>,
  names?: Partial<CheckNames>,
): Promise<{ args: string; variables: Record<string, string>; descriptors: string[] }> {
  using script = makeScript("");
  const seen = script.file("seen");
  writeFileSync(
    script.path,
    `#!/bin/sh
PATH="$PATH:/usr/bin:/bin"
{ echo "$*"; tr '\\0' '\\n' < /proc/$$/environ; echo; ls /proc/$$/fd; } > ${seen}.new
mv ${seen}.new ${seen}
`,
  );
  const { result } = start(
    new ExternalChecks(ENVIRONMENT),
    { command: script.path, ...program },
    names,
  );
  expect(await within("the program's end", result)).toEqual({ code: "PROCOK", number: 0 });
  const [head = "", tail = ""] = readFileSync(seen, "utf8").split("\n\n");
  const [args = "", ...lines] = head.split("\n");
  const variables = Object.fromEntries(lines.map((line) => line.split(/=(.*)/).slice(0, 2)));
  return { args, variables, descriptors: tail.trim().split("\n") };
}

const VARIABLES = {
  PATH: "/usr/bin:/bin",
  HAPROXY_PROXY_ADDR: "127.0.0.1",
  HAPROXY_PROXY_ID: "3",
  HAPROXY_PROXY_NAME: "b",
  HAPROXY_PROXY_PORT: "80",
  HAPROXY_SERVER_ADDR: "::1",
  HAPROXY_SERVER_CURCONN: "5",
  HAPROXY_SERVER_ID: "4",
  HAPROXY_SERVER_MAXCONN: "7",
  HAPROXY_SERVER_NAME: "s",
  HAPROXY_SERVER_PORT: "81",
  HAPROXY_SERVER_PROTO: "tcp",
  HAPROXY_SERVER_SSL: "0",
};

describe("what a program is given", () => {
  test("four arguments, HAProxy's variables, and nothing else", async () => {
    // Descriptors of ours that it must not see.
    using listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    expect(listener.port).toBeGreaterThan(0);
    const seen = await seenBy({});
    expect(seen.args).toBe("127.0.0.1 80 ::1 81");
    expect(seen.variables).toEqual(VARIABLES);
    // The shell holds its script open.
    expect(seen.descriptors.filter((name) => Number(name) < 10)).toEqual(["0", "1", "2"]);
  });

  test("our environment with preserve-env, under its own", async () => {
    const { variables } = await seenBy({ preservesEnvironment: true });
    expect(variables).toEqual({ ...VARIABLES, INHERITED: "yes" });
  });

  test("a unix socket has no port, a backend no listener", async () => {
    const seen = await seenBy({}, {
      ...NAMES,
      proxyAddress: undefined,
      serverAddress: { family: "unix", path: "/run/s" },
    } as never);
    expect(seen.args).toBe("NOT_USED NOT_USED /run/s NOT_USED");
    expect(seen.variables).toEqual({
      ...VARIABLES,
      HAPROXY_PROXY_ADDR: "",
      HAPROXY_PROXY_PORT: "",
      HAPROXY_SERVER_ADDR: "/run/s",
      HAPROXY_SERVER_PORT: "",
    });
  });
});

describe("its time", () => {
  test("a program that is late is killed with all that it has started", async () => {
    using script = makeScript("");
    const pids = script.file("pids");
    writeFileSync(
      script.path,
      `#!/bin/sh
trap "" TERM INT HUP
(trap "" TERM; sleep 1000) &
echo $$ $! > ${pids}.new; mv ${pids}.new ${pids}
wait
`,
    );
    const checks = new ExternalChecks(ENVIRONMENT);
    const { probe, heard } = start(checks, { command: script.path });
    await until("the program to have started another", () => existsSync(pids));
    const [main = 0, child = 0] = readFileSync(pids, "utf8").trim().split(" ").map(Number);
    const all = processTree(main);
    expect(all).toContain(child);
    expect(probe.late()).toEqual({ code: "PROCTOUT", number: 0 });
    probe.cancel();
    await until("both to be gone", () => all.every((pid) => !isAlive(pid)));
    await until("its place to be free", () => checks.runningCount === 0);
    expect(heard).toEqual(["connecting"]);
  });

  test("what a program that ended well has left in the background lives on", async () => {
    using script = makeScript("");
    const pid = script.file("pid");
    writeFileSync(script.path, `#!/bin/sh\nsleep 1000 &\necho $! > ${pid}\n`);
    const { result, probe } = start(new ExternalChecks(ENVIRONMENT), { command: script.path });
    expect(await within("the end", result)).toEqual({ code: "PROCOK", number: 0 });
    probe.cancel();
    const child = Number(readFileSync(pid, "utf8"));
    try {
      expect(isAlive(child)).toBe(true);
    } finally {
      process.kill(child, "SIGKILL");
    }
  });

  test("no more than the limit run at a time; those that wait can be given up", async () => {
    const checks = new ExternalChecks(ENVIRONMENT);
    using script = makeScript("#!/bin/sh\nexec sleep 1000\n");
    const running = Array.from({ length: EXTERNAL_CHECKS_MAX }, () =>
      start(checks, { command: script.path }),
    );
    const waiting = start(checks, { command: "/bin/false" });
    const givenUp = start(checks, { command: "/bin/true" });
    expect(checks.runningCount).toBe(EXTERNAL_CHECKS_MAX);
    givenUp.probe.cancel();
    running[0]?.probe.cancel();
    expect(await within("the next in turn", waiting.result)).toEqual({
      code: "PROCERR",
      number: 1,
    });
    for (const { probe } of running) probe.cancel();
    await until("all to be gone", () => checks.runningCount === 0);
    expect(givenUp.heard).toEqual(["connecting"]);
    expect(running.flatMap(({ heard }) => heard).filter((word) => word === "done")).toEqual([]);
  });
});

/** Zombies are nobody. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
