/**
 * What an agent says: a line of words, and what they order. Nothing but these words has an effect,
 * whatever the bytes are. Pure.
 *
 * HAProxy manual 5.2, `agent-check`. Words are separated by spaces, tabs or commas and count in any
 * case; the last word of a kind counts; `#` begins a description up to the end of the line. The
 * first word that is none of these is told, and the others are followed nevertheless.
 */
import { escapeUnprintable } from "../../expr/log-format.ts";
import type { AgentOrders, CheckResult } from "../result.ts";
import { WORDS_BYTES_MAX } from "./talk.ts";

const NUL = 0;
const LF = 10;
const CR = 13;

/** Highest absolute weight, and the percentage that makes it of the lowest. */
const WEIGHT_MAX = 256;
const PERCENT_MAX = 100 * WEIGHT_MAX;
const MAXCONN_MAX = 2 ** 31 - 1;

const HEALTH_WORDS: Record<string, AgentOrders["health"]> = {
  up: "up",
  down: "down",
  fail: "failed",
  stopped: "stopped",
};
const ADMIN_WORDS: Record<string, AgentOrders["admin"]> = {
  ready: "ready",
  drain: "drain",
  maint: "maint",
};
const WEIGHT_PREFIX = "weight:";
const MAXCONN_PREFIX = "maxconn:";

/**
 * The line that an agent has sent: up to its first CR or LF. A zero byte ends all that is looked
 * at: no line follows it. Each byte is looked at once, however they come.
 */
export class AgentLine {
  #seen = 0;

  /** @param bytes all that has come @returns undefined while there is no line */
  read(bytes: Uint8Array): string | undefined {
    for (; this.#seen < bytes.length; this.#seen++) {
      const byte = bytes[this.#seen];
      if (byte === NUL) return undefined;
      if (byte === CR || byte === LF) {
        return new TextDecoder().decode(bytes.subarray(0, this.#seen));
      }
    }
    return undefined;
  }
}

/** What has been understood of a line. */
type Understood = {
  orders: AgentOrders;
  /** The word about health as it was written. */
  healthWord?: string;
  unknown?: string;
  weightFault?: string;
  maxconnFault?: string;
  description?: string;
};

/** The result of an agent's line, with HAProxy's codes and words. */
export function parseAgentLine(line: string): CheckResult {
  const found: Understood = { orders: {} };
  const pattern = /[^ \t,]+/y;
  for (let at = skipSeparators(line, 0); at < line.length; at = skipSeparators(line, at)) {
    if (line[at] === "#") {
      found.description = line.slice(skipSeparators(line, at + 1));
      break;
    }
    pattern.lastIndex = at;
    const word = pattern.exec(line)?.[0] ?? "";
    followWord(found, word);
    at += word.length;
  }
  return resultOf(found);
}

function skipSeparators(line: string, from: number): number {
  let at = from;
  while (line[at] === " " || line[at] === "\t" || line[at] === ",") at++;
  return at;
}

function followWord(found: Understood, word: string): void {
  const lower = word.toLowerCase();
  const health = Object.hasOwn(HEALTH_WORDS, lower) ? HEALTH_WORDS[lower] : undefined;
  const admin = Object.hasOwn(ADMIN_WORDS, lower) ? ADMIN_WORDS[lower] : undefined;
  if (health !== undefined) {
    found.orders.health = health;
    found.healthWord = word;
  } else if (admin !== undefined) found.orders.admin = admin;
  else if (lower.startsWith(WEIGHT_PREFIX)) {
    followWeight(found, word.slice(WEIGHT_PREFIX.length));
  } else if (lower.startsWith(MAXCONN_PREFIX)) {
    followMaxconn(found, word.slice(MAXCONN_PREFIX.length));
  } else if (/^[0-9].*%/.test(word)) followWeight(found, word);
  else found.unknown ??= word;
}

function followWeight(found: Understood, text: string): void {
  const value = Number.parseInt(text, 10);
  if (/^[0-9]+%$/.test(text)) {
    found.orders.weight = { percent: Math.min(value, PERCENT_MAX) };
  } else if (!/^[0-9]/.test(text)) {
    found.weightFault = "weight string empty or preceded by garbage";
  } else if (!/^[0-9]+$/.test(text)) found.weightFault = "Trailing garbage in weight string";
  else if (value > WEIGHT_MAX) {
    found.weightFault = `Absolute weight can only be between 0 and ${WEIGHT_MAX} inclusive.`;
  } else found.orders.weight = { absolute: value };
}

function followMaxconn(found: Understood, text: string): void {
  if (/^\+?[0-9]+$/.test(text)) {
    found.orders.maxconn = Math.min(Number.parseInt(text, 10), MAXCONN_MAX);
  } else if (/^\+?[0-9]/.test(text)) found.maxconnFault = "Trailing garbage in maxconn string";
  else found.maxconnFault = "maxconn string empty or preceded by garbage";
}

function resultOf(found: Understood): CheckResult {
  const { orders, healthWord, unknown, description } = found;
  const fault = found.weightFault ?? found.maxconnFault;
  const result: CheckResult = { code: "CHECKED" };
  let info = "";
  if (healthWord !== undefined) {
    const remark = unknown ?? fault ?? description ?? "";
    result.code = orders.health === "up" ? "L7OK" : "L7STS";
    result.number = 0;
    info = `via agent : ${healthWord}${remark === "" ? "" : ` (${remark})`}`;
  } else if (unknown !== undefined) info = `agent reports an error : ${unknown}`;
  else if (fault !== undefined) info = `agent warns : ${fault}`;
  if (info !== "") result.info = escapeUnprintable(clip(info));
  if (Object.keys(orders).length > 0) result.orders = orders;
  return result;
}

function clip(text: string): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= WORDS_BYTES_MAX) return text;
  return new TextDecoder().decode(bytes.subarray(0, WORDS_BYTES_MAX));
}
