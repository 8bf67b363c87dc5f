/**
 * Regular expressions over bytes, as programs of `byte-regex.ts`: PCRE's syntax without what needs
 * backtracking (back references, looking ahead or behind, atomic groups), which is refused. Pure,
 * any thread, cold. Source: pcresyntax(3); without UTF, a byte is a character.
 */
import { REGEX_STATES_MAX } from "../base/limits.ts";

/** Instructions of a program; `x` and `y` are the next ones, of ASSERT `y` is which. */
export const OP_SET = 0;
export const OP_SPLIT = 1;
export const OP_ASSERT = 2;
export const OP_MATCH = 3;

/** What may be asserted at a place. */
export const AT_START = 0;
export const AT_END = 1;
/** At the end, or before a newline that is the last byte. */
export const AT_FINAL = 2;
export const AT_LINE_START = 3;
export const AT_LINE_END = 4;
export const AT_WORD = 5;
export const AT_NO_WORD = 6;

/** A program: arrays by instruction; it begins at `start`. */
export type RegexProgram = {
  ops: Uint8Array;
  x: Int32Array;
  y: Int32Array;
  /** Of OP_SET: 256 entries, 1 = taken. */
  sets: (Uint8Array | undefined)[];
  start: number;
};

type Node =
  | { kind: "set"; set: Uint8Array }
  | { kind: "assert"; at: number }
  | { kind: "list"; nodes: Node[] }
  | { kind: "either"; nodes: Node[] }
  /** `max` -1 = no end. */
  | { kind: "repeat"; node: Node; min: number; max: number };

/** What is wrong with a pattern. Caught here, never thrown to others. */
class Refusal extends Error {}

const REPEAT_MAX = 1000;
/** Groups in groups. */
const DEPTH_MAX = 250;

/** @param pattern one character a byte */
export function parseByteRegex(
  pattern: string,
): { ok: true; value: RegexProgram } | { ok: false; message: string } {
  try {
    const node = new Parser(pattern).parse();
    return { ok: true, value: new Emitter().program(node) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ok: false, message: `regex '${pattern}' is invalid (error=${error.message})` };
  }
}

type Flags = { ignoresCase: boolean; isMultiline: boolean; isDotAll: boolean };

const DIGITS = setOf((byte) => byte >= 48 && byte <= 57);
const WORD = setOf(isWordByte);
const SPACE = setOf((byte) => byte === 32 || (byte >= 9 && byte <= 13));
const BLANK = setOf((byte) => byte === 32 || byte === 9);
const VERTICAL = setOf((byte) => byte >= 10 && byte <= 13);
const NEWLINE = setOf((byte) => byte === 10);
const ALL = setOf(() => true);
/** Sets by the letter behind the backslash; the capital is all others. */
const SETS: Readonly<Record<string, Uint8Array>> = {
  d: DIGITS,
  w: WORD,
  s: SPACE,
  h: BLANK,
  v: VERTICAL,
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13, f: 12, e: 27, a: 7 };
const POSIX: Readonly<Record<string, (byte: number) => boolean>> = {
  alnum: (byte) => isWordByte(byte) && byte !== 95,
  alpha: (byte) => isWordByte(byte) && byte !== 95 && byte > 57,
  blank: (byte) => byte === 32 || byte === 9,
  cntrl: (byte) => byte < 32 || byte === 127,
  digit: (byte) => byte >= 48 && byte <= 57,
  graph: (byte) => byte > 32 && byte < 127,
  lower: (byte) => byte >= 97 && byte <= 122,
  print: (byte) => byte >= 32 && byte < 127,
  punct: (byte) => byte > 32 && byte < 127 && (!isWordByte(byte) || byte === 95),
  space: (byte) => byte === 32 || (byte >= 9 && byte <= 13),
  upper: (byte) => byte >= 65 && byte <= 90,
  word: isWordByte,
  xdigit: (byte) =>
    (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 70) || (byte >= 97 && byte <= 102),
};

