/**
 * One name server: questions out, answers to whoever asked. Over UDP each question has a random id
 * and leaves from a port that only few others left from; an answer counts when it comes from the
 * server's address to that port with that id and repeats the question. A truncated answer is asked
 * for again over TCP. Waiting and asking again is the resolution's (`resolution.ts`). Main thread.
 *
 * ```
 *   ask ─▶ UDP port (64 questions, then a fresh one) ─▶ … ─▶ answered
 *            └ truncated ─▶ TCP: up to 8 connections, 4 questions on each ─▶ answered
 * ```
 */
import {
  DNS_CONNECTIONS_MAX,
  DNS_PORT_QUESTIONS_MAX,
  DNS_PORT_UNASKED_MAX,
} from "../../base/limits.ts";
import type { ResolversSpec } from "../../tables/spec.ts";
import { newCounters } from "./counters.ts";
import type { NameCounters } from "./counters.ts";
import { idOf, readAnswer, withId } from "./message.ts";
import type { Answer, Question } from "./message.ts";
import { TcpLines } from "./tcp-lines.ts";
import type { Endpoint, Transport, Wire } from "./transport.ts";

/** A question that waits for its answer. */
export type Asked = {
  readonly question: Question;
  /** Told once, unless it was cancelled; never before `ask` has returned. */
  readonly answered: (answer: Answer) => void;
  isCancelled: boolean;
  /** Of the port that it left from. */
  port: Port | undefined;
  id: number;
};

/** A UDP port and what is expected on it. */
type Port = {
  wire: Wire;
  waiting: Map<number, Asked>;
  left: number;
  /** Messages that nobody waited for. */
  unaskedCount: number;
};

/** What name servers use. */
export type NameserverParts = {
  transport: Transport;
  /** 32 bits that nobody can guess. */
  random32: () => number;
  nowMs: () => number;
  /** Runs something soon, so that turns stay short. */
  soon(run: () => void): void;
};

/** A name server of a section. */
export class Nameserver {
  readonly name: string;
  counters: NameCounters = newCounters();
  readonly #parts: NameserverParts;
  readonly #endpoint: Endpoint;
  readonly #isTcp: boolean;
  readonly #bytesMax: number;
  readonly #tcp: TcpLines;
  #port: Port | undefined;
  /** All that are open: the last one, and those that still wait for answers. */
  readonly #ports = new Set<Port>();

  constructor(
    { name, address, isTcp, maxconn }: ResolversSpec["nameservers"][number],
    bytesMax: number,
    parts: NameserverParts,
  ) {
    this.name = name;
    this.#parts = parts;
    this.#endpoint = address as Endpoint;
    this.#isTcp = isTcp;
    this.#bytesMax = bytesMax;
    this.#tcp = new TcpLines({
      open: (ears) => parts.transport.openTcp(this.#endpoint, ears),
      nowMs: parts.nowMs,
      random32: parts.random32,
      linesMax: maxconn === 0 ? DNS_CONNECTIONS_MAX : maxconn,
      sent: (isSent) => this.#count(isSent),
      outdated: () => this.counters.outdated++,
      answered: (asked, bytes) => this.#answeredOverTcp(asked, bytes),
    });
  }

  /** Asks. The bytes of the question are not changed. */
  ask(question: Question, answered: (answer: Answer) => void): Asked {
    const asked: Asked = { question, answered, isCancelled: false, port: undefined, id: 0 };
    if (this.#isTcp) this.#tcp.ask(asked);
    else this.#askOverUdp(asked);
    return asked;
  }

  /** The answer is not wanted any more: when it comes, it is outdated. */
  cancel(asked: Asked): void {
    asked.isCancelled = true;
    const { port } = asked;
    if (port === undefined) return this.#tcp.cancel(asked);
    this.#forget(port, asked);
  }

  /** Closes connections that nobody has used for a while. */
  sweep(): void {
    this.#tcp.sweep();
  }

  close(): void {
    for (const { wire } of this.#ports) wire.close();
    this.#ports.clear();
    this.#port = undefined;
    this.#tcp.close();
  }

  #askOverUdp(asked: Asked): void {
    let port = this.#port;
    if (port === undefined || port.left === 0) port = this.#openPort();
    port.left--;
    let id = this.#parts.random32() & 0xffff;
    while (port.waiting.has(id)) id = (id + 1) & 0xffff;
    asked.port = port;
    asked.id = id;
    port.waiting.set(id, asked);
    this.#count(port.wire.send(withId(asked.question, id)));
  }

  #count(isSent: boolean): void {
    if (isSent) this.counters.sent++;
    else this.counters.sendErrors++;
  }

  #openPort(): Port {
    const old = this.#port;
    const wire = this.#parts.transport.openUdp(this.#endpoint, {
      onData: (bytes) => this.#received(port, bytes),
      onClose: () => this.#lost(port),
    });
    const left = DNS_PORT_QUESTIONS_MAX;
    const port: Port = { wire, waiting: new Map(), left, unaskedCount: 0 };
    this.#port = port;
    this.#ports.add(port);
    if (old !== undefined) this.#closeIdle(old);
    return port;
  }

  /** No port could be had: those questions are not answered, the next one tries again. */
  #lost(port: Port): void {
    this.counters.sendErrors += port.waiting.size;
    this.counters.sent -= port.waiting.size;
    this.#ports.delete(port);
    if (this.#port === port) this.#port = undefined;
  }

  /** Somebody guesses, or floods: who waits there asks again from another port when time is up. */
  #closeFlooded(port: Port): void {
    this.#ports.delete(port);
    if (this.#port === port) this.#port = undefined;
    port.wire.close();
  }

  #closeIdle(port: Port): void {
    if (port === this.#port || port.waiting.size > 0 || !this.#ports.delete(port)) return;
    port.wire.close();
  }

  #forget(port: Port, asked: Asked): void {
    if (port.waiting.get(asked.id) === asked) port.waiting.delete(asked.id);
    this.#closeIdle(port);
  }

  #received(port: Port, bytes: Buffer): void {
    const asked = port.waiting.get(idOf(bytes));
    if (asked === undefined) {
      this.counters.outdated++;
      if (++port.unaskedCount > DNS_PORT_UNASKED_MAX) this.#closeFlooded(port);
      return;
    }
    this.#forget(port, asked);
    // Hundreds may have come at once.
    const kept = Buffer.from(bytes);
    this.#parts.soon(() => this.#read(asked, kept));
  }

  #read(asked: Asked, bytes: Buffer): void {
    if (asked.isCancelled) return;
    const answer = readAnswer(bytes, asked.question, this.#bytesMax);
    if (answer.kind !== "truncated") return asked.answered(answer);
    this.counters.truncated++;
    asked.port = undefined;
    this.#tcp.ask(asked);
  }

  /** @param bytes undefined: the connection was lost */
  #answeredOverTcp(asked: Asked, bytes: Buffer | undefined): void {
    const kept = bytes === undefined ? undefined : Buffer.from(bytes);
    this.#parts.soon(() => {
      if (asked.isCancelled) return;
      const { question } = asked;
      const answer =
        kept === undefined
          ? ({ kind: "other" } as const)
          : readAnswer(kept, question, TCP_BYTES_MAX);
      asked.answered(answer);
    });
  }
}

/** Longest message over TCP: its length has 16 bits. */
const TCP_BYTES_MAX = 65_535;
