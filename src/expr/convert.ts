/**
 * The code behind the converters of `converters.ts`: each turns a sample into another in place.
 *
 * A step is made once per expression from its constant arguments; when it runs, the sample already
 * has the converter's input type. It returns false for "no sample". Any thread.
 * Source: manual 7.3.1; corner cases observed on HAProxy.
 */
import { createHash } from "node:crypto";

import { IpAddress, maskIp, parseIpv6 } from "../base/address.ts";
import { crc32, crc32c } from "../base/crc32.ts";
import type { Argument } from "../tables/expression.ts";
import type { SampleContext } from "./context.ts";
import {
  cutField,
  cutLine,
  cutWord,
  decodeBase64,
  decodeBase64Url,
  decodeUrl,
  encodeUrl,
  readHex,
  reverseLabels,
  substitute,
  trimEnd,
  trimStart,
} from "./convert-text.ts";
import { avalanche, hashDjb2, hashSdbm, hashWt6, hashXxh32 } from "./hashes.ts";
import { compileRegex } from "./regex.ts";
import { bytesOfText, INTEGER_MAX, readInteger, type Sample } from "./sample.ts";

/** One conversion in place; false = no sample. */
export type Step = (sample: Sample, context: SampleContext) => boolean;

type Maker = (args: readonly Argument[]) => Step;

function textAt(args: readonly Argument[], index: number): string {
  const arg = args[index];
  return arg === undefined ? "" : String(arg.value);
}

function intAt(args: readonly Argument[], index: number, missing: number): number {
  const arg = args[index];
  return arg === undefined ? missing : Number(arg.value);
}

/** Arithmetic on the sample and one constant. */
function arithmetic(compute: (left: number, right: number) => number): Maker {
  return (args) => {
    const right = readInteger(textAt(args, 0));
    return (sample) => sample.setInt(compute(sample.int, right));
  };
}

const INT32 = 2 ** 31;

/** Bitwise operation on 64-bit integers; 32-bit operands take the short way. */
function bitwise(
  short: (left: number, right: number) => number,
  wide: (left: bigint, right: bigint) => bigint,
): Maker {
  return arithmetic((left, right) => {
    const isShort = left >= -INT32 && left < INT32 && right >= -INT32 && right < INT32;
    if (isShort) return short(left, right);
    return Number(BigInt.asIntN(64, wide(toBig(left), toBig(right))));
  });
}

function toBig(value: number): bigint {
  return value >= INTEGER_MAX ? 0x7fffffffffffffffn : BigInt(Math.trunc(value));
}

/** A step that needs no argument. */
function plain(step: Step): Maker {
  return () => step;
}

/** A hash with the optional avalanche. */
function hashing(hash: (bytes: Uint8Array) => number): Maker {
  return (args) => {
    const spread = intAt(args, 0, 0) !== 0;
    return (sample) => {
      const value = hash(sample.bytes);
      return sample.setInt(spread ? avalanche(value) : value);
    };
  };
}

function texts(change: (text: string) => string): Maker {
  return plain((sample) => sample.setText(change(sample.text)));
}

function digest(algorithm: string): Step {
  return (sample) => {
    const value = createHash(algorithm).update(sample.bytes).digest();
    return sample.setBytes(new Uint8Array(value));
  };
}

function maybeText(sample: Sample, text: string | undefined): boolean {
  return text !== undefined && sample.setText(text);
}

function maybeBytes(sample: Sample, bytes: Uint8Array | undefined): boolean {
  return bytes !== undefined && sample.setBytes(bytes);
}

/** ASCII only, as the C library's in its plain locale. */
function lower(text: string): string {
  return text.replace(/[A-Z]+/g, (run) => run.toLowerCase());
}

function upper(text: string): string {
  return text.replace(/[a-z]+/g, (run) => run.toUpperCase());
}

const makeBytes: Maker = (args) => {
  const offset = intAt(args, 0, 0);
  const length = intAt(args, 1, -1);
  return (sample) => {
    const all = sample.bytes;
    if (offset < 0 || offset >= all.length) return sample.setBytes(all.subarray(0, 0));
    const end = length < 0 ? all.length : offset + length;
    return sample.setBytes(all.subarray(offset, end));
  };
};

const makeIpMask: Maker = (args) => {
  const mask4 = intAt(args, 0, 0) | 0;
  const text6 = args[1] === undefined ? "" : textAt(args, 1);
  const bits6 = /^\d+$/.test(text6) ? Number(text6) : -1;
  const mask6 = new IpAddress();
  const hasMask6 = bits6 >= 0 || (text6 !== "" && parseIpv6(text6, mask6));
  return ({ address }) => {
    if (address.family === 4) address.word0 = (address.word0 & mask4) >>> 0;
    else if (!hasMask6) return false;
    else if (bits6 >= 0) maskIp(address, bits6);
    else {
      address.setIpv6(
        address.word0 & mask6.word0,
        address.word1 & mask6.word1,
        address.word2 & mask6.word2,
        address.word3 & mask6.word3,
      );
    }
    return true;
  };
};

const makeRegsub: Maker = (args) => {
  const flags = textAt(args, 2);
  const regex = compileRegex(textAt(args, 0), flags.includes("i"));
  if (!regex.ok) return () => false;
  const source = regex.value;
  const pattern = flags.includes("g") ? new RegExp(source.source, `${source.flags}g`) : source;
  const template = textAt(args, 1);
  return (sample) =>
    sample.setText(
      sample.text.replace(pattern, (...match: unknown[]) => {
        const end = match.findIndex((part) => typeof part === "number");
        return substitute(template, match.slice(0, end).map(groupText));
      }),
    );
};

