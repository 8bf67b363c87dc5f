/**
 * TCP and unix sockets of the worker's own loop as conduits.
 *
 * Watched edge-triggered and once: what is readable and writable is remembered here, so that to
 * pause costs nothing and to resume is to read. All reads of a thread go into one buffer; what the
 * owner does not take is copied out and kept, at most one read of it.
 *
 * @hot
 */
import { BACK, CLOSE_CLEAN, CLOSE_RESET, FRONT, WRITE_CLOSED } from "../conduit.ts";
import type { Conduit, ConduitOwner } from "../conduit.ts";
import { closeCodeOfErrno, connectCloseCode, EAGAIN } from "../errno.ts";
import { decodeSocketAddress } from "../sockaddr.ts";
import type { Endpoint } from "../sockaddr.ts";
import type { DialTarget } from "../tcp/dial.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "./events.ts";
import type { NativeLoop } from "./native-loop.ts";

const SOL_SOCKET = 1;
const SO_ERROR = 4;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

/** Reads of one conduit before others have their turn. */
const READS_PER_TURN = 2;

const OPEN = 0;
/** Closed by the peer in order while bytes are still kept: the owner learns after the last. */
const ENDING = 1;
const CLOSED = 2;

const addressBytes = new Uint8Array(128);

export class LoopConduit implements Conduit {
  readonly fd: number;
  generation: number;
  /** In the loop's list of conduits that read on later. */
  isWaitingTurn = false;
  private readonly loop: NativeLoop;
  private owner: ConduitOwner | null;
  private side: number;
  private state = OPEN;
  private isConnecting: boolean;
  private isHeld = false;
  private isReadable = false;
  /** The loop has told of it at least once. */
  private wasReady = false;
  private isWritable = true;
  /** A write was not taken whole: the owner waits for onDrain. */
  private isBlocked = false;
  /** The peer's end is on its way: reading is not over with a short read. */
  private hasEndAhead = false;
  private hasEnded = false;
  private hasFinished = false;
  private kept: Uint8Array | null = null;
  private keptOffset = 0;
  /** CLOSE_* of an error that a write met; -1 = none. Told when reading is over. */
  private brokenCode = -1;
  /** CLOSE_* of a socket that closed while nobody owned it; -1 = none. */
  private untold = -1;

  constructor(
    loop: NativeLoop,
    fd: number,
    generation: number,
    owner: ConduitOwner | null,
    side: number,
    isConnecting: boolean,
  ) {
    this.loop = loop;
    this.fd = fd;
    this.generation = generation;
    this.owner = owner;
    this.side = side;
    this.isConnecting = isConnecting;
  }

  setOwner(owner: ConduitOwner | null, side: number): void {
    this.owner = owner;
    this.side = side;
  }

  remoteEndpoint(out: Endpoint): void {
    this.readEndpoint(1, out);
  }

  localEndpoint(out: Endpoint): void {
    this.readEndpoint(0, out);
  }

