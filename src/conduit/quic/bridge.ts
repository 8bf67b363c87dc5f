/**
 * Two QUIC connections joined, so that the peers meet as if there were one: every stream that
 * either opens is opened towards the other with the same identifier, and in the same order;
 * datagrams pass too, as far as the path takes them.
 *
 * QUIC numbers streams by opener and kind, so there are four lanes. A lane opens its streams one by
 * one: where the other peer allows no more, the rest waits for its credit, and is bounded by what
 * its own peer was allowed. Where a stream is told before a lower one, the lower is opened ahead.
 *
 * ```
 *   lane: 0 1 2 3 4 │ 5   7      opened on the other side │ told, and waiting (`unmatched`)
 *             ^ opened ahead: not told yet (`unmatched` too)
 * ```
 *
 * @hot
 */
import { assert } from "../../base/assert.ts";
import { BACK, FRONT } from "../conduit.ts";
import type { ConduitOwner } from "../conduit.ts";
import { SessionStream } from "./session-stream.ts";
import type { SessionTurns } from "./session-stream.ts";
import type { Transport } from "./transport.ts";

/** Opener (2) by kind (2). */
const LANES = 4;

/** Streams that are kept for the next ones, at most. */
const FREE_MAX = 1024;

/** What the sessions of one worker share: streams for the next life, and the turns of busy ones. */
export class SessionPool implements SessionTurns {
  private readonly transport: Transport;
  private readonly nextTurn: (run: () => void) => void;
  private readonly fault: (where: string, error: unknown) => void;
  private readonly onTurn: () => void;
  private free: SessionStream | null = null;
  private freeCount = 0;
  private again: SessionStream[] = [];
  private againSpare: SessionStream[] = [];

  /**
   * @param nextTurn runs a function when the events of this turn of the loop have been handled
   * @param fault is told of an exception of one stream, which is a bug; the others go on
   */
  constructor(
    transport: Transport,
    nextTurn: (run: () => void) => void,
    fault: (where: string, error: unknown) => void,
  ) {
    this.transport = transport;
    this.nextTurn = nextTurn;
    this.fault = fault;
    this.onTurn = () => this.goOn();
  }

  /** A stream whose life begins. @param opener FRONT or BACK */
  take(opener: number, isUni: boolean): SessionStream {
    const { free } = this;
    const stream = free ?? new SessionStream(this.transport, this);
    if (free !== null) {
      this.free = free.next;
      this.freeCount--;
    }
    stream.next = null;
    stream.previous = null;
    stream.begin(opener, isUni);
    return stream;
  }

  give(stream: SessionStream): void {
    stream.clear();
    if (this.freeCount === FREE_MAX) return;
    this.freeCount++;
    stream.next = this.free;
    this.free = stream;
  }

  goOnLater(stream: SessionStream): void {
    if (this.again.length === 0) this.nextTurn(this.onTurn);
    this.again.push(stream);
  }

  private goOn(): void {
    const batch = this.again;
    this.again = this.againSpare;
    for (let i = 0; i < batch.length; i++) {
      try {
        batch[i]!.goOn();
      } catch (error) {
        this.fault("QUIC session stream", error);
      }
    }
    batch.length = 0;
    this.againSpare = batch;
  }
}

/** A stream that was told before the sessions were joined. */
export type EarlyStream = { stream: SessionStream; id: number };

export class Bridge {
  private readonly transport: Transport;
  private readonly pool: SessionPool;
  /** Handles of the connections: the client's, and the server's. */
  private readonly front: number;
  private readonly back: number;
  private readonly owner: ConduitOwner;
  /** Of each lane: the next stream to be opened, and one more than the highest that was told. */
  private readonly opened = new Float64Array(LANES);
  private readonly wanted = new Float64Array(LANES);
  /** Streams of which one side is not there, by identifier. */
  private readonly unmatched = new Map<number, SessionStream>();
  /** All streams that have both sides. */
  private first: SessionStream | null = null;
  private isOver = false;

  /**
   * @param front the client's connection, established
   * @param back the server's, established too, and without a stream of ours
   * @param owner hears what was moved
   */
  constructor(
    pool: SessionPool,
    transport: Transport,
    front: number,
    back: number,
    owner: ConduitOwner,
  ) {
    this.pool = pool;
    this.transport = transport;
    this.front = front;
    this.back = back;
    this.owner = owner;
  }

  /**
   * Begins: streams that were told before, in order; then everything goes on as it comes.
   * @param side whose peer opened them
   */
  adopt(side: number, early: readonly EarlyStream[]): void {
    for (let i = 0; i < early.length; i++) {
      const { stream, id } = early[i]!;
      const lane = laneOf(side, id);
      this.unmatched.set(id, stream);
      this.wanted[lane] = Math.max(this.wanted[lane]!, indexOf(id) + 1);
    }
    this.creditTold(side === FRONT ? BACK : FRONT, true, true);
    this.datagramsTold(side);
  }

  /** Handles of the streams that have both sides, on one of them. @cold */
  *handles(side: number): Generator<number> {
    for (let stream = this.first; stream !== null; stream = stream.next) {
      yield stream.handleOf(side);
    }
  }

