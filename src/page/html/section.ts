/**
 * One proxy on the page: head, table, and the form of actions.
 */
import { ACTIONS } from "../shared/actions.ts";
import type { ProxyHead, Row } from "../shared/fields.ts";
import { describeHead } from "../shared/heads.ts";
import { escapeHtml, escapeUrl } from "./escape.ts";
import { tableHead, tableRow } from "./table.ts";
import type { TableLook } from "./table.ts";

/** What decides how a section looks. */
export type SectionLook = TableLook & { readonly uri: string; readonly token: string | undefined };

/**
 * A section.
 * @param rows undefined = closed, and without rows until the script asks for them
 * @param hidden servers that are not among the rows
 */
export function* proxySection(
  head: ProxyHead,
  rows: readonly Row[] | undefined,
  hidden: number,
  look: SectionLook,
): Generator<string> {
  const name = escapeHtml(head.name);
  const isOpen = rows === undefined ? "" : " open";
  yield `<section class="proxy" data-id="${head.id}"><details${isOpen}>` +
    `<summary><h2>${name}</h2>${tagsHtml(head)}<span class="sum"></span></summary>`;
  if (rows === undefined) {
    const link = escapeHtml(`${look.uri};scope=${escapeUrl(head.name)}`);
    yield `<p class="far"><a href="${link}">Show ${name}</a></p></details></section>\n`;
    return;
  }
  const table = { ...look, isAdmin: hasActions(head, look) };
  yield openTable(head, table);
  for (const row of rows) yield tableRow(head, row, table);
  if (hidden > 0) {
    const link = escapeHtml(`${look.uri};all;scope=${escapeUrl(head.name)}`);
    const text = `${hidden} more servers`;
    yield `<tr class="more"><td colspan="40"><a href="${link}">${text}</a></td></tr>`;
  }
  yield `</tbody></table></div>${actionsHtml(head, look)}</details></section>\n`;
}

function tagsHtml(head: ProxyHead): string {
  return describeHead(head)
    .map((tag) => `<span class="tag">${escapeHtml(tag)}</span>`)
    .join("");
}

function openTable(head: ProxyHead, look: SectionLook): string {
  const name = escapeHtml(head.name);
  const form = hasActions(head, look)
    ? `<form method="post" action="${escapeHtml(look.uri)}">` +
      `<input type="hidden" name="b" value="#${head.id}">` +
      `<input type="hidden" name="t" value="${escapeHtml(look.token ?? "")}">`
    : "";
  return (
    `${form}<div class="scroll" tabindex="0" role="region" aria-label="Table of ${name}">` +
    `<table><caption class="vh">${name}</caption>${tableHead(look)}<tbody>`
  );
}

function hasActions(head: ProxyHead, look: SectionLook): boolean {
  return look.isAdmin && head.hasBack;
}

function actionsHtml(head: ProxyHead, look: SectionLook): string {
  if (!hasActions(head, look)) return "";
  const options = ACTIONS.map(
    ({ word, label }) => `<option value="${word}">${escapeHtml(label)}</option>`,
  );
  return (
    `<div class="actions"><label>With the chosen servers <select name="action">` +
    `<option value=""></option>${options.join("")}</select></label>` +
    `<button type="submit">Apply</button></div></form>`
  );
}

/** What the script makes further sections of. */
export function sectionTemplate(look: SectionLook): string {
  const head = { id: 0, name: "", mode: "", algorithm: "", description: "", serverCount: 0 };
  const back = [...proxySection({ ...head, hasFront: false, hasBack: true }, [], 0, look)];
  const front = [...proxySection({ ...head, hasFront: true, hasBack: false }, [], 0, look)];
  return (
    `<template id="back">${back.join("")}</template>` +
    `<template id="front">${front.join("")}</template>`
  );
}
