/** `sluice ctl` against a running process: what it prints where, and what its exit code means. */
import { expect } from "bun:test";

import { balancerBinary, startBalancer } from "../support/haproxy.ts";
import type { Balancer } from "../support/haproxy.ts";
import { freePort } from "../support/ports.ts";
import { temporaryFolder } from "../support/procs.ts";
import { e2e, listenOver, LONG_TIMEOUTS } from "./sluice.ts";

type Ran = { code: number; out: string; err: string };

/** Runs `sluice ctl` with these words and this standard input. */
async function ctl(words: string[], input = "", env: Record<string, string> = {}): Promise<Ran> {
  const { SLUICE_STATS_SOCKET: _, ...inherited } = process.env;
  const child = Bun.spawn([balancerBinary("sluice"), "ctl", ...words], {
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...inherited, ...env },
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, err };
}

async function startWith(path: string, level = "admin"): Promise<Balancer> {
  const port = freePort();
  const config = `global\n  nbthread 1\n  stats socket ${path} level ${level}
defaults\n  mode tcp\n${LONG_TIMEOUTS}\n${listenOver([9, 8])(port)}\n`;
  return startBalancer("sluice", { config, ports: [port], env: { SLUICE_LOG_FORMAT: "off" } });
}

e2e("answers, refusals, exit codes", async () => {
  using folder = temporaryFolder();
  const path = folder.file("api.sock");
  const missing = await ctl(["-s", path, "show", "info"]);
  expect(missing).toEqual({
    code: 1,
    out: "",
    err: `sluice ctl: cannot reach ${path}: no such socket\n`,
  });
  await using sluice = await startWith(path);
  const asked = async (...words: string[]): Promise<Ran> => ctl(["-s", path, ...words]);
  expect(await asked("show", "cli", "level")).toEqual({ code: 0, out: "admin\n", err: "" });
  expect(await asked("set severity-output none; show cli level")).toMatchObject({ code: 0 });
  expect(await asked("disable", "server", "fe/s1")).toEqual({ code: 0, out: "", err: "" });
  expect(await asked("disable", "server", "fe/none")).toEqual({
    code: 3,
    out: "",
    err: "No such server.\n",
  });
  const unknown = await asked("show", "nonsense");
  expect(unknown.code).toBe(3);
  expect(unknown.err).toStartWith("Unknown command: 'show', but maybe");
  expect(await asked("show cli level; get weight x/y; show version")).toEqual({
    code: 3,
    out: "admin\n\n3.5-dev5\n",
    err: "\nNo such backend.\n",
  });
  expect(await asked("echo", "a b", "c;d", ";", "echo", "e")).toEqual({
    code: 0,
    out: "a b c;d\n\ne\n",
    err: "",
  });
  expect(await asked('echo "a')).toEqual({ code: 3, out: "", err: "Unterminated quote.\n" });
  expect(await asked("-t", "0.2", "wait", "20s")).toEqual({
    code: 2,
    out: "",
    err: "sluice ctl: no answer within 0.2 s\n",
  });
  expect((await asked("quit")).code).toBe(0);
  expect((await asked("-t")).code).toBe(1);
  const environment = { SLUICE_STATS_SOCKET: path };
  expect(await ctl(["show", "cli", "level"], "", environment)).toMatchObject({ out: "admin\n" });
  expect(sluice.hasExited()).toBe(false);
});

e2e("a process that dies while it is asked", async () => {
  using folder = temporaryFolder();
  const path = folder.file("api.sock");
  await using sluice = await startWith(path);
  const asking = ctl(["-s", path, "wait", "20s"]);
  await Bun.sleep(300);
  sluice.kill("SIGKILL");
  expect(await asking).toEqual({
    code: 2,
    out: "",
    err: "sluice ctl: the connection broke off\n",
  });
});

e2e("JSON, one line an answer", async () => {
  using folder = temporaryFolder();
  const path = folder.file("api.sock");
  await using sluice = await startWith(path, "user");
  const { code, out, err } = await ctl(["-s", path, "--json", "show version; show env A; help"]);
  expect(err).toBe("");
  expect(code).toBe(3);
  const lines = out.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line).code)).toEqual(["OK", "PERMISSION", "OK"]);
  expect((await ctl(["-s", path, "--json", "help"])).code).toBe(0);
  expect(sluice.hasExited()).toBe(false);
});

e2e("commands from standard input, with payloads", async () => {
  using folder = temporaryFolder();
  const path = folder.file("api.sock");
  await using sluice = await startWith(path);
  const piped = await ctl(
    ["-s", path],
    "show cli level\n\nget weight x/y; show version\necho last",
  );
  expect(piped).toEqual({
    code: 3,
    out: "admin\n\n3.5-dev5\n\nlast\n",
    err: "\nNo such backend.\n",
  });
  const changes = "set weight fe/s1 7\nset weight fe/s2 9\n";
  expect((await ctl(["-s", path], `transaction <<\n${changes}\nget weight fe/s1\n`)).out).toContain(
    "7 (initial 1)\n",
  );
  expect((await ctl(["-s", path, "transaction", "<<"], changes)).code).toBe(0);
  expect((await ctl(["-s", path, "get", "weight", "fe/s2"])).out).toBe("9 (initial 1)\n");
  expect((await ctl(["-s", path], "transaction <<\nset weight fe/s1 8\n")).code).toBe(2);
  expect((await ctl(["-s", path, "get", "weight", "fe/s1"])).out).toBe("7 (initial 1)\n");
  expect(await ctl(["-s", path])).toEqual({ code: 0, out: "", err: "" });
  expect(sluice.hasExited()).toBe(false);
});

e2e("completion asks the process for commands and names", async () => {
  using folder = temporaryFolder();
  const path = folder.file("api.sock");
  await using sluice = await startWith(path);
  const complete = async (...words: string[]): Promise<string[]> => {
    const { out } = await ctl(["-s", path, "--complete", ...words]);
    return out.split("\n").filter((line) => line !== "");
  };
  expect(await complete("show", "cl")).toEqual(["cli"]);
  expect(await complete("show", "cli", "")).toEqual(["level", "sockets"]);
  expect(await complete("disable", "server", "")).toEqual(["fe/"]);
  expect(await complete("disable", "server", "fe/")).toEqual(["fe/s1", "fe/s2"]);
  expect(await complete("disable", "frontend", "f")).toEqual(["fe"]);
  expect(await complete("nonsense", "")).toEqual([]);
  expect(sluice.hasExited()).toBe(false);
});
