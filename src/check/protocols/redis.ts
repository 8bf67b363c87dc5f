/**
 * `option redis-check`: PING, and `+PONG` somewhere in the answer. HAProxy manual 4.2; the messages
 * are those of the Redis serialization protocol (RESP).
 *
 * An answer without it (`-NOAUTH …`) is waited out, as HAProxy does: only the server's end, or more
 * bytes than are kept, make it a wrong status.
 */
import type { CheckEnvironment, Dialogue } from "../probe.ts";
import type { Judgement } from "./talk.ts";
import { bytesOf, lineResult, Talk } from "./talk.ts";

const PING = bytesOf("*1\r\n$4\r\nPING\r\n");
const PONG = Buffer.from("+PONG\r\n");

/** The dialogue of one check. */
export function makeRedisDialogue(environment: CheckEnvironment): Dialogue {
  return new Talk(environment, {
    steps: [{ send: PING }, { number: 2, expect: judgePong, emptyCode: "L7STS" }],
    result: { code: "L7OK", info: "Redis server is ok" },
    isOrderly: false,
  });
}

function judgePong(bytes: Uint8Array, isLast: boolean): Judgement {
  if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(PONG)) {
    return { read: bytes.length };
  }
  return isLast ? lineResult("L7STS", bytes) : "wait";
}
