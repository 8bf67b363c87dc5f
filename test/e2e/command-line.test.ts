/** The command line: checking files, exit codes, versions, conditions, signals, pid files. */
import { describe, expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

import { balancerBinary, checkConfig, startBalancer } from "../support/haproxy.ts";
import { startEcho, startNamed } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import { runProcess, temporaryFolder, until } from "../support/procs.ts";
import { askName, openWarm, visit } from "../support/traffic.ts";
import { e2e, listenOver, LONG_TIMEOUTS, startSluice } from "./sluice.ts";

const GOOD = `defaults
  mode tcp
${LONG_TIMEOUTS}
listen fe
  bind 127.0.0.1:21987
  server s1 127.0.0.1:9
`;

/** Broken files; the message must name the line and what is wrong there. */
const BAD: readonly { what: string; text: string; line: number; word: string }[] = [
  { what: "an unknown keyword", text: "listen fe\n  blance roundrobin\n", line: 2, word: "blance" },
  { what: "an unknown section", text: "frontent fe\n", line: 1, word: "frontent" },
  { what: "a bad time", text: "defaults\n  timeout client 5parsecs\n", line: 2, word: "client" },
  { what: "a bad number", text: "listen fe\n  maxconn many\n", line: 2, word: "many" },
  { what: "a bad address", text: "listen fe\n  bind 127.0.0.1:99999\n", line: 2, word: "99999" },
  {
    what: "a bad option",
    text: "listen fe\n  server s 1.1.1.1:1 wieght 3\n",
    line: 2,
    word: "wieght",
  },
  { what: "an unclosed quote", text: 'listen fe\n  log "127.0.0.1\n', line: 2, word: "quote" },
  { what: "a missing argument", text: "listen fe\n  maxconn\n", line: 2, word: "maxconn" },
  {
    what: "an unknown algorithm",
    text: "listen fe\n  balance fairest\n",
    line: 2,
    word: "fairest",
  },
  { what: "an unclosed .if", text: "\n.if 1\n", line: 2, word: ".if" },
];

async function sluice(...args: string[]): Promise<{ code: number; output: string }> {
  return runProcess([balancerBinary("sluice"), ...args]);
}

describe("-c", () => {
  e2e("a good file: exit code 0, and a sentence with -V", async () => {
    expect((await checkConfig("sluice", GOOD)).code).toBe(0);
    const { code, output } = await checkConfig("sluice", GOOD, ["-V"]);
    expect(code).toBe(0);
    expect(output).toContain("Configuration file is valid");
  });

  for (const { what, text, line, word } of BAD) {
    e2e(`${what}: exit code 1, a message with file, line and word`, async () => {
      const { code, output } = await checkConfig("sluice", text);
      expect(code).toBe(1);
      expect(output).toMatch(new RegExp(`\\[ALERT\\].*haproxy\\.cfg:${line}\\b`));
      expect(output).toContain(word);
      expect(output).not.toMatch(/^\s+at .*\.(ts|js)/m);
    });
  }

  e2e("all errors of a file come in one go", async () => {
    const { code, output } = await checkConfig("sluice", BAD.map(({ text }) => text).join(""));
    expect(code).toBe(1);
    expect((output.match(/parsing \[/g) ?? []).length).toBeGreaterThanOrEqual(6);
  });

  e2e("a file that is not there, and an empty one (nothing to serve: exit code 2)", async () => {
    const missing = await sluice("-c", "-f", "/nonexistent/haproxy.cfg");
    expect(missing.code).toBe(1);
    expect(missing.output).toContain("/nonexistent/haproxy.cfg");
    // As HAProxy: nothing wrong, and nothing to serve.
    expect((await checkConfig("sluice", "")).code).toBe(2);
  });

  e2e("a file of noise ends with messages, not with a crash", async () => {
    const noise = Array.from({ length: 4_000 }, (_, i) => String.fromCharCode((i * 7919) % 256));
    const { code, output } = await checkConfig("sluice", noise.join(""));
    expect(code).toBe(1);
    expect(output).toContain("[ALERT]");
  });
});

e2e("-v names the version, -vv the parts, --help the flags", async () => {
  const version = await sluice("-v");
  expect(version.code).toBe(0);
  expect(version.output).toMatch(/^HA-?Proxy version 3\.[5-9]/);
  const more = await sluice("-vv");
  expect(more.output).toMatch(/TARGET\s+= linux-glibc/);
  const help = await sluice("--help");
  expect(help.code).toBe(0);
  expect(help.output).toContain("SLUICE_CONFIG");
});

e2e("-cc tells truth by its exit code", async () => {
  expect((await sluice("-cc", "version_atleast(3.0)")).code).toBe(0);
  expect((await sluice("-cc", "version_before(3.0)")).code).not.toBe(0);
  expect((await sluice("-cc", "feature(THREAD) && !streq(a,b)")).code).toBe(0);
  expect((await sluice("-cc", "streq(a,a) garbage")).code).not.toBe(0);
});

e2e("what is not built is refused by name", async () => {
  for (const flag of ["-W", "-Ws"]) {
    const { code, output } = await sluice(flag, "-f", "/dev/null");
    expect(code).toBe(1);
    expect(output).toContain(flag);
  }
  const { code, output } = await sluice("-Z");
  expect(code).toBe(1);
  expect(output).toContain("-Z");
});

e2e("several files and a folder are read as one, in order of their names", async () => {
  using folder = temporaryFolder();
  await using server = startNamed("s1");
  const port = freePort();
  writeFileSync(folder.file("10.cfg"), `defaults\n  mode tcp\n${LONG_TIMEOUTS}\n`);
  writeFileSync(
    folder.file("20.cfg"),
    `frontend fe\n  bind 127.0.0.1:${port}\n  default_backend be\n`,
  );
  writeFileSync(folder.file("ignored.txt"), "nonsense\n");
  await using balancer = await startBalancer("sluice", {
    config: `backend be\n  server s1 127.0.0.1:${server.port}\n`,
    args: ["-db", "-f", folder.path, "-f", "{config}"],
    ports: [port],
  });
  expect(await askName({ port })).toBe("s1");
  expect(balancer.hasExited()).toBe(false);
});

describe("signals", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    e2e(`${signal} stops at once`, async () => {
      await using server = startEcho();
      await using balancer = await startSluice(listenOver([server.port]), { workers: 2 });
      await openWarm(balancer.port);
      balancer.kill(signal);
      const code = await balancer.exited;
      expect([0, 128 + 2, 128 + 15]).toContain(code);
      await until("its connections to end", () => server.open === 0);
    });
  }

  e2e("SIGUSR1 stops softly: listeners go, streams live on, then it ends with 0", async () => {
    await using server = startNamed("s1");
    await using balancer = await startSluice(listenOver([server.port]), { workers: 2 });
    const one = await visit({ port: balancer.port });
    balancer.kill("SIGUSR1");
    await until("the listeners to go", () => !isListening(balancer.port));
    expect(balancer.hasExited()).toBe(false);
    expect(await askName({ port: balancer.port })).toBe("refused");
    one.leave();
    expect(await balancer.exited).toBe(0);
  });

  e2e("hard-stop-after ends a soft stop that lasts too long", async () => {
    await using server = startNamed("s1");
    await using balancer = await startSluice(listenOver([server.port]), {
      global: "  hard-stop-after 300ms",
    });
    await visit({ port: balancer.port });
    balancer.kill("SIGUSR1");
    await balancer.exited;
    await until("the stream to be cut", () => server.open === 0);
  });
});

e2e("-p writes the pid; -D leaves the terminal and the pid file holds a live process", async () => {
  using folder = temporaryFolder();
  await using server = startNamed("s1");
  const pidFile = folder.file("pid");
  const port = freePort();
  writeFileSync(
    folder.file("haproxy.cfg"),
    `defaults\n  mode tcp\n${LONG_TIMEOUTS}\n${listenOver([server.port])(port)}\n`,
  );
  const started = await sluice("-D", "-f", folder.file("haproxy.cfg"), "-p", pidFile);
  expect(started.code).toBe(0);
  expect(existsSync(pidFile)).toBe(true);
  const pid = Number(readFileSync(pidFile, "utf8").trim().split("\n")[0]);
  try {
    await until("the daemon to listen", () => isListening(port));
    expect(await askName({ port })).toBe("s1");
  } finally {
    process.kill(pid, "SIGTERM");
  }
  await until("the daemon to end", () => !existsSync(`/proc/${pid}`));
});
