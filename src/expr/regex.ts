/**
 * Regular expressions of configurations: written for PCRE, run here by the JavaScript engine.
 *
 * The common ground is large. What only PCRE has and what is common in configurations is
 * translated: a leading `(?i)`, `\A`, `\z`, `\Z`, `\h`, POSIX classes such as `[[:alpha:]]`,
 * possessive and atomic forms are refused with a message, never matched differently. Any thread.
 */

const POSIX_CLASSES: Readonly<Record<string, string>> = {
  alnum: "A-Za-z0-9",
  alpha: "A-Za-z",
  blank: " \\t",
  cntrl: "\\x00-\\x1f\\x7f",
  digit: "0-9",
  graph: "\\x21-\\x7e",
  lower: "a-z",
  print: "\\x20-\\x7e",
  punct: "!-\\/:-@\\[-`{-~",
  space: "\\s",
  upper: "A-Z",
  word: "\\w",
  xdigit: "0-9A-Fa-f",
};

/** What PCRE reads otherwise than JavaScript, outside classes. */
const PCRE_ONLY = /\(\?>|\(\?[|#&RP(]|[*+?}]\+|\\[GKRXQECNH]|\(\*/;

/**
 * Compiles a pattern as HAProxy would hand it to PCRE. Cost: cold, at configuration time.
 * @param ignoreCase the `-i` flag
 */
export function compileRegex(
  pattern: string,
  ignoreCase: boolean,
): { ok: true; value: RegExp } | { ok: false; message: string } {
  const inline = /^\(\?([ims]+)\)/.exec(pattern);
  let flags = ignoreCase ? "i" : "";
  let source = pattern;
  if (inline !== null) {
    source = pattern.slice(inline[0].length);
    for (const letter of inline[1] ?? "") if (!flags.includes(letter)) flags += letter;
  }
  // Escaped pairs hide what follows a backslash from the search.
  const bare = source.replace(/\\\\/g, "");
  if (PCRE_ONLY.test(bare)) {
    return {
      ok: false,
      message: `regex '${pattern}' is invalid (it uses a form that only PCRE knows)`,
    };
  }
  try {
    return { ok: true, value: new RegExp(translate(source), flags) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const short = why.replace(/^.*: /, "");
    return { ok: false, message: `regex '${pattern}' is invalid (error=${short})` };
  }
}

function translate(source: string): string {
  return source
    .replace(/\[:(\^?)([a-z]+):\]/g, (all, negated: string, name: string) =>
      negated === "" ? (POSIX_CLASSES[name] ?? all) : all,
    )
    .replace(/\\(.)/gs, (all, letter: string) => {
      if (letter === "A") return "^";
      if (letter === "z") return "$";
      if (letter === "Z") return "(?=\\n?$)";
      if (letter === "h") return "[ \\t]";
      return all;
    });
}
