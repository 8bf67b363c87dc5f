/**
 * The box that tells all of one object: every figure, and who keeps it from being removed.
 */
import { COLUMNS } from "../shared/columns.ts";
import type { ProxyHead, Row } from "../shared/fields.ts";
import { titleOfRow } from "../shared/names.ts";
import { stateOf } from "../shared/state.ts";
import { make } from "./dom.ts";

/** An answer to `;why=…`. */
type Why = { readonly holders: readonly { readonly text: string; readonly clear?: string }[] };

/** The box; one for the page. */
export class Details {
  readonly #dialog = make("dialog", "details");
  readonly #uri: string;

  constructor(uri: string) {
    this.#uri = uri;
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    document.body.append(this.#dialog);
  }

  /** Opens it for a row. */
  show(head: ProxyHead, row: Row): void {
    const title = make("h3", `st-${stateOf(row)}`, `${head.name} / ${titleOfRow(row)}`);
    const close = make("button", "close", "Close");
    close.type = "button";
    close.addEventListener("click", () => this.#dialog.close());
    const list = make("dl");
    for (const column of COLUMNS) {
      const text = column.text(row);
      if (text === "") continue;
      const group = column.group === column.label ? "" : `${column.group}: `;
      const what = make("dt", "", `${group}${column.label}`);
      what.title = column.about;
      const value = make("dd", "", text);
      const tip = column.tip(row);
      if (tip !== "") value.append(make("small", "", tip));
      list.append(what, value);
    }
    const parts: Element[] = [title, close];
    if (row.kind === "server" || row.kind === "backend") {
      const holders = make("section", "holders");
      holders.append(make("p", "", "Looking who holds it…"));
      parts.push(holders);
      void this.#explain(head, row, holders);
    }
    this.#dialog.replaceChildren(...parts, list);
    this.#dialog.showModal();
  }

  async #explain(head: ProxyHead, row: Row, into: HTMLElement): Promise<void> {
    const name = row.kind === "server" ? `${head.name}/${row.name}` : head.name;
    const heading = make("h4", "", "What keeps it from being removed");
    try {
      const address = `${this.#uri};why=${encodeURIComponent(name)}`;
      const response = await fetch(address, { headers: { accept: "application/json" } });
      if (!response.ok) throw new Error(String(response.status));
      const { holders } = (await response.json()) as Why;
      const list = make("ul");
      for (const { text, clear } of holders) {
        const item = make("li", "", text);
        if (clear !== undefined) item.append(make("code", "", clear));
        list.append(item);
      }
      into.replaceChildren(heading, holders.length === 0 ? make("p", "", "Nothing.") : list);
    } catch {
      into.replaceChildren(make("p", "bad", "Who holds it could not be asked."));
    }
  }
}
