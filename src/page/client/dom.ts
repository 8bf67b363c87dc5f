/**
 * Small things about elements.
 */

/** The element with an id. @throws Error when the page has none */
export function byId<T extends Element>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

/** The first element below `root` that fits. @throws Error when there is none */
export function first<T extends Element>(root: ParentNode, selector: string, kind: new () => T): T {
  const found = root.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`the page has no ${selector}`);
  return found;
}

/** A new element with a class and a text. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  if (text !== "") element.textContent = text;
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A line for a ring of values: `set` draws it. */
export class Spark {
  readonly svg: SVGSVGElement;
  readonly #path: SVGPathElement;
  readonly #area: SVGPathElement;
  readonly #height: number;

  constructor(svg: SVGSVGElement, width: number, height: number) {
    this.svg = svg;
    this.#height = height;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    this.#path = document.createElementNS(SVG, "path");
    this.#area = document.createElementNS(SVG, "path");
    this.#area.setAttribute("class", "area");
    svg.append(this.#area, this.#path);
  }

  /** A new one. */
  static make(width: number, height: number): Spark {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("aria-hidden", "true");
    return new Spark(svg, width, height);
  }

  set(path: string): void {
    if (this.#path.getAttribute("d") === path) return;
    this.#path.setAttribute("d", path);
    const start = /^M([\d.]+)/.exec(path)?.[1] ?? "0";
    const bottom = this.#height;
    this.#area.setAttribute("d", path === "" ? "" : `${path}V${bottom}H${start}Z`);
  }
}

/** A setting that outlives the page, where the browser lets it. */
export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`sluice.${key}`, value);
  } catch {
    // A browser that keeps nothing keeps this neither.
  }
}

/** What was remembered; "" = nothing. */
export function recall(key: string): string {
  try {
    return localStorage.getItem(`sluice.${key}`) ?? "";
  } catch {
    return "";
  }
}
