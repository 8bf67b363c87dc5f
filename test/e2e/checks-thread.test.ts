/**
 * The loss of the thread of checks: servers stay as they are, traffic does not notice, and checks
 * go on in a new thread. The program runs from its sources, with a way to kill a thread of it.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { askApi } from "../support/api.ts";
import { startNamed } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import { startProcess, temporaryFolder, until } from "../support/procs.ts";
import { visit } from "../support/traffic.ts";
import { LONG_TIMEOUTS } from "./sluice.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const PRELOAD = join(import.meta.dir, "lose-checker.ts");

test("checks go on after the loss of their thread, and states stay meanwhile", async () => {
  using folder = temporaryFolder();
  const [port, absent] = [freePort(), freePort()];
  const [path, api] = [folder.file("haproxy.cfg"), folder.file("api.sock")];
  const first = startNamed("s1");
  await using second = startNamed("s2");
  const checked = "check inter 100ms rise 1 fall 1";
  writeFileSync(
    path,
    `global
  nbthread 1
  stats socket ${api} level admin
defaults
  mode tcp
${LONG_TIMEOUTS}
listen fe
  bind 127.0.0.1:${port}
  server s1 127.0.0.1:${first.port} ${checked}
  server s2 127.0.0.1:${second.port} ${checked}
  server s3 127.0.0.1:${absent} ${checked}
`,
  );
  const command = [process.execPath, "--preload", PRELOAD, MAIN, "-db", "-f", path];
  await using sluice = startProcess(command, { env: { SLUICE_LOG_FORMAT: "off" } });
  await until("sluice to listen", () => {
    if (sluice.hasExited()) throw new Error(sluice.output());
    return isListening(port);
  });
  const stateOf = async (server: string): Promise<string> => {
    const lines = (await askApi(api, "show stat")).split("\n");
    return lines.find((line) => line.startsWith(`fe,${server},`))?.split(",")[17] ?? "";
  };
  await until("s3 to be down", async () => (await stateOf("s3")) === "DOWN");
  for (const loss of [1, 2]) {
    sluice.kill("SIGWINCH");
    const losses = (): number =>
      (sluice.output().match(/The thread of checks is gone/g) ?? []).length;
    await until(`loss ${loss} to be noticed`, () => losses() === loss);
    expect([await stateOf("s1"), await stateOf("s2"), await stateOf("s3")]).toEqual([
      "UP",
      "UP",
      "DOWN",
    ]);
    for (let i = 0; i < 4; i++) expect((await visit({ port })).name).toMatch(/^s[12]$/);
  }
  await first[Symbol.asyncDispose]();
  await until("s1 to be down", async () => (await stateOf("s1")) === "DOWN");
  await using third = startNamed("s3", absent);
  await until("s3 to be up", async () => (await stateOf("s3")) === "UP");
  expect(third.port).toBe(absent);
  expect(await stateOf("s2")).toBe("UP");
});
