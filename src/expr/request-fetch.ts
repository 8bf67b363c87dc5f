/**
 * Fetches about an HTTP request, as code. Cold: only pages have requests. Source: manual 7.3.6.
 */
import { parseIp } from "../base/address.ts";
import type { Argument, SampleExpression } from "../tables/expression.ts";
import type { Step } from "./convert.ts";
import type { RequestField } from "./keyword.ts";
import type { HttpRequest } from "./request.ts";
import type { Sample } from "./sample.ts";

/** Which value of a header a test looks at: ACLs look at all of them, one after the other. */
export type Occurrence = { index: number };

/** The step that fills the sample from the request. @param at overrules the argument */
export function makeRequestFetch(
  field: RequestField,
  args: readonly Argument[],
  at?: Occurrence,
): Step {
  const name = String(args[0]?.value ?? "");
  const wanted = Number(args[1]?.value ?? -1);
  return (sample, { request }) => {
    if (request === undefined) return false;
    return fill(sample, request, field, name, at?.index ?? wanted);
  };
}

function fill(
  sample: Sample,
  request: HttpRequest,
  field: RequestField,
  name: string,
  occurrence: number,
): boolean {
  switch (field) {
    case "method":
      return sample.setText(request.method);
    case "url":
      return sample.setText(request.url);
    case "version":
      return sample.setText(request.version);
    case "isHttp":
      return sample.setBool(true);
    case "path":
      return setSome(sample, splitUrl(request.url).path);
    case "pathAndQuery":
      return setSome(sample, splitUrl(request.url).pathAndQuery);
    case "query":
      return setSome(sample, splitUrl(request.url).query);
    case "base":
      return sample.setText((request.header("host") ?? "") + (splitUrl(request.url).path ?? ""));
    case "parameter":
      return setSome(sample, parameterOf(splitUrl(request.url).query ?? "", name));
    case "wholeHeader":
      return setSome(sample, request.header(name));
    case "headerCount":
      return sample.setInt(headerValues(request, name).length);
    case "header":
      return setSome(sample, valueAt(request, name, occurrence));
    case "headerNumber": {
      const text = valueAt(request, name, occurrence);
      return text !== undefined && sample.setInt(leadingNumber(text));
    }
    case "headerAddress": {
      const text = valueAt(request, name, occurrence);
      sample.type = "addr";
      return text !== undefined && parseIp(text.replace(/^\[(.*)\]$/, "$1"), sample.address);
    }
  }
}

function setSome(sample: Sample, text: string | undefined): boolean {
  return text !== undefined && sample.setText(text);
}

/** `Number` that reads as far as there are digits, else 0. */
function leadingNumber(text: string): number {
  return Number(/^[-+]?\d+/.exec(text)?.[0] ?? 0);
}

/** The parts of a request's target; `*` has no path. */
function splitUrl(url: string): { path?: string; pathAndQuery?: string; query?: string } {
  const local = url.replace(/^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?]*/, "");
  const bare = local === "" && url !== "" ? "/" : local;
  if (!bare.startsWith("/")) return {};
  const mark = bare.indexOf("?");
  if (mark < 0) return { path: bare, pathAndQuery: bare };
  return { path: bare.slice(0, mark), pathAndQuery: bare, query: bare.slice(mark + 1) };
}

function parameterOf(query: string, name: string): string | undefined {
  for (const part of query.split("&")) {
    if (part === name) return "";
    if (part.startsWith(`${name}=`)) return part.slice(name.length + 1);
  }
  return undefined;
}

/** Values of a header. */
function headerValues(request: HttpRequest, name: string): string[] {
  const text = request.header(name);
  return text === undefined ? [] : valuesOf(text);
}

/** The values of one header's text, cut at commas outside quotes. */
export function valuesOf(text: string): string[] {
  const parts = text.match(/(?:"(?:\\.|[^"\\])*"?|[^,"])+/g) ?? [""];
  return parts.map((part) => part.trim());
}

function valueAt(request: HttpRequest, name: string, occurrence: number): string | undefined {
  const values = headerValues(request, name);
  return occurrence === 0 ? undefined : values.at(occurrence < 0 ? occurrence : occurrence - 1);
}

/**
 * How many values an ACL tests, one by one: those of a header without a number.
 * @returns undefined where there is only one
 */
export function countValues(
  sample: SampleExpression,
): ((request: HttpRequest | undefined) => number) | undefined {
  const { name, args } = sample.fetch;
  if (!/^(?:req\.)?hdr(?:_ip|_val)?$/.test(name) || args.length > 1) return undefined;
  const header = String(args[0]?.value ?? "");
  return (request) => (request === undefined ? 0 : headerValues(request, header).length);
}
