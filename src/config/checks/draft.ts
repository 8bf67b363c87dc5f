/**
 * What a section says about its checks, as read so far: the option that chooses the protocol, the
 * rules of both rule sets, and what goes with them. `program.ts` makes the program of it.
 */
import type { LogFormat } from "../../tables/expression.ts";
import type { CheckProgramSpec, CheckStepSpec, CheckText, Origin } from "../../tables/spec.ts";

/** A step of one kind. */
export type CheckStep<K extends CheckStepSpec["kind"]> = Extract<CheckStepSpec, { kind: K }>;

/** A request as far as a line says it: of `option httpchk`, or of `http-check send`. */
export type RequestDraft = {
  method?: string;
  uri?: CheckText;
  version?: string;
  /** Undefined: none was given. */
  headers?: { name: string; value: LogFormat }[];
  body?: CheckText;
};

/** A rule of `http-check`: requests are completed when all lines are known. */
export type HttpRule =
  | Exclude<CheckStepSpec, { kind: "http-send" }>
  | {
      kind: "request";
      request: RequestDraft;
      comment?: string;
      number?: number;
      origin: Origin;
    };

/** The option that chooses what is asked; the last one counts. */
export type CheckChoice =
  /** None was given. */
  | { kind: "connect" }
  | { kind: "tcp" }
  | {
      kind: "http";
      request: RequestDraft;
      origin: Origin;
      /** A request of `http-check send` was there before: where both speak, the later one wins. */
      isLater: boolean;
    }
  | { kind: "external"; origin: Origin }
  | Extract<
      CheckProgramSpec,
      { kind: "redis" | "pgsql" | "mysql" | "smtp" | "ldap" | "ssl-hello" | "spop" }
    >;

/** Lines of comments among rules. */
export type CheckNotes = { comment: string | undefined; lines: number };

/** Parts are replaced, never changed in place: sections share what they take over. */
export type ChecksDraft = {
  choice: CheckChoice;
  tcpRules: readonly CheckStepSpec[];
  httpRules: readonly HttpRule[];
  /** Comments: the one for the next rule, and how many there were: messages count them as steps. */
  tcpNotes: CheckNotes;
  httpNotes: CheckNotes;
  /** The rules are of this section; those of its defaults are gone. */
  hasOwnTcp: boolean;
  hasOwnHttp: boolean;
  disableOn404: boolean;
  sendState: boolean;
  externalCommand?: string;
  externalPath?: string;
};

/** A section without a word about checks. */
export function newChecksDraft(): ChecksDraft {
  return {
    choice: { kind: "connect" },
    tcpRules: [],
    httpRules: [],
    tcpNotes: { comment: undefined, lines: 0 },
    httpNotes: { comment: undefined, lines: 0 },
    hasOwnTcp: false,
    hasOwnHttp: false,
    disableOn404: false,
    sendState: false,
  };
}

/** What a section begins with, from its defaults. */
export function inheritedChecks(checks: ChecksDraft): ChecksDraft {
  return { ...checks, hasOwnTcp: false, hasOwnHttp: false };
}
