/**
 * The catalogue of fetches about an HTTP request (manual 7.3.6): they work in the conditions of
 * pages, which have requests; elsewhere they are known by name only. Any thread, read-only.
 */
import type { SampleType } from "../tables/expression.ts";
import { ANSWER_FETCHES, CHECK_FETCHES } from "./answer-fetches.ts";
import { FETCHES } from "./fetches.ts";
import type { FetchKeyword, FetchPlace, RequestField } from "./keyword.ts";

function row(
  name: string,
  field: RequestField,
  type: SampleType,
  rest: Partial<FetchKeyword> = {},
): FetchKeyword {
  const source = { from: "request", field } as const;
  const base = { name, type, source, scope: "client", section: "7.3.6" } as const;
  return { ...base, args: [], required: 0, state: "done", ...rest };
}

/** A header's name, and which of its values: from 1, or from the end where negative. */
const HEADER = { args: ["str", "sint"], required: 1 } as const;
const NAME = { args: ["str"], required: 1 } as const;

const ROWS: readonly FetchKeyword[] = [
  row("base", "base", "str"),
  row("hdr", "header", "str", HEADER),
  row("hdr_cnt", "headerCount", "sint", NAME),
  row("hdr_ip", "headerAddress", "addr", HEADER),
  row("hdr_val", "headerNumber", "sint", HEADER),
  row("meth", "method", "str"),
  row("method", "method", "str"),
  row("path", "path", "str"),
  row("pathq", "pathAndQuery", "str"),
  row("query", "query", "str"),
  row("req.fhdr", "wholeHeader", "str", NAME),
  row("req.hdr", "header", "str", HEADER),
  row("req.hdr_cnt", "headerCount", "sint", NAME),
  row("req.hdr_ip", "headerAddress", "addr", HEADER),
  row("req.hdr_val", "headerNumber", "sint", HEADER),
  row("req.proto_http", "isHttp", "bool"),
  row("req.ver", "version", "str"),
  row("req_proto_http", "isHttp", "bool"),
  row("req_ver", "version", "str"),
  row("url", "url", "str"),
  row("url_param", "parameter", "str", NAME),
  row("urlp", "parameter", "str", NAME),
];

/** Every fetch about a request that works, by name. */
export const REQUEST_FETCHES: ReadonlyMap<string, FetchKeyword> = new Map(
  ROWS.map((keyword) => [keyword.name, keyword]),
);

/** Names that ACLs know with a way to match behind them: `path_beg`, `hdr_dom(host)`. */
const DERIVED = /^(base|hdr|path|url|urlp|url_param)_(beg|dir|dom|end|len|reg|sub)(?=\(|$)/;

/** A fetch that works, wherever it does. */
export function findFetch(name: string): FetchKeyword | undefined {
  return FETCHES.get(name) ?? REQUEST_FETCHES.get(name) ?? ANSWER_FETCHES.get(name);
}

/** A fetch that works in one place. */
export function findFetchFor(name: string, place: FetchPlace): FetchKeyword | undefined {
  if (place === "check") return CHECK_FETCHES.get(name);
  return FETCHES.get(name) ?? (place === "page" ? REQUEST_FETCHES.get(name) : undefined);
}

/** The same for those of every stream. */
const DERIVED_ANYWHERE = /^(ssl_fc_sni)_(end|reg)(?=\(|$)/;

/**
 * `path_beg` in its two parts: the fetch, with its arguments, and how to match.
 * @param takesRequest those about requests count too
 */
export function splitDerived(
  criterion: string,
  takesRequest: boolean,
): { criterion: string; method: string } | undefined {
  const match = DERIVED_ANYWHERE.exec(criterion) ?? (takesRequest ? DERIVED.exec(criterion) : null);
  const [written = "", name = "", method = ""] = match ?? [];
  if (match === null) return undefined;
  return { criterion: name + criterion.slice(written.length), method };
}
