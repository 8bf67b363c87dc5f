/** The process: how it stops, what it says, what rights it keeps, limits, background, take-over. */
import { describe, expect } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";

import { errorRemedy } from "../../src/base/errors.ts";
import { balancerBinary } from "../support/haproxy.ts";
import { startNamed } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import { runProcess, startProcess, temporaryFolder, until } from "../support/procs.ts";
import { askName, visit } from "../support/traffic.ts";
import { e2e, listenOver, LONG_TIMEOUTS, startSluice } from "./sluice.ts";

const isRoot = process.getuid?.() === 0;

/** A file with these global lines and one proxy over `servers`. */
function configOf(port: number, servers: number[], global = ""): string {
  const defaults = `defaults\n  mode tcp\n${LONG_TIMEOUTS}\n`;
  return `global\n${global}\n${defaults}${listenOver(servers)(port)}\n`;
}

async function sluice(args: string[], cwd?: string): Promise<{ code: number; output: string }> {
  return runProcess([balancerBinary("sluice"), ...args], cwd === undefined ? {} : { cwd });
}

/** Lines of the output without the process number. */
function said(output: string): string[] {
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/\(\d+\)/, "(PID)"));
}

describe("ends", () => {
  e2e("by the very signal that stopped it, as haproxy", async () => {
    await using server = startNamed("s1");
    for (const [signal, code] of [
      ["SIGTERM", 128 + 15],
      ["SIGINT", 128 + 2],
    ] as const) {
      await using balancer = await startSluice(listenOver([server.port]));
      balancer.kill(signal);
      expect(await balancer.exited).toBe(code);
    }
  });

  e2e("after a grace and a limit, in HAProxy's words", async () => {
    await using server = startNamed("s1");
    await using balancer = await startSluice(listenOver([server.port]), {
      global: "  grace 50ms\n  hard-stop-after 100ms",
    });
    await visit({ port: balancer.port });
    balancer.kill("SIGUSR1");
    balancer.kill("SIGUSR1");
    expect(await balancer.exited).toBe(0);
    const lines = said(balancer.output()).filter((line) => line.startsWith("["));
    expect(lines).toEqual([
      "[NOTICE]   (PID) : Scheduling a soft-stop in 50 ms.",
      "[NOTICE]   (PID) : Grace period expired, proceeding with soft-stop now.",
      "[WARNING]  (PID) : Proxy fe stopped (cumulated conns: FE: 1, BE: 1).",
      "[WARNING]  (PID) : soft-stop running for too long, performing a hard-stop.",
      "[WARNING]  (PID) : Proxy fe hard-stopped (1 remaining conns will be closed).",
    ]);
  });
});

e2e("SIGHUP tells the states, and the signals of a master are no end", async () => {
  await using server = startNamed("s1");
  await using balancer = await startSluice(listenOver([server.port]));
  const client = await visit({ port: balancer.port });
  for (const signal of ["SIGUSR2", "SIGTTOU", "SIGTTIN", "SIGHUP"] as const) balancer.kill(signal);
  // Signals that are pending together come in no order.
  const words = ["SIGHUP: Proxy fe", "SIGUSR2 ignored", "SIGTTOU ignored", "SIGTTIN ignored"];
  await until("all lines", () => words.every((word) => balancer.output().includes(word)));
  const lines = said(balancer.output());
  expect(lines).toContain(
    "[WARNING]  (PID) : SIGHUP: Server fe/s1 is UP. Conn: 1 act, 0 pend, 1 tot.",
  );
  client.leave();
  expect(balancer.hasExited()).toBe(false);
});

