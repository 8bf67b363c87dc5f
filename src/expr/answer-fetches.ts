/**
 * What expressions of checks may fetch (`tcp-check`, `http-check`): samples of the answer that is
 * looked at, variables, and those of every expression that a check has a value for. HAProxy takes
 * some of a client too, which are always empty there; they are refused here. Any thread, read-only.
 * Source: manual 7.3.2, 7.3.5, 7.3.6.
 */
import type { SampleType } from "../tables/expression.ts";
import { FETCHES } from "./fetches.ts";
import type { AnswerField, FetchKeyword } from "./keyword.ts";

function row(
  name: string,
  field: AnswerField,
  type: SampleType,
  rest: Partial<FetchKeyword> = {},
): FetchKeyword {
  const source = { from: "answer", field } as const;
  const base = { name, type, source, scope: "any", section: "7.3.5" } as const;
  return { ...base, args: [], required: 0, state: "done", ...rest };
}

const HTTP = { section: "7.3.6" } as const;
/** A header's name, and which of its values: from 1, or from the end where negative. */
const HEADER = { ...HTTP, args: ["str", "sint"], required: 1 } as const;
const NAME = { ...HTTP, args: ["str"], required: 1 } as const;
const RANGE = { args: ["sint", "sint"], required: 2 } as const;

function checkVariable(name: string | undefined): string | undefined {
  if (/^(?:proc|sess|check)\.[A-Za-z0-9_.]+$/u.test(name ?? "")) return undefined;
  const scopes = "A variable name must start with its scope. The scope can be 'proc', 'sess' or";
  return `invalid variable name '${name ?? ""}'. ${scopes} 'check'`;
}

const ROWS: readonly FetchKeyword[] = [
  row("payload", "payload", "bin", RANGE),
  row("payload_lv", "payloadAfterLength", "bin", { args: ["sint", "sint", "str"], required: 2 }),
  row("rep_ver", "version", "str", HTTP),
  row("res.body", "body", "bin", HTTP),
  row("res.body_len", "bodyLength", "sint", HTTP),
  row("res.body_size", "bodyLength", "sint", HTTP),
  row("res.fhdr", "wholeHeader", "str", HEADER),
  row("res.fhdr_cnt", "wholeHeaderCount", "sint", NAME),
  row("res.hdr", "header", "str", HEADER),
  row("res.hdr_cnt", "headerCount", "sint", NAME),
  row("res.hdr_val", "headerNumber", "sint", HEADER),
  row("res.len", "length", "sint"),
  row("res.payload", "payload", "bin", RANGE),
  row("res.payload_lv", "payloadAfterLength", "bin", {
    args: ["sint", "sint", "str"],
    required: 2,
  }),
  row("res.ver", "version", "str", HTTP),
  row("resp_ver", "version", "str", HTTP),
  row("shdr", "header", "str", HEADER),
  row("status", "status", "sint", HTTP),
  row("var", "variable", "any", {
    section: "7.3.2",
    args: ["str", "str"],
    required: 1,
    check: (args) => checkVariable(args[0]),
  }),
];

/** Those of every expression that a check has a value for. */
const SHARED: readonly string[] = [
  "always_false",
  "always_true",
  "be_id",
  "be_name",
  "bin",
  "bool",
  "date",
  "date_us",
  "env",
  "hostname",
  "int",
  "ipv4",
  "ipv6",
  "pid",
  "proc",
  "rand",
  "srv_id",
  "srv_name",
  "str",
  "uuid",
];

/** Every fetch about an answer, by name. */
export const ANSWER_FETCHES: ReadonlyMap<string, FetchKeyword> = new Map(
  ROWS.map((keyword) => [keyword.name, keyword]),
);

/** Every fetch that checks have, by name. */
export const CHECK_FETCHES: ReadonlyMap<string, FetchKeyword> = new Map([
  ...SHARED.flatMap((name): [string, FetchKeyword][] => {
    const keyword = FETCHES.get(name);
    return keyword === undefined ? [] : [[name, keyword]];
  }),
  ...ANSWER_FETCHES,
]);
