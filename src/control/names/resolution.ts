/**
 * One name that is kept up to date: whom it asks, when it asks again, what its state is (HAProxy
 * manual 5.3.2). All name servers are asked at once; the first good answer counts. When all have
 * given another one, the last of these counts: the other family of addresses is asked for, then the
 * first one again, `resolve_retries` times. Time is handed in. Main thread.
 *
 * ```
 *   idle ─▶ asking A|AAAA|SRV ─┬─ good answer ─────────────────────────▶ finished ─▶ idle …
 *     ▲        ▲               ├─ all failed ─▶ other family, or a try ─┐     ▲
 *     │        └───────────────┴─ nobody in time ─▶ a try ──────────────┴─ no try left
 *     └──────── `timeout resolve` later
 * ```
 */
import { assert } from "../../base/assert.ts";
import type { ResolversSpec } from "../../tables/spec.ts";
import type { NameCounters } from "./counters.ts";
import { KeptRecords } from "./kept-records.ts";
import { makeQuestion, plainName, serviceKey } from "./message.ts";
import type { Answer, Failure, NamedAddress, QuestionType, ServiceRecord } from "./message.ts";

/** How the last round of questions ended. */
export type NameStatus = "none" | "valid" | "nx" | "refused" | "timeout" | "other";

/** What a resolution needs of a name server. `Q`: a question that can be cancelled. */
export type AskedServer<Q = unknown> = {
  readonly name: string;
  readonly counters: NameCounters;
  ask(question: ReturnType<typeof makeQuestion>, answered: (answer: Answer) => void): Q;
  cancel(asked: Q): void;
};

/** Where a resolution is made, and whom it tells. */
export type ResolutionParts<Q = unknown> = {
  readonly spec: Pick<
    ResolversSpec,
    "name" | "retries" | "retryMs" | "payloadBytes" | "hold" | "resolveMs"
  >;
  readonly nameservers: readonly AskedServer<Q>[];
  nowMs(): number;
  /** Calls `wake` of the resolution after that time, unless it has been asked for again by then. */
  wakeIn(resolution: Resolution<Q>, delayMs: number): void;
  /** A round has ended; `server` has given the good answer. */
  finished(resolution: Resolution<Q>, server: AskedServer<Q> | undefined): void;
};

/** What to ask for, the first type first. */
export type Types = readonly [QuestionType, ...QuestionType[]];

/** A round of questions. */
type Round<Q> = {
  readonly types: Types;
  typeIndex: number;
  triesLeft: number;
  /** Name servers that have not answered, and what cancels the question. */
  readonly pending: Map<AskedServer<Q>, Q>;
  failure: Failure | undefined;
};

/** A name and what is known of it. */
export class Resolution<Q = unknown> {
  readonly name: string;
  status: NameStatus = "none";
  /** When the last good answer came; before the first, when the name was asked for first. */
  lastValidMs: number;
  /** Where the last round's answer was from. */
  readonly addresses = new KeptRecords<NamedAddress>();
  readonly services = new KeptRecords<ServiceRecord>();
  readonly #parts: ResolutionParts<Q>;
  /** The same bytes each time. */
  readonly #questions = new Map<QuestionType, ReturnType<typeof makeQuestion>>();
  #round: Round<Q> | undefined;

  constructor(name: string, parts: ResolutionParts<Q>) {
    this.name = plainName(name);
    this.#parts = parts;
    this.lastValidMs = parts.nowMs();
  }

  get isAsking(): boolean {
    return this.#round !== undefined;
  }

  /** Begins a round. None is under way. */
  begin(types: Types): void {
    assert(this.#round === undefined, "begin: one round at a time");
    const { retries } = this.#parts.spec;
    const pending = new Map<AskedServer<Q>, Q>();
    this.#round = { types, typeIndex: 0, triesLeft: retries, pending, failure: undefined };
    this.#ask(this.#round);
  }

  /** Nobody wants to know any more. */
  abandon(): void {
    if (this.#round === undefined) return;
    this.#cancelPending(this.#round, false);
    this.#round = undefined;
  }

  /** The time to answer is over. */
  expire(): void {
    const round = this.#round;
    if (round === undefined) return;
    const isAnswered = round.failure !== undefined;
    this.#cancelPending(round, true);
    if (isAnswered) return this.#failedOver(round);
    if (--round.triesLeft <= 0) return this.#finish("timeout", undefined);
    this.#ask(round);
  }

  /**
   * May servers that have their address from it still use it? After failures as long as `hold` says
   * since the last good answer.
   */
  isHeld(nowMs: number): boolean {
    const { status } = this;
    if (status === "none" || status === "valid") return true;
    return nowMs - this.lastValidMs < this.#parts.spec.hold[status];
  }

  #ask(round: Round<Q>): void {
    const type = round.types[round.typeIndex]!;
    const question =
      this.#questions.get(type) ?? makeQuestion(this.name, type, this.#parts.spec.payloadBytes);
    this.#questions.set(type, question);
    round.failure = undefined;
    this.#parts.wakeIn(this, this.#parts.spec.retryMs);
    for (const server of this.#parts.nameservers) {
      const asked = server.ask(question, (answer) => this.#answered(round, server, answer));
      round.pending.set(server, asked);
    }
  }

  #answered(round: Round<Q>, server: AskedServer<Q>, answer: Answer): void {
    assert(this.#round === round, "answered: questions of rounds that have ended are cancelled");
    round.pending.delete(server);
    if (answer.kind === "addresses" || answer.kind === "services") {
      this.#take(answer, server);
      this.#cancelPending(round, false);
      this.#finish("valid", server);
      return;
    }
    server.counters[COUNTED[answer.kind]]++;
    round.failure = answer.kind;
    if (round.pending.size === 0) this.#failedOver(round);
  }

  #take(answer: Answer, server: AskedServer<Q>): void {
    const nowMs = this.#parts.nowMs();
    const { obsolete } = this.#parts.spec.hold;
    server.counters.valid++;
    if (answer.kind === "addresses") {
      if (answer.hasAlias) server.counters.alias++;
      this.addresses.update(answer.addresses, ({ host }) => host, nowMs, obsolete);
    } else if (answer.kind === "services") {
      this.services.update(answer.services, serviceKey, nowMs, obsolete);
    }
    this.lastValidMs = nowMs;
  }

  /** All have failed in some way: the next type, or the first one and a try less. */
  #failedOver(round: Round<Q>): void {
    const { failure } = round;
    round.typeIndex = (round.typeIndex + 1) % round.types.length;
    if (round.typeIndex === 0 && --round.triesLeft <= 0) {
      this.#finish(statusOf(failure), undefined);
    } else {
      this.#ask(round);
    }
  }

  #cancelPending(round: Round<Q>, isLate: boolean): void {
    for (const [server, asked] of round.pending) {
      if (isLate) server.counters.timeout++;
      server.cancel(asked);
    }
    round.pending.clear();
  }

  #finish(status: NameStatus, server: AskedServer<Q> | undefined): void {
    this.#round = undefined;
    this.status = status;
    this.#parts.finished(this, server);
  }
}

/** Which counter of the server a failure adds to; truncated ones were counted as they came. */
const COUNTED: Readonly<Record<Failure, keyof NameCounters>> = {
  nx: "nx",
  refused: "refused",
  other: "other",
  empty: "empty",
  alias: "aliasErrors",
  invalid: "invalid",
  "too-big": "tooBig",
  truncated: "truncated",
};

function statusOf(failure: Failure | undefined): NameStatus {
  return failure === "nx" || failure === "refused" ? failure : "other";
}
