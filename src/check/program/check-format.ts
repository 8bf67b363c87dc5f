/**
 * Formats of checks as functions that make bytes: what is sent and looked for may be anything, so
 * that samples come in as they are, unlike in logs. Thread of checks.
 */
import { compileLogFormat, compileSample, sampleBytes } from "../../expr/evaluate.ts";
import type { LogContext } from "../../expr/evaluate.ts";
import type { LogFormat, LogPart } from "../../tables/expression.ts";

/** A compiled format. What it returns may be shared: it is not to be written to. */
export type ByteFormat = (context: LogContext) => Uint8Array;

const NOTHING = new Uint8Array(0);

/** Compiles a format that the configuration has checked. Cost: once a program. */
export function compileByteFormat(format: LogFormat): ByteFormat {
  const parts = format.parts.map(compilePart);
  const [first, second] = parts;
  if (first === undefined) return () => NOTHING;
  if (second === undefined) return first;
  return (context) => Buffer.concat(parts.map((part) => part(context)));
}

function compilePart(part: LogPart): ByteFormat {
  if (part.kind === "text") {
    const bytes = wordBytes(part.text);
    return () => bytes;
  }
  // Addresses, numbers and aliases: as logs show them.
  const asText = compileLogFormat({ text: "", parts: [part] });
  const plain: ByteFormat = (context) => Buffer.from(asText(context), "utf8");
  if (part.kind !== "sample" || part.flags.quote || part.flags.escape) return plain;
  const fetch = compileSample(part.sample);
  return (context) => {
    const sample = fetch(context);
    const { type } = sample;
    if (type === "none") return NOTHING;
    return type === "bin" || type === "str" ? sampleBytes(sample) : plain(context);
  };
}

/**
 * The bytes of a word of the configuration: bytes that are no UTF-8 stand in it as halves of
 * surrogate pairs, U+DC80 to U+DCFF.
 */
export function wordBytes(word: string): Uint8Array {
  if (word.isWellFormed()) return Buffer.from(word, "utf8");
  return Buffer.concat(
    [...word].map((char) => {
      const code = char.codePointAt(0) ?? 0;
      const isByte = code >= 0xdc80 && code <= 0xdcff;
      return isByte ? Uint8Array.of(code - 0xdc00) : Buffer.from(char, "utf8");
    }),
  );
}

/** Bytes that hexadecimal digits stand for; undefined: they are none. */
export function hexBytes(digits: Uint8Array): Uint8Array | undefined {
  const text = Buffer.from(digits.buffer, digits.byteOffset, digits.length).toString("latin1");
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/u.test(text)) return undefined;
  return Buffer.from(text, "hex");
}
