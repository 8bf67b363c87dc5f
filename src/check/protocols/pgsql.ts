/**
 * `option pgsql-check user …`: a StartupMessage of protocol 3.0, answered by a request to
 * authenticate or a welcome. HAProxy manual 4.2; messages: PostgreSQL's manual, "Frontend/Backend
 * Protocol", "Message Formats".
 *
 * An ErrorResponse is reported by its first field (`FATAL`), as HAProxy does.
 */
import type { CheckEnvironment, Dialogue } from "../probe.ts";
import { inItsWords } from "../result.ts";
import type { CheckResult } from "../result.ts";
import type { Judgement } from "./talk.ts";
import { Talk, textUpToNul } from "./talk.ts";

const PROTOCOL_VERSION = 196_608;
const ERROR_RESPONSE = "E".charCodeAt(0);
const AUTHENTICATION = "R".charCodeAt(0);
/** Type, length, and the method of an authentication message. */
const AUTHENTICATION_BYTES = 9;
const METHOD_AT = 8;
/** Type and length: so much shows what a message is. */
const HEADER_BYTES = 5;
/** Behind the type of the first field of an error. */
const ERROR_TEXT_AT = 6;
/** Ok, Kerberos V5, clear text, crypt, MD5, SCM, GSSAPI, SSPI, SASL: those that HAProxy knows. */
const METHODS: ReadonlySet<number> = new Set([0, 2, 3, 4, 5, 6, 7, 9, 10]);
const UNKNOWN: CheckResult = { code: "L7STS", info: "PostgreSQL unknown error" };

/** The dialogue of one check. */
export function makePgsqlDialogue(environment: CheckEnvironment, user: string): Dialogue {
  return new Talk(environment, {
    steps: [{ send: startupMessage(user) }, { number: 3, expect: judgeAnswer, emptyCode: "L7RSP" }],
    result: { code: "L7OK", info: "PostgreSQL server is ok" },
    // A reset would be a line in the server's log.
    isOrderly: true,
  });
}

function startupMessage(user: string): Uint8Array {
  const parameters = Buffer.from(`user\0${user}\0\0`);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(header.length + parameters.length, 0);
  header.writeUInt32BE(PROTOCOL_VERSION, 4);
  return Buffer.concat([header, parameters]);
}

function judgeAnswer(bytes: Uint8Array, isLast: boolean): Judgement {
  if (bytes.length < HEADER_BYTES && !isLast) return "wait";
  if (bytes[0] === ERROR_RESPONSE) {
    const result = inItsWords("L7RSP", textUpToNul(bytes, ERROR_TEXT_AT));
    return isLast || bytes.includes(0, ERROR_TEXT_AT) ? result : { late: result };
  }
  if (bytes.length < AUTHENTICATION_BYTES) return isLast ? UNKNOWN : "wait";
  const isKnown =
    bytes[0] === AUTHENTICATION &&
    isZero(bytes, 1, 4) &&
    isZero(bytes, HEADER_BYTES, METHOD_AT) &&
    METHODS.has(bytes[METHOD_AT] ?? -1);
  return isKnown ? { read: bytes.length } : UNKNOWN;
}

function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  return bytes.subarray(from, to).every((byte) => byte === 0);
}
