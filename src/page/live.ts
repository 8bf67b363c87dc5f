/**
 * What changed since a browser last asked. Rows are read once for all who look at the same section,
 * compared with what was read before, and each cell that differs is stamped with the number of the
 * look. An answer holds the cells that are younger than what the asker has.
 *
 * ```
 *   ask(since 7, open be) ─▶ read be in slices ─▶ stamp changed cells 8 ─▶ cells > 7 ─▶ { t: 8 … }
 * ```
 *
 * A section that nobody asked about for a minute is forgotten. Main thread: reading yields to other
 * work every `SLICE` servers.
 */
import type { Clock } from "../base/clock.ts";
import type { CellValue, ProcessFacts, ProxyHead, RowKind } from "./shared/fields.ts";
import { ROW_FIELDS } from "./shared/fields.ts";
import type { PageSource } from "./source.ts";

/** Servers that are read in one go. */
const SLICE = 250;
/** A section is not read again within this time, ms. */
const FRESH_MS = 300;
/** A section that nobody looks at is kept this long, ms. */
const KEEP_MS = 60_000;
/** Sections that one answer may hold: more than a screen shows. */
export const OPEN_MAX = 100;

const WIDTH = ROW_FIELDS.length;

/** One row in an answer: kind, number, name, values by ROW_AT. */
export type WireRow = [RowKind, number, string, ...CellValue[]];

/** A section in an answer: all its rows, or row index, place, value of each changed cell. */
export type WireSection =
  { readonly rows: readonly WireRow[] } | { readonly cells: readonly CellValue[] };

/** An answer. `heads` only when sections came, went, or the asker has none yet. */
export type LiveAnswer = {
  readonly t: string;
  readonly facts: ProcessFacts;
  readonly heads?: readonly ProxyHead[];
  /** Sections with something that fits the filter; absent without a filter. */
  readonly found?: readonly number[];
  readonly open: Readonly<Record<string, WireSection>>;
};

/** A question. */
export type LiveQuestion = {
  /** `t` of the last answer; "" = none. */
  readonly since: string;
  /** Sections that the asker shows and has the rows of. */
  readonly open: readonly number[];
  /** Sections that it shows and has nothing of. */
  readonly fresh: readonly number[];
  /** Filter, as of PageSource.match. */
  readonly find: string;
  readonly show: string;
  /** Which sections it may see. */
  readonly sees: (head: ProxyHead) => boolean;
};

type KeptRow = { kind: RowKind; id: number; name: string; values: CellValue[]; stamps: number[] };

type Kept = {
  rows: KeptRow[];
  /** Look at which the list of rows was another one. */
  listStamp: number;
  readAtMs: number;
  askedAtMs: number;
  reading: Promise<void> | undefined;
};

/** The memory of one process's pages. */
export class LiveBoard {
  readonly #source: PageSource;
  readonly #clock: Clock;
  readonly #yieldTurn: () => Promise<void>;
  /** Tells answers of this process from those of another. */
  readonly #epoch: string;
  readonly #kept = new Map<number, Kept>();
  #look = 0;
  #headsVersion = -1;
  #headsStamp = 0;

  constructor(source: PageSource, clock: Clock, epoch: string, yieldTurn: () => Promise<void>) {
    this.#source = source;
    this.#clock = clock;
    this.#epoch = epoch;
    this.#yieldTurn = yieldTurn;
  }

