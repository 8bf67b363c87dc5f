/**
 * Keeps the state file up to date: notes that something has changed, writes at intervals, on
 * request and at the end. A write looks at everything in one turn (`cut`), makes the file a
 * millisecond at a time between other work, and waits for the disk elsewhere. Main thread.
 */
import { describeError } from "../../base/assert.ts";
import type { Ticker } from "../../base/clock.ts";
import { Refusal } from "../../base/refusals.ts";
import { SLUICE_VERSION } from "../../base/version.ts";
import { WORKER_ACCEPTED, WORKER_BYTES_OUT, WORKER_STRIDE } from "../../tables/generated/worker.ts";
import type { Control } from "../control.ts";
import type { ControlEvent } from "../events.ts";
import { Shards } from "../stats/shards.ts";
import { batchesOf, cut, graveOf } from "./collect.ts";
import type { CollectedControl, Cut } from "./collect.ts";
import { Kept } from "./kept.ts";
import type { SavedGrave } from "./records.ts";
import { addressKey } from "./specs.ts";
import { StateWriter } from "./state-format.ts";
import type { StatePlace } from "./state-place.ts";

/** What the saver uses of the world. */
export type SaverOptions = {
  place: StatePlace;
  /** Shortest time between two writes that nobody asked for; 0 = only the last one. */
  intervalMs: number;
  /** Removals that are in force already. */
  graves: readonly SavedGrave[];
  startTimer(delayMs: number, run: () => void): Ticker;
  nextTurn(run: () => void): void;
  say(severity: "notice" | "warning", text: string): void;
};

/** The part of control that a saver needs. */
export type SaverControl = CollectedControl & Pick<Control, "events">;

/** What is known of the last writes, for `show state`. */
export type SaverFacts = {
  path: string;
  intervalMs: number;
  isDirty: boolean;
  isWriting: boolean;
  /** By the wall clock; 0 = never. */
  writtenEpochMs: number;
  bytes: number;
  writes: number;
  /** How long the last one took with all waiting, its own work in that, the longest turn of it. */
  tookMs: number;
  busyMs: number;
  longestTurnMs: number;
  failures: number;
  lastFailure: string;
};

/** Longest time that making a file takes from one turn of the loop, ms. */
const TURN_MS = 4;
/** A write is followed by a pause of so many times its own work, where that is the longer. */
const REST_FACTOR = 10;

/** Events that change nothing that is saved. */
const IGNORED: ReadonlySet<ControlEvent["kind"]> = new Set([
  "idle",
  "worker-lost",
  "server-check",
  "agent-orders",
  "mails-lost",
  "server-purged",
  "backend-purged",
  "frontend-purged",
]);

/** Keeps the state file of one process up to date. */
export class StateSaver {
  readonly #options: SaverOptions;
  /** By what was removed. */
  readonly #graves: Map<string, SavedGrave>;
  #kept = new Kept();
  #control: SaverControl | undefined;
  #shards: Shards | undefined;
  #timer: Ticker | undefined;
  #stopListening: (() => void) | undefined;
  /** Changes noted, and how many of them the last file has. */
  #changes = 1;
  #saved = 0;
  /** What workers had counted at the last write. */
  #counted = -1;
  #writing: Promise<void> | undefined;
  #isClosed = false;
  #saysTakenOver = true;
  readonly #facts: SaverFacts;

