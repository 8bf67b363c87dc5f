/** What the log says of outliers: this program's own sentences, shaped like HAProxy's. Pure. */
import { LEVEL_NOTICE, LEVEL_WARNING } from "../../wire/syslog.ts";
import { left, online, subject } from "../logs/sentences.ts";
import type { Notice, ServerFacts } from "../logs/sentences.ts";
import type { Fault } from "./judge.ts";

/** Why a server comes back: its time is over, others went away, or it is another machine. */
export type ReturnReason = "over" | "needed" | "moved";

const RETURN_TEXTS: Record<ReturnReason, string> = {
  over: "its time is over",
  needed: "too few others are usable",
  moved: "its address has changed",
};

/** `58 of 60 connections failed, more than 50%`. */
export function faultText(fault: Fault): string {
  if (fault.kind === "errors") {
    const { errors, attempts, limitPercent } = fault;
    return `${errors} of ${attempts} connections failed, more than ${limitPercent}%`;
  }
  const { typicalMs, othersMs, limitPercent } = fault;
  const than = `more than ${limitPercent}% of ${timeText(othersMs)} elsewhere`;
  return `its first byte takes ${timeText(typicalMs)}, ${than}`;
}

/** A server takes no new streams for a while. */
export function serverEjected(facts: ServerFacts, fault: Fault, forMs: number): Notice {
  const why = `reason: ${faultText(fault)}`;
  const text = `${subject(facts)} is ejected for ${timeText(forMs)}, ${why}.${left(facts)}`;
  return { level: LEVEL_WARNING, text };
}

/** It takes new streams again. */
export function serverReturned(facts: ServerFacts, reason: ReturnReason): Notice {
  const text = `${subject(facts)} is back from ejection, ${RETURN_TEXTS[reason]}.${online(facts)}`;
  return { level: LEVEL_NOTICE, text };
}

/** `30s`, `1.5s`, `210ms`, `0.4ms`. */
export function timeText(ms: number): string {
  if (ms >= 1000) return `${Math.round(ms / 100) / 10}s`;
  return ms >= 10 ? `${Math.round(ms)}ms` : `${Math.round(ms * 10) / 10}ms`;
}
