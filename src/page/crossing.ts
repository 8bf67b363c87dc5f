/**
 * One visitor's connection and the one to the HTTP server behind it: bytes of either go to the
 * other, at the pace of whoever takes them. Main thread.
 */

/** Bytes that may wait for one side before the other is not read any more. */
const HELD_MAX = 65_536;
/** After its own end a client may still be sent what it asked for, ms: all, the rest. */
const FIN_MS = 5_000;
const FIN_ANSWERED_MS = 400;

/** Bun's socket of either side. */
export type Side = Bun.Socket<Crossing>;

/** How long a visitor may take, ms; 0 = no limit. */
export type CrossingLimits = {
  /** Without a byte in either direction, while something is asked or answered. */
  idleMs: number;
  /** The same once it has its answer. */
  keepAliveMs: number;
  /** From coming, or the first byte of a further request, to the first byte of the answer. */
  requestMs: number;
};

/** What a crossing tells its owner. */
export type CrossingOwner = {
  nowMs(): number;
  /** Both sides are closed. */
  left(crossing: Crossing): void;
};

/** Both sides of a visitor's connection. */
export class Crossing {
  readonly #owner: CrossingOwner;
  #front: Side | undefined;
  #back: Side | undefined;
  #toFront: Uint8Array[] = [];
  #toBack: Uint8Array[] = [];
  /** The server has closed; the client is told when it has all. */
  #hasBackEnded = false;
  #activeAtMs: number;
  /** When the client came, or began to ask for what it has no byte of; -1 = it has its answer. */
  #askedAtMs: number;
  #hasAsked = false;
  #endedAtMs = -1;
  /** Port of the inner connection; 0 = there is none yet. */
  innerPort = 0;

  constructor(front: Side, owner: CrossingOwner) {
    this.#front = front;
    this.#owner = owner;
    this.#activeAtMs = owner.nowMs();
    this.#askedAtMs = this.#activeAtMs;
  }

  /** The client's socket; undefined once it is closed. */
  get front(): Side | undefined {
    return this.#front;
  }

  /** The inner connection is there. */
  join(back: Side): void {
    this.#back = back;
    this.innerPort = back.localPort;
    this.backDrained();
  }

  /** Bytes of the client. */
  fromFront(bytes: Uint8Array): void {
    this.#activeAtMs = this.#owner.nowMs();
    this.#hasAsked = true;
    if (this.#askedAtMs < 0) this.#askedAtMs = this.#activeAtMs;
    send(this.#back, this.#toBack, bytes);
    if (heldIn(this.#toBack) > HELD_MAX) this.#front?.pause();
  }

  /** Bytes of the server. */
  fromBack(bytes: Uint8Array): void {
    this.#activeAtMs = this.#owner.nowMs();
    this.#askedAtMs = -1;
    send(this.#front, this.#toFront, bytes);
    if (heldIn(this.#toFront) > HELD_MAX) this.#back?.pause();
  }

  frontDrained(): void {
    if (this.#front === undefined) return;
    // A drain without a byte is no sign of life.
    if (flush(this.#front, this.#toFront) > 0) this.#activeAtMs = this.#owner.nowMs();
    if (this.#toFront.length > 0) return;
    if (this.#hasBackEnded) this.drop();
    else this.#back?.resume();
  }

  backDrained(): void {
    if (this.#back === undefined) return;
    flush(this.#back, this.#toBack);
    if (this.#toBack.length === 0) this.#front?.resume();
  }

  /** The client has closed its side: if it asked for something, it still wants the answer. */
  frontEnded(): void {
    this.#endedAtMs = this.#owner.nowMs();
    if (this.#askedAtMs < 0 || !this.#hasAsked) this.drop();
  }

  backClosed(): void {
    this.#back = undefined;
    this.#hasBackEnded = true;
    if (this.#toFront.length === 0) this.drop();
  }

  /** Ends both sides; again and again without harm. */
  drop(): void {
    const front = this.#front;
    const back = this.#back;
    if (front === undefined) return;
    this.#front = undefined;
    this.#back = undefined;
    this.#toFront = [];
    this.#toBack = [];
    front.end();
    back?.terminate();
    this.#owner.left(this);
  }

  /** Since when it has all it asked for and says nothing; -1 = it does something. */
  get idleSinceMs(): number {
    return this.#askedAtMs < 0 && this.#toFront.length === 0 ? this.#activeAtMs : -1;
  }

  /** Whether it has taken too long. */
  isOver(nowMs: number, { idleMs, keepAliveMs, requestMs }: CrossingLimits): boolean {
    const silentMs = nowMs - this.#activeAtMs;
    const isAnswered = this.idleSinceMs >= 0;
    const silentMax = isAnswered ? keepAliveMs : idleMs;
    if (silentMax > 0 && silentMs > silentMax) return true;
    const finMs = isAnswered ? FIN_ANSWERED_MS : FIN_MS;
    if (this.#endedAtMs >= 0 && Math.min(silentMs, nowMs - this.#endedAtMs) > finMs) return true;
    return requestMs > 0 && this.#askedAtMs >= 0 && nowMs - this.#askedAtMs > requestMs;
  }
}

/** Writes what can be written now and keeps the rest. */
function send(to: Side | undefined, held: Uint8Array[], bytes: Uint8Array): void {
  let taken = 0;
  if (to !== undefined && held.length === 0) taken = Math.max(0, to.write(bytes));
  if (taken < bytes.length) held.push(bytes.slice(taken));
}

function heldIn(held: readonly Uint8Array[]): number {
  let sum = 0;
  for (const { length } of held) sum += length;
  return sum;
}

/** Writes what was kept. @returns bytes that were taken */
function flush(to: Side, held: Uint8Array[]): number {
  let sum = 0;
  for (let bytes = held[0]; bytes !== undefined; bytes = held[0]) {
    const taken = Math.max(0, to.write(bytes));
    sum += taken;
    if (taken < bytes.length) {
      held[0] = bytes.subarray(taken);
      break;
    }
    held.shift();
  }
  return sum;
}
