/**
 * The frame of the runtime API beside haproxy's: lines, semicolons, half closes, prompts, payloads,
 * levels. The same bytes go to both, at the same moments; what comes back is compared to the byte,
 * but for names of commands that only one of them has.
 */
import { describe, expect, test } from "bun:test";

import { RawClient } from "../support/api-raw.ts";
import { findBalancer, startBalancer } from "../support/haproxy.ts";
import type { BalancerName } from "../support/haproxy.ts";
import { freePort } from "../support/ports.ts";
import { temporaryFolder } from "../support/procs.ts";

const NAMES: readonly BalancerName[] = ["haproxy", "sluice"];
const isPossible = NAMES.every((name) => findBalancer(name) !== undefined);

/** What a client does: sends pieces, each when the answer to the one before is there. */
type Script = {
  name: string;
  level?: "user" | "operator" | "admin";
  /** A piece, and what must have come before the next; undefined = it is sent at once. */
  steps: [send: string, then?: RegExp][];
  /** Does not close its side. */
  staysOpen?: true;
};

const ONE_LINE: [line: string, level?: "user" | "operator" | "admin"][] = [
  ["show cli level\n"],
  ["show cli level"],
  ["show cli level;show cli level\n"],
  ["show cli level ; show cli level \n"],
  ["show cli level\nshow cli level\n"],
  ["show cli level\r\n"],
  ["\tshow \t cli level\n"],
  ["show cli level # x ; show cli level\n"],
  ["show cli level with more words\n"],
  ["show cli level\\; x\n"],
  [""],
  ["quit\n"],
  ["quit;show cli level\n"],
  ["show cli level;quit;show cli level\n"],
  ["operator;show cli level;user;show cli level;show env HOME\n"],
  ["user;operator;show cli level\n"],
  ["expert-mode;expert-mode on;expert-mode;expert-mode off;expert-mode\n"],
  ["expert-mode maybe;expert-mode\n"],
  ["experimental-mode on;experimental-mode;user;experimental-mode\n"],
  ["expert-mode on\n", "operator"],
  ["show env HOME\n", "user"],
  ["show env HOME\n"],
  ["show env NO_SUCH_VARIABLE\n"],
  ["show env HO\\ME\n"],
  ["set severity-output\n"],
  ["set severity-output loud\n"],
  ["set severity-output number;show env NO_SUCH_VARIABLE;show cli level;show env HOME\n"],
  ["set severity-output string;show env NO_SUCH_VARIABLE;set severity-output none;show env X\n"],
  ["set timeout\n"],
  ["set timeout cli\n"],
  ["set timeout cli soon\n"],
  ["set timeout cli 0\n"],
  ["set timeout cli 5\n"],
  ["set timeout cli 5s\n"],
  ["set timeout srv 5\n"],
  ["operator\n", "user"],
  ["prompt\nshow cli level\n"],
  ["prompt\nprompt\nshow cli level\n"],
  ["prompt\nquit\nshow cli level\n"],
  ["prompt\nshow cli level\r\nshow cli level\r\n"],
  ["show cli level\nprompt\nshow cli level\n"],
];

const SCRIPTS: Script[] = [
  ...ONE_LINE.map(([line, level]) => ({
    name: JSON.stringify(line),
    steps: [[line]] as [string][],
    ...(level === undefined ? {} : { level }),
  })),
  {
    name: "a client that keeps its side open",
    steps: [["show cli level\n"]],
    staysOpen: true,
  },
  {
    name: "a line in two pieces, behind a whole one",
    steps: [["show cli level\nshow cli", /admin\n\n/], [" level\n"]],
    staysOpen: true,
  },
  {
    name: "a prompt, line by line",
    steps: [["prompt\n", />/], ["show cli level\n", /admin\n\n> /], ["quit\n"]],
  },
  {
    name: "a payload that is never ended",
    steps: [["set ssl cert x <<\nabc\n"]],
  },
];

/** What newer versions of haproxy than the one that is compared with say a little otherwise. */
function mask(text: string): string {
  return text
    .replace(/^Unknown command(?:: '[^'\n]*')?/gm, "Unknown command")
    .replace(/^ {2}prompt .*$/gm, "  prompt");
}

async function play(name: BalancerName, script: Script): Promise<string> {
  using folder = temporaryFolder();
  const [port, front] = [freePort(), freePort()];
  const config = `global
  stats socket ${folder.file("api.sock")} level ${script.level ?? "admin"}
  stats socket 127.0.0.1:${port} level ${script.level ?? "admin"}
  stats timeout 20s
defaults
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
listen fe
  bind 127.0.0.1:${front}
  server s1 127.0.0.1:9
`;
  const env = { HOME: "/home", SLUICE_LOG_FORMAT: "off" };
  await using balancer = await startBalancer(name, { config, ports: [front, port], env });
  const answers: string[] = [];
  for (const place of [{ unix: folder.file("api.sock") }, { hostname: "127.0.0.1", port }]) {
    await using client = await RawClient.open(place);
    for (const [send, then] of script.steps) {
      client.send(send);
      if (then !== undefined) await client.until(String(then), (text) => then.test(text));
    }
    if (script.staysOpen !== true) client.halfClose();
    answers.push(await client.end());
  }
  expect(balancer.hasExited()).toBe(false);
  expect(answers[1]).toBe(answers[0]!);
  return answers[0]!;
}

describe.skipIf(!isPossible)("the runtime API's frame", () => {
  for (const script of SCRIPTS) {
    test(script.name, async () => {
      const [theirs, ours] = await Promise.all([play("haproxy", script), play("sluice", script)]);
      expect(mask(ours)).toBe(mask(theirs));
    });
  }
});
