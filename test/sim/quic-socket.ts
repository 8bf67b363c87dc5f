/**
 * A QUIC stream as a client or a server of the simulation has it: the same face as a simulated TCP
 * connection (SimSocket), so that clients and servers are the same on both. Beyond that face: each
 * direction can be broken off alone, and a whole connection may die under it.
 */
import type { StreamOwner } from "../../src/conduit/quic/transport.ts";
import type { SimConnection, SimStream } from "../support/sim-quic.ts";
import type { Choices } from "../support/sim-random.ts";
import type { SimSocket, SocketHabits } from "../support/sim-socket.ts";
import type { SimTransport } from "../support/sim-transport.ts";
import { require } from "./violation.ts";

/** What a client or a server does with its connection, and what is known of the other side. */
export type FarSocket = Pick<
  SimSocket,
  | "habits"
  | "isConnecting"
  | "nearFinished"
  | "nearClosed"
  | "nearAborted"
  | "closeDelivered"
  | "farFinished"
  | "sendRoom"
  | "unreadBytes"
  | "waitingBytes"
  | "sawEnd"
  | "sawReset"
  | "send"
  | "take"
  | "finish"
  | "close"
  | "reset"
>;

/** Code of a direction that nobody wants any more, in order. */
const CLEAN = 0n;

export class QuicStreamSocket implements FarSocket, StreamOwner {
  readonly habits: SocketHabits;
  readonly transport: SimTransport;
  private readonly choices: Choices;
  readonly isConnecting = false;
  /** Handle and identifier of the stream; 0 and -1 = it is not there yet. */
  handle = 0;
  id = -1;
  /** What the proxy's side did: ended its direction, or both in order, aborted both, broke a
   * direction off, was told its end. */
  nearFinished = false;
  nearClosed = false;
  nearAborted = false;
  nearBroken = false;
  closeDelivered = false;
  /** What this side did. */
  farFinished = false;
  resetCode: bigint | null = null;
  stopCode: bigint | null = null;
  /** What it was told. */
  resetSeen: bigint | null = null;
  stopSeen: bigint | null = null;
  private hasEnd = false;
  /** Its connection is over; what had arrived by then can still be read. */
  isDead = false;
  private left: SimStream | undefined;
  private isReleased = false;

  constructor(transport: SimTransport, habits: SocketHabits, choices: Choices) {
    this.transport = transport;
    this.habits = habits;
    this.choices = choices;
  }

  /** The stream is there. */
  bind(handle: number): void {
    this.handle = handle;
    this.id = this.transport.streamId(handle);
    this.transport.ownStream(handle, this);
  }

  /**
   * Nothing more can be done with it, and what came of it was looked at.
   * @param hasGone whoever has it has left it, or has seen that it was broken off
   */
  isDone(hasGone: boolean): boolean {
    const isInDone = this.hasEnd || this.stopCode !== null || hasGone;
    return isInDone && (this.isDead || this.isOutOver);
  }

  private get isInOver(): boolean {
    return this.hasEnd || this.resetSeen !== null || this.stopCode !== null;
  }

  private get isOutOver(): boolean {
    return this.farFinished || this.resetCode !== null || this.stopSeen !== null;
  }

  /** One direction or both were broken off by this side. */
  get hasBroken(): boolean {
    return this.resetCode !== null || this.stopCode !== null;
  }

  private get inside(): SimStream | undefined {
    return this.isDead ? this.left : this.transport.streamOf(this.handle);
  }

  /** The same stream at the proxy. */
  private get twin(): SimStream | undefined {
    const inside = this.inside;
    return inside?.connection.peer?.streams.get(inside.id);
  }

  get sendRoom(): number {
    if (this.handle === 0 || this.isDead || this.isOutOver) return 0;
    return Math.max(0, this.inside?.room ?? 0);
  }

  /** Bytes of this side that the proxy has not taken. */
  get unreadBytes(): number {
    const inside = this.inside;
    if (inside === undefined) return 0;
    return inside.unsentBytes + inside.flyingBytes + (this.twin?.unreadBytes ?? 0);
  }

