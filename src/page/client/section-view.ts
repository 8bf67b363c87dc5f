/**
 * One proxy on the page: takes its rows from answers, shows those that are wanted in the order that
 * is wanted, and of a long table only what is on the screen.
 */
import { COLUMNS } from "../shared/columns.ts";
import type { CellValue, ProxyHead, Row } from "../shared/fields.ts";
import { numberOf } from "../shared/fields.ts";
import { formatCount } from "../shared/format.ts";
import { describeHead } from "../shared/heads.ts";
import { isUp, stateOf } from "../shared/state.ts";
import type { LiveAnswer } from "./boot.ts";
import { readRow } from "./boot.ts";
import { first, make, Spark } from "./dom.ts";
import type { Sorting, Wish } from "./order.ts";
import { arrange, isWanted, nextSorting } from "./order.ts";
import { Ring } from "./ring.ts";
import type { RowSetting } from "./row-view.ts";
import { RowView } from "./row-view.ts";
import { partOf, WINDOW_MIN } from "./window.ts";

const SPARK_WIDTH = 120;
const SPARK_HEIGHT = 22;

/** What a section needs of the page. */
export type SectionHost = {
  readonly isAdmin: boolean;
  readonly showLegends: boolean;
  explain(head: ProxyHead, row: Row): void;
  submit(section: SectionView, action: string): void;
  /** A section was opened, or its rows are wanted now. */
  wake(): void;
};

/** A section of the page. */
export class SectionView {
  head: ProxyHead;
  readonly element: HTMLElement;
  /** Names of the servers that were chosen. */
  readonly chosen = new Set<string>();
  #views: RowView[] = [];
  #shown: RowView[] = [];
  #sorting: Sorting;
  #wish: Wish = { find: "", show: "" };
  #rowHeight = 0;
  #isDrawing = false;
  readonly #host: SectionHost;
  readonly #details: HTMLDetailsElement;
  readonly #scroll: HTMLElement;
  readonly #body: HTMLTableSectionElement;
  readonly #sum: HTMLElement;
  readonly #ring = new Ring();
  readonly #spark = Spark.make(SPARK_WIDTH, SPARK_HEIGHT);
  readonly #setting: RowSetting;

