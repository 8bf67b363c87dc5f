/**
 * A `resolvers` section at work: its name servers, the names that somebody wants to know, and when
 * each is asked for again. At most 512 names are asked for at a time, others wait in order. Main
 * thread.
 */
import {
  DNS_ACTIVE_MAX,
  DNS_IDLE_MS,
  DNS_IPV6_LOOK_MS,
  DNS_RESOLVE_MS_MIN,
  DNS_TIMER_MS_MAX,
} from "../../base/limits.ts";
import type { StartTimer } from "../../check/due.ts";
import { DueList } from "../../check/due.ts";
import type { ResolversSpec } from "../../tables/spec.ts";
import type { QuestionType } from "./message.ts";
import { plainName } from "./message.ts";
import { Nameserver } from "./nameserver.ts";
import type { Asked, NameserverParts } from "./nameserver.ts";
import { Resolution } from "./resolution.ts";
import type { AskedServer, Types } from "./resolution.ts";

/** What sections use of the machine, and whom they tell. */
export type SectionParts = NameserverParts & {
  startTimer: StartTimer;
  /** A round of questions has ended. */
  finished(entry: NameEntry, server: AskedServer<Asked> | undefined): void;
};

/** A name of a section, and what is asked for first. */
export type NameEntry = {
  readonly section: Section;
  readonly resolution: Resolution<Asked>;
  readonly first: QuestionType;
  /** Of the timer that counts, and when it is due. */
  token: number;
  dueMs: number;
  /** Who wants to know: the name is forgotten with the last of them. */
  users: number;
};

type Due = { entry: NameEntry; token: number };

export class Section {
  readonly spec: ResolversSpec;
  readonly nameservers: readonly Nameserver[];
  readonly #parts: SectionParts;
  readonly #entries = new Map<string, NameEntry>();
  readonly #due: DueList<Due | "sweep">;
  readonly #waiting = new Set<NameEntry>();
  #active = 0;
  #hasIpv6 = false;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #isSweeping = false;

  constructor(spec: ResolversSpec, parts: SectionParts) {
    this.spec = spec;
    this.#parts = parts;
    this.nameservers = spec.nameservers.map((one) => new Nameserver(one, spec.payloadBytes, parts));
    this.#due = new DueList(parts.nowMs, parts.startTimer, (due) => {
      if (due === "sweep") this.#sweep();
      else parts.soon(() => this.#wake(due));
    });
  }

  /** Somebody wants to know a name from now on. */
  join(name: string, first: QuestionType): NameEntry {
    const key = `${first} ${plainName(name)}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const resolution = new Resolution<Asked>(name, {
        spec: this.spec,
        nameservers: this.nameservers,
        nowMs: this.#parts.nowMs,
        wakeIn: (_resolution, delayMs) => this.#wakeIn(made, delayMs),
        finished: (_resolution, server) => this.#finished(made, server),
      });
      const made: NameEntry = { section: this, resolution, first, token: 0, dueMs: 0, users: 0 };
      this.#entries.set(key, made);
      entry = made;
      this.askSoon(entry);
      this.#sweepLater();
    }
    entry.users++;
    return entry;
  }

  /** Somebody does not want to know it any more. */
  leave(entry: NameEntry): void {
    if (--entry.users > 0) return;
    this.#entries.delete(`${entry.first} ${entry.resolution.name}`);
    entry.token++;
    this.#waiting.delete(entry);
    if (!entry.resolution.isAsking) return;
    entry.resolution.abandon();
    this.#active--;
    this.#serveWaiting();
  }

  /** Asks now, unless that is under way. */
  askSoon(entry: NameEntry): void {
    if (!entry.resolution.isAsking && !this.#waiting.has(entry)) this.#wakeIn(entry, 0);
  }

  /** Timers that are started, those that do not count any more among them. */
  get timers(): number {
    return this.#due.length;
  }

  /** Ends everything. */
  stop(): void {
    this.#due.stop();
    for (const server of this.nameservers) server.close();
    this.#entries.clear();
    this.#waiting.clear();
  }

  /** With `dns-accept-family auto`: looks whether IPv6 leads anywhere, now and then. */
  async lookForIpv6(): Promise<void> {
    if (this.spec.families !== "auto") return;
    this.#lookedMs = this.#parts.nowMs();
    this.#hasIpv6 = await this.#parts.transport.hasIpv6();
  }

  #wakeIn(entry: NameEntry, delayMs: number): void {
    entry.dueMs = this.#parts.nowMs() + delayMs;
    this.#arm({ entry, token: ++entry.token });
  }

  /** What is due late is looked at before: timers that do not count any more must not pile up. */
  #arm(due: Due): void {
    const delayMs = due.entry.dueMs - this.#parts.nowMs();
    this.#due.add(due, Math.min(Math.max(0, delayMs), DNS_TIMER_MS_MAX));
  }

  #wake(due: Due): void {
    const { entry, token } = due;
    if (entry.token !== token) return;
    if (this.#parts.nowMs() < entry.dueMs) return this.#arm(due);
    if (entry.resolution.isAsking) {
      entry.resolution.expire();
    } else if (this.nameservers.length === 0) {
      // Nobody to ask: what servers have stays.
    } else if (this.#active >= DNS_ACTIVE_MAX) {
      this.#waiting.add(entry);
    } else {
      this.#begin(entry);
    }
  }

  #begin(entry: NameEntry): void {
    this.#active++;
    entry.resolution.begin(this.#typesOf(entry));
  }

  #typesOf({ first }: NameEntry): Types {
    if (first === "SRV") return ["SRV"];
    const { families } = this.spec;
    if (families === "ipv4") return ["A"];
    if (families === "ipv6") return ["AAAA"];
    if (families === "auto") {
      const isOld = this.#parts.nowMs() - this.#lookedMs >= DNS_IPV6_LOOK_MS;
      if (isOld) void this.lookForIpv6();
      if (!this.#hasIpv6) return ["A"];
    }
    return first === "A" ? ["A", "AAAA"] : ["AAAA", "A"];
  }

  #finished(entry: NameEntry, server: AskedServer<Asked> | undefined): void {
    this.#active--;
    this.#wakeIn(entry, Math.max(this.spec.resolveMs, DNS_RESOLVE_MS_MIN));
    this.#serveWaiting();
    this.#parts.finished(entry, server);
  }

  #serveWaiting(): void {
    for (const entry of this.#waiting) {
      if (this.#active >= DNS_ACTIVE_MAX) return;
      this.#waiting.delete(entry);
      this.#begin(entry);
    }
  }

  #sweepLater(): void {
    if (this.#isSweeping || this.#entries.size === 0) return;
    this.#isSweeping = true;
    this.#due.add("sweep", DNS_IDLE_MS);
  }

  #sweep(): void {
    this.#isSweeping = false;
    for (const server of this.nameservers) server.sweep();
    this.#sweepLater();
  }
}
