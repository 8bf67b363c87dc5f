/**
 * A running process whose runtime API is sent nonsense: commands with missing, extra, overlong,
 * binary and unterminated arguments, and random bytes. It answers each connection to its end,
 * changes no object, loses no descriptor and goes on serving. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { allCommands } from "../../src/api/commands/index.ts";
import { askRaw, RawClient } from "../support/api-raw.ts";
import { findSluice, startBalancer } from "../support/haproxy.ts";
import { startNamed } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { descriptorCount, temporaryFolder, until, within } from "../support/procs.ts";
import { askName } from "../support/traffic.ts";
import { below, mutateBytes, pick, seededRandom } from "./mutate.ts";
import type { Random } from "./mutate.ts";

const CONNECTIONS = 3_000;
const LINES = 8;
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);

/** No argument is the name of an object, or a number that a limit could be set to. */
const ARGUMENTS = [
  "",
  "a/b",
  "/",
  "//",
  "fe-4711",
  "fe-4711/",
  "/s1",
  "none/none",
  "#0",
  "#-1",
  "#99999999999999999999",
  "@guid:",
  "@guid:none",
  "-1",
  "1e9",
  "99999999999999999999",
  "0x10",
  "%n%s",
  "*",
  "<<",
  "<<%",
  '"',
  "'",
  "\\",
  "\x00",
  "\u202e",
  "../../etc/passwd",
  "x".repeat(300),
  "ready",
  "maint",
  "addr",
  "state",
  "from",
  "help",
];

/** Lines that end the process's or the connection's life on purpose, or wait for longer. */
const LEFT_OUT = /^(?:wait|quit|prompt|show events|set timeout|set severity-output)/;

const COMMANDS = allCommands()
  .map(({ name }) => name)
  .filter((name) => !LEFT_OUT.test(name));

function nonsense(random: Random): string {
  const words = [pick(random, COMMANDS)];
  for (let i = below(random, 6); i > 0; i--) words.push(pick(random, ARGUMENTS));
  if (below(random, 8) === 0) words.unshift(pick(random, ["json", "dry-run", "json dry-run"]));
  if (below(random, 10) === 0) words.shift();
  if (below(random, 40) === 0) words.push("y".repeat(below(random, 20_000)));
  return words.join(" ");
}

function nonsenseBytes(random: Random): Uint8Array {
  const lines = Array.from({ length: below(random, LINES) }, () => nonsense(random));
  const text = Buffer.from(lines.join(pick(random, ["\n", ";", "\r\n", "\n\n"])) + "\n\n");
  if (below(random, 3) > 0) return text;
  const bytes = mutateBytes(random, [text]);
  // A mangled line may have become a meaningful one: digits are where limits begin.
  return bytes.map((byte) => (byte >= 0x31 && byte <= 0x39 ? 0x78 : byte));
}

test.skipIf(findSluice() === undefined)(`nonsense for a live process, seed ${seed}`, async () => {
  using folder = temporaryFolder();
  await using server = startNamed("s1");
  const port = freePort();
  const places = ["admin", "operator", "user"].map((level) => ({ unix: folder.file(level) }));
  const admin = places[0]!;
  const sockets = places.map(({ unix }, i) => {
    const level = ["admin", "operator", "user"][i];
    return `  stats socket ${unix} level ${level}`;
  });
  await using sluice = await startBalancer("sluice", {
    config: `global\n  nbthread 1\n${sockets.join("\n")}\n  stats timeout 30s
defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 9s\n  timeout server 9s
frontend fe-4711-front\n  bind 127.0.0.1:${port}\n  default_backend be-0815-back
backend be-0815-back\n  server srv-2342 127.0.0.1:${server.port}\n`,
    ports: [port],
    env: { SLUICE_LOG_FORMAT: "off" },
  });
  const look = async (): Promise<string> => {
    const state = await askRaw(admin, "show servers state;show backend;show objects\n");
    // The time of the last change of a state goes on by itself.
    return state.replace(/^(\d+ \S+ \d+ \S+ \S+ \d+ \d+ \d+ \d+) \d+/gm, "$1 TIME");
  };
  const before = await look();
  const descriptors = descriptorCount(sluice.pid);
  const random = seededRandom(seed);
  for (let i = 0; i < CONNECTIONS; i++) {
    const bytes = nonsenseBytes(random);
    await using client = await RawClient.open(pick(random, places));
    client.send(bytes);
    if (below(random, 10) === 0) {
      client.vanish();
      continue;
    }
    client.halfClose();
    const what = `an end for ${JSON.stringify(Buffer.from(bytes).toString("latin1"))}`;
    const text = await within(what, client.end());
    if (text !== "") expect(text).toEndWith("\n");
    expect(text).not.toContain("Internal error");
    if (i % 50 === 0) expect(await askName({ port })).toBe("s1");
  }
  expect(await look()).toBe(before);
  await until("descriptors to be back", () => descriptorCount(sluice.pid) <= descriptors + 1);
  expect(sluice.hasExited()).toBe(false);
  expect(sluice.output()).not.toContain("internal error");
});
