/**
 * `option ldap-check`: an anonymous simple bind of LDAPv3, and a bind response of success. HAProxy
 * manual 4.2; messages: RFC 4511, 4.1.1, 4.2 and 5.1.
 */
import type { CheckEnvironment, Dialogue } from "../probe.ts";
import type { CheckResult } from "../result.ts";
import type { Judgement } from "./talk.ts";
import { Talk } from "./talk.ts";

/** SEQUENCE { messageID 1, BindRequest { version 3, name "", simple "" } }. */
const BIND = Uint8Array.of(48, 12, 2, 1, 1, 96, 7, 2, 1, 3, 4, 0, 128, 0);
/** The shortest bind response. */
const ANSWER_BYTES_MIN = 14;
const SEQUENCE = 0x30;
const BIND_RESPONSE = 0x61;
const MESSAGE_ID = Uint8Array.of(2, 1, 1);
/** ENUMERATED of one byte. */
const RESULT_CODE = Uint8Array.of(10, 1);
const LONG_LENGTH = 0x80;
const LENGTH_BYTES_MAX = 4;
const SUCCESS = 0;

const FOREIGN: CheckResult = { code: "L7RSP", info: "Not LDAPv3 protocol" };
const REFUSED = "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9";

/** The dialogue of one check. */
export function makeLdapDialogue(environment: CheckEnvironment): Dialogue {
  return new Talk(environment, {
    steps: [{ send: BIND }, { number: 2, expect: judgeAnswer, emptyCode: "L7RSP" }],
    result: { code: "L7OK" },
    isOrderly: false,
  });
}

function judgeAnswer(bytes: Uint8Array, isLast: boolean): Judgement {
  if (bytes.length < ANSWER_BYTES_MIN) return isLast ? { code: "L7RSP" } : "wait";
  if (bytes[0] !== SEQUENCE) return FOREIGN;
  const message = readLength(bytes, 1);
  if (message === undefined) return FOREIGN;
  if (bytes.length < message.end + message.length) return isLast ? { code: "L7RSP" } : "wait";
  const operationAt = message.end + MESSAGE_ID.length;
  if (!hasAt(bytes, message.end, MESSAGE_ID) || bytes[operationAt] !== BIND_RESPONSE)
    return FOREIGN;
  const response = readLength(bytes, operationAt + 1);
  if (response === undefined || !hasAt(bytes, response.end, RESULT_CODE)) return FOREIGN;
  const code = bytes[response.end + RESULT_CODE.length];
  if (code === undefined) return FOREIGN;
  return code === SUCCESS ? { read: bytes.length } : { code: "L7STS", number: code, info: REFUSED };
}

/** A definite length of BER. @returns undefined where there is none, or one of over four bytes */
function readLength(bytes: Uint8Array, at: number): { length: number; end: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  if (first < LONG_LENGTH) return { length: first, end: at + 1 };
  const count = first - LONG_LENGTH;
  if (count === 0 || count > LENGTH_BYTES_MAX || at + count >= bytes.length) return undefined;
  let length = 0;
  for (let i = 1; i <= count; i++) length = length * 256 + (bytes[at + i] ?? 0);
  return { length, end: at + 1 + count };
}

function hasAt(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  return wanted.every((byte, index) => bytes[at + index] === byte);
}
