/**
 * Where a check of steps came to its end, in HAProxy's words (`last_chk`, `info:` of its log). HTTP
 * checks say nothing of steps there. Thread of checks. All sentences were observed on HAProxy.
 */
import { WORDS_BYTES_MAX } from "../protocols/talk.ts";
import { inItsWords } from "../result.ts";
import type { CheckCode, CheckResult } from "../result.ts";
import type { CompiledStep } from "./compile.ts";

/** ` at step 2 of tcp-check (expect string '+PONG') comment: 'says pong'`. */
export function placeOf(step: CompiledStep): string {
  if (step.number === 0) return " at initial connection step of tcp-check";
  const comment = step.comment === undefined ? "" : ` comment: '${step.comment}'`;
  return ` at step ${step.number} of tcp-check${doingOf(step)}${comment}`;
}

function doingOf(step: CompiledStep): string {
  switch (step.kind) {
    case "connect": {
      const port = step.spec?.port;
      return port?.kind === "port" ? ` (connect port ${port.port})` : " (connect)";
    }
    case "expect": {
      const { match } = step.spec;
      switch (match.kind) {
        case "string":
          return ` (expect string '${match.pattern}')`;
        case "binary":
          return ` (expect binary '${Buffer.from(match.pattern, "hex").toString("utf8")}')`;
        case "regex":
          return " (expect regex)";
        case "binary-regex":
          return " (expect binary regex)";
        case "string-format":
          return " (expect log-format string)";
        case "binary-format":
          return " (expect log-format binary)";
        case "status":
        case "status-regex":
        case "header":
          return "";
      }
    }
    case "send":
    case "http-send":
      return " (send)";
    case "set-var":
    case "unset-var":
      return "";
  }
}

/** What an answer without any byte is called. */
export function emptyWords(step: CompiledStep): string {
  const comment = step.comment === undefined ? "" : ` comment: '${step.comment}'`;
  return `TCPCHK got an empty response at step ${step.number}${comment}`;
}

/** A result in at most as many bytes as HAProxy keeps, on one line. "" = without words. */
export function inWords(code: CheckCode, words: string, number?: number): CheckResult {
  const count = number === undefined ? {} : { number };
  if (words === "") return { code, ...count };
  let kept = words;
  if (Buffer.byteLength(words) > WORDS_BYTES_MAX) {
    // Half a character at the end is left out.
    const cut = Buffer.from(words).subarray(0, WORDS_BYTES_MAX).toString("utf8");
    kept = cut.replace(/\ufffd$/u, "");
  }
  return { ...inItsWords(code, kept), ...count };
}
