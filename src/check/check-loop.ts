/**
 * Sockets of checks over the native module's event loop (native/loop.c): registered once, told of
 * once, read into one buffer. A check that only connects costs two thirds of what it costs over the
 * runtime's sockets. Thread of checks.
 *
 * The runtime's loop cannot watch that one, so it is looked at: in the turn after something was
 * begun, then every millisecond, and less often while nothing happens. Nothing is under way:
 * nothing is looked at.
 */
import type { Pointer } from "bun:ffi";

import { onNextTurn, startTimer } from "../base/clock.ts";
import type { Ticker } from "../base/clock.ts";
import { EAGAIN } from "../conduit/errno.ts";
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  EVENT_WORDS,
  EVENTS_MAX,
  tellReady,
} from "../conduit/loop/events.ts";
import type { ReadyHandler } from "../conduit/loop/events.ts";
import { nativeModule } from "../conduit/native.ts";
import type { Native } from "../conduit/native.ts";

/** What a connection uses of a socket: this one, or the runtime's. */
export type CheckCarrier = {
  /** @returns bytes taken, 0 = none now, -1 = the connection is gone: its end is told later */
  write(bytes: Uint8Array, offset: number, length: number): number;
  pause(): void;
  resume(): void;
  /** Closes in order. */
  end(): void;
  /** Resets. */
  terminate(): void;
};

/** Who hears of a socket. Nothing is called after `end`, `terminate` or `lost`. */
export type CarrierOwner = {
  /** The connection is there, or has room again. */
  writable(): void;
  /** Bytes came: the owner's from now on. */
  plainBytes(bytes: Uint8Array): void;
  /** The server has closed its side. */
  plainEnd(): void;
  /** It is closed, and not by the owner. @param errno why */
  lost(errno: number): void;
  /** The owner has thrown. */
  broke(error: unknown): void;
};

/** Where a socket goes. @prop address, source sockaddr bytes @prop interfaceName ends in zero */
export type CarrierDial = {
  address: Uint8Array;
  source: Uint8Array | null;
  options: Int32Array;
  interfaceName: Uint8Array | null;
};

const READ_BYTES = 16_384;
/** Reads of one socket before others have their turn. */
const READS_MAX = 4;
const LOOK_FIRST_MS = 1;
const LOOK_LAST_MS = 10;
/** Looks without a pause: what fills them all is a burst. */
const ROUNDS_MAX = 4;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const FAILED = EPOLLERR | EPOLLHUP;
const LAST_READ = FAILED | EPOLLRDHUP;

/** When the loop is looked at; see base/clock.ts. */
export type LoopTiming = {
  onNextTurn: (run: () => void) => void;
  startTimer: (delayMs: number, run: () => void) => Ticker;
};

