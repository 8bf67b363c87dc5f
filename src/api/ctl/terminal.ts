/** `sluice ctl` at a terminal: a prompt, a history, and the tab key asks the process. */
import { createInterface } from "node:readline";

import { splitLine } from "../lines.ts";
import type { RawCommand } from "../lines.ts";
import { print } from "./print.ts";
import { BROKEN_OFF, DONE } from "./talk.ts";
import type { Talk } from "./talk.ts";

const PROMPT = "sluice> ";
const PAYLOAD_PROMPT = "+ ";

type Completed = [candidates: string[], completedPart: string];

/** Reads commands until the terminal's end or `quit`. @returns the exit code */
export async function converse(talk: Talk): Promise<number> {
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: PROMPT,
    completer: (line: string, done: (error: null, result: Completed) => void) => {
      void complete(talk, line).then((result) => done(null, result));
    },
  });
  let payload: { commands: RawCommand[]; pattern: string; lines: string[] } | undefined;
  terminal.prompt();
  for await (const line of terminal) {
    let commands: RawCommand[] | undefined;
    if (payload !== undefined) {
      if (line !== payload.pattern) payload.lines.push(line);
      else {
        payload.commands.at(-1)!.payload = payload.lines.join("\n");
        commands = payload.commands;
        payload = undefined;
      }
    } else {
      const split = splitLine(line);
      if (split.pattern === undefined) commands = split.commands;
      else payload = { commands: split.commands, pattern: split.pattern, lines: [] };
    }
    if (commands !== undefined) {
      const isQuit = commands.some(({ words }) => words[0] === "quit" || words[0] === "exit");
      if (isQuit) break;
      if ((await talk.run(commands)) === BROKEN_OFF) return BROKEN_OFF;
    }
    terminal.setPrompt(payload === undefined ? PROMPT : PAYLOAD_PROMPT);
    terminal.prompt();
  }
  terminal.close();
  if (talk.isOver) await print(2, "sluice ctl: the process has gone\n");
  return DONE;
}

/** Candidates for the last word of a line. */
async function complete(talk: Talk, line: string): Promise<Completed> {
  const { commands } = splitLine(line);
  const words = commands.at(-1)?.words ?? [];
  const isNew = line === "" || /[\s;]$/.test(line);
  const last = isNew ? "" : (words.at(-1) ?? "");
  const asked = isNew ? [...words, ""] : words;
  const candidates = await talk.ask(["complete", ...asked]);
  const whole = candidates.map((one) => (one.endsWith("/") ? one : `${one} `));
  return [whole, last];
}
