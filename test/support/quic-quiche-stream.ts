/**
 * A stream of the peers of quic-quiche.ts. Bytes are handed to `handlers.data` as they come while
 * it reads; the four ways in which a direction or the whole can be over are four different calls.
 */
import type { QuicConnection } from "./quic-quiche.ts";

/** What a stream tells. */
export interface StreamHandlers {
  data?(bytes: Uint8Array): void;
  /** The other side has finished. */
  end?(): void;
  /** The other side has broken off what it sent. */
  reset?(code: number): void;
  /** The other side takes no more. */
  stop?(code: number): void;
  /** More can be written. May come without need. */
  writable?(): void;
  /** The connection is over, and the stream was not. */
  died?(): void;
}

const SEND = 1;
const RECEIVE = 0;
const READ_BYTES = 65_536;
/** Bytes read before others have their turn. */
const READ_A_TURN = 1_048_576;
const EMPTY = new Uint8Array(0);

const readBuffer = new Uint8Array(READ_BYTES);

/** One stream. */
export class QuicStream {
  readonly connection: QuicConnection;
  readonly id: number;
  handlers: StreamHandlers = {};
  /** Bytes read so far. */
  received = 0;
  /** Code with which the other side broke off, or refused; undefined = it has not. */
  resetCode: number | undefined;
  stopCode: number | undefined;
  hasEnd = false;
  isDead = false;
  #isReading = true;
  #isReadOver = false;
  #isWriteOver = false;
  #finishWanted = false;

  constructor(connection: QuicConnection, id: number) {
    this.connection = connection;
    this.id = id;
  }

  get isUni(): boolean {
    return (this.id & 2) !== 0;
  }

  /** Stops reading: credit runs out. */
  pause(): void {
    this.#isReading = false;
  }

  resume(): void {
    this.#isReading = true;
    this.connection.stir();
  }

  /** @returns bytes taken, or -1 when this direction is over */
  write(bytes: Uint8Array, offset = 0, length = bytes.length - offset): number {
    if (this.#isWriteOver || this.isDead) return -1;
    if (length === 0) return 0;
    const taken = this.#send(bytes.subarray(offset, offset + length), false);
    this.connection.stir();
    return taken;
  }

  #send(bytes: Uint8Array, isEnd: boolean): number {
    try {
      return this.connection.native.streamSend(this.id, bytes, isEnd) ?? 0;
    } catch (error) {
      const text = String(error);
      const code = codeIn(text, "StreamStopped");
      if (code !== undefined) this.#stopped(code);
      // The other side allows no more streams yet, or the handshake is not done.
      else if (/StreamLimit|Done/.test(text)) return 0;
      else this.#isWriteOver = true;
      return -1;
    }
  }

  /** Ends what is sent, behind everything written. */
  finish(): void {
    if (this.#isWriteOver || this.isDead) return;
    this.#finishWanted = true;
    if (this.#send(EMPTY, true) >= 0 && this.#isOnTheWire()) this.#isWriteOver = true;
    this.connection.stir();
  }

  /** Does quiche know the stream? Not while the other side allows no more of them. */
  #isOnTheWire(): boolean {
    try {
      this.connection.native.streamCapacity(this.id);
      return true;
    } catch (error) {
      return !/InvalidStreamState|Done/.test(String(error));
    }
  }

  /** RESET_STREAM. */
  reset(code: number): void {
    if (this.isDead) return;
    this.#isWriteOver = true;
    this.#shutdown(SEND, code, "resetsSent");
  }

  /** STOP_SENDING. */
  stop(code: number): void {
    if (this.isDead) return;
    this.#isReadOver = true;
    this.#shutdown(RECEIVE, code, "stopsSent");
  }

  #shutdown(direction: 0 | 1, code: number, counter: "resetsSent" | "stopsSent"): void {
    try {
      this.connection.native.streamShutdown(this.id, direction, code);
      this.connection.endpoint.counts[counter]++;
    } catch {
      // It is over already.
    }
    this.connection.stir();
  }

  /** Something may be read. Called by the connection. */
  readable(): void {
    const { native } = this.connection;
    for (let done = 0; this.#isReading && !this.#isReadOver && done < READ_A_TURN;) {
      let result;
      try {
        result = native.streamRecv(this.id, readBuffer);
      } catch (error) {
        const code = codeIn(String(error), "StreamReset");
        if (code === undefined) return;
        this.#isReadOver = true;
        this.resetCode = code;
        this.connection.endpoint.counts.resetsReceived++;
        return this.handlers.reset?.(code);
      }
      if (result === null) return;
      const [length, isEnd] = result;
      done += length;
      this.received += length;
      if (length > 0) this.handlers.data?.(readBuffer.slice(0, length));
      if (!isEnd) continue;
      this.#isReadOver = true;
      this.hasEnd = true;
      return this.handlers.end?.();
    }
    if (this.#isReading && !this.#isReadOver) this.connection.stir();
  }

  /** Something may be written, or will never be. Called by the connection. */
  writable(): void {
    if (this.stopCode !== undefined || this.isDead) return;
    try {
      this.connection.native.streamCapacity(this.id);
    } catch (error) {
      const code = codeIn(String(error), "StreamStopped");
      if (code !== undefined) this.#stopped(code);
      return;
    }
    if (this.#isWriteOver) return;
    if (this.#finishWanted) this.finish();
    else this.handlers.writable?.();
  }

  #stopped(code: number): void {
    this.#isWriteOver = true;
    if (this.stopCode !== undefined) return;
    this.stopCode = code;
    this.connection.endpoint.counts.stopsReceived++;
    this.handlers.stop?.(code);
  }

  /** The connection is over. Called by it. */
  die(): void {
    if (this.isDead) return;
    this.isDead = true;
    if (this.#isReadOver && this.#isWriteOver) return;
    this.handlers.died?.();
  }
}

/** quiche tells codes in the texts of its errors. */
function codeIn(text: string, what: string): number | undefined {
  const found = new RegExp(`${what}\\((\\d+)\\)`).exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}
