/**
 * `option smtpchk`: the banner, HELO or EHLO, QUIT, with a code of 2xx each. HAProxy manual 4.2;
 * replies: RFC 5321, 4.2 and 4.3.1.
 *
 * A reply is judged when its last line is there, however it is cut up on the way; HAProxy goes by
 * what one read brings. A reply to HELO that is no 2xx is waited out, as HAProxy does.
 */
import type { CheckEnvironment, Dialogue } from "../probe.ts";
import type { CheckResult } from "../result.ts";
import type { Judgement } from "./talk.ts";
import { bytesOf, lineResult, Talk } from "./talk.ts";

const CODE_BYTES = 3;
/** The code and what follows it. */
const PREFIX_BYTES = 4;
const LF = 10;
const CR = 13;
const SPACE = 32;
const HYPHEN = 45;
const ZERO = 48;
const TWO = 50;

/** The dialogue of one check. @param hello `HELO` or `EHLO` */
export function makeSmtpDialogue(
  environment: CheckEnvironment,
  hello: string,
  domain: string,
): Dialogue {
  return new Talk(environment, {
    steps: [
      { number: 2, expect: judgeBanner(new Reply()), emptyCode: "L7RSP" },
      { send: bytesOf(`${hello} ${domain}\r\n`) },
      { number: 5, expect: judgeHello(new Reply()), emptyCode: "L7STS" },
      { send: bytesOf("QUIT\r\n") },
      { number: 7, expect: judgeQuit(new Reply()), emptyCode: "L7STS" },
    ],
    result: { code: "L7OK" },
    isOrderly: true,
  });
}

type Judge = (bytes: Uint8Array, isLast: boolean) => Judgement;

function judgeBanner(reply: Reply): Judge {
  return (bytes, isLast) => {
    if (bytes.length < PREFIX_BYTES && !isLast) return "wait";
    if (codeOf(bytes) < 0) return lineResult("L7RSP", bytes);
    return judgeReply(reply, bytes, isLast, (code) => statusResult("L7STS", code, bytes));
  };
}

function judgeHello(reply: Reply): Judge {
  return (bytes, isLast) =>
    judgeReply(reply, bytes, isLast, (code) =>
      isLast ? statusResult("L7STS", code, bytes) : "wait",
    );
}

function judgeQuit(reply: Reply): Judge {
  return (bytes, isLast) => {
    if (bytes.length < PREFIX_BYTES && !isLast) return "wait";
    const refuse = (code: number): CheckResult => statusResult("L7STS", code, bytes);
    const judgement = judgeReply(reply, bytes, isLast, refuse);
    if (typeof judgement === "string" || !("read" in judgement)) return judgement;
    return statusResult("L7OK", codeOf(bytes), bytes);
  };
}

/** @param refuse what a reply is that has another code than 2xx, or none (-1) */
function judgeReply(
  reply: Reply,
  bytes: Uint8Array,
  isLast: boolean,
  refuse: (code: number) => CheckResult | "wait",
): Judgement {
  const code = codeOf(bytes);
  if (code < 0) return refuse(code);
  const isGood = bytes[0] === TWO;
  const isWhole = isLast || reply.hasLastLine(bytes);
  if (isGood) return isWhole ? { read: bytes.length } : "wait";
  const refusal = refuse(code);
  return isWhole || refusal === "wait" ? refusal : { late: refusal };
}

/** Code of the first line; -1 where it does not begin with one. */
function codeOf(bytes: Uint8Array): number {
  let code = 0;
  for (let i = 0; i < CODE_BYTES; i++) {
    const digit = (bytes[i] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    code = code * 10 + digit;
  }
  const next = bytes[CODE_BYTES];
  const isEnd = next === SPACE || next === HYPHEN || next === CR || next === LF;
  return isEnd ? code : -1;
}

/** One reply as it comes: each byte is looked at once. */
class Reply {
  #line = 0;
  #seen = 0;

  /** Is its last line there: the first without a hyphen behind its code? */
  hasLastLine(bytes: Uint8Array): boolean {
    for (;;) {
      const end = bytes.indexOf(LF, this.#seen);
      this.#seen = end < 0 ? bytes.length : end;
      if (end < 0) return false;
      if (bytes[this.#line + CODE_BYTES] !== HYPHEN) return true;
      this.#line = end + 1;
      this.#seen = end + 1;
    }
  }
}

function statusResult(code: "L7OK" | "L7STS", number: number, bytes: Uint8Array): CheckResult {
  return { ...lineResult(code, bytes, PREFIX_BYTES), number: Math.max(number, 0) };
}
