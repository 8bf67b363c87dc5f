/**
 * What pages tell and do, once there is a process to tell of: the page itself, its other forms,
 * metrics, actions. Who may ask was settled before (`route.ts`). Main thread.
 */
import { onNextTurn } from "../base/clock.ts";
import { SLUICE_VERSION } from "../base/version.ts";
import type { Control } from "../control/control.ts";
import { describeHolders } from "../control/life/explain.ts";
import { ALL_STATS, dumpStats } from "../control/stats/dump.ts";
import type { StatFormat } from "../control/stats/dump.ts";
import { makeSchema } from "../control/stats/schema-json.ts";
import { statisticsOf } from "../control/stats/statistics.ts";
import type { StatsPageSpec } from "../tables/spec.ts";
import type { PageActor, PostedForm } from "./actions.ts";
import { packed, shortAnswer, streamed, whole } from "./answer.ts";
import { ControlActor } from "./control-actor.ts";
import { ControlSource } from "./control-source.ts";
import { PAGE_POLICY, pageDocument } from "./html/document.ts";
import { LiveBoard } from "./live.ts";
import { metricsText } from "./metrics/exposition.ts";
import { parseMetricsQuery } from "./metrics/query.ts";
import type { PageOptions } from "./options.ts";
import type { PageRequest, Visitor } from "./request.ts";
import type { ProxyHead, Row } from "./shared/fields.ts";
import { isUp, stateOf } from "./shared/state.ts";
import type { Tokens, TokenUse } from "./token.ts";

/** Servers of a backend that come with the page at first. */
const ROWS_FIRST = 50;
/** Servers that are read in one go. */
const SLICE = 250;

/** What `route.ts` hands requests to. */
export type PageDesk = {
  readonly tokens: Tokens;
  readonly actor: PageActor;
  /** @param use what a token of this visitor is bound to; undefined = no changes allowed */
  show(
    stats: StatsPageSpec,
    options: PageOptions,
    request: PageRequest,
    use: TokenUse | undefined,
  ): Response | Promise<Response>;
  metrics(request: PageRequest): Response | Promise<Response>;
  noteAction(form: PostedForm, use: TokenUse, visitor: Visitor): void;
  close(): void;
};

/** A pause in long work, so that other things go on. */
const nextTurn = (): Promise<void> => new Promise((resolve) => onNextTurn(resolve));

/** The desk of a running process. */
export class ControlDesk implements PageDesk {
  readonly tokens: Tokens;
  readonly actor: PageActor;
  readonly #control: Control;
  readonly #source: ControlSource;
  readonly #board: LiveBoard;

  /** @param epoch what tells this process from the one before it */
  constructor(control: Control, tokens: Tokens, epoch: string) {
    this.#control = control;
    this.tokens = tokens;
    this.actor = new ControlActor(control);
    this.#source = new ControlSource(control);
    this.#board = new LiveBoard(this.#source, control.clock, epoch, nextTurn);
  }

  close(): void {
    this.#source.close();
  }

  show(
    stats: StatsPageSpec,
    options: PageOptions,
    request: PageRequest,
    use: TokenUse | undefined,
  ): Response | Promise<Response> {
    const sees = scopeTest(stats, options);
    switch (options.form) {
      case "csv":
      case "json":
      case "typed":
        return this.#dump(options.form, stats, options, request, sees);
      case "json-schema":
        return packed(request, "application/json", `${JSON.stringify(makeSchema())}\n`);
      case "live":
        return this.#live(options, request, scopeTest(stats, { ...options, scope: "" }));
      case "why":
        return this.#why(options.about, request, sees);
      case "html":
        return this.#page(stats, options, request, sees, use);
    }
  }

