/** The files of examples/: both balancers accept them as they are, and they carry traffic. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import {
  balancerBinary,
  type BalancerName,
  findBalancer,
  startBalancer,
} from "../support/haproxy.ts";
import { startNamed } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import { runProcess, startProcess, temporaryFolder, until } from "../support/procs.ts";
import { askName, askNames, countEach } from "../support/traffic.ts";
import { relocate } from "./relocate.ts";
import { e2e } from "./sluice.ts";

const EXAMPLES = join(import.meta.dir, "../../examples");
const HEADER = "PROXY TCP4 10.1.2.3 10.4.5.6 1111 2222\r\n";

/** By example: its ports, and who answers eight visits to each. */
const EXPECTED: Record<string, Record<number, string[]>> = {
  "alerts.cfg": { 7100: ["app1", "app2"], 7101: ["report1"] },
  "postgresql.cfg": { 5432: ["primary"], 5433: ["primary", "reports", "standby"] },
  "redis.cfg": { 6379: ["cache1", "cache2", "cache3"], 6380: ["queue1"] },
  "smtp-proxy-protocol.cfg": { 25: ["mx1", "mx2"], 587: ["mx1", "mx2"], 2525: ["mx1", "mx2"] },
  "tcp.cfg": { 7000: ["one", "two"] },
  "many-backends.cfg": { 9001: ["a1", "a2"], 9002: ["b1", "b2"], 9003: ["c1"], 9008: ["w1"] },
};

/** Their servers are asked what peers of this test do not know: see `examples-checks.test.ts`. */
const CHECKED = ["galera.cfg", "kubernetes-api.cfg", "patroni.cfg", "redis-sentinel.cfg"];

for (const name of ["haproxy", "sluice"] as const) {
  describe(`examples, ${name}`, () => {
    for (const file of CHECKED) {
      test.skipIf(findBalancer(name) === undefined)(file, () => loadExample(name, file));
    }
    // Its servers are found by DNS: see `names.test.ts`.
    test.skipIf(findBalancer(name) === undefined)("names.cfg", () =>
      loadExample(name, "names.cfg"),
    );
    for (const [file, ports] of Object.entries(EXPECTED)) {
      test.skipIf(findBalancer(name) === undefined)(file, () => showExample(name, file, ports));
    }
  });
}

/** It is valid as it is, without a warning. */
async function loadExample(name: BalancerName, file: string): Promise<string> {
  const path = join(EXAMPLES, file);
  const checked = await runProcess([balancerBinary(name), "-c", "-V", "-f", path]);
  expect(checked.output).toContain("Configuration file is valid");
  expect(checked.code).toBe(0);
  expect(checked.output).not.toContain("[WARNING]");
  return path;
}

async function showExample(name: BalancerName, file: string, ports: Record<number, string[]>) {
  const path = await loadExample(name, file);
  using folder = temporaryFolder();
  const text = tenantsMoved(readFileSync(path, "utf8"), folder.path);
  await using moved = text;
  await using balancer = await startBalancer(name, { config: moved.text, ports: moved.ports });
  for (const [port, servers] of Object.entries(ports)) {
    const opening = port === "2525" ? HEADER : "";
    const names: string[] = [];
    // From many addresses, for those that hash them.
    for (let i = 1; i <= 24; i++) {
      const where = { port: moved.portOf(Number(port)), from: `127.0.0.${i}` };
      names.push(await askName(where, opening));
    }
    expect(Object.keys(countEach(names))).toEqual(servers);
  }
  expect(balancer.hasExited()).toBe(false);
}

/** Relocated; backends named after a port are named after the port that stands for it. */
function tenantsMoved(text: string, folder: string): ReturnType<typeof relocate> {
  const moved = relocate(text, folder);
  const renamed = moved.text.replace(
    /^backend (\d+)-tenant/gm,
    (_, port: string) => `backend ${moved.portOf(Number(port))}-tenant`,
  );
  return { ...moved, text: renamed };
}

e2e("environment.env: sluice runs without a file", async () => {
  await using blue = startNamed("blue");
  await using green = startNamed("green");
  const port = freePort();
  const lines = readFileSync(join(EXAMPLES, "environment.env"), "utf8").split("\n");
  const env = Object.fromEntries(
    lines
      .filter((line) => /^\w+=/.test(line))
      .map((line) => {
        const at = line.indexOf("=");
        return [line.slice(0, at), line.slice(at + 1)];
      }),
  );
  const moved = {
    ...env,
    SLUICE_BIND: `127.0.0.1:${port}`,
    SLUICE_SERVERS: (env["SLUICE_SERVERS"] ?? "")
      .replace("10.0.5.1:8080", `127.0.0.1:${blue.port}`)
      .replace("10.0.5.2:8080", `127.0.0.1:${green.port}`),
  };
  await using sluice = startProcess([balancerBinary("sluice")], { env: moved });
  await until("sluice to listen", () => {
    if (sluice.hasExited()) throw new Error(sluice.output());
    return isListening(port);
  });
  expect(Object.keys(countEach(await askNames({ port }, 8)))).toContain("blue");
});
