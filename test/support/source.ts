/**
 * TypeScript source as the style test looks at it: without comments and texts, cut into functions.
 * Not a parser: it knows the shapes that the formatter leaves.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

/** A function or method: 1-based first and last line, and its code from the opening brace. */
export type SourceFunction = {
  name: string;
  firstLine: number;
  lineCount: number;
  body: string;
  /** Marked `@cold` in its docstring. */
  isCold: boolean;
};

/** One file. */
export type Source = {
  /** Relative to the project. */
  path: string;
  text: string;
  lines: readonly string[];
  /** As long as the text; comments are blanks, texts are empty quotes filled with blanks. */
  code: string;
};

/** All files of a folder whose name ends like this, in order. */
export function sourcesIn(folder: string, ending = ".ts"): Source[] {
  return filesIn(folder)
    .filter((path) => path.endsWith(ending))
    .map(readSource);
}

/** Paths of all files of a folder, relative to the project. */
export function filesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1))
    .toSorted();
}

/** Reads one file of the project. */
export function readSource(path: string): Source {
  const text = readFileSync(join(ROOT, path), "utf8");
  return { path, text, lines: text.split("\n"), code: blankOut(text) };
}

/** Modules that a file names in `from "…"` or `import("…")`, relative to the project. */
export function importsOf({ path, text }: Source): string[] {
  const found = text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g);
  return [...found].map((match) => join(path, "..", match[1] ?? ""));
}

/** Replaces comments and the insides of texts by blanks; lines stay where they are. */
function blankOut(text: string): string {
  const out = text.split("");
  const blank = (from: number, to: number): void => {
    for (let i = from; i < to; i++) if (out[i] !== "\n") out[i] = " ";
  };
  let at = 0;
  while (at < text.length) {
    const two = text.slice(at, at + 2);
    if (two === "//" || two === "/*") {
      const found = two === "//" ? text.indexOf("\n", at) : text.indexOf("*/", at) + 2;
      const end = found <= 1 ? text.length : found;
      blank(at, end);
      at = end;
    } else if (text[at] === '"' || text[at] === "'") {
      const end = endOfText(text, at);
      blank(at + 1, end);
      at = end + 1;
    } else if (text[at] === "/" && beginsRegExp(text, at)) {
      const end = endOfRegExp(text, at);
      blank(at + 1, end);
      at = end + 1;
    } else if (text[at] === "`") {
      at = blankTemplate(text, at, blank);
    } else at++;
  }
  return out.join("");
}

function endOfText(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== text[start]) at += text[at] === "\\" ? 2 : 1;
  return at;
}

/** A slash after an operator or an opening bracket begins a regular expression. */
function beginsRegExp(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 20), at).trimEnd();
  return /(?:^|[(,=:[&|?{};+]|[^\])\w]!|return|=>)$/.test(before);
}

function endOfRegExp(text: string, start: number): number {
  let at = start + 1;
  let isClass = false;
  while (at < text.length && (isClass || text[at] !== "/")) {
    if (text[at] === "\\") at++;
    else if (text[at] === "[") isClass = true;
    else if (text[at] === "]") isClass = false;
    at++;
  }
  return at;
}

/** Blanks the text of a template; the code in its holes stays. @returns the place behind it */
function blankTemplate(
  text: string,
  start: number,
  blank: (from: number, to: number) => void,
): number {
  let at = start + 1;
  let from = at;
  while (at < text.length && text[at] !== "`") {
    if (text[at] === "\\") at += 2;
    else if (text.startsWith("${", at)) {
      blank(from, at);
      at = endOfHole(text, at + 2) + 1;
      from = at;
    } else at++;
  }
  blank(from, at);
  return at + 1;
}

function endOfHole(text: string, start: number): number {
  let depth = 0;
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at];
    if (char === "{") depth++;
    else if (char === "}" && depth-- === 0) break;
    else if (char === "`") at = blankTemplate(text, at, () => {}) - 1;
    else if (char === '"' || char === "'") at = endOfText(text, at);
  }
  return at;
}

const MODIFIERS = "(?:(?:private|readonly|static|override|async|get|set) )*";
const NO_METHOD = "(?!if\\b|for\\b|while\\b|switch\\b|return\\b|catch\\b)";
const FUNCTION_HEAD = new RegExp(
  `^(?:(?:export )?(?:async )?function\\*? (\\w+)|  ${MODIFIERS}${NO_METHOD}(#?\\w+))(?:<[^(]*>)?\\(`,
  "gm",
);

/** Functions at the top level and methods of classes. Arrow functions belong to what is around. */
export function functionsOf({ code, text }: Source): SourceFunction[] {
  const found: SourceFunction[] = [];
  for (const match of code.matchAll(FUNCTION_HEAD)) {
    const open = match.index + match[0].length - 1;
    const close = matching(code, open, "(", ")");
    const brace = bodyAfter(code, close);
    if (brace < 0) continue;
    const end = matching(code, brace, "{", "}");
    const firstLine = lineAt(code, match.index);
    found.push({
      name: match[1] ?? match[2] ?? "",
      firstLine,
      lineCount: lineAt(code, end) - firstLine + 1,
      body: code.slice(brace, end + 1),
      isCold: docBefore(text, match.index).includes("@cold"),
    });
  }
  return found;
}

function lineAt(code: string, index: number): number {
  return code.slice(0, index).split("\n").length;
}

function matching(code: string, start: number, open: string, close: string): number {
  let depth = 0;
  for (let at = start; at < code.length; at++) {
    if (code[at] === open) depth++;
    else if (code[at] === close && --depth === 0) return at;
  }
  return code.length;
}

/** The brace that opens the body, past a return type; -1 for a declaration or a call. */
function bodyAfter(code: string, close: number): number {
  const rest = code.slice(close + 1);
  const plain = /^\s*(?::[^;{}=]*)?\{/.exec(rest);
  if (plain !== null) return close + plain[0].length;
  const typed = /^\s*:\s*\{/.exec(rest);
  if (typed === null) return -1;
  const typeEnd = matching(code, close + typed[0].length, "{", "}");
  const body = /^[^;{]*\{/.exec(code.slice(typeEnd + 1));
  return body === null ? -1 : typeEnd + body[0].length;
}

/** The comment that ends right before a place. */
export function docBefore(text: string, index: number): string {
  const before = text.slice(0, index).trimEnd();
  if (!before.endsWith("*/")) return "";
  return before.slice(before.lastIndexOf("/*"));
}
