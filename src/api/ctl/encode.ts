/** Commands as `sluice ctl` sends them: words escaped one by one, a payload behind its own mark. */
import type { RawCommand } from "../lines.ts";

/** A word so that the other side reads it as one, whatever is in it. */
function encodeWord(word: string): string {
  return word === "" ? '""' : word.replace(/[\\; \t\n"']|^</g, "\\$&");
}

/** Words of a shell's command line as one line: a lone `;` still parts commands. */
export function joinWords(words: readonly string[]): string {
  if (words.length === 1) return words[0]!;
  return words
    .map((word) => (word === ";" || word.startsWith("<<") ? word : encodeWord(word)))
    .join(" ");
}

/** A command with its payload, newline included. `prefix` comes first: `json`. */
export function encodeCommand(command: RawCommand, prefix: string): string {
  const words = [...(prefix === "" ? [] : [prefix]), ...command.words.map(encodeWord)];
  const { payload } = command;
  if (payload === undefined) return `${words.join(" ")}\n`;
  const lines = new Set(payload.split("\n"));
  let mark = "%end%";
  while (lines.has(mark)) mark += "%";
  return `${words.join(" ")} <<${mark}\n${payload}\n${mark}\n`;
}