  /** Bytes of the proxy that this side has not taken. */
  get waitingBytes(): number {
    const { twin } = this;
    const under = twin === undefined ? 0 : twin.unsentBytes + twin.flyingBytes;
    return under + (this.inside?.unreadBytes ?? 0);
  }

  send(bytes: Uint8Array): number {
    if (this.sendRoom === 0) return 0;
    return Math.max(0, this.transport.write(this.handle, bytes, 0, bytes.length));
  }

  take(most: number): Uint8Array | undefined {
    if (this.handle === 0 || this.isInOver) return undefined;
    if (this.isDead) return this.takeLeft(most);
    const { transport } = this;
    const length = transport.peek(this.handle);
    if (length <= 0) return undefined;
    const some = Math.min(length, most);
    const piece = transport.peekBytes.slice(transport.peekOffset, transport.peekOffset + some);
    transport.consume(this.handle, some);
    return piece;
  }

  /** What had arrived when the connection ended: whoever closes gently relies on it. */
  private takeLeft(most: number): Uint8Array | undefined {
    const first = this.left?.pieces[0];
    if (first === undefined) return undefined;
    const some = Math.min(first.bytes.length - first.offset, most);
    const piece = first.bytes.slice(first.offset, first.offset + some);
    first.offset += some;
    if (first.offset === first.bytes.length) this.left!.pieces.shift();
    return piece;
  }

  get sawEnd(): boolean {
    if (this.hasEnd) return true;
    if (this.handle === 0 || this.isInOver) return false;
    if (this.isDead) {
      this.hasEnd = this.left?.inState === "ended" && this.left.pieces.length === 0;
    } else {
      this.hasEnd = this.transport.peek(this.handle) === 0 && this.transport.isEnd;
    }
    if (!this.hasEnd) return false;
    const isOrderly = this.nearFinished || (this.nearClosed && !this.nearAborted);
    require(isOrderly, "an end arrives only where the proxy has ended in order");
    this.letGo();
    return true;
  }

  get sawReset(): boolean {
    if (this.resetSeen !== null) return true;
    if (!this.isDead || this.hasEnd) return false;
    const { left } = this;
    return left === undefined || (left.inState !== "ended" && left.pieces.length === 0);
  }

  finish(): void {
    if (this.isOutOver || this.handle === 0) return;
    this.farFinished = true;
    this.transport.finish(this.handle);
    this.letGo();
  }

  /** Both directions in order: the rest of what comes is not wanted. */
  close(): void {
    this.finish();
    this.farFinished = true;
    this.stop(CLEAN);
  }

  /** Both directions at once. */
  reset(): void {
    this.breakOff(this.drawCode());
    this.stop(this.drawCode());
    this.farFinished = true;
  }

  /** RESET_STREAM: this side's direction alone. @returns whether it could be */
  breakOff(code = this.drawCode()): boolean {
    if (this.handle === 0 || this.isDead || this.isOutOver) return false;
    this.resetCode = code;
    this.transport.reset(this.handle, code);
    this.letGo();
    return true;
  }

  /** STOP_SENDING: nothing more is read. @returns whether it could be */
  stop(code = this.drawCode()): boolean {
    if (this.handle === 0 || this.isDead || this.isInOver) return false;
    this.stopCode = code;
    this.transport.stop(this.handle, code);
    this.letGo();
    return true;
  }

  private drawCode(): bigint {
    return (BigInt(this.choices.below(1 << 30)) << 32n) | BigInt(this.choices.next());
  }

  private letGo(): void {
    if (!this.isInOver || !this.isOutOver || this.isReleased || this.isDead) return;
    this.isReleased = true;
    this.transport.release(this.handle);
  }

  /** Its connection is over. */
  die(connection: SimConnection | undefined): void {
    this.left = connection?.streams.get(this.id);
    this.isDead = true;
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
    this.letGo();
  }

  onStreamStop(_stream: number, code: bigint): void {
    if (this.resetCode !== null) return;
    this.stopSeen = code;
    this.letGo();
  }
}
