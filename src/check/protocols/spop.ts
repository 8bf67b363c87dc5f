/**
 * `option spop-check`: HAPROXY-HELLO with `healthcheck`, answered by an AGENT-HELLO that agrees.
 * HAProxy manual 4.2; frames and status codes: SPOE.txt, 3.2 and 3.4.
 */
import type { CheckEnvironment, Dialogue } from "../probe.ts";
import type { CheckResult } from "../result.ts";
import type { Judgement } from "./talk.ts";
import { bytesOf, Talk } from "./talk.ts";

const HAPROXY_HELLO = 1;
const AGENT_HELLO = 101;
const AGENT_DISCONNECT = 102;
const FLAG_FIN = 1;
const LENGTH_BYTES = 4;
/** The length of a frame does not count itself. */
const FRAME_HEADER_BYTES = 5;
const SUPPORTED_VERSION = "2.0";
const FRAME_BYTES_MIN = 256;

/** Types of values, in the low bits; a boolean's value is in bit 4. */
const TYPE_MASK = 15;
const TYPE_NULL = 0;
const TYPE_BOOLEAN = 1;
const TYPE_UINT32 = 3;
const TYPE_IPV4 = 6;
const TYPE_IPV6 = 7;
const TYPE_STRING = 8;
const TYPE_BINARY = 9;
const BOOLEAN_TRUE = 0x11;

const STATUS: Record<number, string> = {
  0: "normal",
  1: "I/O error",
  2: "a timeout occurred",
  3: "frame is too big",
  4: "invalid frame received",
  5: "version value not found",
  6: "max-frame-size value not found",
  7: "capabilities value not found",
  8: "unsupported version",
  9: "max-frame-size too big or too small",
  10: "fragmentation not supported",
  11: "invalid interlaced frames",
  12: "frame-id not found",
  13: "resource allocation error",
};
const UNKNOWN_STATUS = "an unknown error occurred";
const STATUS_INVALID = 4;
const STATUS_NO_VERSION = 5;
const STATUS_NO_SIZE = 6;
const STATUS_NO_CAPABILITIES = 7;
const STATUS_BAD_VERSION = 8;
const STATUS_BAD_SIZE = 9;
const STATUS_FRAGMENT = 10;

/** The dialogue of one check. */
export function makeSpopDialogue(environment: CheckEnvironment): Dialogue {
  const frameBytesMax = environment.answerBytesMax - LENGTH_BYTES;
  return new Talk(environment, {
    steps: [
      { send: helloFrame(frameBytesMax) },
      {
        number: 2,
        expect: (bytes, isLast) => judgeFrame(bytes, isLast, frameBytesMax),
        emptyCode: "L7RSP",
      },
    ],
    result: { code: "L7OK" },
    isOrderly: false,
  });
}

function helloFrame(frameBytesMax: number): Uint8Array {
  const entries = Buffer.concat([
    text("supported-versions"),
    Uint8Array.of(TYPE_STRING),
    text(SUPPORTED_VERSION),
    text("max-frame-size"),
    Uint8Array.of(TYPE_UINT32),
    varint(frameBytesMax),
    text("capabilities"),
    Uint8Array.of(TYPE_STRING),
    text(""),
    text("healthcheck"),
    Uint8Array.of(BOOLEAN_TRUE),
  ]);
  const head = Buffer.alloc(LENGTH_BYTES + FRAME_HEADER_BYTES + 2);
  head.writeUInt32BE(head.length - LENGTH_BYTES + entries.length, 0);
  head.writeUInt8(HAPROXY_HELLO, LENGTH_BYTES);
  head.writeUInt32BE(FLAG_FIN, LENGTH_BYTES + 1);
  // Stream and frame are 0.
  return Buffer.concat([head, entries]);
}

function judgeFrame(bytes: Uint8Array, isLast: boolean, frameBytesMax: number): Judgement {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.length < LENGTH_BYTES) return isLast ? failure(STATUS_INVALID) : "wait";
  const length = view.readInt32BE(0);
  if (length < 0) return failure(STATUS_INVALID);
  const end = LENGTH_BYTES + length;
  if (view.length < end && !isLast) return "wait";
  return readFrame(view.subarray(LENGTH_BYTES, end), frameBytesMax);
}

