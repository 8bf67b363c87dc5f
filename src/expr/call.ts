/**
 * The syntax of `name(arg,arg)` inside expressions, apart from what the names mean.
 *
 * Arguments may be quoted: `"…"` (with backslash escapes) and `'…'` (without) keep commas and
 * parentheses; outside single quotes `\n \r \t \\ \" \' \ ` are escapes and any other backslash is
 * itself. The first unquoted `)` ends the list. Pure, any thread.
 * Source: HAProxy configuration manual 2.2 and 7.3; corner cases observed on HAProxy.
 */

/** A word and its arguments, and where it ended. */
export type Call = {
  name: string;
  /** Undefined: no parentheses. One empty argument for `()`. */
  args: string[] | undefined;
  /** Index behind the name or the closing parenthesis. */
  end: number;
};

const NAME = /[A-Za-z0-9_.-]/;
const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  "\\": "\\",
  '"': '"',
  "'": "'",
  " ": " ",
};

/** Index behind the name that begins at `start`. */
export function scanName(text: string, start: number): number {
  let end = start;
  while (end < text.length && NAME.test(text[end] ?? "")) end++;
  return end;
}

/**
 * Reads a name and, when an opening parenthesis follows, its arguments.
 * @returns undefined when the list does not end
 */
export function readCall(text: string, start: number): Call | undefined {
  const end = scanName(text, start);
  const name = text.slice(start, end);
  if (text[end] !== "(") return { name, args: undefined, end };
  const args: string[] = [];
  let word = "";
  let quote = "";
  for (let i = end + 1; i < text.length; i++) {
    const char = text[i] ?? "";
    const next = text[i + 1] ?? "";
    if (char === "\\" && quote !== "'" && ESCAPES[next] !== undefined) {
      word += ESCAPES[next];
      i++;
    } else if (quote !== "") {
      if (char === quote) quote = "";
      else word += char;
    } else if (char === '"' || char === "'") {
      quote = char;
    } else if (char === ",") {
      args.push(word);
      word = "";
    } else if (char === ")") {
      args.push(word);
      return { name, args, end: i + 1 };
    } else {
      word += char;
    }
  }
  return undefined;
}
