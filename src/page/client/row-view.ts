/**
 * One line of a table: an element that is made once and then only changed where its texts differ.
 */
import { classOf, COLUMNS, isNothing } from "../shared/columns.ts";
import type { ProxyHead, Row } from "../shared/fields.ts";
import { numberOf } from "../shared/fields.ts";
import { legendText, titleOfRow } from "../shared/names.ts";
import { stateOf } from "../shared/state.ts";
import { make, Spark } from "./dom.ts";
import { Ring } from "./ring.ts";

const SPARK_WIDTH = 72;
const SPARK_HEIGHT = 18;

/** What rows of a table need to know of it. */
export type RowSetting = {
  readonly head: ProxyHead;
  readonly isAdmin: boolean;
  readonly showLegends: boolean;
  isChosen(name: string): boolean;
  choose(name: string, isChosen: boolean): void;
  explain(row: Row): void;
};

/** A row of data, its history, and its element once it was shown. */
export class RowView {
  row: Row;
  readonly ring = new Ring();
  readonly #setting: RowSetting;
  #element: HTMLTableRowElement | undefined;
  #cells: HTMLElement[] = [];
  #texts: string[] = [];
  #tips: string[] = [];
  #spark: Spark | undefined;
  #box: HTMLInputElement | undefined;

  constructor(row: Row, setting: RowSetting) {
    this.row = row;
    this.#setting = setting;
  }

  /** The element, made at the first call and brought up to date. */
  show(): HTMLTableRowElement {
    this.#element ??= this.#make();
    this.update();
    return this.#element;
  }

  /** Takes a look's rate into the history. */
  sample(): void {
    this.ring.push(numberOf(this.row, "rate"));
  }

  /** Changes what differs. Nothing to do for what was never shown. */
  update(): void {
    const element = this.#element;
    if (element === undefined) return;
    const { row } = this;
    const className = `${row.kind} st-${stateOf(row)}`;
    if (element.className !== className) element.className = className;
    COLUMNS.forEach((column, at) => {
      const cell = this.#cells[at];
      if (cell === undefined) return;
      const text = column.text(row);
      if (text !== this.#texts[at]) {
        this.#texts[at] = text;
        cell.textContent = text;
        cell.classList.toggle("z", isNothing(text));
      }
      const tip = column.tip(row);
      if (tip !== this.#tips[at]) {
        this.#tips[at] = tip;
        const holder = cell.closest("td");
        if (holder !== null) holder.title = tip;
      }
    });
    this.#spark?.set(this.ring.path(SPARK_WIDTH, SPARK_HEIGHT));
    if (this.#box !== undefined) this.#box.checked = this.#setting.isChosen(row.name);
  }

  #make(): HTMLTableRowElement {
    const { row } = this;
    const { head, isAdmin, showLegends } = this.#setting;
    const element = make("tr");
    if (isAdmin) element.append(this.#makeBox());
    const name = make("th", "name");
    name.scope = "row";
    const button = make("button", "why", titleOfRow(row));
    button.type = "button";
    button.title = "All there is to know";
    button.addEventListener("click", () => this.#setting.explain(this.row));
    name.append(button);
    const legend = showLegends ? legendText(head, row) : "";
    if (legend !== "") name.append(make("small", "", legend));
    element.append(name);
    for (const column of COLUMNS) {
      const cell = make("td", classOf(column));
      element.append(cell);
      if (column.key !== "status") {
        this.#cells.push(cell);
        continue;
      }
      const badge = make("span", "s");
      cell.append(badge);
      this.#cells.push(badge);
      const trend = make("td", "t");
      this.#spark = Spark.make(SPARK_WIDTH, SPARK_HEIGHT);
      trend.append(this.#spark.svg);
      element.append(trend);
    }
    return element;
  }

  #makeBox(): HTMLTableCellElement {
    const cell = make("td", "p");
    if (this.row.kind !== "server") return cell;
    const { head } = this.#setting;
    const box = make("input");
    box.type = "checkbox";
    box.name = "s";
    box.value = this.row.name;
    box.setAttribute("aria-label", `Choose ${head.name}/${this.row.name}`);
    box.addEventListener("change", () => this.#setting.choose(this.row.name, box.checked));
    this.#box = box;
    cell.append(box);
    return cell;
  }
}
