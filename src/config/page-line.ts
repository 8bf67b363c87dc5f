/**
 * Lines of sections that answer about this process itself (HAProxy manual 4.2): `stats …`,
 * `monitor-uri`, `monitor fail`, `http-request …`, `timeout http-…`. In sections that proxy TCP
 * they are without effect, and listed as such.
 */
import { isConditionWord } from "../expr/parse.ts";
import type { Condition } from "../tables/expression.ts";
import { TIME_UNSET } from "../tables/spec.ts";
import type { PageRuleSpec } from "../tables/spec.ts";
import { alertLine, hasArgs } from "./context.ts";
import type { Line } from "./context.ts";
import { hasFront } from "./draft.ts";
import type { ProxyDraft } from "./draft.ts";
import { ACTIONS } from "./keywords/actions.ts";
import type { ProxyParser } from "./keywords/proxy-parsers.ts";
import { parseInteger, parseTime } from "./numbers.ts";
import { cloneStatsDraft, newStatsDraft } from "./page-draft.ts";
import type { StatsDraft } from "./page-draft.ts";
import { takeCondition } from "./routing-line.ts";
import { didYouMean } from "./suggest.ts";

type StatsParser = (line: Line, stats: StatsDraft, proxy: ProxyDraft) => void;

/** A line that counts on pages, and in `defaults` for them; elsewhere it is without effect. */
export function onPage(parse: ProxyParser): ProxyParser {
  return (line, proxy) => {
    if (proxy.isHttp || proxy.section === "defaults") parse(line, proxy);
    if (!proxy.isHttp) line.context.inert(line.origin, line.keyword);
  };
}

/** A rule: it belongs to the page that holds it. */
function onOwnPage(parse: ProxyParser): ProxyParser {
  return onPage((line, proxy) => {
    if (proxy.section !== "defaults") parse(line, proxy);
  });
}

/** A `stats` line: the first one of a section forgets what came from its defaults. */
function stats(parse: StatsParser): ProxyParser {
  return onPage((line, proxy) => {
    const { settings, page } = proxy;
    const begun = page.hasOwnStats ? settings.stats : undefined;
    const draft = begun === undefined ? newStatsDraft() : cloneStatsDraft(begun);
    parse(line, draft, proxy);
    page.hasOwnStats = true;
    settings.stats = draft;
  });
}

const parseEnable: StatsParser = (line) => {
  hasArgs(line, 0, 0, "no argument");
};

const parseUri: StatsParser = (line, draft) => {
  const uri = line.args[0] ?? "";
  if (uri === "") alertLine(line, "'uri' needs an URI prefix.");
  else draft.uri = uri;
};

const parseRealm: StatsParser = (line, draft) => {
  const realm = line.args[0] ?? "";
  if (realm === "") {
    alertLine(line, "'realm' needs an realm name.");
    return;
  }
  draft.realm = realm;
  draft.hasRealm = true;
};

const parseRefresh: StatsParser = (line, draft) => {
  const time = parseTime(line.args[0] ?? "", "s");
  if (!time.ok) alertLine(line, `'stats refresh' : ${time.message}`);
  else draft.refreshSeconds = time.value;
};

const parseAuth: StatsParser = (line, draft) => {
  const account = line.args[0] ?? "";
  const colon = account.indexOf(":");
  if (colon < 1) {
    alertLine(line, "'auth' needs a user:password account.");
    return;
  }
  draft.users.push({ name: account.slice(0, colon), password: account.slice(colon + 1) });
};

const parseScope: StatsParser = (line, draft) => {
  const name = line.args[0] ?? "";
  if (name === "") alertLine(line, "'scope' needs a proxy name.");
  else draft.scopes.push(name);
};

function show(key: "showVersion" | "showLegends", value: boolean): StatsParser {
  return (line, draft) => {
    if (hasArgs(line, 0, 0, "no argument")) draft[key] = value;
  };
}

const parseShowNode: StatsParser = (line, draft) => {
  const text = line.args[0];
  if (text === undefined) {
    draft.node = { shown: true };
  } else if (/[^A-Za-z0-9_.-]/u.test(text)) {
    const usage = "letters, digits, dots, dashes and underscores";
    alertLine(line, `'stats show-node' invalid node name - should only contain ${usage}.`);
  } else {
    draft.node = { shown: true, text };
  }
};

const parseShowDesc: StatsParser = (line, draft) => {
  const text = line.args.join(" ");
  draft.description = text === "" ? { shown: true } : { shown: true, text };
};

