/**
 * The page as a stream of HTML: complete without the script, which only makes it live.
 */
import { createHash } from "node:crypto";

import clientScript from "../generated/client.txt" with { type: "text" };
import clientStyle from "../generated/style.txt" with { type: "text" };
import type { PageOptions } from "../options.ts";
import { writePageOptions } from "../options.ts";
import type { ProcessFacts, ProxyHead, Row } from "../shared/fields.ts";
import { escapeHtml, escapeJson } from "./escape.ts";
import { outcomeText } from "./outcome.ts";
import { proxySection, sectionTemplate } from "./section.ts";
import { tilesHtml } from "./tiles.ts";

const hashOf = (text: string): string =>
  `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Nothing from elsewhere, nothing inline but these two, no frames, forms to us alone. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${hashOf(clientScript)}`,
  `style-src ${hashOf(clientStyle)}`,
  "img-src data:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** What the page is made of. */
export type DocumentInput = {
  readonly uri: string;
  readonly options: PageOptions;
  readonly facts: ProcessFacts;
  readonly heads: readonly ProxyHead[];
  /** Rows of a section, as the options want them; `hidden`: servers that were left out. */
  rows(head: ProxyHead): Promise<{ rows: Row[]; hidden: number }>;
  readonly pid: number;
  /** Undefined = not told. */
  readonly version: string | undefined;
  readonly node: string | undefined;
  readonly description: string | undefined;
  readonly showLegends: boolean;
  readonly refreshSeconds: number;
  /** Undefined = changes are not allowed. */
  readonly token: string | undefined;
};

/** Sections that come with their rows; those behind are opened by hand, or by the script. */
const SECTIONS_FULL = 60;

/** The page, piece by piece. */
export async function* pageDocument(input: DocumentInput): AsyncGenerator<string> {
  yield headHtml(input);
  yield barHtml(input);
  yield outcomeHtml(input.options.outcome);
  yield tilesHtml(input.facts);
  yield '<main id="proxies">';
  let full = 0;
  const isAdmin = input.token !== undefined;
  const look = { isAdmin, showLegends: input.showLegends, uri: input.uri, token: input.token };
  for (const head of input.heads) {
    if (full < SECTIONS_FULL) {
      full++;
      const { rows, hidden } = await input.rows(head);
      yield* proxySection(head, rows, hidden, look);
    } else yield* proxySection(head, undefined, 0, look);
  }
  if (input.heads.length === 0) yield '<p class="empty">There is nothing to show here.</p>';
  yield "</main>";
  yield sectionTemplate(look);
  yield footHtml(input);
}

function headHtml(input: DocumentInput): string {
  const { node, options, refreshSeconds } = input;
  const title = node === undefined ? "sluice statistics" : `${node} · sluice statistics`;
  const reload =
    refreshSeconds > 0 && !options.isStill
      ? `<noscript><meta http-equiv="refresh" content="${refreshSeconds}"></noscript>`
      : "";
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8">` +
    `<meta name="viewport" content="width=device-width, initial-scale=1">` +
    `<meta name="color-scheme" content="light dark"><title>${escapeHtml(title)}</title>` +
    `<link rel="icon" href="data:,">${reload}<style>${clientStyle}</style></head>\n<body>`
  );
}

function barHtml(input: DocumentInput): string {
  const { version, node, description, pid, uri, options } = input;
  const name = version === undefined ? "" : ` <small>${escapeHtml(version)}</small>`;
  const where = node === undefined ? "" : ` on <b>${escapeHtml(node)}</b>`;
  const what = description === undefined ? "" : `: ${escapeHtml(description)}`;
  // A form that is sent without the script replaces the address's own query: it is put back.
  const [, query] = uri.split("?");
  const kept =
    query === undefined ? "" : `<input type="hidden" name="${escapeHtml(query)}" value="">`;
  const [path = "/"] = uri.split("?");
  return (
    `<a class="skip" href="#proxies">Skip to the tables</a><header class="bar">` +
    `<div class="who"><h1>${MARK}sluice${name}</h1>` +
    `<p>Statistics of process ${pid}${where}${what}</p></div>` +
    `<form class="tools" role="search" method="get" action="${escapeHtml(path)}">${kept}` +
    `<label class="find"><span class="vh">Filter by name or address</span>` +
    `<input type="search" id="find" name="scope" maxlength="40" placeholder="Filter" ` +
    `autocomplete="off" spellcheck="false" value="${escapeHtml(options.scope)}"></label>` +
    toolsHtml +
    `</form></header>`
  );
}

/** The mark: a gate with its stream, in the colours of the text. */
const MARK =
  '<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path d="M4 4v16M20 4v16M4 9h16"/>' +
  '<path class="flow" d="M7 14c2-2 3 2 5 0s3 2 5 0M7 18c2-2 3 2 5 0s3 2 5 0"/></svg>';

/** What only the script can do is shown by the script. */
const toolsHtml =
  '<span class="js" hidden>' +
  '<label><span class="vh">Servers shown</span><select id="show">' +
  '<option value="">All servers</option><option value="up">Up only</option>' +
  '<option value="trouble">Trouble only</option><option value="no-maint">No maintenance</option>' +
  "</select></label>" +
  '<label><span class="vh">Columns</span><select id="columns"><option value="auto">Columns: fit' +
  '</option><option value="all">Columns: all</option><option value="lean">Columns: few</option>' +
  "</select></label>" +
  '<label><span class="vh">How often the figures are renewed</span><select id="pace">' +
  '<option value="1">every second</option><option value="2">every 2 s</option>' +
  '<option value="5">every 5 s</option><option value="10">every 10 s</option>' +
  '<option value="30">every 30 s</option><option value="60">every minute</option>' +
  "</select></label>" +
  '<button type="button" id="pause" aria-pressed="false">Pause</button>' +
  '<span id="live" class="live" role="status"></span></span>';

function outcomeHtml(outcome: string): string {
  const said = outcomeText(outcome);
  if (said === undefined) return "";
  return `<p class="outcome ${said.tone}" role="status">${escapeHtml(said.text)}</p>`;
}

function footHtml(input: DocumentInput): string {
  const { uri, options, refreshSeconds, token, showLegends } = input;
  const link = (form: "csv" | "json" | "typed"): string => {
    const kept = writePageOptions({ ...options, form, isStill: true });
    return `<a href="${escapeHtml(uri + kept)}">${form.toUpperCase()}</a>`;
  };
  const boot = {
    uri,
    refreshSeconds,
    isStill: options.isStill,
    isAdmin: token !== undefined,
    token: token ?? "",
    showLegends,
    scope: options.scope,
    show: options.upOnly ? "up" : options.noMaint ? "no-maint" : "",
  };
  return (
    `<footer><nav aria-label="Other forms">${link("csv")} ${link("json")} ${link("typed")}` +
    ` <a href="${escapeHtml(`${uri};json-schema`)}">JSON schema</a></nav>${LEGEND}</footer>` +
    `<script type="application/json" id="boot">${escapeJson(boot)}</script>` +
    `<script>${clientScript}</script></body></html>\n`
  );
}

const LEGEND =
  '<ul class="legend" aria-label="Colours"><li class="st-up">up</li>' +
  '<li class="st-going-down">up, going down</li><li class="st-going-up">down, going up</li>' +
  '<li class="st-down">down</li><li class="st-unchecked">not checked</li>' +
  '<li class="st-maint">maintenance</li><li class="st-drain">draining</li>' +
  '<li class="st-nolb">no new traffic</li></ul>';