  constructor(options: SaverOptions) {
    this.#options = options;
    this.#graves = new Map(options.graves.map((grave) => [graveKey(grave), grave]));
    this.#facts = {
      path: options.place.path,
      intervalMs: options.intervalMs,
      isDirty: true,
      isWriting: false,
      writtenEpochMs: 0,
      bytes: 0,
      writes: 0,
      tookMs: 0,
      busyMs: 0,
      longestTurnMs: 0,
      failures: 0,
      lastFailure: "",
    };
  }

  /**
   * Begins: writes soon, and whenever something has changed.
   * @param kept what was left out at the start, and is written again
   */
  start(control: SaverControl, kept = new Kept()): void {
    this.#kept = kept;
    this.#control = control;
    this.#shards = new Shards(control.tables);
    this.#stopListening = control.events.listen((event) => this.#note(event));
    if (this.#options.intervalMs > 0) this.#arm(0);
  }

  /** Something was noted that the file does not have. */
  get isDirty(): boolean {
    return this.#changes !== this.#saved || this.#countedNow() !== this.#counted;
  }

  get facts(): Readonly<SaverFacts> {
    this.#facts.isDirty = this.isDirty;
    this.#facts.isWriting = this.#writing !== undefined;
    return this.#facts;
  }

  /**
   * Writes now. @param name of a file beside the state file; left out: the state file itself, also
   *   where another process has put one
   * @throws Refusal SYSTEM with the reason
   */
  async save(name?: string): Promise<void> {
    while (this.#writing !== undefined) await this.#writing.catch(() => undefined);
    try {
      await this.#write(name);
    } catch (error) {
      throw new Refusal("SYSTEM", `The state cannot be written: ${describeError(error)}.`);
    }
  }

  /** Writes for the last time, in one go, unless another process has taken the file over. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.stop();
    this.#stopListening?.();
    if (this.#control === undefined || this.#options.place.isTakenOver) return;
    const writer = new StateWriter();
    for (const batch of batchesOf(this.#cut(), this.#control.model, this.#shards!))
      writer.add(batch);
    try {
      this.#options.place.writeNow(writer.finish());
    } catch (error) {
      this.#fail(error);
    }
  }

  #note(event: ControlEvent): void {
    const { kind, server, listener, proxy } = event;
    if (IGNORED.has(kind)) return;
    this.#kept.note(event);
    this.#changes++;
    const gone = goneObject(kind, server, listener, proxy);
    const grave = gone === undefined ? undefined : graveOf(gone);
    if (grave !== undefined) this.#graves.set(graveKey(grave), grave);
  }

  #arm(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.startTimer(delayMs, () => void this.#turn());
  }

  async #turn(): Promise<void> {
    const { place, intervalMs, say } = this.#options;
    const { clock } = this.#control!;
    const startedAtMs = clock.nowMs();
    let restMs = 0;
    if (this.isDirty && this.#writing === undefined) {
      if (place.isTakenOver) {
        if (this.#saysTakenOver) {
          say("notice", `State file ${place.path} belongs to another process now: not written.`);
        }
        this.#saysTakenOver = false;
      } else {
        await this.#write(undefined).catch(() => undefined);
        restMs = this.#facts.busyMs * REST_FACTOR;
      }
    }
    // From one look to the next, so that a slow disk does not add to the age of the file.
    this.#arm(Math.max(intervalMs - (clock.nowMs() - startedAtMs), restMs, 1));
  }

  #write(name: string | undefined): Promise<void> {
    const writing = this.#writeOnce(name).finally(() => {
      this.#writing = undefined;
    });
    this.#writing = writing;
    return writing;
  }

  async #writeOnce(name: string | undefined): Promise<void> {
    const { place } = this.#options;
    const { clock } = this.#control!;
    const facts = this.#facts;
    const startedAtMs = clock.nowMs();
    const changes = this.#changes;
    const counted = this.#countedNow();
    facts.longestTurnMs = 0;
    const made = this.#cut();
    facts.longestTurnMs = clock.nowMs() - startedAtMs;
    facts.busyMs = facts.longestTurnMs;
    try {
      const writer = new StateWriter();
      await this.#encode(writer, made);
      const bytes = writer.byteLength;
      await place.write(writer.finish(), name === undefined ? undefined : place.beside(name));
      facts.tookMs = clock.nowMs() - startedAtMs;
      if (name !== undefined) return;
      this.#saved = changes;
      this.#counted = counted;
      facts.bytes = bytes;
      facts.writes++;
      facts.writtenEpochMs = made.head.writtenEpochMs;
      facts.lastFailure = "";
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  /** Adds all batches, some of them a turn. */
  #encode(writer: StateWriter, made: Cut): Promise<void> {
    const { clock, model } = this.#control!;
    const batches = batchesOf(made, model, this.#shards!);
    return new Promise((resolve, reject) => {
      const step = (): void => {
        const startedAtMs = clock.nowMs();
        const count = (): void => {
          const turnMs = clock.nowMs() - startedAtMs;
          this.#facts.busyMs += turnMs;
          this.#facts.longestTurnMs = Math.max(this.#facts.longestTurnMs, turnMs);
        };
        try {
          do {
            const next = batches.next();
            if (next.done === true) {
              count();
              resolve();
              return;
            }
            writer.add(next.value);
          } while (clock.nowMs() - startedAtMs < TURN_MS);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(describeError(error)));
          return;
        }
        count();
        this.#options.nextTurn(step);
      };
      step();
    });
  }

  #cut(): Cut {
    const control = this.#control!;
    const writtenEpochMs = Math.round(control.clock.epochMicros() / 1000);
    const head = { program: `sluice ${SLUICE_VERSION}`, writtenEpochMs, pid: process.pid };
    return cut(control, head, this.#graves.values(), this.#kept);
  }

  /** Says the first of a row of failures; `show state` has the others. */
  #fail(error: unknown): void {
    const facts = this.#facts;
    facts.failures++;
    const isFirst = facts.lastFailure === "";
    facts.lastFailure = describeError(error);
    if (!isFirst) return;
    const { place, say } = this.#options;
    say("warning", `State file ${place.path} cannot be written: ${facts.lastFailure}.`);
  }

  /** Moves on with all that workers count. */
  #countedNow(): number {
    if (this.#control === undefined) return 0;
    const { workers, perWorker } = this.#control.tables;
    let sum = 0;
    for (let worker = 1; worker <= perWorker.length; worker++) {
      const row = worker * WORKER_STRIDE;
      sum += workers.floats[(row + WORKER_ACCEPTED) >> 1]!;
      sum += workers.floats[(row + WORKER_BYTES_OUT) >> 1]!;
    }
    return sum;
  }
}

/** One grave for each thing that was removed, however often it came and went. */
function graveKey(grave: SavedGrave): string {
  switch (grave.kind) {
    case "proxy":
      return `proxy ${grave.side} ${grave.spec.name}`;
    case "listener":
      return `listener ${grave.proxy} ${addressKey(grave.spec.address)}`;
    case "server":
      return `server ${grave.backend} ${grave.spec.name}`;
  }
}

/** The object that an event says is gone. */
function goneObject(
  kind: ControlEvent["kind"],
  server: ControlEvent["server"],
  listener: ControlEvent["listener"],
  proxy: ControlEvent["proxy"],
): Parameters<typeof graveOf>[0] | undefined {
  switch (kind) {
    case "server-removed":
      return server;
    case "listener-removed":
      return listener;
    case "backend-removed":
    case "frontend-removed":
      return proxy;
    default:
      return undefined;
  }
}