  /** A peer has opened a stream. @param side whose peer @param id QUIC's identifier */
  streamTold(side: number, handle: number, id: number): void {
    if (this.isOver) return;
    const lane = laneOf(side, id);
    const index = indexOf(id);
    if (index < this.opened[lane]!) {
      this.matchAhead(side, handle, id);
      return;
    }
    const stream = this.pool.take(side, isUni(id));
    stream.hold(side, handle);
    if (index >= this.wanted[lane]!) this.wanted[lane] = index + 1;
    if (index === this.opened[lane]! && this.open(lane, stream)) return;
    this.unmatched.set(id, stream);
    this.openMore(lane);
  }

  /** The other side of the stream was opened ahead, on the way to a higher one. */
  private matchAhead(side: number, handle: number, id: number): void {
    const stream = this.unmatched.get(id);
    assert(stream !== undefined, "Bridge: a stream is told once");
    this.unmatched.delete(id);
    stream.hold(side, handle);
    this.join(stream, side);
  }

  /** Opens what waits in a lane, in order, as far as there is credit. */
  private openMore(lane: number): void {
    while (this.opened[lane]! < this.wanted[lane]!) {
      const id = idOf(lane, this.opened[lane]!);
      const waiting = this.unmatched.get(id);
      const stream = waiting ?? this.pool.take(openerOf(lane), isUni(id));
      if (waiting !== undefined) this.unmatched.delete(id);
      if (this.open(lane, stream, waiting === undefined)) continue;
      if (waiting === undefined) this.pool.give(stream);
      else this.unmatched.set(id, stream);
      return;
    }
  }

  /**
   * Opens the next stream of a lane on the other side.
   * @param isAhead it was not told yet
   * @returns false when the other peer allows none now
   */
  private open(lane: number, stream: SessionStream, isAhead = false): boolean {
    const side = openerOf(lane) === FRONT ? BACK : FRONT;
    const index = this.opened[lane]!;
    const id = idOf(lane, index);
    const handle = this.transport.openStream(side === FRONT ? this.front : this.back, isUni(id));
    if (handle <= 0) return false;
    const isSame = index > 0 || this.transport.streamId(handle) === id;
    assert(isSame, "Bridge: identifiers are the same on both sides");
    this.opened[lane] = index + 1;
    stream.hold(side, handle);
    if (isAhead) this.unmatched.set(id, stream);
    else this.join(stream, side);
    return true;
  }

  /** Both sides are there. @param late the one that came last */
  private join(stream: SessionStream, late: number): void {
    stream.next = this.first;
    if (this.first !== null) this.first.previous = stream;
    this.first = stream;
    stream.join(this, late);
  }

  /** A stream is over in all directions. */
  streamLeft(stream: SessionStream): void {
    const { next, previous } = stream;
    if (next !== null) next.previous = previous;
    if (previous !== null) previous.next = next;
    else this.first = next;
    this.pool.give(stream);
  }

  /** The peer of `side` allows more streams. */
  creditTold(side: number, bidi: boolean, uni: boolean): void {
    if (this.isOver) return;
    const lane = side === FRONT ? 2 : 0;
    if (bidi) this.openMore(lane);
    if (uni) this.openMore(lane + 1);
  }

  /** Datagrams have come from the peer of `side`. Those that cannot go on are dropped. */
  datagramsTold(side: number): void {
    if (this.isOver) return;
    const { transport } = this;
    const from = side === FRONT ? this.front : this.back;
    const to = side === FRONT ? this.back : this.front;
    let moved = 0;
    for (;;) {
      const length = transport.peekDatagram(from);
      if (length < 0) break;
      const { peekBytes, peekOffset } = transport;
      // The transport counts those that are too long for the path, or one too many.
      if (transport.sendDatagram(to, peekBytes, peekOffset, length) >= 0) moved += length;
      transport.dropDatagram(from);
    }
    if (moved > 0) this.moved(side, moved);
  }

  /** Bytes that came from `side` are in the other's hands. */
  moved(side: number, bytes: number): void {
    if (!this.isOver) this.owner.onMoved(side, bytes);
  }

  /** One of the connections is over, or both: their streams are nobody's any more. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    for (let stream = this.first; stream !== null;) {
      const { next } = stream;
      this.pool.give(stream);
      stream = next;
    }
    this.first = null;
    for (const stream of this.unmatched.values()) this.pool.give(stream);
    this.unmatched.clear();
  }
}

function isUni(id: number): boolean {
  return (id & 2) !== 0;
}

/** Place of a stream among those of its opener and kind. Identifiers go beyond 32 bits. */
function indexOf(id: number): number {
  return Math.floor(id / 4);
}

function laneOf(opener: number, id: number): number {
  return (opener === FRONT ? 0 : 2) + (isUni(id) ? 1 : 0);
}

function openerOf(lane: number): number {
  return lane < 2 ? FRONT : BACK;
}

/** Clients open even identifiers, servers odd ones; the second bit is the kind (RFC 9000, 2.1). */
function idOf(lane: number, index: number): number {
  return index * 4 + (lane & 1) * 2 + (lane < 2 ? 0 : 1);
}
