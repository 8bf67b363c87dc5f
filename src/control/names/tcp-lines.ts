/**
 * Questions to one name server over TCP (RFC 7766): a few connections, a few questions on each at a
 * time (HAProxy manual 5.3.2), the others wait their turn. Connections are opened when they are
 * needed and closed when they have been silent, or when what comes was not asked for. Main thread.
 */
import {
  DNS_IDLE_MS,
  DNS_LATE_MAX,
  DNS_PIPELINE_MAX,
  DNS_SILENT_MS,
  DNS_UNASKED_MAX,
} from "../../base/limits.ts";
import { idOf, withId } from "./message.ts";
import type { Asked } from "./nameserver.ts";
import type { Wire, WireEars } from "./transport.ts";

/** Bytes of the length in front of each message. */
const LENGTH_BYTES = 2;

/** A connection. */
type Line = {
  wire: Wire;
  isOpen: boolean;
  /** By id; before it is open, those that it was opened for. */
  waiting: Map<number, Asked>;
  /** Ids of questions that were given up: their answers may still come. */
  late: Set<number>;
  /** Messages that answered none of them. */
  unaskedCount: number;
  /** The beginning of a message. */
  rest: Buffer;
  /** When it was opened, or answered last. */
  heardMs: number;
  /** The first question since then; undefined = none. */
  askedMs: number | undefined;
};

/** What the lines of a server use, and whom they tell. */
export type TcpLinesParts = {
  open(ears: WireEars): Wire;
  nowMs: () => number;
  random32: () => number;
  linesMax: number;
  /** A question was sent, or could not be. */
  sent(isSent: boolean): void;
  /** A message that nobody waits for. */
  outdated(): void;
  /** @param bytes of the answer; undefined: the connection was lost */
  answered(asked: Asked, bytes: Buffer | undefined): void;
};

export class TcpLines {
  readonly #parts: TcpLinesParts;
  readonly #lines = new Set<Line>();
  readonly #queue = new Set<Asked>();

  constructor(parts: TcpLinesParts) {
    this.#parts = parts;
  }

  /** Asks as soon as there is room. */
  ask(asked: Asked): void {
    this.#queue.add(asked);
    this.#serve();
  }

  /** The answer is not wanted any more. */
  cancel(asked: Asked): void {
    if (this.#queue.delete(asked)) return;
    const line = this.#lineOf(asked);
    if (line !== undefined) this.#giveUp(line, asked);
    this.#serve();
  }

  /** Closes silent connections. */
  sweep(): void {
    const now = this.#parts.nowMs();
    for (const line of [...this.#lines]) {
      if (line.waiting.size === 0 && now - line.heardMs >= DNS_IDLE_MS) this.#drop(line);
    }
  }

  close(): void {
    for (const line of [...this.#lines]) this.#drop(line);
    this.#queue.clear();
  }

  #lineOf(asked: Asked): Line | undefined {
    for (const line of this.#lines) if (line.waiting.get(asked.id) === asked) return line;
    return undefined;
  }

  /** A question goes unanswered; a connection that may be dead takes no other with it. */
  #giveUp(line: Line, asked: Asked): void {
    line.waiting.delete(asked.id);
    if (line.isOpen) line.late.add(asked.id);
    const { askedMs = Infinity } = line;
    const isSilent = this.#parts.nowMs() - askedMs >= DNS_SILENT_MS;
    if (!isSilent && line.late.size <= DNS_LATE_MAX) return;
    this.#drop(line);
    for (const other of line.waiting.values()) this.#queue.add(other);
  }

  /** Puts questions of the queue on connections that have room. */
  #serve(): void {
    for (const line of this.#lines) this.#fill(line);
    while (this.#queue.size > 0 && this.#lines.size < this.#parts.linesMax) {
      this.#fill(this.#openLine());
    }
  }

  #openLine(): Line {
    const wire = this.#parts.open({
      onOpen: () => {
        line.isOpen = true;
        for (const asked of [...line.waiting.values()]) if (!this.#send(line, asked)) return;
      },
      onData: (bytes) => this.#received(line, bytes),
      onClose: () => this.#lost(line),
    });
    const now = this.#parts.nowMs();
    const line: Line = {
      wire,
      isOpen: false,
      waiting: new Map(),
      late: new Set(),
      unaskedCount: 0,
      rest: EMPTY,
      heardMs: now,
      // It is opened for a question.
      askedMs: now,
    };
    this.#lines.add(line);
    return line;
  }

  #fill(line: Line): void {
    for (const asked of this.#queue) {
      if (line.waiting.size >= DNS_PIPELINE_MAX) return;
      this.#queue.delete(asked);
      let id = this.#parts.random32() & 0xffff;
      while (line.waiting.has(id) || line.late.has(id)) id = (id + 1) & 0xffff;
      asked.id = id;
      line.waiting.set(id, asked);
      if (line.isOpen && !this.#send(line, asked)) return;
    }
  }

  /** @returns false: the connection is lost */
  #send(line: Line, { question, id }: Asked): boolean {
    line.askedMs ??= this.#parts.nowMs();
    const message = withId(question, id);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt16BE(message.length);
    const isSent = line.wire.send(Buffer.concat([length, message]));
    this.#parts.sent(isSent);
    if (!isSent) this.#lost(line);
    return isSent;
  }

  #received(line: Line, bytes: Buffer): void {
    // At most one message waits for its rest: 65,537 bytes.
    let rest = line.rest.length === 0 ? bytes : Buffer.concat([line.rest, bytes]);
    while (rest.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + rest.readUInt16BE(0);
      if (rest.length < end) break;
      const message = rest.subarray(LENGTH_BYTES, end);
      this.#message(line, idOf(message), message);
      if (!this.#lines.has(line)) return;
      rest = rest.subarray(end);
    }
    line.rest = rest.length === 0 ? EMPTY : Buffer.from(rest);
    this.#serve();
  }

  /** A whole message. What nobody asked for is counted, and ends the connection soon. */
  #message(line: Line, id: number, message: Buffer): void {
    const asked = line.waiting.get(id);
    const isLate = line.late.delete(id);
    if (asked !== undefined || isLate) {
      line.heardMs = this.#parts.nowMs();
      line.askedMs = undefined;
    }
    if (asked !== undefined) {
      line.waiting.delete(id);
      this.#parts.answered(asked, message);
      return;
    }
    this.#parts.outdated();
    if (isLate || ++line.unaskedCount <= DNS_UNASKED_MAX) return;
    line.wire.close();
    this.#lost(line);
  }

  /** Questions on it are lost; those that wait get another connection with the next question. */
  #lost(line: Line): void {
    this.#lines.delete(line);
    const lost = [...line.waiting.values()];
    line.waiting.clear();
    for (const asked of lost) this.#parts.answered(asked, undefined);
    if (!line.isOpen) this.#refuseQueue();
    else this.#serve();
  }

  /** Nobody accepts: who waits is told now, not one connection after the other. */
  #refuseQueue(): void {
    if (this.#lines.size > 0) return;
    const lost = [...this.#queue];
    this.#queue.clear();
    for (const asked of lost) this.#parts.answered(asked, undefined);
  }

  #drop(line: Line): void {
    this.#lines.delete(line);
    line.wire.close();
  }
}

const EMPTY = Buffer.alloc(0);
