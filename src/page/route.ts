/**
 * What a page answers: the monitor first, then the rules, then the statistics, else 503 like a
 * frontend without a backend. Login and rights are settled before anything is read or told.
 */
import { Refusal } from "../base/refusals.ts";
import type { PageSpec, StatsPageSpec } from "../tables/spec.ts";
import { FORM_MAX, parseForm, refuseForged, runForm } from "./actions.ts";
import { shortAnswer, whole } from "./answer.ts";
import type { PageDesk } from "./desk.ts";
import type { Outcome } from "./html/outcome.ts";
import { outcomeText } from "./html/outcome.ts";
import { Accounts } from "./login.ts";
import { parsePageOptions, writePageOptions } from "./options.ts";
import type { PageOptions } from "./options.ts";
import type { PageRequest } from "./request.ts";
import { pathOf } from "./request.ts";
import type { PageRule, PageTest, RuleWorld } from "./rules.ts";
import { compileAny, compileRules, firstRule, RequestContext } from "./rules.ts";

/** A page of the plan, ready to answer. */
export type Page = {
  readonly spec: PageSpec;
  readonly rules: readonly PageRule[];
  readonly monitorFails: PageTest;
  readonly stats: StatsPage | undefined;
};

type StatsPage = {
  readonly spec: StatsPageSpec;
  readonly rules: readonly PageRule[];
  readonly accounts: Accounts;
  readonly isAdmin: PageTest;
};

/** Compiles a page. */
export function makePage(spec: PageSpec): Page {
  const { stats } = spec;
  return {
    spec,
    rules: compileRules(spec.rules),
    monitorFails: compileAny(spec.monitorFail),
    stats:
      stats === undefined
        ? undefined
        : {
            spec: stats,
            rules: compileRules(stats.rules),
            accounts: new Accounts(stats.users),
            isAdmin: compileAny(stats.admin),
          },
  };
}

/** Answers one request. `desk`: what there is to tell; undefined = the process still starts. */
export async function answerRequest(
  page: Page,
  request: PageRequest,
  world: RuleWorld | undefined,
  desk: PageDesk | undefined,
): Promise<Response> {
  if (world === undefined || desk === undefined) return shortAnswer(request, 503);
  const { spec, stats } = page;
  const context = new RequestContext(request, spec, world);
  if (spec.monitorUri !== undefined && isMonitor(spec.monitorUri, request.target)) {
    return shortAnswer(request, page.monitorFails(context) ? 503 : 200);
  }
  const rule = firstRule(page.rules, context);
  const ruled = rule === undefined ? undefined : await applyRule(rule, page, request, desk);
  if (ruled !== undefined) return ruled;
  if (stats === undefined || !request.target.startsWith(stats.spec.uri)) {
    return shortAnswer(request, 503);
  }
  return answerStats(page, stats, request, context, desk);
}

/** A path is compared with the path; anything else with the whole target. */
function isMonitor(uri: string, target: string): boolean {
  return (uri.startsWith("/") ? pathOf(target) : target) === uri || target === uri;
}

/** @returns undefined where the request goes on */
async function applyRule(
  { action }: PageRule,
  page: Page,
  request: PageRequest,
  desk: PageDesk,
): Promise<Response | undefined> {
  switch (action.kind) {
    case "allow":
      return undefined;
    case "deny":
      return shortAnswer(request, action.status);
    case "auth":
      return askLogin(request, action.realm ?? page.stats?.spec.realm ?? page.spec.name);
    case "return": {
      const type = action.contentType ?? "text/plain";
      return whole(request, action.status, type, action.text);
    }
    case "redirect":
      return whole(request, action.status, "text/plain", "", { location: action.location });
    case "prometheus":
      return request.method === "GET" || request.method === "HEAD"
        ? desk.metrics(request)
        : shortAnswer(request, 405, { allow: "GET, HEAD" });
  }
}

function askLogin(request: PageRequest, realm: string): Response {
  const quoted = realm.replace(/[\u0000-\u001f\u007f]/g, " ").replace(/["\\]/g, "\\$&");
  return shortAnswer(request, 401, { "www-authenticate": `Basic realm="${quoted}"` });
}

async function answerStats(
  page: Page,
  stats: StatsPage,
  request: PageRequest,
  context: RequestContext,
  desk: PageDesk,
): Promise<Response> {
  const { spec, accounts } = stats;
  const rule = firstRule(stats.rules, context);
  if (rule !== undefined && rule.action.kind !== "allow") {
    const ruled = await applyRule(rule, page, request, desk);
    if (ruled !== undefined) return ruled;
  }
  // What `stats http-request allow` lets in needs no account of `stats auth` besides.
  const isLetIn = accounts.isEmpty || rule?.action.kind === "allow";
  const user = isLetIn ? "" : accounts.find(request.header("authorization"));
  if (user === undefined) return askLogin(request, spec.realm);
  const options = parsePageOptions(request.target.slice(spec.uri.length));
  const isAdmin = stats.isAdmin(context);
  const use = { section: page.spec.name, user, host: request.header("host") ?? "" };
  switch (request.method) {
    case "GET":
    case "HEAD":
      return desk.show(spec, options, request, isAdmin ? use : undefined);
    case "POST":
      return answerPost(spec, options, request, desk, isAdmin ? use : undefined);
    default:
      return shortAnswer(request, 503);
  }
}

async function answerPost(
  spec: StatsPageSpec,
  options: PageOptions,
  request: PageRequest,
  desk: PageDesk,
  use: { section: string; user: string; host: string } | undefined,
): Promise<Response> {
  if (use === undefined) return tellOutcome(spec, options, request, "DENY");
  const body = await request.body(FORM_MAX);
  if (body === undefined) return tellOutcome(spec, options, request, "EXCD");
  const form = parseForm(body);
  const forged = refuseForged(request, form, desk.tokens, use);
  if (forged !== undefined) return tellOutcome(spec, options, request, "DENY", forged);
  const sees = (name: string): boolean => spec.scopes.length === 0 || spec.scopes.includes(name);
  const done: string[] = [];
  try {
    const outcome = await runForm(form, desk.actor, sees, done);
    return tellOutcome(spec, options, request, outcome);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return tellOutcome(spec, options, request, "UNKN", error.message);
  } finally {
    // Also those before the one that was refused.
    if (done.length > 0) desk.noteAction({ ...form, servers: done }, use, request.visitor);
  }
}

/** Back to the page with the outcome in the address; to the script, as JSON. */
function tellOutcome(
  spec: StatsPageSpec,
  options: PageOptions,
  request: PageRequest,
  outcome: Outcome,
  more = "",
): Response {
  if ((request.header("accept") ?? "").startsWith("application/json")) {
    const { text = "", tone = "" } = outcomeText(outcome) ?? {};
    const body = JSON.stringify({ outcome, tone, text: more === "" ? text : `${text} ${more}` });
    return whole(request, 200, "application/json", body);
  }
  const location = `${spec.uri};st=${outcome}${writePageOptions(options)}`;
  // A sentence may name what a configuration names: a header holds ASCII.
  const why = more.replace(/[^\x20-\x7e]/g, "?");
  const headers = { location, ...(why === "" ? {} : { "x-refused": why }) };
  return whole(request, 303, "text/plain", "", headers);
}
