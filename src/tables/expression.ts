/**
 * Samples, converters, conditions and log formats as data: what `config` compiled from text and
 * what `expr` evaluates (in workers for routing and hashing, in the control plane for logs).
 *
 * References: HAProxy configuration manual chapters 7 (samples, ACLs) and 8.2.6 (log formats).
 */

/** Types of samples: manual 7.3. `addr` covers ipv4 and ipv6 as text; `bin` travels as base64. */
export type SampleType = "bool" | "sint" | "addr" | "str" | "bin" | "any";

/** A constant argument of a fetch or converter, already checked against its signature. */
export type Argument = { kind: "str"; value: string } | { kind: "int"; value: number };

/** `fetch(args),converter(args),…` */
export type SampleExpression = {
  fetch: { name: string; args: Argument[] };
  converters: { name: string; args: Argument[] }[];
  /** Type of the result. */
  type: SampleType;
  /** As written, for messages. */
  text: string;
};

export type MatchMethod =
  | "found"
  | "bool"
  | "int"
  | "ip"
  | "str"
  | "beg"
  | "end"
  | "sub"
  | "reg"
  | "dir"
  | "dom"
  | "len"
  | "bin";

/** One test: a sample against patterns. */
export type AclTest = {
  sample: SampleExpression;
  method: MatchMethod;
  ignoreCase: boolean;
  /** Patterns in the method's own form: integers as ranges, networks as prefix, else text. */
  patterns: Pattern[];
};

export type Pattern =
  /** `exactCase`: from a file named before `-i`, which does not apply to it. */
  | { kind: "text"; value: string; exactCase?: boolean }
  | { kind: "range"; low: number | null; high: number | null }
  | { kind: "network"; family: 4 | 6; base: string; bits: number };

/** Any of the tests of one ACL name (all `acl NAME` lines together). */
export type BoolExpression = { tests: AclTest[] };

/** Disjunction of conjunctions: `if a b || !c`. */
export type Condition = {
  negate: boolean;
  anyOf: { terms: { negate: boolean; acl: BoolExpression }[] }[];
  text: string;
};

/** A compiled `log-format` string: manual 8.2.6. */
export type LogFormat = {
  text: string;
  parts: LogPart[];
};

export type LogPart =
  | { kind: "text"; text: string }
  /** `%ci`, `%{+Q}o …`: alias name without the percent sign. */
  | { kind: "alias"; name: string; flags: LogFlags; argument: string }
  | { kind: "sample"; sample: SampleExpression; flags: LogFlags };

export type LogFlags = { quote: boolean; escape: boolean; hex: boolean; optional: boolean };
