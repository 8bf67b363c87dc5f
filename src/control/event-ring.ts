/**
 * The last events of control as lines, for `show events`: what was added, changed, removed, what
 * went up or down. A reader that follows them has a place in the ring; one that is too slow misses
 * lines, is told how many, and holds up nobody. Main thread.
 *
 * ```
 *   events ─▶ line n ─▶ [ n-1023 … n ]      readers: next line wanted, wake-up when there is one
 * ```
 */
import type { Clock } from "../base/clock.ts";
import { EVENT_RING_LINES } from "../base/limits.ts";
import { nameServerState, SERVER_FLAG_EJECTED } from "../tables/generated/enums.ts";
import { SERVER_FLAGS, SERVER_STATE } from "../tables/generated/server.ts";
import type { Tables } from "../tables/tables.ts";
import type { ControlEvent, Events } from "./events.ts";
import { serverName } from "./model.ts";

/** Lines of the ring, and of what comes. */
export class EventRing {
  readonly #clock: Pick<Clock, "epochMicros">;
  readonly #tables: Tables;
  readonly #lines: string[] = [];
  /** Events ever seen: the number of the next line. */
  #count = 0;
  /** Readers that wait for the next line. */
  readonly #waiting = new Set<() => void>();

  constructor(events: Events, clock: Pick<Clock, "epochMicros">, tables: Tables) {
    this.#clock = clock;
    this.#tables = tables;
    events.listen((event) => {
      // Workers say this whenever somebody may want to look: it changes nothing.
      if (event.kind !== "idle") this.#add(event);
    });
  }

  /** Lines that a reader could not have any more, of all readers together. */
  dropped = 0;

  /** Number of the next line. */
  get next(): number {
    return this.#count;
  }

  /** Number of the oldest line that is kept. */
  get oldest(): number {
    return Math.max(0, this.#count - EVENT_RING_LINES);
  }

  /** Lines from number `from` on, each with `end` behind it; what is gone is counted. */
  read(from: number, end = "\n"): { text: string; next: number } {
    let text = "";
    let at = from;
    if (at < this.oldest) {
      const lost = this.oldest - at;
      this.dropped += lost;
      text = `# ${lost} events were lost, the reader is too slow${end}`;
      at = this.oldest;
    }
    for (; at < this.#count; at++) text += this.#lines[at % EVENT_RING_LINES] + end;
    return { text, next: at };
  }

  /** Lines from number `from` on, and those that come, until `gone`. */
  async *follow(from: number, end: string, gone: AbortSignal): AsyncGenerator<string> {
    let at = from;
    while (!gone.aborted) {
      const { text, next } = this.read(at, end);
      at = next;
      if (text !== "") yield text;
      else await this.#nextLine(gone);
    }
  }

  #nextLine(gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        gone.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      gone.addEventListener("abort", wake);
    });
  }

  #add(event: ControlEvent): void {
    const date = new Date(this.#clock.epochMicros() / 1000).toISOString();
    this.#lines[this.#count % EVENT_RING_LINES] = `${date} ${event.kind}${this.#detail(event)}`;
    this.#count++;
    for (const wake of [...this.#waiting]) wake();
  }

  /** The object, and what happened to it; texts mostly begin with the object. */
  #detail(event: ControlEvent): string {
    const { kind, server, text } = event;
    const name = nameOf(event);
    const named = name === "" ? "" : ` ${name}`;
    if (text !== undefined) {
      const said = text.replace(/\s+/g, " ");
      return said.startsWith(name) ? ` ${said}` : `${named} ${said}`;
    }
    if (kind !== "server-health" || server === undefined) return named;
    const { words } = this.#tables.servers;
    const isEjected = (words[server.row + SERVER_FLAGS]! & SERVER_FLAG_EJECTED) !== 0;
    const state = nameServerState(words[server.row + SERVER_STATE]!);
    return `${named} ${state}${isEjected ? ", ejected" : ""}`;
  }
}

function nameOf({ proxy, server, listener }: ControlEvent): string {
  if (server !== undefined) return serverName(server);
  if (listener !== undefined) {
    return `${listener.frontend.spec.name}/${listener.spec.name ?? `sock-${listener.spec.id}`}`;
  }
  return proxy?.spec.name ?? "";
}
