/**
 * What a process begins with besides its configuration, and what it leaves behind: counters of a
 * stats file, and the state file (`SLUICE_STATE_FILE`), in the order of a start:
 *
 *   plan ─▶ openState: file read, removals left out of the plan ─▶ rows and sockets are made
 *        ─▶ restore: changes made again ─▶ workers, checks, control ─▶ begin: the rest, and writing
 *        ─▶ … ─▶ close: written for the last time
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { describeError } from "../../base/assert.ts";
import { onNextTurn, startTimer, systemClock } from "../../base/clock.ts";
import type { RuntimeConfig } from "../../config/runtime.ts";
import type { Plan } from "../../tables/spec.ts";
import type { Workshop } from "../build.ts";
import type { FrontendControl } from "../change/frontend.ts";
import type { Control } from "../control.ts";
import { Kept } from "../state/kept.ts";
import { leaveOut } from "../state/leave-out.ts";
import { readState } from "../state/read-state.ts";
import type { SavedState } from "../state/records.ts";
import { restoreLate } from "../state/restore-late.ts";
import { restoreState } from "../state/restore.ts";
import type { Restored } from "../state/restore.ts";
import { StateSaver } from "../state/saver.ts";
import { StatePlace } from "../state/state-place.ts";
import { loadStatsFile } from "../state/stats-file.ts";

/** Says something about a start. */
export type Say = (severity: "notice" | "warning", text: string) => void;

/** Sentences about one start: a file that does not fit must not fill the log. */
const SENTENCES_MAX = 20;
/** `SLUICE_STATE_INTERVAL` when nothing is said. */
const INTERVAL_MS = 5000;

/** The state of one process. */
export class ProcessState {
  /** Null: no state file is written. */
  readonly saver: StateSaver | null;
  readonly #plan: Plan;
  readonly #specs: RuntimeConfig;
  readonly #say: Say;
  readonly #saved: SavedState | undefined;
  #restored: Restored | undefined;

  /** Reads the state file and leaves out of `plan`, in place, what was removed. */
  constructor(plan: Plan, specs: RuntimeConfig, say: Say) {
    this.#plan = plan;
    this.#specs = specs;
    this.#say = say;
    const { stateFile, stateIntervalMs: intervalMs = INTERVAL_MS } = plan.sluice;
    if (stateFile === undefined) {
      this.saver = null;
      return;
    }
    const place = new StatePlace(resolve(stateFile));
    place.clean(isAlive);
    this.#saved = readPlace(place, say);
    const { graves, overruled } = leaveOut(plan, this.#saved?.graves ?? []);
    this.#tell(overruled);
    const { chroot } = plan.global;
    if (chroot !== undefined && !place.enterRoot(chroot)) {
      const where = `outside of the chroot ${chroot}`;
      say("warning", `State file ${place.path} is ${where}: it is read, and not written.`);
      this.saver = null;
      return;
    }
    const timing = { intervalMs, startTimer, nextTurn: onNextTurn };
    this.saver = new StateSaver({ place, graves, say, ...timing });
  }

  /** Makes changes again and presets counters: after the plan's objects, before any worker. */
  restore(shop: Workshop): void {
    const { statsFile } = this.#plan.global;
    if (statsFile !== undefined) this.#loadStats(shop, statsFile);
    if (this.#saved === undefined) return;
    this.#restored = restoreState(shop, this.#specs, this.#saved);
  }

  /** Restores what needs all of control, and begins to write. */
  begin(control: Control, sockets: FrontendControl["sockets"]): void {
    const [saved, restored] = [this.#saved, this.#restored];
    if (saved !== undefined && restored !== undefined) {
      restoreLate({ ...control, sockets }, saved, restored);
      const when = new Date(saved.head.writtenEpochMs).toISOString();
      const what = `${restored.made} objects made, ${restored.changed} changed`;
      this.#say("notice", `State of ${when} restored: ${what}.`);
      this.#tell(restored.leftOut);
    }
    this.saver?.start(control, new Kept(restored?.kept, saved));
  }

  /** Writes for the last time. */
  close(): void {
    this.saver?.close();
  }

  #loadStats(shop: Workshop, file: string): void {
    const warn = (text: string): void => this.#say("warning", text);
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch {
      warn(`config: Can't load stats-file '${file}': cannot open file.`);
      return;
    }
    loadStatsFile(shop, file, text, systemClock.epochMicros() / 1e6, warn);
  }

  #tell(sentences: readonly string[]): void {
    for (const sentence of sentences.slice(0, SENTENCES_MAX)) {
      this.#say("warning", `State file: ${sentence}.`);
    }
    const more = sentences.length - SENTENCES_MAX;
    if (more > 0) this.#say("warning", `State file: ${more} more of this kind.`);
  }
}

/** The state of a file; a file that is refused is put aside, and the start goes on. */
function readPlace(place: StatePlace, say: Say): SavedState | undefined {
  try {
    const bytes = place.read();
    if (bytes === undefined) return undefined;
    const read = readState(bytes);
    if (read.ok) return read.state;
    const aside = place.putAside();
    say("warning", `State file ${place.path} is refused: ${read.reason}. It is ${aside} now.`);
  } catch (error) {
    say("warning", `State file ${place.path} cannot be read: ${describeError(error)}.`);
  }
  return undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process lives too.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
