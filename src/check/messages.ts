/**
 * What control and the thread of checks say to each other. Plain data, in order, each way.
 *
 * A check is known by a number that is never used twice. Each order that makes earlier results
 * count no more (another address, a health set by hand, a suspension) moves its **epoch** on; news
 * bear the epoch that they were found in, and control takes no notice of those of an older one.
 */
import type { NativeAddresses } from "../conduit/native.ts";
import type { SharedBlocks } from "../tables/tables.ts";
import type { CheckCrowd, CheckSchedule } from "./checker.ts";
import type { CheckJob } from "./probe.ts";
import type { CheckResult } from "./result.ts";

/** What the thread is started with. */
export type ChecksStart = {
  blocks: SharedBlocks;
  native: NativeAddresses | null;
  clockOriginMs: number;
  spreadPercent: number;
  maxSpreadMs: number;
  /** Most checks under way at a time: each has a descriptor. */
  probesMax: number;
  /** Most bytes of an answer that are kept. */
  answerBytesMax: number;
  /** This machine, as `send-state` names it. */
  node: string;
  /** `setenv` and its kin applied. */
  environment: Record<string, string>;
  estate: CheckEstate;
};

/** Memory of control's that the thread writes into: what it has, for whoever outlives it. */
export type CheckEstate = {
  /** EXTERNAL_CHECKS_MAX words: process groups of programs that run; 0 = none. */
  programs: SharedArrayBuffer;
  /** ENGINE_MEMORY_BYTES: the engine of QUIC writes here as long as it is there. */
  quicMemory: SharedArrayBuffer;
};

/** A check as it begins. */
export type CheckOrder = {
  id: number;
  epoch: number;
  serverRow: number;
  /** Of the row: what is written there is of this server. */
  generation: number;
  schedule: CheckSchedule;
  job: CheckJob;
  health: number;
  isSuspended: boolean;
};

/** `health`: the counter as control knows it; what it has not heard of counts no more. */
type CheckChange = { id: number; epoch: number; health: number };

export type ToChecks =
  /** @prop isSpread first checks are spread over the interval; else they are due at once */
  | { type: "add"; checks: CheckOrder[]; isSpread: boolean }
  | ({ type: "replace"; schedule: CheckSchedule; job: CheckJob } & CheckChange)
  | ({ type: "suspend" } & CheckChange)
  | ({ type: "resume" } & CheckChange)
  /** Somebody else has decided: only the counter changes. */
  | ({ type: "health" } & CheckChange)
  /** Real traffic has failed too often: `on-error`. */
  | { type: "errors"; id: number; epoch: number; info: string }
  /** The next result is news, whatever it is. */
  | ({ type: "listen" } & CheckChange)
  | { type: "remove"; id: number }
  /** Where the functions of QUIC are. */
  | { type: "quic"; addresses: NativeAddresses }
  /** Answered by a `pong`: does it live? */
  | { type: "ping" }
  | { type: "stop" };

/** A result that control must hear of. */
export type CheckNews = {
  id: number;
  epoch: number;
  result: CheckResult;
  durationMs: number;
  health: number;
  isUp: boolean;
  hasChanged: boolean;
  hasMoved: boolean;
  counted: number;
  needed: number;
};

export type FromChecks =
  /** Where the native loop of the thread is: whoever outlives the thread closes what it has. */
  | { type: "loop"; pointer: number }
  /** The same of the engine of QUIC. */
  | { type: "engine"; pointer: number }
  | { type: "pong" }
  | { type: "news"; news: CheckNews[] }
  /** Checks had to wait for others. */
  | { type: "crowd"; crowd: CheckCrowd }
  /** Something that should not happen, for the process log. */
  | { type: "fault"; text: string };
