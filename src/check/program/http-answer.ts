/**
 * An HTTP answer to a check, understood as it comes: each byte is looked at once, and the body is
 * a view of what was received, unless it came in chunks. As strict as HAProxy's parser, and as
 * tolerant (lines that end in LF alone, any version of one digit and one, folded headers), which
 * was observed on HAProxy. Thread of checks. Source: RFC 9112.
 */

/** Lines of headers, as HAProxy with `tune.http.maxhdr` at its default. */
const HEADERS_MAX = 100;
const LF = 10;
const CR = 13;
const NOTHING = new Uint8Array(0);
/** Digits of lengths that are counted exactly. */
const DIGITS_MAX = 15;
const HEX_DIGITS_MAX = 12;

const VERSION_START = /^[HTPRS/.0-9]*$/u;
const VERSION = /^(?:HTTP|RTSP)\/\d\.\d$/u;
const STATUS = /^\d{1,9}$/u;
const HEADER_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\r]*)$/u;
const CHUNK_LINE = /^([0-9A-Fa-f]+)[ \t]*(?:;[^\r]*)?$/u;

type Phase = "status" | "headers" | "length" | "chunk" | "data" | "gap" | "trailers" | "close";

/** A header: its name in small letters, its value as it came, one character a byte. */
export type AnswerHeader = { name: string; value: string };

/** One answer. */
export class HttpAnswer {
  readonly #isHead: boolean;
  #phase: Phase = "status";
  /** Where the next line, or the body, begins. */
  #at = 0;
  /** Up to where a line's end was looked for. */
  #scanned = 0;
  #bytes: Uint8Array = NOTHING;
  #bodyStart = 0;
  /** Bytes of the body, or of the chunk, that are to come. */
  #missing = 0;
  #chunks: Uint8Array = NOTHING;
  #chunkBytes = 0;
  #lines = 0;
  version = "";
  /** 0: it has not come. */
  status = 0;
  reason = "";
  readonly headers: AnswerHeader[] = [];
  /** The status line and all headers are there. */
  hasHead = false;
  /** Nothing belongs to it any more. */
  isComplete = false;
  /** This is no HTTP. */
  isWrong = false;

  /** @param isHead the answer to HEAD: without a body, whatever it says */
  constructor(isHead: boolean) {
    this.#isHead = isHead;
  }

  /** Looks at what has come. @param bytes everything since the request */
  update(bytes: Uint8Array): void {
    this.#bytes = bytes;
    while (!this.isWrong && !this.isComplete && this.#advance()) continue;
  }

  /** The body, as far as it is there: a view. */
  body(): Uint8Array {
    if (!this.hasHead) return NOTHING;
    if (this.#chunkBytes > 0) return this.#chunks.subarray(0, this.#chunkBytes);
    return this.#bodyStart === 0 ? NOTHING : this.#bytes.subarray(this.#bodyStart, this.#at);
  }

  /** Values of a header. @param name in small letters */
  valuesOf(name: string): string[] {
    return this.headers.filter((header) => header.name === name).map(({ value }) => value);
  }

  /** @returns whether there may be more to understand */
  #advance(): boolean {
    switch (this.#phase) {
      case "length":
      case "close":
        return this.#takeBody();
      case "data":
        return this.#takeChunk();
      case "status":
        return this.#takeStatus();
      case "headers":
        return this.#takeHeader();
      case "chunk":
        return this.#takeChunkSize();
      case "gap": {
        const line = this.#line();
        if (line === undefined) return false;
        this.#phase = "chunk";
        return this.#require(line === "");
      }
      case "trailers": {
        const line = this.#line();
        if (line === undefined) return false;
        this.isComplete = line === "";
        return this.#require(line === "" || HEADER_LINE.test(line));
      }
    }
  }

  #require(isRight: boolean): boolean {
    if (!isRight) this.isWrong = true;
    return isRight;
  }

  /** The next line without its end; undefined: its end has not come. */
  #line(): string | undefined {
    const end = this.#bytes.indexOf(LF, Math.max(this.#at, this.#scanned));
    this.#scanned = end < 0 ? this.#bytes.length : end + 1;
    if (end < 0) return undefined;
    const last = end > this.#at && this.#bytes[end - 1] === CR ? end - 1 : end;
    const line = latin(this.#bytes, this.#at, last);
    this.#at = end + 1;
    return line;
  }

