/**
 * The figures about the process, kept up to date.
 */
import type { ProcessFacts } from "../shared/fields.ts";
import { formatBytes } from "../shared/format.ts";
import { TILES } from "../shared/tiles.ts";
import { Spark } from "./dom.ts";
import { Growth, Ring } from "./ring.ts";

const WIDTH = 160;
const HEIGHT = 28;

type TileView = {
  readonly value: Element;
  readonly hint: Element;
  readonly ring: Ring;
  readonly growth: Growth;
  readonly spark: Spark | undefined;
};

/** All figures. */
export class TilesView {
  readonly #views = new Map<string, TileView>();

  constructor() {
    for (const element of document.querySelectorAll<HTMLElement>("[data-tile]")) {
      const value = element.querySelector("b");
      const hint = element.querySelector("i");
      const svg = element.querySelector("svg");
      if (value === null || hint === null) continue;
      const spark = svg === null ? undefined : new Spark(svg, WIDTH, HEIGHT);
      const view = { value, hint, ring: new Ring(), growth: new Growth(), spark };
      this.#views.set(element.dataset["tile"] ?? "", view);
    }
  }

  update(facts: ProcessFacts, nowMs: number): void {
    for (const tile of TILES) {
      const view = this.#views.get(tile.key);
      if (view === undefined) continue;
      let text = tile.text(facts);
      let hint = tile.hint(facts);
      const sample = tile.sample?.(facts);
      if (sample?.kind === "value") view.ring.push(sample.value);
      else if (sample !== undefined) {
        const rate = view.growth.push(sample.value, nowMs);
        if (rate >= 0) view.ring.push(rate);
        if (view.ring.count > 0) {
          hint = `${text} ${hint}`;
          text = `${formatBytes(view.ring.last)}/s`;
        }
      }
      if (view.value.textContent !== text) view.value.textContent = text;
      if (view.hint.textContent !== hint) view.hint.textContent = hint;
      view.spark?.set(view.ring.path(WIDTH, HEIGHT, tile.key === "idle" ? 100 : 0));
    }
  }
}
