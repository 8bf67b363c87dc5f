/** `-dC` and `-dL`: the configuration as it was read, the libraries that are loaded. */
import { ConfigEnvironment } from "../../config/environment.ts";
import { readFiles } from "../../config/files.ts";
import type { FileAccess } from "../../config/files.ts";
import { isSectionKeyword } from "../../config/keywords/tables.ts";
import { Report } from "../../config/message.ts";
import { readText } from "../../config/reader.ts";

/** Lines as the reader cut them: comments gone, variables replaced, set in by four blanks. */
export function dumpConfiguration(
  files: readonly string[],
  access: FileAccess,
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  const report = new Report();
  const lines: string[] = [];
  for (const text of readFiles(files, access, report)) {
    lines.push("", `# ${text.name}`);
    readText(text.name, text.content, {
      report,
      environment: new ConfigEnvironment(environment),
      diagnostics: false,
      receive: (words) => {
        const isSection = isSectionKeyword(words[0] ?? "");
        lines.push(`${isSection ? "\n" : "    "}${words.map(quoteWord).join(" ")}`);
      },
    });
  }
  return lines;
}

/** A word as it can be read again. */
function quoteWord(word: string): string {
  if (word !== "" && !/[\s"'\\#$]/u.test(word)) return word;
  return `"${word.replace(/[\\"$]/gu, "\\$&")}"`;
}

/** Files that are mapped to be run, each once, in the text of /proc/self/maps. */
export function sharedLibraries(maps: string | undefined): string[] {
  const files = (maps ?? "")
    .split("\n")
    .filter((line) => /\s..x.\s/.test(line))
    .map((line) => /\s(\/\S+)$/.exec(line)?.[1])
    .filter((path) => path !== undefined);
  return [...new Set(files)];
}
