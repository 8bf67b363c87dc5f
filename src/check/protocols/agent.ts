/**
 * `agent-check`: says `agent-send`, if there is one, and reads a line. HAProxy manual 5.2. What is
 * no line by the time that the agent closes says nothing. The words are agent-words.ts's.
 */
import type { CheckEnvironment, Dialogue } from "../probe.ts";
import { AgentLine, parseAgentLine } from "./agent-words.ts";
import type { Judgement } from "./talk.ts";
import { bytesOf, Talk } from "./talk.ts";

/** The dialogue of one question. @param send "" = nothing is sent */
export function makeAgentDialogue(environment: CheckEnvironment, send: string): Dialogue {
  // HAProxy counts the sending of nothing too.
  const answer = { number: 2, expect: lineJudge(), emptyCode: "L7RSP" } as const;
  return new Talk(environment, {
    steps: send === "" ? [answer] : [{ send: bytesOf(send) }, answer],
    result: { code: "CHECKED" },
    isOrderly: false,
  });
}

const INCOMPLETE = { code: "L7TOUT", info: "Ignoring incomplete line from agent" } as const;

function lineJudge(): (bytes: Uint8Array, isLast: boolean) => Judgement {
  const answer = new AgentLine();
  return (bytes, isLast) => {
    const line = answer.read(bytes);
    if (line !== undefined) return parseAgentLine(line);
    return isLast ? INCOMPLETE : "wait";
  };
}