  metrics(request: PageRequest): Response {
    const start = request.target.indexOf("?");
    const query = parseMetricsQuery(start < 0 ? "" : request.target.slice(start + 1));
    if (query === undefined) return shortAnswer(request, 400);
    const pieces = metricsText(this.#control, query);
    return streamed(request, "text/plain; version=0.0.4; charset=utf-8", paced(pieces));
  }

  noteAction(form: PostedForm, use: TokenUse, visitor: Visitor): void {
    const { action, backend, servers } = form;
    const who = use.user === "" ? "" : ` of ${JSON.stringify(use.user)}`;
    const from = visitor.address === "" ? "a unix socket" : visitor.address;
    const list = servers.slice(0, 20).map((name) => JSON.stringify(name));
    const more = servers.length > list.length ? ` and ${servers.length - list.length} more` : "";
    const where = `backend ${JSON.stringify(backend)}`;
    const text = `Page ${use.section}: ${action}${who} from ${from} on ${where}`;
    this.#control.say("notice", `${text}: ${list.join(", ")}${more}.`);
  }

  #dump(
    format: StatFormat,
    stats: StatsPageSpec,
    options: PageOptions,
    request: PageRequest,
    sees: (head: Pick<ProxyHead, "name">) => boolean,
  ): Response {
    const filter = { ...ALL_STATS, isUpOnly: options.upOnly, isWithoutMaint: options.noMaint };
    const isAll = stats.scopes.length === 0 && options.scope === "";
    const iids = isAll
      ? undefined
      : new Set(
          this.#source
            .heads()
            .filter(sees)
            .map(({ id }) => id),
        );
    const scoped = iids === undefined ? filter : { ...filter, iids };
    const pieces = dumpStats(statisticsOf(this.#control), scoped, format);
    const type = format === "json" ? "application/json" : "text/plain";
    const refresh: Record<string, string> =
      stats.refreshSeconds > 0 && !options.isStill ? { refresh: String(stats.refreshSeconds) } : {};
    return streamed(request, type, paced(pieces), refresh);
  }

  async #live(
    options: PageOptions,
    request: PageRequest,
    sees: (head: ProxyHead) => boolean,
  ): Promise<Response> {
    const { since, open, fresh, find, show } = options;
    const answer = await this.#board.ask({ since, open, fresh, find, show, sees });
    return packed(request, "application/json", JSON.stringify(answer));
  }

  async #why(
    about: string,
    request: PageRequest,
    sees: (head: Pick<ProxyHead, "name">) => boolean,
  ): Promise<Response> {
    const slash = about.indexOf("/");
    const name = slash < 0 ? about : about.slice(0, slash);
    const backend = this.#control.model.backends.get(name);
    const object = slash < 0 ? backend : backend?.serversByName.get(about.slice(slash + 1));
    if (backend === undefined || object === undefined || !sees(backend.spec)) {
      return shortAnswer(request, 404);
    }
    const { holders } = await describeHolders(this.#control, object);
    const body = { holders: holders.map(({ kind, text, clear }) => ({ kind, text, clear })) };
    return whole(request, 200, "application/json", JSON.stringify(body));
  }

  #page(
    stats: StatsPageSpec,
    options: PageOptions,
    request: PageRequest,
    sees: (head: ProxyHead) => boolean,
    use: TokenUse | undefined,
  ): Response {
    const pieces = pageDocument({
      uri: stats.uri,
      options,
      facts: this.#source.facts(),
      heads: this.#source.heads().filter(sees),
      rows: (head) => this.#rows(head, options),
      pid: process.pid,
      version: stats.showVersion ? SLUICE_VERSION : undefined,
      node: stats.showNode,
      description: stats.showDescription,
      showLegends: stats.showLegends,
      refreshSeconds: stats.refreshSeconds,
      token: use === undefined ? undefined : this.tokens.make(use),
    });
    return streamed(request, "text/html; charset=utf-8", pieces, {
      "content-security-policy": PAGE_POLICY,
    });
  }

  /** Rows that come with the page; those that the options leave out are not counted as hidden. */
  async #rows(head: ProxyHead, options: PageOptions): Promise<{ rows: Row[]; hidden: number }> {
    const front: Row[] = [];
    const servers: Row[] = [];
    const back: Row[] = [];
    const max = options.all ? Infinity : ROWS_FIRST;
    let seen = 0;
    for (let from = 0; servers.length < max; from += SLICE) {
      const before = seen;
      this.#source.rows(head.id, from, SLICE, (kind, id, name, values) => {
        if (kind === "server") seen++;
        const row = { kind, id, name, values: [...values] };
        if (kind === "backend") back.push(row);
        else if (kind !== "server") front.push(row);
        else if (servers.length < max && isServerShown(row, options)) servers.push(row);
      });
      if (seen - before < SLICE) break;
      await nextTurn();
    }
    // Filtered lists are cut without a count of the rest: it is not known.
    const isFiltered = options.upOnly || options.noMaint;
    const hidden = isFiltered ? 0 : head.serverCount - servers.length;
    return { rows: [...front, ...servers, ...back], hidden: Math.max(0, hidden) };
  }
}

/** Lets other work go on between pieces. */
async function* paced(pieces: Iterable<string>): AsyncGenerator<string> {
  for (const piece of pieces) {
    yield piece;
    await nextTurn();
  }
}

function isServerShown(row: Row, { upOnly, noMaint }: PageOptions): boolean {
  const state = stateOf(row);
  return upOnly ? isUp(state) : !noMaint || state !== "maint";
}

/** `stats scope`, and the filter of the address. */
function scopeTest(
  { scopes }: StatsPageSpec,
  { scope }: PageOptions,
): (head: Pick<ProxyHead, "name">) => boolean {
  return ({ name }) => {
    const isInScope = scopes.length === 0 || scopes.includes(name);
    return isInScope && (scope === "" || name.includes(scope));
  };
}