const parseAdmin: StatsParser = (line, draft, proxy) => {
  if (!isConditionWord(line.args[0] ?? "")) {
    alertLine(line, "'stats admin' requires either 'if' or 'unless' followed by a condition.");
    return;
  }
  const condition = takeCondition(line, proxy, line.args, "stats admin");
  if (condition !== undefined) draft.admin.push(condition);
};

const parseStatsRule: StatsParser = (line, draft, proxy) => {
  const [action = "", ...words] = line.args;
  let rest = words;
  let found: PageRuleSpec["action"];
  if (action === "allow") {
    found = { kind: "allow" };
  } else if (action === "deny") {
    found = { kind: "deny", status: 403 };
  } else if (action === "auth") {
    found = { kind: "auth" };
    if (rest[0] === "realm") {
      found = { kind: "auth", realm: rest[1] ?? "" };
      rest = rest.slice(2);
    }
  } else {
    alertLine(line, `'stats http-request' expects 'allow', 'deny' or 'auth', got '${action}'.`);
    return;
  }
  const rule = finishRule(line, proxy, found, rest, "stats http-request");
  if (rule !== undefined) draft.rules.push(rule);
};

/** The parsers of `stats …`, by their second word. */
export const STATS_LINES = {
  admin: stats(parseAdmin),
  auth: stats(parseAuth),
  enable: stats(parseEnable),
  "hide-version": stats(show("showVersion", false)),
  "http-request": stats(parseStatsRule),
  realm: stats(parseRealm),
  refresh: stats(parseRefresh),
  scope: stats(parseScope),
  "show-desc": stats(parseShowDesc),
  "show-legends": stats(show("showLegends", true)),
  // There are no modules: the line makes a page of the section, like any `stats` line.
  "show-modules": stats((line) => {
    if (hasArgs(line, 0, 0, "no argument")) line.context.inert(line.origin, line.keyword);
  }),
  "show-node": stats(parseShowNode),
  "show-version": stats(show("showVersion", true)),
  uri: stats(parseUri),
} as const;

/** `monitor-uri PATH`. */
export const parseMonitorUri = onPage((line, proxy) => {
  if (!hasArgs(line, 1, 1, "an URI")) return;
  if (hasFront(proxy.section)) proxy.settings.monitorUri = line.args[0] ?? "";
});

/** `monitor fail {if|unless} CONDITION`. */
export const parseMonitorFail = onOwnPage((line, proxy) => {
  if (!isConditionWord(line.args[0] ?? "")) {
    alertLine(line, "'monitor fail' requires either 'if' or 'unless' followed by a condition.");
    return;
  }
  const condition = takeCondition(line, proxy, line.args, "monitor fail");
  if (condition !== undefined) proxy.page.monitorFail.push(condition);
});

/** `timeout http-request TIME`, `timeout http-keep-alive TIME`. */
export function httpTimeoutInto(key: "httpRequest" | "httpKeepAlive"): ProxyParser {
  return onPage((line, proxy) => {
    const text = line.args[0];
    if (text === undefined) {
      alertLine(line, `'${line.keyword}' expects an integer value (in milliseconds)`);
      return;
    }
    const value = parseTime(text);
    if (!value.ok) {
      alertLine(line, `${value.message} in '${line.keyword}'`);
      return;
    }
    const ms = value.value === 0 ? TIME_UNSET : value.value;
    proxy.settings.httpTimeouts = { ...proxy.settings.httpTimeouts, [key]: ms };
  });
}

/** Actions that change nothing of what a page answers, and to whom. */
const HARMLESS = new Set(
  (
    "add-header set-header del-header replace-header replace-value add-headers-bin " +
    "set-headers-bin del-headers-bin capture disable-l7-retry early-hint set-log-level set-nice " +
    "set-mark set-tos set-fc-mark set-fc-tos set-bc-mark set-bc-tos set-priority-class " +
    "set-priority-offset set-timeout strict-mode cache-use do-log wait-for-body"
  ).split(" "),
);

