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
  readonly #width: number;
  readonly #height: number;

  constructor(svg: SVGSVGElement, width: number, height: number) {
    this.svg = svg;
    this.#width = width;
    this.#height = height;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    this.#path = document.createElementNS(SVG, "path");
    svg.append(this.#path);
  }

  /** A new one. */
  static make(width: number, height: number): Spark {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("aria-hidden", "true");
    return new Spark(svg, width, height);
  }

  set(path: string): void {
    if (this.#path.getAttribute("d") !== path) this.#path.setAttribute("d", path);
  }

  get width(): number {
    return this.#width;
  }

  get height(): number {
    return this.#height;
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