  private readEndpoint(peer: number, out: Endpoint): void {
    out.clear();
    if (this.state !== OPEN) return;
    const length = this.loop.native.name(this.fd, peer, addressBytes, addressBytes.length);
    if (length > 0) decodeSocketAddress(addressBytes, length, out);
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.state !== OPEN || this.hasFinished) return WRITE_CLOSED;
    if (!this.isWritable) {
      this.isBlocked = true;
      return 0;
    }
    const taken = this.loop.native.send(this.fd, bytes, offset, length);
    if (taken === length) return taken;
    if (taken >= 0 || taken === -EAGAIN) {
      this.isWritable = false;
      this.isBlocked = true;
      return taken < 0 ? 0 : taken;
    }
    // The system tells an error once: a read that comes later would see an end in order.
    if (this.brokenCode < 0) this.breaks(closeCodeOfErrno(-taken));
    return WRITE_CLOSED;
  }

  /** A write met an error. Reading tells it; where nothing is read any more, this does. @cold */
  private breaks(code: number): void {
    this.brokenCode = code;
    this.loop.nextTurn(() => {
      if (this.hasEnded || this.kept !== null) this.shut(code);
    });
  }

  pause(): void {
    this.isHeld = true;
  }

  resume(): void {
    this.isHeld = false;
    if (this.untold >= 0 && this.owner !== null) {
      this.tellClose(this.untold);
      return;
    }
    if (!this.offerKept()) return;
    if (this.state === ENDING) {
      this.tellClose(CLOSE_CLEAN);
      return;
    }
    if (this.isReadable) this.pump();
  }

  finish(): void {
    if (this.state !== OPEN || this.hasFinished) return;
    this.hasFinished = true;
    this.loop.native.finish(this.fd);
  }

  close(): void {
    // Bytes that nobody read would turn the end into a reset.
    if (this.state === OPEN && !this.hasEnded && (this.isReadable || !this.wasReady)) {
      this.discard();
    }
    this.leave(false);
  }

  /** Throws away what has been received, within reason. */
  private discard(): void {
    const { loop } = this;
    if (loop.isReading) return;
    for (let reads = 0; reads < READS_PER_TURN; reads++) {
      const room = loop.readBuffer.length;
      if (loop.native.recv(this.fd, loop.readBuffer, room) < room) return;
    }
  }

  abort(): void {
    this.leave(true);
  }

  private leave(isAbort: boolean): void {
    this.owner = null;
    this.kept = null;
    if (this.state === OPEN) this.loop.remove(this.fd, isAbort);
    this.state = CLOSED;
  }

  /** From the loop: the socket's readiness has changed. @param bits EPOLL* */
  ready(bits: number): void {
    if (this.state !== OPEN) return;
    this.wasReady = true;
    const hasError = (bits & EPOLLERR) !== 0;
    if (hasError && this.isConnecting && this.failed()) return;
    if ((bits & (EPOLLOUT | EPOLLHUP)) !== 0) this.becomeWritable();
    if (this.state !== OPEN) return;
    if ((bits & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) !== 0) {
      if ((bits & (EPOLLRDHUP | EPOLLHUP)) !== 0) this.endIsAhead();
      if (this.state !== OPEN) return;
      this.isReadable = true;
      // What came before an abort is delivered before it.
      this.pump();
    }
    if (hasError && this.state === OPEN) this.failed();
  }

  /** The peer has finished; the owner hears of it now if bytes before that are still kept. */
  private endIsAhead(): void {
    if (this.hasEndAhead) return;
    this.hasEndAhead = true;
    if (this.kept !== null && this.owner !== null) this.owner.onEndAhead(this.side);
  }

  /** A pending error of the socket ends it. @returns true if there was one */
  private failed(): boolean {
    const errno = this.loop.native.getInt(this.fd, SOL_SOCKET, SO_ERROR);
    if (errno === 0) return false;
    const code = this.isConnecting ? this.connectFailure(errno) : closeCodeOfErrno(errno);
    this.shut(code);
    return true;
  }

  /** A server that accepted and then reset was connected for a moment. */
  private connectFailure(errno: number): number {
    if (closeCodeOfErrno(errno) !== CLOSE_RESET || this.owner === null) {
      return connectCloseCode(errno);
    }
    this.isConnecting = false;
    this.owner.onOpen(this.side);
    return CLOSE_RESET;
  }

  private becomeWritable(): void {
    this.isWritable = true;
    const { owner } = this;
    if (owner === null) return;
    if (this.isConnecting) {
      this.isConnecting = false;
      owner.onOpen(this.side);
    } else if (this.isBlocked) {
      this.isBlocked = false;
      owner.onDrain(this.side);
    }
  }

  /** Reads while there is something, the owner takes it, and it is this conduit's turn. */
  pump(): void {
    const { loop } = this;
    for (let reads = 0; this.mayRead(); reads++) {
      // One buffer for all: a read inside another's delivery waits for its end.
      if (reads === READS_PER_TURN || loop.isReading) {
        loop.readLater(this);
        return;
      }
      const room = loop.readBuffer.length;
      const count = loop.native.recv(this.fd, loop.readBuffer, room);
      if (count > 0) {
        if (count < room && !this.hasEndAhead) this.isReadable = false;
        this.deliver(count);
      } else if (count === 0) {
        this.ended();
        return;
      } else {
        this.isReadable = false;
        if (count !== -EAGAIN) this.shut(closeCodeOfErrno(-count));
        return;
      }
    }
  }

  private mayRead(): boolean {
    return (
      this.isReadable &&
      this.state === OPEN &&
      !this.isHeld &&
      this.kept === null &&
      !this.hasEnded &&
      this.owner !== null
    );
  }

  private deliver(count: number): void {
    const { loop } = this;
    const buffer = loop.readBuffer;
    loop.isReading = true;
    const taken = this.owner!.onData(this.side, buffer, 0, count);
    if (taken < count && this.state === OPEN) this.keep(buffer, taken, count);
    loop.isReading = false;
  }

  /** A plain copy of just what is left: the buffer belongs to the next read. @cold */
  private keep(buffer: Uint8Array, from: number, to: number): void {
    this.kept = new Uint8Array(buffer.buffer.slice(from, to));
    this.keptOffset = 0;
    if (this.hasEndAhead && this.owner !== null) this.owner.onEndAhead(this.side);
  }

  /** Is everything received so far taken? False: something is still kept. */
  private offerKept(): boolean {
    while (this.kept !== null) {
      const bytes = this.kept;
      const offset = this.keptOffset;
      if (this.owner === null) return false;
      const taken = this.owner.onData(this.side, bytes, offset, bytes.length - offset);
      // The owner may have closed this conduit inside the call.
      if (this.kept !== bytes) return this.kept === null && this.state !== CLOSED;
      if (offset + taken < bytes.length) {
        this.keptOffset = offset + taken;
        return false;
      }
      this.kept = null;
    }
    return this.state !== CLOSED;
  }

  /** The peer has finished its direction, and all before that is delivered. */
  private ended(): void {
    this.hasEnded = true;
    this.isReadable = false;
    if (this.brokenCode >= 0) {
      this.shut(this.brokenCode);
      return;
    }
    if (this.owner === null) return;
    if (this.hasFinished) this.shut(CLOSE_CLEAN);
    else this.owner.onEnd(this.side);
  }

  /** The socket is over; the owner is told unless bytes are still kept. */
  private shut(code: number): void {
    if (this.state !== OPEN) return;
    this.loop.remove(this.fd, false);
    if (code === CLOSE_CLEAN && this.kept !== null) {
      this.state = ENDING;
      return;
    }
    if (this.owner === null) {
      this.state = CLOSED;
      this.untold = code;
      return;
    }
    this.tellClose(code);
  }

  private tellClose(code: number): void {
    const { owner } = this;
    this.state = CLOSED;
    this.owner = null;
    this.kept = null;
    this.untold = -1;
    if (owner !== null) owner.onClose(this.side, code);
  }
}

/** The conduit of an accepted descriptor; its owner is set by whoever takes it. */
export function adoptAccepted(loop: NativeLoop, fd: number, generation: number): LoopConduit {
  return new LoopConduit(loop, fd, generation, null, FRONT, false);
}

/**
 * Begins a connection on the loop.
 * @returns a conduit that is connecting, or CLOSE_* when it failed at once
 */
export function dialOnLoop(
  loop: NativeLoop,
  target: DialTarget,
  owner: ConduitOwner,
): LoopConduit | number {
  const { native } = loop;
  const fd = loop.connect(target);
  if (fd < 0) return connectCloseCode(-fd);
  const conduit = new LoopConduit(loop, fd, 0, owner, BACK, true);
  loop.enter(conduit);
  // Refused by sockets that know no delay: unix ones.
  native.setInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  return conduit;
}