function groupText(part: unknown): string | undefined {
  return typeof part === "string" ? part : undefined;
}

const makeCut = (
  cut: (text: string, index: number, delimiters: string, count: number) => string | undefined,
): Maker => {
  return (args) => {
    const index = intAt(args, 0, 1);
    const delimiters = textAt(args, 1);
    const count = intAt(args, 2, 1);
    return (sample) => maybeText(sample, cut(sample.text, index, delimiters, count));
  };
};

const MAKERS: Readonly<Record<string, Maker>> = {
  add: arithmetic((left, right) => left + right),
  sub: arithmetic((left, right) => left - right),
  mul: arithmetic((left, right) => left * right),
  div: arithmetic((left, right) => (right === 0 ? INTEGER_MAX : truncate(left / right))),
  mod: arithmetic((left, right) => (right === 0 ? 0 : truncate(left % right))),
  and: bitwise(
    (left, right) => left & right,
    (left, right) => left & right,
  ),
  or: bitwise(
    (left, right) => left | right,
    (left, right) => left | right,
  ),
  xor: bitwise(
    (left, right) => left ^ right,
    (left, right) => left ^ right,
  ),
  cpl: plain((sample) => sample.setInt(truncate(-1 - sample.int))),
  neg: plain((sample) => sample.setInt(truncate(-sample.int))),
  not: plain((sample) => sample.setBool(sample.int === 0)),
  bool: plain((sample) => sample.setBool(sample.int !== 0)),
  odd: plain((sample) => sample.setBool(sample.int % 2 !== 0)),
  even: plain((sample) => sample.setBool(sample.int % 2 === 0)),

  lower: texts(lower),
  upper: texts(upper),
  cut_crlf: texts(cutLine),
  reverse: plain((sample) => {
    const bytes = bytesOfText(sample.text).reverse();
    return sample.setText(new TextDecoder().decode(bytes));
  }),
  reverse_dom: plain((sample) => maybeText(sample, reverseLabels(sample.text))),
  length: plain((sample) => sample.setInt(Buffer.byteLength(sample.text))),
  field: makeCut(cutField),
  word: makeCut(cutWord),
  ltrim: (args) => (sample) => sample.setText(trimStart(sample.text, textAt(args, 0))),
  rtrim: (args) => (sample) => sample.setText(trimEnd(sample.text, textAt(args, 0))),
  concat: (args) => (sample) => sample.setText(sample.text + textAt(args, 0) + textAt(args, 2)),
  regsub: makeRegsub,
  url_enc: texts(encodeUrl),
  url_dec: (args) => (sample) => maybeText(sample, decodeUrl(sample.text, intAt(args, 0, 0) !== 0)),
  iif: (args) => (sample) => sample.setText(textAt(args, sample.int === 0 ? 1 : 0)),

  bytes: makeBytes,
  hex: plain((sample) => sample.setText(Buffer.from(sample.bytes).toString("hex").toUpperCase())),
  hex2i: plain((sample) => {
    const value = readHex(Buffer.from(sample.bytes).toString("latin1"));
    return value !== undefined && sample.setInt(value);
  }),
  base64: plain((sample) => sample.setText(Buffer.from(sample.bytes).toString("base64"))),
  ub64enc: plain((sample) => sample.setText(Buffer.from(sample.bytes).toString("base64url"))),
  b64dec: plain((sample) => maybeBytes(sample, decodeBase64(sample.text))),
  ub64dec: plain((sample) => maybeBytes(sample, decodeBase64Url(sample.text))),
  htonl: plain((sample) => {
    const word = Number(BigInt.asUintN(32, toBig(sample.int)));
    return sample.setBytes(new Uint8Array([word >>> 24, word >>> 16, word >>> 8, word]));
  }),
  sha1: plain(digest("sha1")),
  sha2: (args) => digest(`sha${intAt(args, 0, 256)}`),
  digest: (args) => digest(textAt(args, 0).toLowerCase()),

  crc32: hashing((bytes) => crc32(bytes)),
  crc32c: hashing((bytes) => crc32c(bytes)),
  djb2: hashing(hashDjb2),
  sdbm: hashing(hashSdbm),
  wt6: hashing(hashWt6),
  xxh32: (args) => {
    const seed = intAt(args, 0, 0);
    return (sample) => sample.setInt(hashXxh32(sample.bytes, seed));
  },

  ipmask: makeIpMask,
  nbsrv: plain((sample, context) => {
    const count = context.proxyInteger("nbsrv", sample.text);
    return count !== undefined && sample.setInt(count);
  }),
  srv_is_up: plain((sample, context) => {
    const isUp = ofServer(sample.text, context, "srv_is_up");
    return isUp !== undefined && sample.setBool(isUp !== 0);
  }),
  srv_queue: plain((sample, context) => {
    const count = ofServer(sample.text, context, "srv_queue");
    return count !== undefined && sample.setInt(count);
  }),
};

/** A number of `[<backend>/]<server>`. */
function ofServer(
  path: string,
  context: SampleContext,
  field: "srv_is_up" | "srv_queue",
): number | undefined {
  const slash = path.indexOf("/");
  const backend = slash < 0 ? "" : path.slice(0, slash);
  const server = path.slice(slash + 1);
  return server === "" ? undefined : context.serverInteger(field, backend, server);
}

/** Towards zero, and never the negative zero. */
function truncate(value: number): number {
  return Math.trunc(value) + 0;
}

/** The step for a converter of the catalogue; undefined for a name that has no code. */
export function makeStep(name: string, args: readonly Argument[]): Step | undefined {
  return Object.hasOwn(MAKERS, name) ? MAKERS[name]?.(args) : undefined;
}