/** Letters, digits and the underscore. */
export function isWordByte(byte: number): boolean {
  return (
    (byte >= 48 && byte <= 57) ||
    (byte >= 65 && byte <= 90) ||
    byte === 95 ||
    (byte >= 97 && byte <= 122)
  );
}

function setOf(has: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (has(byte) ? 1 : 0));
}

function inverse(set: Uint8Array): Uint8Array {
  return set.map((has) => 1 - has);
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #flags: Flags = { ignoresCase: false, isMultiline: false, isDotAll: false };

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Node {
    const node = this.#either();
    if (this.#at < this.#text.length) throw new Refusal("unmatched )");
    return node;
  }

  #peek(): string {
    return this.#text[this.#at] ?? "";
  }

  #takes(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #either(): Node {
    const nodes = [this.#list()];
    while (this.#takes("|")) nodes.push(this.#list());
    return nodes.length === 1 ? nodes[0]! : { kind: "either", nodes };
  }

  #list(): Node {
    const nodes: Node[] = [];
    while (this.#at < this.#text.length && this.#peek() !== "|" && this.#peek() !== ")") {
      const node = this.#atom();
      if (node !== undefined) nodes.push(this.#repeated(node));
    }
    return { kind: "list", nodes };
  }

  #repeated(atom: Node): Node {
    let node = atom;
    for (;;) {
      const bounds = this.#bounds();
      if (bounds === undefined) return node;
      if (this.#takes("+")) throw new Refusal("possessive quantifiers are not taken here");
      // Whether it takes much or little makes no difference to whether there is a match.
      this.#takes("?");
      node = { kind: "repeat", node, ...bounds };
    }
  }

  #bounds(): { min: number; max: number } | undefined {
    if (this.#takes("*")) return { min: 0, max: -1 };
    if (this.#takes("+")) return { min: 1, max: -1 };
    if (this.#takes("?")) return { min: 0, max: 1 };
    const match = /^\{(\d{1,5})(,(\d{0,5}))?\}/u.exec(this.#text.slice(this.#at, this.#at + 16));
    if (match === null) return undefined;
    this.#at += match[0].length;
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === "" ? -1 : Number(match[3]);
    if (max >= 0 && max < min) throw new Refusal("numbers out of order in {} quantifier");
    if (min > REPEAT_MAX || max > REPEAT_MAX) throw new Refusal("number too big in {} quantifier");
    return { min, max };
  }

  /** @returns undefined where nothing is to be matched (flags) */
  #atom(): Node | undefined {
    const char = this.#peek();
    this.#at++;
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return { kind: "set", set: this.#class() };
      case ".":
        return { kind: "set", set: this.#flags.isDotAll ? ALL : inverse(NEWLINE) };
      case "^":
        return { kind: "assert", at: this.#flags.isMultiline ? AT_LINE_START : AT_START };
      case "$":
        return { kind: "assert", at: this.#flags.isMultiline ? AT_LINE_END : AT_FINAL };
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        throw new Refusal("nothing to repeat");
      default:
        return this.#byte(char.charCodeAt(0));
    }
  }

  #byte(byte: number): Node {
    return { kind: "set", set: this.#folded(setOf((other) => other === (byte & 0xff))) };
  }

  #folded(set: Uint8Array): Uint8Array {
    if (!this.#flags.ignoresCase) return set;
    const folded = set.slice();
    for (let byte = 65; byte <= 90; byte++) {
      const has = (set[byte] ?? 0) | (set[byte + 32] ?? 0);
      folded[byte] = has;
      folded[byte + 32] = has;
    }
    return folded;
  }

  #group(): Node | undefined {
    const outer = this.#flags;
    if (this.#takes("?")) {
      const rest = this.#text.slice(this.#at);
      const named = /^(?:P?<[A-Za-z_]\w*>|'[A-Za-z_]\w*')/u.exec(rest)?.[0];
      const flags = /^([a-z]*)(?:-([a-z]+))?(:|\))/u.exec(rest);
      if (rest.startsWith("#")) {
        const end = rest.indexOf(")");
        if (end < 0) throw new Refusal("missing ) after (?# comment");
        this.#at += end + 1;
        return undefined;
      }
      if (named !== undefined) this.#at += named.length;
      else if (flags === null) throw new Refusal("this kind of group is not taken here");
      else {
        this.#at += flags[0].length;
        this.#flags = this.#withFlags(flags[1] ?? "", flags[2] ?? "");
        // They hold to the end of the group around them.
        if (flags[3] === ")") return undefined;
      }
    } else if (this.#peek() === "*") throw new Refusal("verbs are not taken here");
    if (++this.#depth > DEPTH_MAX) throw new Refusal("its groups are nested too deep");
    const node = this.#either();
    this.#flags = outer;
    this.#depth--;
    if (!this.#takes(")")) throw new Refusal("missing )");
    return node;
  }

  #withFlags(on: string, off: string): Flags {
    const flags = { ...this.#flags };
    for (const [letters, value] of [
      [on, true],
      [off, false],
    ] as const) {
      for (const letter of letters) {
        if (letter === "i") flags.ignoresCase = value;
        else if (letter === "m") flags.isMultiline = value;
        else if (letter === "s") flags.isDotAll = value;
        else throw new Refusal(`option '${letter}' is not taken here`);
      }
    }
    return flags;
  }

  #escape(): Node | undefined {
    const letter = this.#peek();
    switch (letter) {
      case "":
        throw new Refusal("\\ at end of pattern");
      case "A":
        this.#at++;
        return { kind: "assert", at: AT_START };
      case "z":
        this.#at++;
        return { kind: "assert", at: AT_END };
      case "Z":
        this.#at++;
        return { kind: "assert", at: AT_FINAL };
      case "b":
        this.#at++;
        return { kind: "assert", at: AT_WORD };
      case "B":
        this.#at++;
        return { kind: "assert", at: AT_NO_WORD };
      case "N":
        this.#at++;
        return { kind: "set", set: inverse(NEWLINE) };
      case "Q":
        return this.#quoted();
      case "E":
        this.#at++;
        return undefined;
      default: {
        const one = this.#escaped();
        return typeof one === "number" ? this.#byte(one) : { kind: "set", set: one };
      }
    }
  }

  #quoted(): Node {
    this.#at++;
    const end = this.#text.indexOf("\\E", this.#at);
    const text = this.#text.slice(this.#at, end < 0 ? undefined : end);
    this.#at += text.length + (end < 0 ? 0 : 2);
    const nodes = [...text].map((char) => this.#byte(char.charCodeAt(0)));
    return { kind: "list", nodes };
  }

  /** Behind a backslash, in a class or outside: a byte, or a set of them. */
  #escaped(): number | Uint8Array {
    const letter = this.#peek();
    this.#at++;
    const lower = letter.toLowerCase();
    const set = SETS[lower];
    if (set !== undefined) return letter === lower ? set : inverse(set);
    const control = CONTROLS[letter];
    if (control !== undefined) return control;
    if (letter === "x") return this.#hexadecimal();
    if (letter === "c") return (this.#text.charCodeAt(this.#at++) & 0x5f) ^ 64;
    if (letter === "0" || (letter >= "1" && letter <= "7")) {
      const octal = /^[0-7]{1,3}/u.exec(this.#text.slice(this.#at - 1))?.[0] ?? "";
      if (letter !== "0" && octal.length < 3) throw new Refusal("back references are not taken");
      this.#at += octal.length - 1;
      return Number.parseInt(octal, 8) & 0xff;
    }
    if (/[A-Za-z0-9]/u.test(letter)) throw new Refusal(`'\\${letter}' is not taken here`);
    return letter.charCodeAt(0) & 0xff;
  }

  #hexadecimal(): number {
    const match = /^(?:\{([0-9A-Fa-f]{1,2})\}|([0-9A-Fa-f]{0,2}))/u.exec(
      this.#text.slice(this.#at),
    );
    this.#at += match?.[0].length ?? 0;
    return Number.parseInt(match?.[1] ?? (match?.[2] || "0"), 16);
  }

  #class(): Uint8Array {
    const isNegated = this.#takes("^");
    const set = new Uint8Array(256);
    for (let isFirst = true; ; isFirst = false) {
      if (this.#at >= this.#text.length) throw new Refusal("missing terminating ] for a class");
      if (!isFirst && this.#takes("]")) break;
      const posix = /^\[:(\^?)([a-z]+):\]/u.exec(this.#text.slice(this.#at, this.#at + 16));
      if (posix !== null) {
        const has = POSIX[posix[2] ?? ""];
        if (has === undefined) throw new Refusal("unknown POSIX class name");
        this.#at += posix[0].length;
        include(set, posix[1] === "^" ? inverse(setOf(has)) : setOf(has));
        continue;
      }
      this.#classItem(set);
    }
    const folded = this.#folded(set);
    return isNegated ? inverse(folded) : folded;
  }

  /** One byte, one range, one escape. */
  #classItem(set: Uint8Array): void {
    const low = this.#classByte();
    if (typeof low !== "number") {
      include(set, low);
      return;
    }
    const isRange = this.#peek() === "-" && !"]".includes(this.#text[this.#at + 1] ?? "]");
    if (!isRange) {
      set[low] = 1;
      return;
    }
    this.#at++;
    const high = this.#classByte();
    if (typeof high !== "number") {
      set[low] = 1;
      set[45] = 1;
      include(set, high);
      return;
    }
    if (high < low) throw new Refusal("range out of order in a class");
    set.fill(1, low, high + 1);
  }

  #classByte(): number | Uint8Array {
    const char = this.#peek();
    this.#at++;
    if (char !== "\\") return char.charCodeAt(0) & 0xff;
    if (this.#takes("b")) return 8;
    return this.#escaped();
  }
}

function include(set: Uint8Array, other: Uint8Array): void {
  for (let byte = 0; byte < 256; byte++) if (other[byte] === 1) set[byte] = 1;
}

/** Makes the program from its end to its start: each part is told what follows it. */
class Emitter {
  readonly #ops: number[] = [];
  readonly #x: number[] = [];
  readonly #y: number[] = [];
  readonly #sets: (Uint8Array | undefined)[] = [];

  program(node: Node): RegexProgram {
    const end = this.#add(OP_MATCH, 0, 0);
    const start = this.#emit(node, end);
    return {
      ops: Uint8Array.from(this.#ops),
      x: Int32Array.from(this.#x),
      y: Int32Array.from(this.#y),
      sets: this.#sets,
      start,
    };
  }

  #add(op: number, x: number, y: number, set?: Uint8Array): number {
    if (this.#ops.length >= REGEX_STATES_MAX) throw new Refusal("it is too large");
    this.#ops.push(op);
    this.#x.push(x);
    this.#y.push(y);
    this.#sets.push(set);
    return this.#ops.length - 1;
  }

  /** @param next what follows @returns where the part begins */
  #emit(node: Node, next: number): number {
    switch (node.kind) {
      case "set":
        return this.#add(OP_SET, next, 0, node.set);
      case "assert":
        return this.#add(OP_ASSERT, next, node.at);
      case "list": {
        let at = next;
        for (const part of node.nodes.toReversed()) at = this.#emit(part, at);
        return at;
      }
      case "either": {
        const [first, ...rest] = node.nodes.map((part) => this.#emit(part, next));
        return rest.reduce((at, other) => this.#add(OP_SPLIT, at, other), first ?? next);
      }
      case "repeat":
        return this.#repeat(node, next);
    }
  }

  #repeat({ node, min, max }: Extract<Node, { kind: "repeat" }>, next: number): number {
    let at = next;
    if (max < 0) {
      const split = this.#add(OP_SPLIT, next, next);
      this.#x[split] = this.#emit(node, split);
      at = split;
    } else {
      for (let i = min; i < max; i++) at = this.#add(OP_SPLIT, this.#emit(node, at), next);
    }
    for (let i = 0; i < min; i++) at = this.#emit(node, at);
    return at;
  }
}
