/**
 * What our dialogues make of well-behaved and of bad servers, against what haproxy was recorded to
 * say of the very same (`test/support/check-cases.ts` records it again). Where we differ, the
 * difference stands in DIFFERENCES with its reason.
 */
import { describe, expect, test } from "bun:test";

import { dialogueFor } from "../../../../src/check/protocols/index.ts";
import { escapeUnprintable } from "../../../../src/expr/log-format.ts";
import type { CheckCase, Verdict } from "../../../support/check-cases.ts";
import { jobOf, playInMemory, TEST_ENVIRONMENT } from "../../../support/check-memory.ts";
import { CHECK_SCRIPTS } from "../../../support/check-scripts.ts";
import recorded from "../../../support/check-verdicts.json";

const VERDICTS: Record<string, Verdict | undefined> = recorded;

/** Verdicts of ours that differ, by a pattern of names. */
const DIFFERENCES: readonly { why: string; names: RegExp; ours: Verdict }[] = [
  {
    why: "Our login waits for the greeting: a server that closes is not reset by what we say.",
    names: /^mysql (user|pre-41): closed (at once|when asked)$/,
    ours: { status: "L7RSP", code: null, info: "TCPCHK got an empty response at step 3" },
  },
  {
    why: "The same: of the greeting nothing is left that would be judged again.",
    names: /^mysql (user|pre-41): closed after the login$/,
    ours: { status: "L7RSP", code: null, info: "TCPCHK got an empty response at step 4" },
  },
  {
    why: "Whether the end or the reset is seen first is chance with haproxy.",
    names: /^(mysql (user|pre-41)|smtp( EHLO)?): good, then closed$/,
    ours: { status: "SOCKERR", code: null, info: "Connection reset by peer" },
  },
  {
    why: "The same.",
    names: /^smtp( EHLO)?: (all but its last byte|half of it), then closed$/,
    ours: { status: "L7STS", code: 0, info: "TCPCHK got an empty response at step 5" },
  },
  {
    why: "A reply is judged when it is whole, not by what one read brings; RFC 5321, 4.2.1.",
    names: /^smtp( EHLO)?: (the whole talk, a byte|lines one|a banner of many lines)/,
    ours: { status: "L7OK", code: 221, info: "2.0.0 Bye" },
  },
  {
    why: "BER allows it: RFC 4511, 5.1, X.690, 8.1.3.",
    names: /^ldap: welcome in one long length$/,
    ours: { status: "L7OK", code: 0, info: "" },
  },
  {
    why: "A frame that is cut short is none.",
    names: /^spop: all but its last byte, then closed$/,
    ours: { status: "L7RSP", code: null, info: "invalid frame received" },
  },
  {
    why: "HAProxy 3 knows the word; 2.6, which was recorded, does not.",
    names: /^agent: "weight:/,
    ours: { status: "CHECKED", code: null, info: "" },
  },
  {
    why: "There is no such number of connections.",
    names: /^agent: "maxconn:-1"$/,
    ours: {
      status: "CHECKED",
      code: null,
      info: "agent warns : maxconn string empty or preceded by garbage",
    },
  },
];

function verdictOf({ program, steps }: CheckCase): Verdict {
  const dialogue = dialogueFor(jobOf(program), TEST_ENVIRONMENT);
  if (dialogue === undefined) throw new Error(`no dialogue for ${program.kind}`);
  const { result, wire } = playInMemory(dialogue, steps);
  expect(wire.extra).toBe(0);
  return { status: result.code, code: result.number ?? null, info: result.info ?? "" };
}

test("every difference is of some case", () => {
  for (const { names } of DIFFERENCES) {
    expect([names.source, CHECK_SCRIPTS.some(({ name }) => names.test(name))]).toEqual([
      names.source,
      true,
    ]);
  }
});

describe("verdicts as haproxy's", () => {
  for (const one of CHECK_SCRIPTS) {
    test(one.name, () => {
      const wanted = VERDICTS[one.name];
      if (wanted === undefined) throw new Error("not recorded");
      const difference = DIFFERENCES.find(({ names }) => names.test(one.name));
      const { status, code, info } = difference?.ours ?? wanted;
      // What a server says stays on one line of ours.
      expect(verdictOf(one)).toEqual({ status, code, info: escapeUnprintable(info) });
    });
  }
});
