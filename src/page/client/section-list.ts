/**
 * All sections of the page: which there are, in which order, which are on the screen. A section
 * costs its table only once it has been opened; of thousands most are a line.
 */
import type { ProxyHead } from "../shared/fields.ts";
import { describeHead } from "../shared/heads.ts";
import type { LiveAnswer } from "./boot.ts";
import { byId, make } from "./dom.ts";
import type { Wish } from "./order.ts";
import type { SectionHost } from "./section-view.ts";
import { SectionView } from "./section-view.ts";

/** Sections that are opened without being asked, where there are no more than these. */
const OPEN_FIRST = 60;

/** A section, with its table or as a line. */
type Entry = {
  head: ProxyHead;
  element: HTMLElement;
  /** Undefined until it is opened. */
  view: SectionView | undefined;
  isNear: boolean;
};

/** The sections in `main`. */
export class SectionList {
  readonly #main = byId("proxies", HTMLElement);
  readonly #host: SectionHost;
  readonly #entries = new Map<number, Entry>();
  readonly #byElement = new WeakMap<Element, Entry>();
  readonly #observer: IntersectionObserver;
  #found: ReadonlySet<number> | undefined;
  #wish: Wish = { find: "", show: "" };

  constructor(host: SectionHost) {
    this.#host = host;
    const rootMargin = "300px 0px";
    this.#observer = new IntersectionObserver((seen) => this.#notice(seen), { rootMargin });
  }

  /** Views whose rows are on the screen, in order. */
  open(): SectionView[] {
    return [...this.#entries.values()].flatMap(({ view, element, isNear }) => {
      return view !== undefined && isNear && !element.hidden && view.isUnfolded ? [view] : [];
    });
  }

  /** Takes the list of sections. */
  setHeads(heads: readonly ProxyHead[]): void {
    const ids = new Set(heads.map(({ id }) => id));
    for (const [id, entry] of this.#entries) {
      if (ids.has(id)) continue;
      this.#observer.unobserve(entry.element);
      this.#entries.delete(id);
    }
    const there = new Map<number, HTMLElement>();
    for (const element of [...this.#main.children]) {
      const id = element instanceof HTMLElement ? Number(element.dataset["id"]) : -1;
      if (element instanceof HTMLElement && ids.has(id)) there.set(id, element);
      else element.remove();
    }
    let before: Element | null = null;
    for (const head of heads) {
      const entry =
        this.#entries.get(head.id) ?? this.#enter(head, there.get(head.id), heads.length);
      entry.head = head;
      if (entry.view !== undefined) entry.view.head = head;
      place(this.#main, before, entry.element);
      before = entry.element;
    }
  }

  /** Gives rows and cells of an answer to their sections. */
  take(open: LiveAnswer["open"]): void {
    for (const [id, section] of Object.entries(open)) {
      this.#entries.get(Number(id))?.view?.take(section);
    }
  }

  /** Shows what is wanted. @param found sections with servers that fit; undefined = not known */
  render(wish: Wish, found: ReadonlySet<number> | undefined): void {
    this.#wish = wish;
    this.#found = found;
    for (const entry of this.#entries.values()) {
      const { element, view, isNear } = entry;
      const isShown = this.#isShown(entry);
      if (element.hidden === isShown) element.hidden = !isShown;
      if (isShown && isNear && view?.hasRows === true) view.render(wish);
    }
  }

  #isShown({ head }: Entry): boolean {
    const { find, show } = this.#wish;
    if (this.#found === undefined || (find === "" && show === "")) return true;
    const isNamed = find !== "" && show === "" && head.name.toLowerCase().includes(find);
    return isNamed || this.#found.has(head.id);
  }

  #enter(head: ProxyHead, there: HTMLElement | undefined, count: number): Entry {
    const entry: Entry = { head, element: there ?? makeLine(head), view: undefined, isNear: false };
    this.#entries.set(head.id, entry);
    const hasTable = (there?.querySelector("table") ?? null) !== null;
    if (hasTable) entry.view = new SectionView(head, entry.element, this.#host);
    else if (count <= OPEN_FIRST) this.#unfold(entry);
    else this.#watchLine(entry);
    this.#byElement.set(entry.element, entry);
    this.#observer.observe(entry.element);
    return entry;
  }

  /** A line that is opened gets its table. */
  #watchLine(entry: Entry): void {
    const details = entry.element.querySelector("details");
    details?.addEventListener("toggle", () => {
      if (!details.open || entry.view !== undefined) return;
      this.#unfold(entry);
      this.#host.wake();
    });
  }

  #unfold(entry: Entry): void {
    const { head, element: old } = entry;
    const element = makeSection(head);
    element.hidden = old.hidden;
    this.#observer.unobserve(old);
    if (old.isConnected) old.replaceWith(element);
    entry.element = element;
    entry.view = new SectionView(head, element, this.#host);
    this.#byElement.set(element, entry);
    this.#observer.observe(element);
  }

  #notice(seen: readonly IntersectionObserverEntry[]): void {
    let isNew = false;
    for (const { target, isIntersecting } of seen) {
      const entry = this.#byElement.get(target);
      if (entry === undefined || entry.element !== target) continue;
      entry.isNear = isIntersecting;
      // Whoever filters wants to see what is found, not to open it.
      const { find, show } = this.#wish;
      const isFiltered = find !== "" || show !== "";
      if (isIntersecting && isFiltered && entry.view === undefined && !entry.element.hidden) {
        this.#unfold(entry);
      }
      isNew ||= isIntersecting;
    }
    if (isNew) this.#host.wake();
  }
}

/** A section as a line: closed, without a table. */
function makeLine(head: ProxyHead): HTMLElement {
  const element = make("section", "proxy");
  element.dataset["id"] = String(head.id);
  const details = make("details");
  const summary = make("summary");
  summary.append(make("h2", "", head.name));
  for (const tag of describeHead(head)) summary.append(make("span", "tag", tag));
  details.append(summary);
  element.append(details);
  return element;
}

/** A section with an empty table, from the page's template. */
function makeSection(head: ProxyHead): HTMLElement {
  const template = byId(head.hasBack ? "back" : "front", HTMLTemplateElement);
  const copy = template.content.cloneNode(true);
  const element = copy instanceof DocumentFragment ? copy.firstElementChild : null;
  if (!(element instanceof HTMLElement)) throw new Error("the page has no section to copy");
  element.dataset["id"] = String(head.id);
  const title = element.querySelector("h2");
  if (title !== null) title.textContent = head.name;
  const caption = element.querySelector("caption");
  if (caption !== null) caption.textContent = head.name;
  element.querySelector(".scroll")?.setAttribute("aria-label", `Table of ${head.name}`);
  const backend = element.querySelector<HTMLInputElement>('input[name="b"]');
  if (backend !== null) backend.value = `#${head.id}`;
  return element;
}

/** Puts an element behind another, or first; one that is there already is not touched. */
function place(parent: Element, before: Element | null, element: Element): void {
  const there = before === null ? parent.firstElementChild : before.nextElementSibling;
  if (there === element) return;
  if (before === null) parent.prepend(element);
  else before.after(element);
}
