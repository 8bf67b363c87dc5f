/**
 * Converters that cut and rewrite texts, as functions of text. Pure, any thread.
 * Source: manual 7.3.1; corner cases observed on HAProxy.
 */

/**
 * `field`: the index-th delimited field and `count - 1` after it (before it for a negative index,
 * which counts from the end); count 0 = to the end.
 * @returns undefined when there is no such field
 */
export function cutField(
  text: string,
  index: number,
  delimiters: string,
  count: number,
): string | undefined {
  const spans = splitSpans(text, delimiters);
  const [first, last] = chooseSpans(spans.length, index, count);
  const from = spans[first];
  const to = spans[last];
  return from === undefined || to === undefined ? undefined : text.slice(from.start, to.end);
}

/** `word`: like `field`, but runs of delimiters count once; "" when there is no such word. */
export function cutWord(text: string, index: number, delimiters: string, count: number): string {
  const spans = splitSpans(text, delimiters);
  const words = spans.filter((span) => span.end > span.start);
  const [first, last] = chooseSpans(words.length, index, count);
  const from = words[first];
  const to = words[last];
  if (from === undefined || to === undefined) return "";
  // Without a count limit the rest is taken as it stands, delimiters at its outer end included.
  if (count !== 0) return text.slice(from.start, to.end);
  return index > 0 ? text.slice(from.start) : text.slice(0, to.end);
}

type Span = { start: number; end: number };

function splitSpans(text: string, delimiters: string): Span[] {
  const spans: Span[] = [];
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    if (i < text.length && !delimiters.includes(text[i] ?? "")) continue;
    spans.push({ start, end: i });
    start = i + 1;
  }
  return spans;
}

/** First and last index of the chosen spans; out of range when the first does not exist. */
function chooseSpans(length: number, index: number, count: number): [number, number] {
  const wanted = count === 0 ? length : Math.max(count, 1);
  if (index > 0) {
    const first = index - 1;
    return first >= length ? [-1, -1] : [first, Math.min(first + wanted, length) - 1];
  }
  const last = length + index;
  // From the end: `field(-1,.,2)` of f.oo.b.c is b.c, the last and the one before it.
  return last < 0 ? [-1, -1] : [Math.max(last - wanted + 1, 0), last];
}

/** `ltrim`, `rtrim`. */
export function trimStart(text: string, chars: string): string {
  let start = 0;
  while (start < text.length && chars.includes(text[start] ?? "")) start++;
  return text.slice(start);
}

/** The other end. */
export function trimEnd(text: string, chars: string): string {
  let end = text.length;
  while (end > 0 && chars.includes(text[end - 1] ?? "")) end--;
  return text.slice(0, end);
}

/** `cut_crlf`. */
export function cutLine(text: string): string {
  const at = text.search(/[\r\n]/);
  return at < 0 ? text : text.slice(0, at);
}

/** `reverse_dom`: labels in reverse; undefined when one is empty. */
export function reverseLabels(text: string): string | undefined {
  const name = text.endsWith(".") ? text.slice(0, -1) : text;
  const labels = name.split(".");
  return labels.includes("") ? undefined : labels.reverse().join(".");
}

/** `url_enc`: all but letters, digits and `-._~` as `%XX` of their bytes. */
export function encodeUrl(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/**
 * `url_dec`: `%XX` to bytes; `+` to a blank behind the first `?`, or everywhere in a form.
 * @returns undefined when a `%` is not followed by two digits
 */
export function decodeUrl(text: string, inForm: boolean): string | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return undefined;
  const mark = inForm ? 0 : text.indexOf("?");
  const query = mark < 0 ? "" : text.slice(mark).replaceAll("+", " ");
  const all = mark < 0 ? text : text.slice(0, mark) + query;
  const bytes = Buffer.from(all);
  const out = new Uint8Array(bytes.length);
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === 0x25) {
      out[length++] = Number.parseInt(bytes.toString("latin1", i + 1, i + 3), 16);
      i += 2;
    } else {
      out[length++] = bytes[i]!;
    }
  }
  return new TextDecoder().decode(out.subarray(0, length));
}

/**
 * `hex2i`: hexadecimal digits, the last 16 of them as a signed 64-bit number.
 * @returns undefined when another character is among them
 */
export function readHex(text: string): number | undefined {
  if (!/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return text === "" ? 0 : Number(BigInt.asIntN(64, BigInt(`0x${text}`)));
}

/** Replacement of `regsub`: `\0`…`\9` are groups, any other backslash only escapes. */
export function substitute(template: string, groups: readonly (string | undefined)[]): string {
  return template.replace(/\\(.)/gs, (_all, char: string) =>
    /\d/.test(char) ? (groups[Number(char)] ?? "") : char,
  );
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const BASE64_URL = /^[A-Za-z0-9_-]*={0,2}$/;

/** `b64dec`: padded base64 only. @returns undefined when the text is none */
export function decodeBase64(text: string): Uint8Array | undefined {
  return BASE64.test(text) ? new Uint8Array(Buffer.from(text, "base64")) : undefined;
}

/** `ub64dec`: base64 of URLs, padding optional. @returns undefined when the text is none */
export function decodeBase64Url(text: string): Uint8Array | undefined {
  if (!BASE64_URL.test(text) || text.replace(/=+$/, "").length % 4 === 1) return undefined;
  return new Uint8Array(Buffer.from(text, "base64url"));
}
