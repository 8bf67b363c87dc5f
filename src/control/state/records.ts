/**
 * What a state file holds: every change that was made at run time, with the configured value that
 * it replaced. A later process applies a change where the configuration still says what it said
 * then; where it was edited meanwhile, the configuration counts (docs/state.md). Counters come with
 * the names of their fields, so that records of other releases can be read.
 */
import type { BindSpec, ProxySpec, ServerSpec } from "../../tables/spec.ts";
import type { QuicUse } from "../quic-use.ts";
import type { CounterKind } from "./counters.ts";

/** What was configured, and what is. */
export type Pair<T = number> = readonly [was: T, now: T];

/** Settings of a spec that differ from the configured ones, by path (`check.port`). */
export type SpecDiff = Record<string, Pair<unknown>>;

/** Which side of a name: a frontend and a backend may share one. */
export type Side = "front" | "back";

export type SavedHead = {
  /** Program and version that wrote it. */
  program: string;
  writtenEpochMs: number;
  pid: number;
};

export type SavedGlobals = {
  maxconn?: Pair;
  maxconnrate?: Pair;
  maxsessrate?: Pair;
  /** Variables that were set; null = it was not there. */
  environment: Record<string, Pair<string | null>>;
};

/** How long something has been as it is: `lastchg`, `downtime`, `chkdown`. */
export type SavedAge = { sinceMs: number; downtimeMs: number; downs: number };

export type SavedProxy = {
  name: string;
  side: Side;
  guid?: string;
  /** Made at run time: all of it, and the defaults section that it was made from. */
  made?: { spec: ProxySpec; from: string };
  frontMaxconn?: Pair;
  /** PROXY_STATE_*. */
  state?: Pair;
  isPublished?: Pair<boolean>;
  /** A QUIC server is or was in it: it is never removed. */
  quicUse?: QuicUse;
  age?: SavedAge;
};

/** A listener that was made at run time. */
export type SavedListener = { proxy: string; made: BindSpec };

export type SavedHealth = {
  isDown: boolean;
  isStopping: boolean;
  areChecksOff: boolean;
  /** `disable agent`; left out by releases that had none. */
  isAgentOff?: boolean;
  /** Its agent has said that it is down, or an operator in its place. */
  isAgentDown?: boolean;
  /** How long it has been on its way up (`slowstart`), ms; left out = it is not. */
  slowStartMs?: number;
  /** 0 … rise + fall - 1; -1 = not checked. */
  counter: number;
  age: SavedAge;
  /** Address that it is the health of. */
  of: string;
};

export type SavedServer = {
  backend: string;
  /** As it was configured or made. */
  name: string;
  guid?: string;
  /** Made at run time: all of it, as it was made. */
  made?: ServerSpec;
  changes?: SpecDiff;
  weight?: Pair;
  maxconn?: Pair;
  minconn?: Pair;
  /** SERVER_ADMIN_* bits of its own: neither inherited nor for want of an address. */
  admin?: Pair;
  health?: SavedHealth;
};

/** Something that the configuration made and somebody removed, with what the configuration said. */
export type SavedGrave =
  | { kind: "proxy"; side: Side; spec: Omit<ProxySpec, "binds" | "servers"> }
  | { kind: "listener"; proxy: string; spec: BindSpec }
  | { kind: "server"; backend: string; spec: ServerSpec };

/** Counters of one object: `values[i]` counts what `fields[i]` names. */
export type SavedCounters = {
  kind: CounterKind;
  proxy: string;
  /** Of the server or listener; "" for a proxy. */
  name: string;
  guid: string;
  fields: readonly string[];
  values: readonly number[];
};

/** All of a file. */
export type SavedState = {
  head: SavedHead;
  globals: SavedGlobals;
  proxies: SavedProxy[];
  listeners: SavedListener[];
  servers: SavedServer[];
  graves: SavedGrave[];
  counters: SavedCounters[];
};
