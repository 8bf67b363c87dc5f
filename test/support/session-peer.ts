/**
 * The two peers of a QUIC session, as they see it through whatever is between them: each opens
 * streams of both kinds, sends bytes that follow from who sends them and where, ends or breaks off
 * its directions, stops reading, sends datagrams; and checks all that reaches it against what the
 * other has done.
 */
import type { ConnectionOwner, StreamOwner, Transport } from "../../src/conduit/quic/transport.ts";
import { contentOf, isContentOf } from "../sim/content.ts";
import { require } from "../sim/violation.ts";
import type { Choices } from "./sim-random.ts";

/** What a peer does with streams, at most. */
export type SessionHabits = {
  streamsMax: number;
  payloadBytesMax: number;
  /** Chances that a direction is broken off by its sender, and by its reader. */
  reset: number;
  stop: number;
  datagramsMax: number;
};

type Direction = {
  /** Bytes of the whole; fewer are sent if it is broken off. */
  total: number;
  sent: number;
  hasFinished: boolean;
  /** Where it breaks off, and with which code. */
  resetAt: number;
  resetCode: bigint | null;
};

/** One side of a stream. */
export class SessionStreamEnd implements StreamOwner {
  readonly peer: SessionPeer;
  readonly handle: number;
  readonly id: number;
  readonly isOpener: boolean;
  /** Our direction; null = the stream has none of ours. */
  readonly out: Direction | null;
  readonly hasIn: boolean;
  /** Where we stop reading. */
  private readonly stopAt: number;
  received = 0;
  hasEnd = false;
  resetSeen: bigint | null = null;
  stopSeen: bigint | null = null;
  stopCode: bigint | null = null;
  isReleased = false;

  constructor(peer: SessionPeer, handle: number, id: number, isOpener: boolean) {
    const { choices, habits, transport } = peer;
    this.peer = peer;
    this.handle = handle;
    this.id = id;
    this.isOpener = isOpener;
    const isUni = (id & 2) !== 0;
    this.hasIn = !isUni || !isOpener;
    const total = choices.below(habits.payloadBytesMax + 1);
    const resetAt = choices.chance(habits.reset) ? choices.below(total + 1) : Infinity;
    const out = { total, sent: 0, hasFinished: false, resetAt, resetCode: null };
    this.out = isUni && !isOpener ? null : out;
    this.stopAt = choices.chance(habits.stop) ? choices.below(total + 1) : Infinity;
    transport.ownStream(handle, this);
  }

  /** The same stream at the other peer; undefined = it has not been told there. */
  get twin(): SessionStreamEnd | undefined {
    return this.peer.partner?.streams.get(this.id);
  }

  get isInOver(): boolean {
    return !this.hasIn || this.hasEnd || this.resetSeen !== null || this.stopCode !== null;
  }

  get isOutOver(): boolean {
    const { out } = this;
    return out === null || out.hasFinished || out.resetCode !== null || this.stopSeen !== null;
  }

  /** Sends, or ends, or breaks off. @returns false when there is nothing to do now */
  send(): boolean {
    const { out, peer } = this;
    if (out === null || this.isOutOver) return false;
    const { choices, transport } = peer;
    if (out.sent >= out.resetAt) {
      out.resetCode = drawCode(choices);
      transport.reset(this.handle, out.resetCode);
      return true;
    }
    if (out.sent === out.total) {
      out.hasFinished = true;
      transport.finish(this.handle);
      return true;
    }
    const length = choices.between(1, Math.min(out.total - out.sent, 5000));
    const piece = contentOf(keyOf(this.id, peer.isServer), out.sent, length);
    const taken = transport.write(this.handle, piece, 0, length);
    if (taken > 0) out.sent += taken;
    return taken > 0;
  }

  /** Reads, or stops to. @returns false when there is nothing to do now */
  read(): boolean {
    if (this.isInOver) return false;
    const { choices, transport, isServer } = this.peer;
    if (this.received >= this.stopAt) {
      this.stopCode = drawCode(choices);
      transport.stop(this.handle, this.stopCode);
      return true;
    }
    const length = transport.peek(this.handle);
    if (length > 0) {
      const some = choices.between(1, length);
      const piece = transport.peekBytes.slice(transport.peekOffset, transport.peekOffset + some);
      const isRight = isContentOf(keyOf(this.id, !isServer), this.received, piece);
      require(isRight, "bytes of a session arrive in order, on their own stream", () => `${this}`);
      transport.consume(this.handle, some);
      this.received += some;
      return true;
    }
    if (length === 0 && transport.isEnd) {
      this.sawEnd();
      return true;
    }
    return false;
  }

  private sawEnd(): void {
    this.hasEnd = true;
    const sender = this.twin?.out;
    require(sender?.hasFinished === true &&
      sender.sent === this.received, "an end arrives after all bytes, if it was sent", () =>
      `${this}: ${this.received} of ${sender?.sent}`);
  }

  onStreamData(): void {
    // Read when it is its turn.
  }

  onStreamWritable(): void {
    // Written when it is its turn.
  }

  onStreamReset(_stream: number, code: bigint): void {
    if (this.isInOver) return;
    this.resetSeen = code;
    const sender = this.twin;
    // A stack that is told to stop answers with a reset of that code; we would have stopped then.
    require(sender?.out?.resetCode === code, "a reset has its sender's code", () =>
      `${this}: ${code} for ${sender?.out?.resetCode}`);
  }

  onStreamStop(_stream: number, code: bigint): void {
    if (this.isOutOver && this.out?.hasFinished !== true) return;
    this.stopSeen = code;
    const reader = this.twin;
    require(reader?.stopCode === code, "a stop has its reader's code", () =>
      `${this}: ${code} for ${reader?.stopCode}`);
  }

