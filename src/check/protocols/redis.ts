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
    steps: [{ send: PING }, { number: 2, expect: pongJudge(), emptyCode: "L7STS" }],
    result: { code: "L7OK", info: "Redis server is ok" },
    isOrderly: false,
  });
}

/** Looks at each byte of one answer once, however it comes. */
function pongJudge(): (bytes: Uint8Array, isLast: boolean) => Judgement {
  let from = 0;
  return (bytes, isLast) => {
    const answer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (answer.includes(PONG, from)) return { read: bytes.length };
    // It may have begun.
    from = Math.max(0, bytes.length - PONG.length + 1);
    return isLast ? lineResult("L7STS", bytes) : "wait";
  };
}