  /** Answers one question. O(rows of the open sections). */
  async ask(question: LiveQuestion): Promise<LiveAnswer> {
    const { sees } = question;
    const since = this.#sinceOf(question.since);
    const wanted: { id: number; from: number; kept: Kept }[] = [];
    const ids = [
      ...question.open.map((id) => ({ id, from: since })),
      ...question.fresh.map((id) => ({ id, from: 0 })),
    ];
    for (const { id, from } of ids.slice(0, OPEN_MAX)) {
      const head = this.#source.head(id);
      if (head === undefined || !sees(head)) continue;
      wanted.push({ id, from, kept: await this.#read(id) });
    }
    // From here on in one turn: the answer holds whatever is stamped up to its own number.
    this.#forget();
    this.#stampHeads();
    const open: Record<string, WireSection> = {};
    for (const { id, from, kept } of wanted) {
      open[id] = from < kept.listStamp ? allRows(kept) : changedCells(kept, from);
    }
    const t = `${this.#epoch}.${this.#look}`;
    const { find, show } = question;
    const isFiltered = find !== "" || show !== "";
    const found = isFiltered ? { found: this.#source.match(find, show) } : {};
    const answer = { t, facts: this.#source.facts(), ...found, open };
    if (since >= this.#headsStamp) return answer;
    return { ...answer, heads: this.#source.heads().filter(sees) };
  }

  /** Sections in memory. */
  get size(): number {
    return this.#kept.size;
  }

  #sinceOf(text: string): number {
    const [epoch, look] = text.split(".");
    const number = Number(look);
    return epoch === this.#epoch && Number.isInteger(number) && number > 0 ? number : 0;
  }

  #stampHeads(): void {
    const version = this.#source.version();
    if (version === this.#headsVersion) return;
    this.#headsVersion = version;
    this.#headsStamp = ++this.#look;
  }

  #forget(): void {
    const now = this.#clock.nowMs();
    for (const [id, { askedAtMs, reading }] of this.#kept) {
      if (now - askedAtMs > KEEP_MS && reading === undefined) this.#kept.delete(id);
    }
  }

  async #read(id: number): Promise<Kept> {
    const now = this.#clock.nowMs();
    let kept = this.#kept.get(id);
    if (kept === undefined) {
      kept = { rows: [], listStamp: 0, readAtMs: -FRESH_MS, askedAtMs: now, reading: undefined };
      this.#kept.set(id, kept);
    }
    kept.askedAtMs = now;
    if (kept.reading === undefined && now - kept.readAtMs < FRESH_MS && kept.listStamp > 0) {
      return kept;
    }
    kept.reading ??= this.#readNow(id, kept).finally(() => {
      kept.reading = undefined;
    });
    await kept.reading;
    return kept;
  }

  async #readNow(id: number, kept: Kept): Promise<void> {
    const fresh: KeptRow[] = [];
    const servers: KeptRow[] = [];
    const tail: KeptRow[] = [];
    for (let from = 0; ; from += SLICE) {
      const before = servers.length;
      this.#source.rows(id, from, SLICE, (kind, rowId, name, values) => {
        const list = kind === "server" ? servers : kind === "backend" ? tail : fresh;
        list.push({ kind, id: rowId, name, values: [...values], stamps: [] });
      });
      if (servers.length - before < SLICE) break;
      await this.#yieldTurn();
    }
    this.#merge(kept, [...fresh, ...servers, ...tail]);
    kept.readAtMs = this.#clock.nowMs();
  }

  /** Stamps with a number that no answer has had yet. */
  #merge(kept: Kept, rows: KeptRow[]): void {
    const look = ++this.#look;
    const isSame =
      rows.length === kept.rows.length &&
      kept.listStamp > 0 &&
      rows.every((row, at) => {
        const old = kept.rows[at];
        return old !== undefined && old.id === row.id && old.name === row.name;
      });
    if (!isSame) kept.listStamp = look;
    rows.forEach((row, at) => {
      const old = isSame ? kept.rows[at] : undefined;
      for (let place = 0; place < WIDTH; place++) {
        const isOld = old !== undefined && old.values[place] === row.values[place];
        row.stamps.push(isOld ? (old.stamps[place] ?? look) : look);
      }
    });
    kept.rows = rows;
  }
}

function allRows({ rows }: Kept): WireSection {
  return { rows: rows.map(({ kind, id, name, values }) => [kind, id, name, ...values]) };
}

function changedCells({ rows }: Kept, since: number): WireSection {
  const cells: CellValue[] = [];
  rows.forEach(({ values, stamps }, at) => {
    for (let place = 0; place < WIDTH; place++) {
      if (stamps[place]! > since) cells.push(at, place, values[place] ?? null);
    }
  });
  return { cells };
}
