/** Bytes in the words of checks. Pure. */

/** What is wrong with hexadecimal digits; undefined = nothing. */
export function wrongHex(text: string): string | undefined {
  if (text.length % 2 !== 0) return "an even number of hex digit is expected";
  const bad = /[^0-9a-f]/iu.exec(text)?.[0];
  return bad === undefined ? undefined : `an hex digit is expected (found '${bad}')`;
}

/**
 * Is the word text as a whole? The lexer keeps each byte of `\xHH` that is no UTF-8 as one half of
 * a surrogate pair, U+DC80 to U+DCFF.
 */
export function isWellFormed(text: string): boolean {
  return text.isWellFormed();
}

/** A word's bytes, two hexadecimal digits each. */
export function hexOf(text: string): string {
  const parts = [...text].map((char) => {
    const code = char.codePointAt(0) ?? 0;
    if (code >= 0xdc80 && code <= 0xdcff) return (code - 0xdc00).toString(16);
    return Buffer.from(char, "utf8").toString("hex");
  });
  return parts.join("");
}