/** `http-request ACTION …` on a page. */
export const parseHttpRequest = onOwnPage((line, proxy) => {
  const [name = "", ...words] = line.args;
  const bare = name.replace(/\(.*$/u, "()");
  const known = ACTIONS.filter(({ ruleSets }) => ruleSets.includes("q"));
  if (!known.some((action) => action.name === bare)) {
    const hint = didYouMean(
      name,
      known.map((action) => action.name),
    );
    alertLine(line, `'http-request' : unknown action '${name}'${hint}.`);
    return;
  }
  if (HARMLESS.has(name)) {
    line.context.inert(line.origin, `http-request ${name}`);
    return;
  }
  const at = words.findIndex(isConditionWord);
  const own = at < 0 ? words : words.slice(0, at);
  const action = actionOf(line, name, own);
  if (action === undefined) return;
  const rule = finishRule(line, proxy, action, at < 0 ? [] : words.slice(at), "http-request");
  if (rule !== undefined) proxy.page.rules.push(rule);
});

/** The action of a rule; undefined after reporting what it is not. */
function actionOf(
  line: Line,
  name: string,
  words: readonly string[],
): PageRuleSpec["action"] | undefined {
  const action = knownAction(name, words);
  if (typeof action !== "string") return action;
  if (action === "coming") {
    line.context.coming(line.origin, `'http-request ${[name, ...words].join(" ")}'`, "this rule");
  } else {
    alertLine(line, `'http-request ${name}' : ${action}`);
  }
  return undefined;
}

/** An action, the word `coming`, or the sentence about a mistake. */
function knownAction(name: string, words: readonly string[]): PageRuleSpec["action"] | string {
  if (name === "allow") return words.length === 0 ? { kind: "allow" } : unexpected(words[0] ?? "");
  if (name === "use-service") {
    if (words.length > 1) return unexpected(words[1] ?? "");
    return words[0] === "prometheus-exporter" ? { kind: "prometheus" } : "coming";
  }
  const options = pairsOf(words);
  if (options === undefined) return "coming";
  if (name === "deny") return denyOf(options);
  if (name === "return") return returnOf(options);
  return name === "redirect" ? redirectOf(options) : "coming";
}

const unexpected = (word: string): string => `unexpected argument '${word}'.`;

/** Words as names and values; undefined when they are no pairs. */
function pairsOf(words: readonly string[]): Map<string, string> | undefined {
  if (words.length % 2 !== 0) return undefined;
  const pairs = new Map<string, string>();
  for (let at = 0; at < words.length; at += 2) pairs.set(words[at] ?? "", words[at + 1] ?? "");
  return pairs;
}

function hasOnly(options: ReadonlyMap<string, string>, names: readonly string[]): boolean {
  return [...options.keys()].every((name) => names.includes(name));
}

/** A status of an answer, or the sentence about what is none. */
function statusOf(text: string, min: number, max: number): number | string {
  const status = parseInteger(text, min, max);
  return status.ok ? status.value : `'status' expects a number from ${min} to ${max}.`;
}

function denyOf(options: ReadonlyMap<string, string>): PageRuleSpec["action"] | string {
  if (!hasOnly(options, ["deny_status", "status"])) return "coming";
  const status = statusOf(options.get("status") ?? options.get("deny_status") ?? "403", 200, 599);
  return typeof status === "string" ? status : { kind: "deny", status };
}

function returnOf(options: ReadonlyMap<string, string>): PageRuleSpec["action"] | string {
  if (!hasOnly(options, ["status", "content-type", "string"])) return "coming";
  const status = statusOf(options.get("status") ?? "200", 200, 599);
  if (typeof status === "string") return status;
  const contentType = options.get("content-type");
  const text = options.get("string") ?? "";
  return { kind: "return", status, text, ...(contentType === undefined ? {} : { contentType }) };
}

function redirectOf(options: ReadonlyMap<string, string>): PageRuleSpec["action"] | string {
  const location = options.get("location");
  if (location === undefined || location.includes("%") || !hasOnly(options, ["location", "code"])) {
    return "coming";
  }
  const status = statusOf(options.get("code") ?? "302", 301, 308);
  return typeof status === "string" ? status : { kind: "redirect", status, location };
}

/** The condition of a rule, if there is one. Undefined after an error. */
function finishRule(
  line: Line,
  proxy: ProxyDraft,
  action: PageRuleSpec["action"],
  words: readonly string[],
  rule: string,
): PageRuleSpec | undefined {
  const { origin } = line;
  const first = words[0];
  if (first === undefined) return { action, origin };
  if (!isConditionWord(first)) {
    alertLine(line, `'${rule}' : ${unexpected(first)}`);
    return undefined;
  }
  const condition: Condition | undefined = takeCondition(line, proxy, words, rule);
  return condition === undefined ? undefined : { action, condition, origin };
}
