/**
 * Questions to one name server over TCP (RFC 7766): a few connections, a few questions on each at a
 * time (HAProxy manual 5.3.2), the others wait their turn. Connections are opened when they are
 * needed and closed when they have been silent. Main thread.
 */
import { DNS_IDLE_MS, DNS_PIPELINE_MAX } from "../../base/limits.ts";
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
  /** The beginning of a message. */
  rest: Buffer;
  usedMs: number;
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
    for (const line of this.#lines) {
      if (line.waiting.get(asked.id) === asked) line.waiting.delete(asked.id);
    }
    this.#serve();
  }

  /** Closes silent connections. */
  sweep(): void {
    const now = this.#parts.nowMs();
    for (const line of [...this.#lines]) {
      if (line.waiting.size === 0 && now - line.usedMs >= DNS_IDLE_MS) this.#drop(line);
    }
  }

  close(): void {
    for (const line of [...this.#lines]) this.#drop(line);
    this.#queue.clear();
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
        for (const [id, asked] of [...line.waiting]) this.#send(line, asked, id);
      },
      onData: (bytes) => this.#received(line, bytes),
      onClose: () => this.#lost(line),
    });
    const usedMs = this.#parts.nowMs();
    const line: Line = { wire, isOpen: false, waiting: new Map(), rest: EMPTY, usedMs };
    this.#lines.add(line);
    return line;
  }

  #fill(line: Line): void {
    for (const asked of this.#queue) {
      if (line.waiting.size >= DNS_PIPELINE_MAX) return;
      this.#queue.delete(asked);
      let id = this.#parts.random32() & 0xffff;
      while (line.waiting.has(id)) id = (id + 1) & 0xffff;
      asked.id = id;
      line.waiting.set(id, asked);
      if (line.isOpen) this.#send(line, asked, id);
    }
  }

  #send(line: Line, { question }: Asked, id: number): void {
    line.usedMs = this.#parts.nowMs();
    const message = withId(question, id);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt16BE(message.length);
    this.#parts.sent(line.wire.send(Buffer.concat([length, message])));
  }

  #received(line: Line, bytes: Buffer): void {
    line.usedMs = this.#parts.nowMs();
    // At most one message waits for its rest: 65,537 bytes.
    let rest = line.rest.length === 0 ? bytes : Buffer.concat([line.rest, bytes]);
    while (rest.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + rest.readUInt16BE(0);
      if (rest.length < end) break;
      const message = rest.subarray(LENGTH_BYTES, end);
      const id = idOf(message);
      const asked = line.waiting.get(id);
      if (asked === undefined) {
        this.#parts.outdated();
      } else {
        line.waiting.delete(id);
        this.#parts.answered(asked, message);
      }
      if (!this.#lines.has(line)) return;
      rest = rest.subarray(end);
    }
    line.rest = rest.length === 0 ? EMPTY : Buffer.from(rest);
    this.#serve();
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
