/**
 * What follows the address of the page in a request: `;csv`, `;up`, `?scope=web` and the like, in
 * any order and separated by `;`, `?` or `&`, as links of HAProxy's page and scripts write them.
 */

/** Forms in which the page can be had. */
export type PageForm = "html" | "csv" | "json" | "typed" | "json-schema" | "live" | "why";

/** Longest filter, as in HAProxy. */
const SCOPE_MAX = 20;

/** Longest filter of the live page. */
const FIND_MAX = 64;

/** What a request asks of the page. */
export type PageOptions = {
  readonly form: PageForm;
  /** Without reloading. */
  readonly isStill: boolean;
  /** Servers that are not up are left out. */
  readonly upOnly: boolean;
  /** Servers in maintenance are left out. */
  readonly noMaint: boolean;
  /** All servers of large backends too. */
  readonly all: boolean;
  /** Only sections whose name contains this; "" = all. */
  readonly scope: string;
  /** Outcome of an action, as in the answer's address; "" = none. */
  readonly outcome: string;
  /** `why`: `backend/server` or `backend`. */
  readonly about: string;
  /** `live`: what the asker has. */
  readonly since: string;
  /** Part of a name, lower case, and which servers: up, trouble, no-maint. */
  readonly find: string;
  readonly show: string;
  readonly open: readonly number[];
  readonly fresh: readonly number[];
};

const FORMS: readonly PageForm[] = ["csv", "json", "typed", "json-schema", "live", "why"];

/** Parses what stands behind the page's address. Never throws; what it does not know it ignores. */
export function parsePageOptions(rest: string): PageOptions {
  const words = new Map<string, string>();
  for (const part of rest.split(/[;?&#]/)) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    if (!words.has(key)) words.set(key, equals < 0 ? "" : decode(part.slice(equals + 1)));
  }
  const value = (key: string): string => words.get(key) ?? "";
  return {
    form: FORMS.find((form) => words.has(form)) ?? "html",
    isStill: words.has("norefresh"),
    upOnly: words.has("up"),
    noMaint: words.has("no-maint"),
    all: words.has("all"),
    scope: scopeOf(value("scope")),
    outcome: value("st"),
    about: value("why"),
    since: value("since"),
    find: value("find").toLowerCase().slice(0, FIND_MAX),
    show: value("show"),
    open: numbersOf(value("open")),
    fresh: numbersOf(value("fresh")),
  };
}

/** Percent signs and plus signs; text as it stands where they are malformed. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/** Characters that names of sections can have. */
function scopeOf(text: string): string {
  return /^[A-Za-z0-9_.:-]*$/.test(text) ? text.slice(0, SCOPE_MAX) : "";
}

function numbersOf(text: string): number[] {
  const numbers = text.split(",").filter((part) => /^[0-9]{1,10}$/.test(part));
  return [...new Set(numbers.map(Number))];
}

/** The options that links keep, written again. */
export function writePageOptions(options: Partial<PageOptions>): string {
  const { form = "html", scope = "" } = options;
  const words = [
    form === "html" ? "" : form,
    options.upOnly === true ? "up" : "",
    options.noMaint === true ? "no-maint" : "",
    options.isStill === true ? "norefresh" : "",
    options.all === true ? "all" : "",
    scope === "" ? "" : `scope=${encodeURIComponent(scope)}`,
  ];
  return words.map((word) => (word === "" ? "" : `;${word}`)).join("");
}
