/**
 * The page's script: asks for what has changed, shows it, and sends actions. The page is complete
 * without it. Bundled into `generated/client.txt` by scripts/generate.
 */
import { ACTIONS } from "../shared/actions.ts";
import type { Boot, LiveAnswer } from "./boot.ts";
import { Details } from "./details.ts";
import { byId, make, recall, remember } from "./dom.ts";
import type { Wish } from "./order.ts";
import { SectionList } from "./section-list.ts";
import type { SectionView } from "./section-view.ts";
import { TilesView } from "./tiles-view.ts";

/** Sections that are asked for at once: the server gives no more. */
const OPEN_MAX = 100;
/** Longest pause after failures, s. */
const PAUSE_MAX = 30;

class PageApp {
  readonly #boot: Boot;
  readonly #sections: SectionList;
  readonly #tiles = new TilesView();
  readonly #details: Details;
  readonly #find = byId("find", HTMLInputElement);
  readonly #show = byId("show", HTMLSelectElement);
  readonly #columns = byId("columns", HTMLSelectElement);
  readonly #pace = byId("pace", HTMLSelectElement);
  readonly #pause = byId("pause", HTMLButtonElement);
  readonly #live = byId("live", HTMLElement);
  #found: ReadonlySet<number> | undefined;
  #since = "";
  #asked = new Set<number>();
  #timer = 0;
  #isAsking = false;
  #isAgain = false;
  #failures = 0;

