/** `docs/errors.md` from src/base/errors.ts. */
import { ERRORS } from "../src/base/errors.ts";
import type { ErrorRow } from "../src/base/errors.ts";

/** `docs/errors.md`. */
export function errorsPage(): string {
  const lines = [
    "# Errors",
    "",
    "This page is generated from src/base/errors.ts (`bun scripts/generate-docs.ts`).",
    "",
    "A sentence of ours ends in its code. Sentences that HAProxy has too stay as they are, for",
    "the tools that look for them; when such an error ends the start, a notice with its code",
    "follows. Mistakes in the text of a configuration have no codes: they name file and line.",
    "",
    "| kind | whose fault |",
    "|---|---|",
    "| configuration | what the files say |",
    "| usage | what the command line says |",
    "| refused | the system does not allow it |",
    "| resource | something is used up, taken or missing |",
    "| internal | this program |",
  ];
  const rows: [string, ErrorRow][] = Object.entries(ERRORS);
  for (const [code, { kind, mayRetry, sentence, isHaproxys, remedy }] of rows) {
    lines.push(
      "",
      `## ${code}`,
      "",
      `\`${sentence}\``,
      "",
      `- Kind: ${kind}. ${isHaproxys ? "HAProxy's sentence." : "Our sentence."}`,
      `- Trying again with nothing changed: ${mayRetry ? "may help." : "does not help."}`,
      `- ${remedy}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
