/**
 * One connection to the runtime API: lines in, answers out, one command after the other.
 *
 *   bytes ─▶ LineReader ─▶ commands of a line ─▶ runCommand ─▶ Outbox ─▶ socket
 *
 * Without a prompt a line is answered and the connection ends, once nothing more waits to be read;
 * with one it stays, until the client leaves, `quit`, or nothing comes for the time of
 * `stats timeout`. A client that closes its side is answered to the end. Main thread.
 */
import type { Clock, Ticker } from "../base/clock.ts";
import { API_INPUT_BYTES_MAX } from "../base/limits.ts";
import type { Control } from "../control/control.ts";
import { failed, RunningCall } from "./call.ts";
import type { Outcome } from "./call.ts";
import type { Asker, EndsAt, Reply } from "./command.ts";
import { jsonAnswer, jsonHead, jsonPiece, jsonTail } from "./json-answer.ts";
import { LineReader } from "./lines.ts";
import type { RawCommand } from "./lines.ts";
import { Outbox } from "./outbox.ts";
import type { Wire } from "./outbox.ts";
import { promptText, severityMark } from "./prompt.ts";
import type { Settling } from "./settling.ts";

/** What the connection runs on. */
export type SessionHost = {
  clock: Clock;
  startTimer(delayMs: number, run: () => void): Ticker;
  onNextTurn(run: () => void): void;
  /** Left out: nothing is waited for. */
  settling?: Settling;
  /** Runs a command: `runCommand`. */
  run(call: RunningCall, raw: RawCommand): Outcome | Promise<Outcome>;
  /** The connection is over; called once. */
  ended(session: Session): void;
};

/** CPU time of one connection in one turn of the event loop, ms. */
const TURN_MS = 4;
/** How long a client that was answered may take to close its side, ms. */
const LINGER_MS = 1_000;
/** Microtasks in which a piece is awaited before what is there goes out. */
const QUICK_TICKS = 4;

type LongReply = Reply & { kind: "pieces" };

export class Session {
  readonly asker: Asker;
  readonly #control: Control;
  readonly #wire: Wire;
  readonly #host: SessionHost;
  readonly #reader = new LineReader();
  readonly #outbox: Outbox;
  #call: RunningCall | undefined;
  /** The client has closed its side. */
  #hasInputEnded = false;
  #isOver = false;
  #isPaused = false;
  /** Bytes came that the reader has not been asked about. */
  #hasNews = false;
  #moreInput: (() => void) | undefined;
  #turnEndMs = 0;
  /** When the client last did something, or we last worked for it. */
  #activeMs: number;
  #idleTimer: Ticker | undefined;
  #idleLimitMs = 0;
  #isEnded = false;
  /** What goes out next says that something has changed. */
  #mustSettle = false;

  constructor(control: Control, asker: Asker, wire: Wire, host: SessionHost) {
    this.#control = control;
    this.asker = asker;
    this.#wire = wire;
    this.#host = host;
    this.#outbox = new Outbox(
      wire,
      () => void (this.#activeMs = host.clock.nowMs()),
      () => this.#settle(),
    );
    this.#activeMs = host.clock.nowMs();
    this.#watchIdle();
    void this.#serve();
  }

  /** Bytes came. */
  received(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#activeMs = this.#host.clock.nowMs();
    this.#reader.push(bytes);
    this.#hasNews = true;
    this.#call?.abortIfLeft();
    const isAhead = this.#moreInput === undefined;
    this.#wake();
    if (!isAhead || this.#isPaused || this.#reader.pendingBytes <= API_INPUT_BYTES_MAX) return;
    this.#isPaused = true;
    this.#wire.pause();
  }

  /** The client has closed its side; it still reads. */
  inputEnded(): void {
    this.#hasInputEnded = true;
    if (this.#isOver) {
      this.#end();
      return;
    }
    this.#call?.abortIfLeft();
    this.#wake();
  }

  /** The socket takes bytes again. */
  drained(): void {
    this.#activeMs = this.#host.clock.nowMs();
    this.#outbox.drained();
  }

  /** The connection is gone. */
  vanished(): void {
    this.#outbox.break();
    this.#call?.abort();
    this.#hasInputEnded = true;
    this.#wake();
    this.#end();
  }

  #wake(): void {
    const resolve = this.#moreInput;
    this.#moreInput = undefined;
    resolve?.();
  }

