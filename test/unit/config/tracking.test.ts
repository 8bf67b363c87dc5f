/** `track` in a file: what can be followed, in HAProxy's words (recorded from HAProxy 2.6). */
import { describe, expect, test } from "bun:test";

import { linesOf, loadText, planOf, proxyOf, TIMEOUTS } from "./load-text.ts";

const OTHERS =
  `${TIMEOUTS}backend a\n server s1 127.0.0.1:80 check\n server s2 127.0.0.1:80\n` +
  "backend b\n server first 127.0.0.1:80 check\n server via 127.0.0.1:80 track first\n";

describe("what can be followed", () => {
  for (const track of ["a/s1", "first", "b/first", "via", "b/via"]) {
    test(track, async () => {
      const result = await loadText(`${OTHERS} server x 127.0.0.1:80 track ${track}\n`);
      expect(linesOf(result)).toEqual([]);
      expect(proxyOf(planOf(result), "b").servers.at(-1)?.track).toBe(track);
    });
  }
});

describe("what cannot", () => {
  const CASES: readonly (readonly [words: string, problem: string])[] = [
    ["track y", "unable to find required server 'y' for tracking."],
    ["track a/y", "unable to find required server 'y' for tracking."],
    ["track z/y", "unable to find required proxy 'z' for tracking."],
    [
      "track a/s2",
      "unable to use a/s2 for tracking as it does not have any check nor agent enabled.",
    ],
    ["track a/s1 check", "unable to enable checks and tracking at the same time!"],
    ["track b/x", "unable to track b/x as it belongs to a tracking chain looping back to b/x."],
  ];
  for (const [words, problem] of CASES) {
    test(words, async () => {
      const result = await loadText(`${OTHERS} server x 127.0.0.1:80 ${words}\n`);
      expect(linesOf(result)).toEqual([`ALERT [t.cfg:11] : 'server b/x' : ${problem}`]);
    });
  }

  test("circles, each of which is told", async () => {
    const text =
      `${OTHERS} server x 127.0.0.1:80 track y\n server y 127.0.0.1:80 track x\n` +
      " server z 127.0.0.1:80 track x\n";
    expect(linesOf(await loadText(text))).toEqual([
      "ALERT [t.cfg:11] : 'server b/x' : unable to track b/y as it belongs to a tracking chain " +
        "looping back to b/x.",
      "ALERT [t.cfg:12] : 'server b/y' : unable to track b/x as it belongs to a tracking chain " +
        "looping back to b/y.",
    ]);
  });
});