describe("refuses to start", () => {
  const port = freePort();

  e2e("on an address that is not ours, with haproxy's sentences", async () => {
    using folder = temporaryFolder();
    const text = configOf(port, [9]).replace("bind 127.0.0.1", "bind 192.0.2.1");
    writeFileSync(folder.file("a.cfg"), text);
    const { code, output } = await sluice(["-db", "-f", "a.cfg"], folder.path);
    expect(code).toBe(1);
    const line = text.split("\n").findIndex((one) => one.includes("bind")) + 1;
    expect(said(output)).toEqual([
      `[ALERT]    (PID) : Binding [a.cfg:${line}] for proxy fe: cannot bind socket ` +
        `(Cannot assign requested address) for [192.0.2.1:${port}]`,
      "[ALERT]    (PID) : [sluice.main()] Some protocols failed to start their listeners! Exiting.",
      `[NOTICE]   (PID) : ${errorRemedy("SLC_BIND_FAILED")}`,
    ]);
  });

  e2e("with a pid file, a folder or a root that cannot be", async () => {
    using folder = temporaryFolder();
    writeFileSync(folder.file("a.cfg"), configOf(port, [9]));
    writeFileSync(folder.file("b.cfg"), configOf(port, [9], "  chroot /nonexistent"));
    const run = async (...args: string[]): Promise<string> => {
      const { code, output } = await sluice(args, folder.path);
      expect(code).toBe(1);
      return output;
    };
    const withPid = await run("-f", "a.cfg", "-p", "/nonexistent/pid");
    expect(withPid).toContain("Cannot create pidfile");
    expect(withPid).toContain("SLC_PID_FILE");
    const elsewhere = await run("-C", "/nonexistent", "-f", "a.cfg");
    expect(elsewhere).toContain("No such file or directory");
    expect(elsewhere).toContain("SLC_WORKING_FOLDER");
    expect(await run("-f", "b.cfg")).toContain("Cannot chroot(/nonexistent)");
    writeFileSync(folder.file("c.cfg"), "global\n");
    expect(await run("-f", "c.cfg")).toContain("SLC_NO_LISTENER");
    expect(isListening(port)).toBe(false);
  });

  e2e(
    "over a warning with -dW, and in the background with the code of the foreground",
    async () => {
      using folder = temporaryFolder();
      writeFileSync(folder.file("a.cfg"), configOf(port, [9]).replace(/ *timeout client .*/, ""));
      const strict = await sluice(["-dW", "-db", "-f", "a.cfg"], folder.path);
      expect(strict.code).toBe(1);
      expect(strict.output).toContain(
        "Some warnings were found and 'zero-warning' is set. Aborting.",
      );
      writeFileSync(folder.file("b.cfg"), "listen x\n  nonsense\n");
      const behind = await sluice(["-D", "-f", "b.cfg"], folder.path);
      expect(behind.code).toBe(1);
      expect(behind.output).toContain("'nonsense' unknown keyword");
      expect(behind.output).toContain("SLC_CONFIG_REFUSED");
    },
  );

  // Root raises the limit again: there is nothing to refuse.
  const asUser = isRoot ? e2e.skip : e2e;
  asUser("with more connections than descriptors", async () => {
    using folder = temporaryFolder();
    writeFileSync(folder.file("a.cfg"), configOf(port, [9]));
    const limited = ["sh", "-c", 'ulimit -n 500; exec "$@"', "sh", balancerBinary("sluice")];
    const strict = await runProcess([...limited, "-db", "-n", "5000", "-f", folder.file("a.cfg")]);
    expect(strict.output).toContain("Cannot raise FD limit");
    expect(strict.code).toBe(1);
  });
});