  async #serve(): Promise<void> {
    try {
      await this.#serveLines();
    } finally {
      await this.#finish();
    }
  }

  async #serveLines(): Promise<void> {
    let hasAnswered = false;
    while (!this.#outbox.isBroken) {
      this.#hasNews = false;
      const read = this.#reader.next();
      if (read.kind === "line") {
        for (const [index, raw] of read.commands.entries()) {
          await this.#command(raw, index === read.commands.length - 1);
          if (this.asker.quits || this.#outbox.isBroken) return;
        }
        hasAnswered = true;
        continue;
      }
      if (read.kind === "broken") {
        this.#outbox.put(`${severityMark(this.asker, 3)}${read.sentence}\n\n`);
        return;
      }
      const isOneShot = this.asker.prompt === "none";
      if (isOneShot && hasAnswered && this.#reader.pendingBytes === 0 && !read.isInPayload) return;
      if (read.isInPayload && hasPrompt(this.asker)) this.#outbox.put("+ ");
      await this.#outbox.flush();
      // Something may have come while the answer went out.
      if (this.#hasNews) continue;
      if (this.#hasInputEnded) return;
      await this.#waitForInput();
    }
  }

  #waitForInput(): Promise<void> {
    this.#activeMs = this.#host.clock.nowMs();
    return new Promise((resolve) => {
      this.#moreInput = resolve;
      if (!this.#isPaused) return;
      this.#isPaused = false;
      this.#wire.resume();
    });
  }

  /** Answers one command. */
  async #command(raw: RawCommand, isLast: boolean): Promise<void> {
    if (raw.words.length > 0 || raw.problem !== undefined) {
      const call = new RunningCall(this.#control, this.asker, raw, (endsAt) =>
        this.#isLeft(endsAt, isLast),
      );
      this.#call = call;
      const before = this.#sequence();
      let running = this.#host.run(call, raw);
      if (running instanceof Promise) {
        // What was said before goes out while the command takes its time.
        await this.#outbox.flush();
        running = await running;
      }
      if (this.asker.quits) return;
      this.#mustSettle ||= call.settles ?? this.#sequence() > before;
      await this.#answer(call, running);
      this.#call = undefined;
      if (this.asker.timeoutMs !== this.#idleLimitMs) this.#watchIdle();
    }
    const upMs = this.#host.clock.nowMs() - this.#control.startedAtMs;
    if (this.#outbox.put(promptText(this.asker, isLast, upMs))) await this.#outbox.flush();
    if (this.#isTurnOver()) await this.#nextTurn();
  }

  #settle(): Promise<void> | undefined {
    if (!this.#mustSettle) return undefined;
    this.#mustSettle = false;
    return this.#host.settling?.settle();
  }

  #sequence(): number {
    return this.#host.settling?.sequence() ?? 0;
  }

  /** True when a command that `endsAt` ends need not begin to wait. */
  #isLeft(endsAt: EndsAt, isLast: boolean): boolean {
    // What stands behind it on its own line waits too: `wait 10s; show activity`.
    const hasInput = !isLast || this.#reader.pendingBytes > 0;
    return hasInput ? endsAt === "any-input" : this.#hasInputEnded;
  }

  async #answer(call: RunningCall, outcome: Outcome): Promise<void> {
    const { reply } = outcome;
    if (reply.kind === "pieces") return this.#stream(call, reply);
    const text = call.isJson ? jsonAnswer(outcome) : plainAnswer(this.asker, reply);
    if (text === "") return;
    if (this.#outbox.put(text.endsWith("\n") ? text : `${text}\n`)) await this.#outbox.flush();
  }

  /** A long answer, at the pace at which the client reads. */
  async #stream(call: RunningCall, reply: LongReply): Promise<void> {
    const { isJson } = call;
    if (isJson) this.#outbox.put(jsonHead(reply));
    const writer = new PieceWriter((piece) =>
      this.#outbox.put(isJson ? jsonPiece(reply, piece) : piece),
    );
    let code: Outcome["code"] = "OK";
    try {
      if (Symbol.iterator in reply.pieces) await this.#streamReady(reply.pieces, writer);
      else await this.#streamLater(reply.pieces, writer);
    } catch (error) {
      const outcome = failed(call, error);
      code = outcome.code;
      const sentence = outcome.reply.kind === "pieces" ? "" : outcome.reply.text;
      // Half a JSON value cannot be gone on with: it ends here, and the code says why.
      if (reply.isJson === true && isJson) this.#outbox.put("null");
      else writer.write(writer.isAtLineStart ? sentence : `\n${sentence}`);
    } finally {
      reply.close?.();
    }
    if (isJson) this.#outbox.put(`${jsonTail(reply, code)}\n`);
    else if (!writer.isAtLineStart) this.#outbox.put("\n");
  }

  async #streamReady(pieces: Iterable<string>, writer: PieceWriter): Promise<void> {
    for (const piece of pieces) {
      if (writer.write(piece)) await this.#outbox.flush();
      if (this.#outbox.isBroken) return;
      if (this.#isTurnOver()) await this.#nextTurn();
    }
  }

  /** Pieces that are waited for: what is there goes out meanwhile. */
  async #streamLater(pieces: AsyncIterable<string>, writer: PieceWriter): Promise<void> {
    const iterator = pieces[Symbol.asyncIterator]();
    try {
      while (!this.#outbox.isBroken) {
        let isSettled = false;
        const settle = (): void => void (isSettled = true);
        const next = iterator.next();
        next.then(settle, settle);
        for (let tick = 0; tick < QUICK_TICKS && !isSettled; tick++) await undefined;
        if (!isSettled) await this.#outbox.flush();
        const { done, value } = await next;
        if (done === true) return;
        if (writer.write(value)) await this.#outbox.flush();
        if (this.#isTurnOver()) await this.#nextTurn();
      }
    } finally {
      await iterator.return?.();
    }
  }

  /** True when this connection has had its time in this turn of the event loop. */
  #isTurnOver(): boolean {
    const now = this.#host.clock.nowMs();
    if (this.#turnEndMs !== 0) return now >= this.#turnEndMs;
    this.#turnEndMs = now + TURN_MS;
    this.#host.onNextTurn(() => void (this.#turnEndMs = 0));
    return false;
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#host.onNextTurn(resolve));
  }

  /** Everything is said: the client is told, and given a moment to close its side. */
  async #finish(): Promise<void> {
    await this.#outbox.flush();
    if (this.#isOver) return;
    this.#isOver = true;
    this.#idleTimer?.stop();
    if (this.#hasInputEnded || this.#outbox.isBroken) {
      this.#end();
      return;
    }
    this.#wire.shutdown();
    if (this.#isPaused) this.#wire.resume();
    this.#idleTimer = this.#host.startTimer(LINGER_MS, () => this.#end());
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#isOver = true;
    this.#idleTimer?.stop();
    this.#wire.close();
    this.#host.ended(this);
  }

  /** Ends a connection whose client does nothing: neither sends, nor takes its answer. */
  #watchIdle(): void {
    this.#idleTimer?.stop();
    const limitMs = this.asker.timeoutMs;
    this.#idleLimitMs = limitMs;
    if (limitMs <= 0 || this.#isOver) return;
    const now = this.#host.clock.nowMs();
    // While a command runs, the client is not the one that is waited for.
    if (this.#moreInput === undefined && !this.#outbox.isWaiting) this.#activeMs = now;
    const leftMs = this.#activeMs + limitMs - now;
    if (leftMs <= 0) this.vanished();
    else this.#idleTimer = this.#host.startTimer(leftMs, () => this.#watchIdle());
  }
}

/** Where a long answer goes; remembers whether a line is open. */
class PieceWriter {
  isAtLineStart = true;
  readonly #put: (piece: string) => boolean;

  constructor(put: (piece: string) => boolean) {
    this.#put = put;
  }

  /** @returns true when there is enough for a flush */
  write(piece: string): boolean {
    if (piece === "") return false;
    this.isAtLineStart = piece.endsWith("\n");
    return this.#put(piece);
  }
}

/** An answer as text. A sentence never holds an empty line: that would end the answer. */
function plainAnswer(asker: Asker, reply: Exclude<Reply, LongReply>): string {
  if (reply.kind === "output") return reply.text;
  const sentence = reply.text.replace(/\n+$/, "").replace(/\n{2,}/g, "\n");
  return sentence === "" ? "" : severityMark(asker, reply.severity) + sentence;
}

function hasPrompt(asker: Asker): boolean {
  return asker.prompt === "plain" || asker.prompt === "timed";
}
