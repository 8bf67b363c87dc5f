/** `init-state`: what a server is before its first check, and again when it leaves maintenance. */
import { expect } from "bun:test";

import { askApiPort } from "../support/api.ts";
import { startDeaf } from "../support/peers-raw.ts";
import { startNamed } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/procs.ts";
import { statOf } from "../support/server-stat.ts";
import { askName } from "../support/traffic.ts";
import { e2e, startSluice } from "./sluice.ts";

/** Word, status before any check, and after one that fails or passes (rise 2, fall 3). */
const WORDS: readonly (readonly [word: string, first: string, failed: string, passed: string])[] = [
  ["fully-up", "UP", "UP 2/3", "UP"],
  ["up", "UP 1/3", "DOWN", "UP"],
  ["none", "UP 1/3", "DOWN", "UP"],
  ["down", "DOWN 1/2", "DOWN", "UP"],
  ["fully-down", "DOWN", "DOWN", "DOWN 1/2"],
];

const statusOf = async (api: number, server: string): Promise<string> =>
  (await statOf(api, "be", server, ["status"]))["status"] ?? "";

const named = (word: string): string => `s-${word}`;

/** One server a word, all of them at one address and with this check. */
function section(api: number, server: number, check: string): (port: number) => string {
  const lines = WORDS.map(([word]) => {
    return `  server ${named(word)} 127.0.0.1:${server} ${check} rise 2 fall 3 init-state ${word}`;
  });
  return (port) => `global
  stats socket 127.0.0.1:${api} level admin
listen be
  bind 127.0.0.1:${port}
  balance first
  use-server ${named("up")} if { src 127.0.0.2 }
${lines.join("\n")}`;
}

e2e("init-state: every word, before the first check and after maintenance", async () => {
  await using server = startNamed("served");
  // Its checks neither pass nor fail in the time of a test.
  await using deaf = await startDeaf();
  const api = freePort();
  const check = `check port ${deaf.port} inter 600s`;
  await using sluice = await startSluice(section(api, server.port, check));
  const statuses = (): Promise<string[]> =>
    Promise.all(WORDS.map(([word]) => statusOf(api, named(word))));
  const first = WORDS.map(([, status]) => status);
  expect(await statuses()).toEqual(first);
  expect(await askName({ port: sluice.port, from: "127.0.0.2" })).toBe("served");
  for (const state of ["maint", "ready"]) {
    for (const [word] of WORDS) {
      await askApiPort(api, `set server be/${named(word)} state ${state}`);
    }
  }
  expect(await statuses()).toEqual(first);
});

for (const passes of [false, true]) {
  e2e(`init-state: every word, after a check that ${passes ? "passes" : "fails"}`, async () => {
    await using server = startNamed("served");
    const api = freePort();
    const port = passes ? server.port : freePort();
    // One check at the start; the next is far off.
    const check = `check port ${port} inter 600s fastinter 600s downinter 600s`;
    await using _sluice = await startSluice(section(api, server.port, check), {
      global: "  max-spread-checks 100",
    });
    for (const [word, , failed, passed] of WORDS) {
      const wanted = passes ? passed : failed;
      await until(`${word}: ${wanted}`, async () => {
        const { check_status: code, status } = await statOf(api, "be", named(word), [
          "check_status",
          "status",
        ]);
        return code === (passes ? "L4OK" : "L4CON") && status === wanted;
      });
    }
  });
}
