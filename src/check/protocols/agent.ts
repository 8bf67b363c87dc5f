/**
 * `agent-check`: says `agent-send`, if there is one, and reads a line. HAProxy manual 5.2. What is
 * no line is waited out, even if the agent has closed, as HAProxy does. The words are
 * agent-words.ts's.
 */
import type { CheckEnvironment, Dialogue } from "../probe.ts";
import { parseAgentLine, readAgentLine } from "./agent-words.ts";
import type { Judgement } from "./talk.ts";
import { bytesOf, Talk } from "./talk.ts";

/** The dialogue of one question. @param send "" = nothing is sent */
export function makeAgentDialogue(environment: CheckEnvironment, send: string): Dialogue {
  // HAProxy counts the sending of nothing too.
  const answer = { number: 2, expect: judgeLine, emptyCode: "L7RSP" } as const;
  return new Talk(environment, {
    steps: send === "" ? [answer] : [{ send: bytesOf(send) }, answer],
    result: { code: "CHECKED" },
    isOrderly: false,
  });
}

function judgeLine(bytes: Uint8Array): Judgement {
  const line = readAgentLine(bytes);
  return line === undefined ? "wait" : parseAgentLine(line);
}