function readFrame(frame: Buffer, frameBytesMax: number): Judgement {
  if (frame.length < FRAME_HEADER_BYTES) return failure(STATUS_INVALID);
  const type = frame.readUInt8(0);
  if (type !== AGENT_HELLO && type !== AGENT_DISCONNECT) return failure(STATUS_INVALID);
  if ((frame.readUInt32BE(1) & FLAG_FIN) === 0) return failure(STATUS_FRAGMENT);
  const reader = new Reader(frame, FRAME_HEADER_BYTES);
  const streamId = reader.varint();
  const frameId = reader.varint();
  const entries = reader.entries();
  if (streamId !== 0 || frameId !== 0 || entries === undefined) return failure(STATUS_INVALID);
  if (type === AGENT_DISCONNECT) {
    const code = entries.get("status-code");
    return failure(typeof code === "number" ? code : STATUS_INVALID);
  }
  return judgeHello(entries, frameBytesMax);
}

function judgeHello(entries: Map<string, string | number>, frameBytesMax: number): Judgement {
  const version = entries.get("version");
  const size = entries.get("max-frame-size");
  if (typeof version !== "string") return failure(STATUS_NO_VERSION);
  if (!/^ *2\.\d+ *$/.test(version)) return failure(STATUS_BAD_VERSION);
  if (typeof size !== "number") return failure(STATUS_NO_SIZE);
  if (size < FRAME_BYTES_MIN || size > frameBytesMax) return failure(STATUS_BAD_SIZE);
  if (typeof entries.get("capabilities") !== "string") return failure(STATUS_NO_CAPABILITIES);
  return { code: "L7OK" };
}

function failure(status: number): CheckResult {
  return { code: "L7RSP", info: STATUS[status] ?? UNKNOWN_STATUS };
}

function text(value: string): Uint8Array {
  const bytes = bytesOf(value);
  return Buffer.concat([varint(bytes.length), bytes]);
}

/** SPOE.txt 3.1: below 240 one byte; else four bits in the first, then seven a byte. */
function varint(value: number): Uint8Array {
  if (value < 240) return Uint8Array.of(value);
  const bytes = [240 | (value & 15)];
  let rest = Math.floor((value - 240) / 16);
  while (rest >= 128) {
    bytes.push(128 | (rest & 127));
    rest = Math.floor((rest - 128) / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}

/** Reads the fields of a frame. Everything is undefined once something was cut short. */
class Reader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  varint(): number | undefined {
    const first = this.#bytes[this.#at++];
    if (first === undefined || first < 240) return first;
    let value = first;
    for (let unit = 16; Number.isSafeInteger(unit); unit *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) return undefined;
      value += byte * unit;
      if (byte < 128) return Number.isSafeInteger(value) ? value : undefined;
    }
    return undefined;
  }

  /** Names with what they say; values of other types than text and number are passed over. */
  entries(): Map<string, string | number> | undefined {
    const entries = new Map<string, string | number>();
    while (this.#at < this.#bytes.length) {
      const name = this.#text();
      const value = this.#value();
      if (name === undefined || value === undefined) return undefined;
      if (value !== null) entries.set(name, value);
    }
    return entries;
  }

  #text(): string | undefined {
    const length = this.varint();
    if (length === undefined || this.#at + length > this.#bytes.length) return undefined;
    const end = this.#at + length;
    const found = new TextDecoder().decode(this.#bytes.subarray(this.#at, end));
    this.#at = end;
    return found;
  }

  #value(): string | number | null | undefined {
    const type = (this.#bytes[this.#at++] ?? TYPE_MASK) & TYPE_MASK;
    if (type === TYPE_NULL || type === TYPE_BOOLEAN) return null;
    if (type < TYPE_IPV4) return this.varint();
    if (type === TYPE_IPV4 || type === TYPE_IPV6) {
      this.#at += type === TYPE_IPV4 ? 4 : 16;
      return this.#at <= this.#bytes.length ? null : undefined;
    }
    return type === TYPE_STRING || type === TYPE_BINARY ? this.#text() : undefined;
  }
}