  constructor(boot: Boot) {
    this.#boot = boot;
    this.#details = new Details(boot.uri);
    this.#sections = new SectionList({
      isAdmin: boot.isAdmin,
      showLegends: boot.showLegends,
      explain: (head, row) => this.#details.show(head, row),
      submit: (section, action) => void this.#submit(section, action),
      wake: () => this.wake(),
    });
  }

  start(): void {
    for (const tools of document.querySelectorAll<HTMLElement>(".js")) tools.hidden = false;
    this.#pace.value = this.#firstPace();
    this.#columns.value = recall("columns") || "auto";
    this.#show.value = this.#boot.show;
    this.#find.value = this.#boot.scope;
    this.#setColumns();
    this.#setPaused(this.#boot.isStill);
    this.#find.form?.addEventListener("submit", (event) => event.preventDefault());
    this.#find.addEventListener("input", () => this.#wishAgain());
    this.#show.addEventListener("change", () => this.#wishAgain());
    this.#columns.addEventListener("change", () => this.#setColumns());
    this.#pace.addEventListener("change", () => {
      remember("pace", this.#pace.value);
      this.wake();
    });
    this.#pause.addEventListener("click", () => this.#setPaused(!this.#isPaused));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.wake();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      this.#find.focus();
    });
    void this.#ask();
  }

  /** Asks at once: something came into sight. */
  wake(): void {
    if (this.#isAsking) this.#isAgain = true;
    else void this.#ask();
  }

  get #isPaused(): boolean {
    return this.#pause.getAttribute("aria-pressed") === "true";
  }

  /** The configured pace, unless the reader has chosen another. */
  #firstPace(): string {
    const chosen = recall("pace");
    const wanted = Number(chosen || this.#boot.refreshSeconds || 1);
    const paces = [...this.#pace.options].map(({ value }) => Number(value));
    return String(paces.findLast((pace) => pace <= wanted) ?? 1);
  }

  #setPaused(isPaused: boolean): void {
    this.#pause.setAttribute("aria-pressed", String(isPaused));
    this.#pause.textContent = isPaused ? "Go on" : "Pause";
    if (isPaused) this.#tell("paused", "Paused");
    else this.wake();
  }

  #setColumns(): void {
    remember("columns", this.#columns.value);
    document.body.dataset["columns"] = this.#columns.value;
  }

  #wish(): Wish {
    return { find: this.#find.value.trim().toLowerCase(), show: this.#show.value };
  }

  #wishAgain(): void {
    this.#found = undefined;
    this.#sections.render(this.#wish(), undefined);
    this.wake();
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    this.#isAsking = true;
    this.#isAgain = false;
    try {
      const response = await fetch(this.#address(), { headers: { accept: "application/json" } });
      if (!response.ok) throw new Error(`status ${response.status}`);
      this.#take((await response.json()) as LiveAnswer);
      this.#failures = 0;
      if (!this.#isPaused) this.#tell("good", "Live");
    } catch (error) {
      this.#failures++;
      const why = error instanceof Error ? error.message : "";
      this.#tell("bad", why.startsWith("status") ? `No answer (${why})` : "No answer");
    }
    this.#isAsking = false;
    if (this.#isAgain) void this.#ask();
    else this.#askLater();
  }

  #askLater(): void {
    clearTimeout(this.#timer);
    if (this.#isPaused || document.hidden) return;
    const pace = Number(this.#pace.value);
    const seconds = Math.min(Math.max(pace, PAUSE_MAX), pace * 2 ** Math.min(this.#failures, 6));
    this.#timer = window.setTimeout(() => void this.#ask(), seconds * 1000);
  }

  #address(): string {
    const open: number[] = [];
    const fresh: number[] = [];
    const asked = new Set<number>();
    for (const section of this.#sections.open().slice(0, OPEN_MAX)) {
      const { id } = section.head;
      asked.add(id);
      // What was not asked for the last time has missed changes.
      if (section.hasRows && this.#asked.has(id)) open.push(id);
      else fresh.push(id);
    }
    this.#asked = asked;
    const { find, show } = this.#wish();
    const words = [
      `since=${this.#since}`,
      open.length > 0 ? `open=${open.join(",")}` : "",
      fresh.length > 0 ? `fresh=${fresh.join(",")}` : "",
      find === "" ? "" : `find=${encodeURIComponent(find)}`,
      show === "" ? "" : `show=${show}`,
    ];
    return `${this.#boot.uri};live${words.map((word) => (word === "" ? "" : `;${word}`)).join("")}`;
  }

  #take(answer: LiveAnswer): void {
    this.#since = answer.t;
    this.#tiles.update(answer.facts, performance.now());
    this.#found = answer.found === undefined ? undefined : new Set(answer.found);
    if (answer.heads !== undefined) this.#sections.setHeads(answer.heads);
    this.#sections.take(answer.open);
    this.#sections.render(this.#wish(), this.#found);
  }

  async #submit(section: SectionView, action: string): Promise<void> {
    const { chosen, head } = section;
    if (action === "" || chosen.size === 0) {
      this.#toast("note", chosen.size === 0 ? "Choose servers first." : "Choose an action first.");
      return;
    }
    const { label, asks } = ACTIONS.find(({ word }) => word === action) ?? { label: action };
    const servers = chosen.size === 1 ? `server ${[...chosen][0]}` : `${chosen.size} servers`;
    if (asks !== undefined && !confirm(`${label}: ${asks} ${servers} of ${head.name}?`)) return;
    const body = new URLSearchParams([["b", `#${head.id}`]]);
    body.append("t", this.#boot.token);
    body.append("action", action);
    for (const name of chosen) body.append("s", name);
    try {
      const headers = { accept: "application/json" };
      const response = await fetch(this.#boot.uri, { method: "POST", body, headers });
      const said = (await response.json()) as { tone: string; text: string };
      this.#toast(said.tone, said.text);
      if (said.tone === "good") section.clearChosen();
      this.wake();
    } catch {
      this.#toast("bad", "The action could not be sent.");
    }
  }

  #toast(tone: string, text: string): void {
    document.querySelector(".outcome")?.remove();
    const box = make("p", `outcome toast ${tone}`, text);
    box.setAttribute("role", "status");
    document.body.append(box);
    window.setTimeout(() => box.remove(), 6000);
  }

  #tell(tone: string, text: string): void {
    const className = `live ${tone}`;
    if (this.#live.className !== className) this.#live.className = className;
    if (this.#live.textContent !== text) this.#live.textContent = text;
  }
}

const boot = JSON.parse(byId("boot", HTMLScriptElement).textContent ?? "{}") as Boot;
new PageApp(boot).start();