describe("-D", () => {
  e2e("by keyword too; the terminal is let go, and inherited sockets come along", async () => {
    using folder = temporaryFolder();
    await using server = startNamed("s1");
    const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { port } = listener;
    const pidFile = folder.file("pid");
    const config = configOf(port, [server.port], "  daemon").replace(`127.0.0.1:${port}`, "fd@3");
    writeFileSync(folder.file("a.cfg"), config);
    const command = [balancerBinary("sluice"), "-f", folder.file("a.cfg"), "-p", pidFile];
    const fd = (listener as unknown as { fd: number }).fd;
    expect((await runProcess(command, { fds: [fd] })).code).toBe(0);
    listener.stop();
    const pid = Number(readFileSync(pidFile, "utf8"));
    try {
      expect(await askName({ port })).toBe("s1");
      const streams = [0, 1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
      expect(streams).toEqual(["/dev/null", "/dev/null", "/dev/null"]);
    } finally {
      process.kill(pid, "SIGTERM");
    }
    await until("the daemon to end", () => !existsSync(`/proc/${pid}`));
  });
});

e2e("-sf: the new process serves, the old one finishes what it has", async () => {
  using folder = temporaryFolder();
  await using server = startNamed("s1");
  await using old = await startSluice(listenOver([server.port]));
  const client = await visit({ port: old.port });
  writeFileSync(folder.file("a.cfg"), configOf(old.port, [server.port], "  nbthread 1"));
  const args = ["-db", "-f", folder.file("a.cfg"), "-sf", String(old.pid)];
  await using fresh = startProcess([balancerBinary("sluice"), ...args]);
  await until("the old process to be told", () => old.output().includes("Proxy fe stopped"));
  // A connection in the backlog of a listener that closes is reset: the known gap of a take-over.
  await until("the old listener to be gone", () => listenersOn(old.port) === 1);
  expect(await askName({ port: old.port })).toBe("s1");
  expect(old.hasExited()).toBe(false);
  client.leave();
  expect(await old.exited).toBe(0);
  expect(await askName({ port: old.port })).toBe("s1");
  expect(fresh.hasExited()).toBe(false);
});

/** Listening IPv4 sockets that share a port, as the kernel lists them. */
function listenersOn(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  const lines = readFileSync("/proc/net/tcp", "latin1").split("\n");
  return lines.filter((line) => line.includes(`${local}00000000:0000 0A`)).length;
}

const asRoot = isRoot ? e2e : e2e.skip;

asRoot("user, group and chroot: every thread gives up its rights, traffic flows", async () => {
  using folder = temporaryFolder();
  await using server = startNamed("s1");
  const jail = folder.file("jail");
  mkdirSync(jail);
  chmodSync(folder.path, 0o755);
  await using balancer = await startSluice(listenOver([server.port]), {
    workers: 2,
    global: `  uid 65534\n  gid 65534\n  chroot ${jail}`,
  });
  await until("the rights to be gone", () => uidsOf(balancer.pid).join() === "65534");
  expect(readdirSync(`/proc/${balancer.pid}/root`)).toEqual([]);
  for (let i = 0; i < 8; i++) expect(await askName({ port: balancer.port })).toBe("s1");
});

asRoot("-D inside a chroot that has no /dev", async () => {
  using folder = temporaryFolder();
  await using server = startNamed("s1");
  const jail = folder.file("jail");
  mkdirSync(jail);
  chmodSync(folder.path, 0o755);
  const port = freePort();
  const global = `  uid 65534\n  gid 65534\n  chroot ${jail}`;
  writeFileSync(folder.file("a.cfg"), configOf(port, [server.port], global));
  const pidFile = folder.file("pid");
  const started = await sluice(["-D", "-f", folder.file("a.cfg"), "-p", pidFile]);
  expect(started).toEqual({ code: 0, output: "" });
  const pid = Number(readFileSync(pidFile, "utf8"));
  try {
    expect(await askName({ port })).toBe("s1");
  } finally {
    process.kill(pid, "SIGTERM");
  }
  await until("the daemon to end", () => !existsSync(`/proc/${pid}`));
});

/** User numbers of all threads, each once. */
function uidsOf(pid: number): string[] {
  const uids = readdirSync(`/proc/${pid}/task`).map((task) => {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, "utf8");
    return /^Uid:\s+(\d+)/m.exec(status)?.[1] ?? "";
  });
  return [...new Set(uids)];
}

e2e("-dC prints what was read, -dL what is loaded, -dK what is known; even with -q", async () => {
  using folder = temporaryFolder();
  writeFileSync(folder.file("a.cfg"), `${configOf(freePort(), [9])}# a comment\n`);
  const dump = await sluice(["-q", "-c", "-dC", "-f", "a.cfg"], folder.path);
  expect(dump.output).toContain("\nlisten fe\n    bind 127.0.0.1:");
  expect(dump.output).not.toContain("comment");
  const libraries = await sluice(["-q", "-c", "-dL", "-f", "a.cfg"], folder.path);
  expect(libraries.output).toContain("libc");
  const keywords = await sluice(["-q", "-c", "-dKcfg", "-f", "a.cfg"], folder.path);
  expect(keywords.output).toContain("default_backend");
});

e2e("the native part needs no folder to be unpacked into", async () => {
  const usual = await sluice(["-vv"]);
  const env = { TMPDIR: "/nonexistent", BUN_TMPDIR: "/nonexistent" };
  const without = await runProcess([balancerBinary("sluice"), "-vv"], { env });
  expect(without.output).toBe(usual.output);
});