/** All sockets of the thread's checks. */
export class CheckLoop {
  readonly native: Native;
  /** For whoever closes what is left when the thread has ended. */
  readonly pointer: Pointer;
  readonly buffer = new Uint8Array(READ_BYTES);
  /** Exceptions that nobody took: bugs. Told after a look: what is lost of it comes no more. */
  faults: unknown[] = [];
  readonly #events = new Int32Array(EVENTS_MAX * EVENT_WORDS);
  /** By descriptor. */
  readonly #sockets: (CheckSocket | undefined)[] = [];
  #count = 0;
  /** Those that have more to read. */
  #again: CheckSocket[] = [];
  #isSoon = false;
  #ticker: Ticker | null = null;
  #pauseMs = LOOK_FIRST_MS;
  /** Pause that the ticker was begun with. */
  #tickerMs = 0;
  readonly #timing: LoopTiming;
  readonly #onTurn = (): void => {
    this.#isSoon = false;
    this.#look();
  };
  readonly #onTicker = (): void => {
    this.#ticker = null;
    this.#tickerMs = 0;
    this.#look();
  };

  /** @throws when the system gives no descriptor */
  constructor(native: Native, timing: LoopTiming = { onNextTurn, startTimer }) {
    this.#timing = timing;
    const pointer = native.loopNew(this.#events, EVENTS_MAX, -1);
    if (pointer === null) throw new Error("the loop of checks cannot be made: no descriptor");
    this.native = native;
    this.pointer = pointer;
  }

  /** Begins a connection. @returns -errno when it cannot be begun */
  connect(dial: CarrierDial, owner: CarrierOwner): CheckSocket | number {
    const { address, source, options, interfaceName } = dial;
    const { native, pointer } = this;
    const fd = native.loopConnect(
      pointer,
      address,
      address.length,
      source,
      source?.length ?? 0,
      options,
      interfaceName,
    );
    if (fd < 0) return fd;
    const socket = new CheckSocket(this, fd, native.loopGeneration(pointer, fd), owner);
    this.#sockets[fd] = socket;
    this.#count++;
    this.lookSoon();
    return socket;
  }

  /** Closes the socket's descriptor. */
  remove(fd: number, isAbort: boolean): void {
    this.#sockets[fd] = undefined;
    this.#count--;
    this.native.loopClose(this.pointer, fd, isAbort ? 1 : 0);
  }

  /** It has more to read than its share of a turn, or reads again. */
  readLater(socket: CheckSocket): void {
    this.#again.push(socket);
    this.lookSoon();
  }

  /** Something is likely to happen at once. */
  lookSoon(): void {
    this.#pauseMs = LOOK_FIRST_MS;
    if (this.#isSoon) return;
    this.#isSoon = true;
    // One of a time when nothing happened would hold up what happens after the next look.
    if (this.#tickerMs > LOOK_FIRST_MS) this.#stopTicker();
    this.#timing.onNextTurn(this.#onTurn);
  }

  #look(): void {
    const again = this.#again;
    if (again.length > 0) this.#again = [];
    let found = again.length;
    for (const socket of again) socket.readOn();
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const count = this.native.loopPoll(this.pointer, 0);
      // It watches nothing but sockets: there are no other events.
      for (let i = 0; i < count; i++) tellReady(this.#sockets, this.#events, i * EVENT_WORDS);
      found += Math.max(0, count);
      if (count <= 0) break;
    }
    this.#pauseMs = found > 0 ? LOOK_FIRST_MS : Math.min(this.#pauseMs * 2, LOOK_LAST_MS);
    if (this.#count === 0) this.#stopTicker();
    else if (this.#ticker === null && !this.#isSoon) {
      this.#tickerMs = this.#pauseMs;
      this.#ticker = this.#timing.startTimer(this.#pauseMs, this.#onTicker);
    }
    if (this.faults.length > 0) throw this.faults.splice(0)[0];
  }

  #stopTicker(): void {
    this.#ticker?.stop();
    this.#ticker = null;
    this.#tickerMs = 0;
  }
}

let made: CheckLoop | undefined;

/** The loop of this thread; null without the native module. */
export function checkLoop(): CheckLoop | null {
  const native = nativeModule();
  if (native === null) return null;
  made ??= new CheckLoop(native);
  return made;
}

/** One socket. */
export class CheckSocket implements CheckCarrier, ReadyHandler {
  readonly fd: number;
  readonly generation: number;
  readonly #loop: CheckLoop;
  #owner: CarrierOwner | undefined;
  #isThere = false;
  /** The system had no room for all that was written. */
  #isFull = false;
  #isPaused = false;
  /** There may be something to read. */
  #isReadable = false;
  /** The server has ended it: no further event says so, it is read to the end. */
  #isEnding = false;

  constructor(loop: CheckLoop, fd: number, generation: number, owner: CarrierOwner) {
    this.#loop = loop;
    this.fd = fd;
    this.generation = generation;
    this.#owner = owner;
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.#owner === undefined) return -1;
    const taken = this.#loop.native.send(this.fd, bytes, offset, length);
    this.#isFull = taken < length;
    if (taken >= 0) this.#loop.lookSoon();
    return taken >= 0 ? taken : taken === -EAGAIN ? 0 : -1;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    // Not from within the owner's call.
    if (this.#isReadable) this.#loop.readLater(this);
  }

  end(): void {
    this.#close(false);
  }

  terminate(): void {
    this.#close(true);
  }

  #close(isAbort: boolean): void {
    if (this.#owner === undefined) return;
    this.#owner = undefined;
    this.#loop.remove(this.fd, isAbort);
  }

  /** Something has happened. @param bits EPOLL* */
  ready(bits: number): void {
    try {
      this.#take(bits);
    } catch (error) {
      this.#break(error);
    }
  }

  /** Goes on where it stopped reading. */
  readOn(): void {
    try {
      if (this.#isReadable) this.#read();
    } catch (error) {
      this.#break(error);
    }
  }

  #break(error: unknown): void {
    try {
      this.#owner?.broke(error);
    } catch (fault) {
      this.#loop.faults.push(fault);
    }
  }

  #take(bits: number): void {
    let isNews = this.#isFull;
    if (!this.#isThere) {
      const { native } = this.#loop;
      const errno = (bits & FAILED) === 0 ? 0 : native.getInt(this.fd, SOL_SOCKET, SO_ERROR);
      if (errno > 0) {
        this.#lose(errno);
        return;
      }
      this.#isThere = (bits & (EPOLLOUT | FAILED)) !== 0;
      isNews = true;
    }
    if ((bits & (EPOLLIN | LAST_READ)) !== 0) this.#isReadable = true;
    if ((bits & LAST_READ) !== 0) this.#isEnding = true;
    if (!this.#isThere) return;
    if ((bits & EPOLLOUT) !== 0 && isNews) {
      this.#isFull = false;
      this.#owner?.writable();
    }
    if (this.#isReadable) this.#read();
  }

  #read(): void {
    const { native, buffer } = this.#loop;
    for (let reads = 0; this.#owner !== undefined && !this.#isPaused; reads++) {
      if (reads === READS_MAX) {
        this.#loop.readLater(this);
        return;
      }
      const count = native.recv(this.fd, buffer, READ_BYTES);
      if (count > 0) {
        this.#isReadable = count === READ_BYTES || this.#isEnding;
        this.#owner.plainBytes(buffer.slice(0, count));
        if (!this.#isReadable) return;
        continue;
      }
      this.#isReadable = false;
      if (count === 0) this.#owner.plainEnd();
      else if (count !== -EAGAIN) this.#lose(-count);
      return;
    }
  }

  #lose(errno: number): void {
    const owner = this.#owner;
    this.#close(true);
    owner?.lost(errno);
  }
}
