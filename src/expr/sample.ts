/**
 * A typed value under evaluation, and its casts.
 *
 * One Sample belongs to one compiled expression and is filled again at each evaluation: what a
 * compiled expression returned is valid until it runs the next time. Pure, any thread.
 *
 * Integers are exact up to 2^53 and saturate at the 64-bit limits, as HAProxy's do. Texts are
 * JavaScript strings; their bytes are UTF-8. Casts: manual 7.3, corner cases observed on HAProxy.
 */
import { formatIp, IpAddress, parseIp, writeIp } from "../base/address.ts";
import type { SampleType } from "../tables/expression.ts";

/** Largest and smallest 64-bit integers, as near as a double comes; they print exactly. */
export const INTEGER_MAX = 2 ** 63;
/** The other end. */
export const INTEGER_MIN = -(2 ** 63);

const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The value; which field holds it is told by `type`. */
export class Sample {
  /** "none": nothing there. */
  type: SampleType | "none" = "none";
  /** sint, bool (0 or 1). */
  int = 0;
  text = "";
  bytes: Uint8Array = NO_BYTES;
  readonly address = new IpAddress();

  /** Becomes another's equal; bytes are shared. */
  copyFrom(other: Sample): void {
    this.type = other.type;
    this.int = other.int;
    this.text = other.text;
    this.bytes = other.bytes;
    this.address.copyFrom(other.address);
  }

  setInt(value: number): true {
    this.type = "sint";
    this.int = value >= INTEGER_MAX ? INTEGER_MAX : value <= INTEGER_MIN ? INTEGER_MIN : value;
    return true;
  }

  setBool(value: boolean): true {
    this.type = "bool";
    this.int = value ? 1 : 0;
    return true;
  }

  setText(value: string): true {
    this.type = "str";
    this.text = value;
    return true;
  }

  setBytes(value: Uint8Array): true {
    this.type = "bin";
    this.bytes = value;
    return true;
  }
}

/** Decimal text of an integer sample, exact at the 64-bit limits. */
export function formatInteger(value: number): string {
  if (value >= INTEGER_MAX) return "9223372036854775807";
  if (value <= INTEGER_MIN) return "-9223372036854775808";
  return String(value);
}

/** Leading decimal digits of a text, 0 if there are none; never fails. */
export function readInteger(text: string): number {
  const digits = /^[-+]?\d+/.exec(text);
  return digits === null ? 0 : Number(digits[0]);
}

/** The bytes of a text. */
export function bytesOfText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text of bytes up to the first zero byte; what is no UTF-8 becomes U+FFFD. */
export function textOfBytes(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Big-endian 64 bits of an integer sample. */
export function bytesOfInteger(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  if (value >= INTEGER_MAX) view.setBigInt64(0, 0x7fffffffffffffffn);
  else view.setBigInt64(0, BigInt(Math.trunc(value)));
  return bytes;
}

/**
 * Turns the sample into another type, in place.
 * @returns false, and "none", when this value has no such form
 */
export function castSample(sample: Sample, type: SampleType): boolean {
  if (sample.type === "none") return false;
  if (sample.type === type || type === "any") return true;
  const done = castTo(sample, type);
  if (!done) sample.type = "none";
  return done;
}

function castTo(sample: Sample, type: SampleType): boolean {
  switch (type) {
    case "str":
      return sample.setText(sampleText(sample));
    case "bin":
      return sample.setBytes(sampleBytes(sample));
    case "sint":
      return toInteger(sample);
    case "bool":
      return toInteger(sample) && sample.setBool(sample.int !== 0);
    case "addr":
      return toAddress(sample);
    case "any":
      return true;
  }
}

function toInteger(sample: Sample): boolean {
  switch (sample.type) {
    case "sint":
    case "bool":
      return sample.setInt(sample.int);
    case "str":
      return sample.setInt(readInteger(sample.text));
    case "addr":
      return sample.address.family === 4 && sample.setInt(sample.address.word0);
    case "bin":
    case "any":
    case "none":
      return false;
  }
}

function toAddress(sample: Sample): boolean {
  if (sample.type === "str") {
    if (!parseIp(sample.text, sample.address)) return false;
  } else if (sample.type === "sint" || sample.type === "bool") {
    sample.address.setIpv4(Number(BigInt.asUintN(32, BigInt(Math.trunc(sample.int)))));
  } else {
    return false;
  }
  sample.type = "addr";
  return true;
}

/** Text form: what a log prints. "" for none. */
export function sampleText(sample: Sample): string {
  switch (sample.type) {
    case "str":
      return sample.text;
    case "sint":
    case "bool":
      return formatInteger(sample.int);
    case "addr":
      return formatIp(sample.address);
    case "bin":
      return textOfBytes(sample.bytes);
    case "any":
    case "none":
      return "";
  }
}

/** Byte form: what hashes take. Integers are 8 big-endian bytes, addresses 4 or 16. */
export function sampleBytes(sample: Sample): Uint8Array {
  switch (sample.type) {
    case "bin":
      return sample.bytes;
    case "str":
      return bytesOfText(sample.text);
    case "sint":
    case "bool":
      return bytesOfInteger(sample.int);
    case "addr": {
      const bytes = new Uint8Array(sample.address.family === 4 ? 4 : 16);
      writeIp(sample.address, bytes, 0);
      return bytes;
    }
    case "any":
    case "none":
      return NO_BYTES;
  }
}