  /** Lets go of a stream that is over. @returns whether it did */
  release(): boolean {
    if (this.isReleased || !this.isInOver || !this.isOutOver) return false;
    this.isReleased = true;
    this.peer.transport.release(this.handle);
    return true;
  }

  toString(): string {
    return `stream ${this.id} at ${this.peer}`;
  }
}

/** One peer of a session. */
export class SessionPeer implements ConnectionOwner {
  readonly name: string;
  readonly transport: Transport;
  readonly choices: Choices;
  readonly habits: SessionHabits;
  readonly isServer: boolean;
  handle = 0;
  isOpen = false;
  partner: SessionPeer | null = null;
  readonly streams = new Map<number, SessionStreamEnd>();
  private live: SessionStreamEnd[] = [];
  private openedCount = 0;
  private datagramsSent = 0;
  datagramsReceived = 0;
  /** What it did itself. */
  closeCode: bigint | null = null;
  closeReason = "";
  /** What it was told. */
  cause = 0;
  code = -1n;
  reason = "";

  constructor(
    name: string,
    transport: Transport,
    choices: Choices,
    habits: SessionHabits,
    isServer: boolean,
  ) {
    this.name = name;
    this.transport = transport;
    this.choices = choices;
    this.habits = habits;
    this.isServer = isServer;
    this.isOpen = isServer;
  }

  get isOver(): boolean {
    return this.cause !== 0 || this.closeCode !== null;
  }

  /** All that it will ever do by itself is done. */
  get isDone(): boolean {
    return this.live.length === 0 && this.openedCount >= this.habits.streamsMax;
  }

  /** Does one thing. @returns false when there was nothing to do */
  act(): boolean {
    if (!this.isOpen || this.isOver) return false;
    const { choices, live } = this;
    if (this.openedCount < this.habits.streamsMax && choices.chance(0.2) && this.open())
      return true;
    if (this.datagramsSent < this.habits.datagramsMax && choices.chance(0.1)) {
      this.sendDatagram();
      return true;
    }
    const first = choices.below(Math.max(1, live.length));
    for (let i = 0; i < live.length; i++) {
      const at = (first + i) % live.length;
      const stream = live[at]!;
      const isReading = choices.chance(0.5);
      const acted = isReading ? stream.read() || stream.send() : stream.send() || stream.read();
      if (stream.release()) {
        live.splice(at, 1);
        return true;
      }
      if (acted) return true;
    }
    return this.openedCount < this.habits.streamsMax && this.open();
  }

  private open(): boolean {
    const { transport } = this;
    const isUni = this.choices.chance(0.4);
    const handle = transport.openStream(this.handle, isUni);
    if (handle <= 0) {
      // A peer that allows none of a kind is not asked for ever.
      return false;
    }
    this.openedCount++;
    const id = transport.streamId(handle);
    this.add(new SessionStreamEnd(this, handle, id, true));
    return true;
  }

  private add(stream: SessionStreamEnd): void {
    require(!this.streams.has(stream.id), "an identifier is used once", () => `${stream}`);
    this.streams.set(stream.id, stream);
    this.live.push(stream);
  }

  private sendDatagram(): void {
    const number = this.datagramsSent++;
    const length = this.choices.between(2, 1100);
    const bytes = contentOf(keyOf(number, this.isServer), 0, length);
    bytes[0] = number;
    this.transport.sendDatagram(this.handle, bytes, 0, length);
  }

  onConnected(): void {
    this.isOpen = true;
  }

  onStream(_connection: number, handle: number, id: number): void {
    const stream = new SessionStreamEnd(this, handle, id, false);
    require((id & 1) === (this.isServer ? 0 : 1), "a stream has its opener's kind of number");
    this.add(stream);
  }

  /** The other has opened this one, or a higher one: then all lower ones are open too. */
  checkOpened(): void {
    for (const stream of this.streams.values()) {
      if (stream.isOpener || stream.twin !== undefined) continue;
      const kind = stream.id & 3;
      const higher = [...(this.partner?.streams.values() ?? [])].some(
        ({ id }) => (id & 3) === kind && id > stream.id,
      );
      require(higher, "what one peer sees, the other has opened", () => `${stream}`);
    }
  }

  onCredit(): void {
    // Asked for when it is its turn.
  }

  onDatagram(): void {
    const { transport } = this;
    for (;;) {
      const length = transport.peekDatagram(this.handle);
      if (length < 0) return;
      const at = transport.peekOffset;
      const bytes = transport.peekBytes.slice(at, at + length);
      const expected = contentOf(keyOf(bytes[0]!, !this.isServer), 0, length);
      const isRight = Buffer.compare(bytes.subarray(1), expected.subarray(1)) === 0;
      require(isRight, "a datagram arrives whole and unchanged", () => `${this}`);
      this.datagramsReceived++;
      transport.dropDatagram(this.handle);
    }
  }

  close(code: bigint, reason: string): void {
    this.closeCode = code;
    this.closeReason = reason;
    this.transport.closeConnection(this.handle, true, code, reason);
  }

  onClosed(connection: number, cause: number, code: bigint): void {
    this.cause = cause;
    this.code = code;
    this.reason = this.transport.connectionText(connection, "reason");
  }

  toString(): string {
    return `${this.isServer ? "server" : "client"} ${this.name}`;
  }
}

/** Who sends on a stream, as a key of content: the identifier, and which of the two. */
export function keyOf(id: number, isServer: boolean): number {
  return id * 2 + (isServer ? 1 : 0);
}

function drawCode(choices: Choices): bigint {
  return (BigInt(choices.below(1 << 30)) << 32n) | BigInt(choices.next());
}