  constructor(head: ProxyHead, element: HTMLElement, host: SectionHost) {
    this.head = head;
    this.element = element;
    this.#host = host;
    this.#details = first(element, "details", HTMLDetailsElement);
    this.#scroll = first(element, ".scroll", HTMLElement);
    this.#body = first(element, "tbody", HTMLTableSectionElement);
    this.#sum = first(element, ".sum", HTMLElement);
    this.#sum.after(this.#spark.svg);
    this.#setting = {
      head,
      isAdmin: host.isAdmin && head.hasBack,
      showLegends: host.showLegends,
      isChosen: (name) => this.chosen.has(name),
      choose: (name, isChosen) => this.#choose(name, isChosen),
      explain: (row) => host.explain(this.head, row),
    };
    this.#details.addEventListener("toggle", () => host.wake());
    this.#scroll.addEventListener("scroll", () => this.#drawSoon(), { passive: true });
    this.#makeSortable();
    this.#makeActions();
  }

  get isUnfolded(): boolean {
    return this.#details.open;
  }

  get hasRows(): boolean {
    return this.#views.length > 0;
  }

  /** Takes what an answer says of this section. */
  take(section: LiveAnswer["open"][string]): void {
    if (section.rows !== undefined) this.#replace(section.rows.map(readRow));
    else if (section.cells !== undefined) this.#patch(section.cells);
    for (const view of this.#views) view.sample();
    this.#summarize();
  }

  /** Shows what is there as it is wanted. */
  render(wish: Wish): void {
    this.#wish = wish;
    const isNamed = wish.find !== "" && this.head.name.toLowerCase().includes(wish.find);
    const byRow = new Map(this.#views.map((view) => [view.row, view]));
    const rows = this.#views.map(({ row }) => row).filter((row) => isWanted(row, isNamed, wish));
    this.#shown = arrange(rows, this.#sorting).flatMap((row) => byRow.get(row) ?? []);
    this.#draw();
  }

  #replace(rows: readonly Row[]): void {
    const key = ({ kind, id, name }: Row): string => `${kind} ${id} ${name}`;
    const old = new Map(this.#views.map((view) => [key(view.row), view]));
    this.#views = rows.map((row) => {
      const view = old.get(key(row)) ?? new RowView(row, this.#setting);
      view.row = row;
      return view;
    });
    const names = new Set(rows.map(({ name }) => name));
    for (const name of this.chosen) if (!names.has(name)) this.chosen.delete(name);
  }

  #patch(cells: readonly CellValue[]): void {
    for (let at = 0; at + 2 < cells.length; at += 3) {
      const view = this.#views[Number(cells[at])];
      if (view !== undefined) view.row.values[Number(cells[at + 1])] = cells[at + 2] ?? null;
    }
  }

  #drawSoon(): void {
    if (this.#isDrawing || this.#shown.length < WINDOW_MIN) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      this.#draw();
    });
  }

  #draw(): void {
    const isLong = this.#shown.length >= WINDOW_MIN;
    this.#scroll.classList.toggle("long", isLong);
    const { scrollTop, clientHeight } = this.#scroll;
    const part = partOf(this.#shown.length, this.#rowHeight || 26, scrollTop, clientHeight);
    const rows: Element[] = this.#shown.slice(part.from, part.to).map((view) => view.show());
    if (part.above > 0) rows.unshift(spacer(part.above));
    if (part.below > 0) rows.push(spacer(part.below));
    if (!isSameList(this.#body.children, rows)) this.#body.replaceChildren(...rows);
    if (isLong && this.#rowHeight === 0) this.#measure();
  }

  #measure(): void {
    const row = this.#body.querySelector("tr.server");
    const height = row?.getBoundingClientRect().height ?? 0;
    if (height <= 0) return;
    this.#rowHeight = height;
    this.#draw();
  }

  #summarize(): void {
    const servers = this.#views.filter(({ row }) => row.kind === "server");
    const main = this.#views.find(({ row }) => row.kind === "backend") ?? this.#views[0];
    if (main === undefined) return;
    const rate = numberOf(main.row, "rate");
    this.#ring.push(rate);
    this.#spark.set(this.#ring.path(SPARK_WIDTH, SPARK_HEIGHT));
    const up = servers.filter(({ row }) => isUp(stateOf(row))).length;
    const parts = [`${formatCount(rate)} sessions/s`];
    if (servers.length > 0) parts.unshift(`${up} of ${servers.length} up`);
    const text = parts.join(" · ");
    if (this.#sum.textContent !== text) this.#sum.textContent = text;
    // What somebody took out on purpose is no alarm.
    const isBad = servers.some(({ row }) => /^(?:down|going-)/.test(stateOf(row)));
    this.#sum.classList.toggle("bad", isBad);
    this.#setTags();
  }

  #setTags(): void {
    const tags = describeHead(this.head);
    const old = [...this.element.querySelectorAll(".tag")];
    if (old.map(({ textContent }) => textContent).join("\n") === tags.join("\n")) return;
    for (const element of old) element.remove();
    for (const tag of tags) this.#sum.before(make("span", "tag", tag));
  }

  #makeSortable(): void {
    for (const head of this.element.querySelectorAll<HTMLElement>("th[data-key]")) {
      const key = head.dataset["key"] ?? "";
      if (key !== "name" && !COLUMNS.some((column) => column.key === key)) continue;
      const button = make("button", "sort");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => this.#sortBy(key));
    }
  }

  #sortBy(key: string): void {
    this.#sorting = nextSorting(this.#sorting, key);
    for (const head of this.element.querySelectorAll<HTMLElement>("th[data-key]")) {
      const isIt = this.#sorting !== undefined && head.dataset["key"] === this.#sorting.key;
      if (!isIt) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.#sorting?.isDown ? "descending" : "ascending");
    }
    this.render(this.#wish);
  }

  #makeActions(): void {
    const form = this.element.querySelector("form");
    const corner = this.element.querySelector("thead td.p");
    if (form === null || corner === null) return;
    const all = make("input");
    all.type = "checkbox";
    all.setAttribute("aria-label", `Choose all servers shown of ${this.head.name}`);
    all.addEventListener("change", () => this.#chooseAll(all.checked));
    corner.replaceChildren(all);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#host.submit(this, first(form, "select", HTMLSelectElement).value);
    });
  }

  #choose(name: string, isChosen: boolean): void {
    if (isChosen) this.chosen.add(name);
    else this.chosen.delete(name);
    this.#tellChosen();
  }

  #chooseAll(isChosen: boolean): void {
    for (const { row } of this.#shown) {
      if (row.kind !== "server") continue;
      if (isChosen) this.chosen.add(row.name);
      else this.chosen.delete(row.name);
    }
    for (const view of this.#shown) view.update();
    this.#tellChosen();
  }

  /** Nothing is chosen any more. */
  clearChosen(): void {
    this.chosen.clear();
    const all = this.element.querySelector<HTMLInputElement>("thead td.p input");
    if (all !== null) all.checked = false;
    for (const view of this.#shown) view.update();
    this.#tellChosen();
  }

  #tellChosen(): void {
    const label = this.element.querySelector(".actions label");
    const { size } = this.chosen;
    const text = size === 0 ? "With the chosen servers " : `With ${formatCount(size)} chosen `;
    const [node] = label?.childNodes ?? [];
    if (node instanceof Text && node.data !== text) node.data = text;
  }
}

function spacer(height: number): HTMLTableRowElement {
  const row = make("tr", "spacer");
  row.setAttribute("aria-hidden", "true");
  const cell = make("td");
  cell.colSpan = 40;
  cell.style.height = `${height}px`;
  row.append(cell);
  return row;
}

function isSameList(now: HTMLCollection, wanted: readonly Element[]): boolean {
  return now.length === wanted.length && wanted.every((element, at) => now[at] === element);
}