  #takeStatus(): boolean {
    const line = this.#line();
    if (line === undefined) {
      // Others than servers of HTTP are not waited for.
      const start = latin(this.#bytes, this.#at, Math.min(this.#bytes.length, this.#at + 8));
      this.#require(VERSION_START.test(start.replace(/[ \t\r][^]*$/u, "")));
      return false;
    }
    // Empty lines before it are skipped.
    if (line === "") return true;
    const [version, rest] = firstWord(line);
    const [status, reason] = firstWord(rest);
    const isRight = VERSION.test(version) && STATUS.test(status) && !reason.includes("\r");
    if (!this.#require(isRight)) return false;
    this.version = version.slice(version.indexOf("/") + 1);
    this.status = Number(status);
    const end = reason.indexOf("\0");
    const words = end < 0 ? reason : reason.slice(0, end);
    this.reason = Buffer.from(words, "latin1").toString("utf8");
    this.#phase = "headers";
    return true;
  }

  #takeHeader(): boolean {
    const line = this.#line();
    if (line === undefined) return false;
    if (line === "") return this.#takeHead();
    if (line.startsWith(" ") || line.startsWith("\t")) {
      const last = this.headers.at(-1);
      if (!this.#require(last !== undefined && !line.includes("\r")) || last === undefined) {
        return false;
      }
      const more = trimBlanks(line);
      if (more !== "") last.value = last.value === "" ? more : `${last.value} ${more}`;
      return true;
    }
    const match = HEADER_LINE.exec(line);
    this.#lines++;
    if (!this.#require(match !== null && this.#lines <= HEADERS_MAX)) return false;
    const value = trimBlanks(match?.[2] ?? "");
    this.headers.push({ name: (match?.[1] ?? "").toLowerCase(), value });
    return true;
  }

  /** The headers are there: how does the body end? */
  #takeHead(): boolean {
    const length = this.#contentLength();
    const codings = this.valuesOf("transfer-encoding").flatMap((value) => value.split(","));
    const isChunked = codings.length === 1 && codings[0]?.trim().toLowerCase() === "chunked";
    const isKnown = codings.length === 0 || isChunked;
    // Nobody asked for another protocol.
    if (!this.#require(isKnown && length !== undefined && this.status !== 101)) return false;
    this.hasHead = true;
    const isBare = this.#isHead || this.status === 204 || this.status === 304;
    if (isBare || (this.status >= 100 && this.status < 200)) this.isComplete = true;
    else if (isChunked) this.#phase = "chunk";
    else {
      this.#bodyStart = this.#at;
      this.#phase = length === -1 ? "close" : "length";
      this.#missing = length ?? 0;
    }
    return true;
  }

  /** -1: not said; undefined: said wrongly, or twice and not the same. */
  #contentLength(): number | undefined {
    const texts = this.valuesOf("content-length").flatMap((value) => value.split(","));
    let length = -1;
    for (const text of texts) {
      const digits = text.trim();
      if (!/^\d+$/u.test(digits) || digits.length > DIGITS_MAX) return undefined;
      if (length >= 0 && length !== Number(digits)) return undefined;
      length = Number(digits);
    }
    return length;
  }

  #takeBody(): boolean {
    const there = this.#bytes.length - this.#at;
    if (this.#phase === "close") {
      this.#at += there;
      return false;
    }
    const taken = Math.min(there, this.#missing);
    this.#at += taken;
    this.#missing -= taken;
    this.isComplete = this.#missing === 0;
    return false;
  }

  #takeChunkSize(): boolean {
    const line = this.#line();
    if (line === undefined) return false;
    const digits = CHUNK_LINE.exec(line)?.[1];
    if (!this.#require(digits !== undefined && digits.length <= HEX_DIGITS_MAX)) return false;
    this.#missing = Number.parseInt(digits ?? "0", 16);
    this.#phase = this.#missing === 0 ? "trailers" : "data";
    return true;
  }

  #takeChunk(): boolean {
    const taken = Math.min(this.#bytes.length - this.#at, this.#missing);
    if (taken === 0) return false;
    this.#keep(this.#bytes.subarray(this.#at, this.#at + taken));
    this.#at += taken;
    this.#scanned = this.#at;
    this.#missing -= taken;
    if (this.#missing === 0) this.#phase = "gap";
    return true;
  }

  #keep(bytes: Uint8Array): void {
    const length = this.#chunkBytes + bytes.length;
    if (length > this.#chunks.length) {
      const room = new Uint8Array(Math.max(256, 2 * length));
      room.set(this.#chunks.subarray(0, this.#chunkBytes));
      this.#chunks = room;
    }
    this.#chunks.set(bytes, this.#chunkBytes);
    this.#chunkBytes = length;
  }
}

function latin(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}

// By index: a regular expression that looks for blanks before an end begins anew at each of them.

/** A word, and what follows the blanks behind it. */
function firstWord(text: string): [word: string, rest: string] {
  let end = 0;
  while (end < text.length && !isBlank(text, end)) end++;
  let next = end;
  while (isBlank(text, next)) next++;
  return [text.slice(0, end), text.slice(next)];
}

/** Without spaces and tabs around it. */
function trimBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (isBlank(text, from)) from++;
  while (to > from && isBlank(text, to - 1)) to--;
  return text.slice(from, to);
}

function isBlank(text: string, at: number): boolean {
  const char = text[at];
  return char === " " || char === "\t";
}
