/**
 * The native module over simulated sockets: descriptors, an edge-triggered poll, send and recv as
 * the system does them (native/loop.c). The production loop and its conduits run on it unchanged.
 */
import type { Pointer } from "bun:ffi";

import type { Native } from "../../src/conduit/native.ts";
import { encodeSocketAddress } from "../../src/conduit/sockaddr.ts";
import type { Choices } from "./sim-random.ts";
import type { SimSocket } from "./sim-socket.ts";

const EVENT_WORDS = 4;
const EVENT_SOCKET = 1;
const EVENT_ACCEPTED = 2;
const EVENT_ACCEPT_FAILED = 3;
const EPOLLIN = 1;
const EMFILE = 24;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
/** Accepts of one look at a listening descriptor. */
const ACCEPTS_MAX = 64;
/** First descriptor that is given out. */
const FD_FIRST = 10;

/** A listening socket: who waits there, and how one is taken. */
export type SimBacklog = {
  isEmpty(): boolean;
  /** Takes the next client; undefined = accept(2) fails for want of a descriptor. */
  take(): SimSocket | undefined;
};

type Entry = { socket: SimSocket; generation: number };

/** A descriptor that is no connection: whether there is something to read. */
export type SimReadable = { hasInput(): boolean };
type Watched = { source: SimReadable; generation: number; isOwned: boolean };

export class SimNative {
  private readonly choices: Choices;
  private readonly entries = new Map<number, Entry>();
  private readonly listeners = new Map<number, { backlog: SimBacklog; isAccepting: boolean }>();
  private readonly watched = new Map<number, Watched>();
  private events = new Int32Array(0);
  private generation = 0;
  /** Socket that the next connect(2) is about; set by whoever dials. */
  dialling: SimSocket | null = null;
  /** Addresses that name(2) tells. */
  nameOf: (socket: SimSocket, peer: number) => { host: string; port: number } | undefined = () =>
    undefined;

  /** Told of each call, for a trace. */
  trace: (line: () => string) => void = () => {};

  constructor(choices: Choices) {
    this.choices = choices;
  }

  /** The part of the module that a loop uses. */
  asNative(): Native {
    return this as unknown as Native;
  }

  /** Lowest free descriptor, as the system gives them: they are used again at once. */
  private takeFd(socket: SimSocket): number {
    const fd = this.freeFd();
    this.entries.set(fd, { socket, generation: 0 });
    return fd;
  }

  private freeFd(): number {
    let fd = FD_FIRST;
    while (this.entries.has(fd) || this.listeners.has(fd) || this.watched.has(fd)) fd++;
    return fd;
  }

  /** Makes a listening descriptor. */
  makeListener(backlog: SimBacklog): number {
    const fd = this.freeFd();
    this.listeners.set(fd, { backlog, isAccepting: false });
    return fd;
  }

  /** Makes a descriptor that is no connection, for `loopWatch`. */
  makeReadable(source: SimReadable): number {
    const fd = this.freeFd();
    this.watched.set(fd, { source, generation: 0, isOwned: false });
    return fd;
  }

  /** The socket behind a descriptor. */
  socketOf(fd: number): SimSocket | undefined {
    return this.entries.get(fd)?.socket;
  }

  /** Would a poll tell anything? */
  get hasEvents(): boolean {
    for (const { socket } of this.entries.values()) {
      if (socket.hasEdge && socket.levels !== 0) return true;
    }
    for (const { backlog, isAccepting } of this.listeners.values()) {
      if (isAccepting && !backlog.isEmpty()) return true;
    }
    for (const { source, generation } of this.watched.values()) {
      if (generation > 0 && source.hasInput()) return true;
    }
    return false;
  }

  // ── what native/loop.c does ──

  loopNew(events: Int32Array<ArrayBuffer>): Pointer {
    this.events = events;
    return 1 as Pointer;
  }

  loopBell(): number {
    return 3;
  }

  loopListen(_loop: Pointer, fd: number, accepting: number): number {
    const listener = this.listeners.get(fd);
    if (listener === undefined) return -9;
    listener.isAccepting = accepting === 1;
    return 0;
  }

  loopConnect(): number {
    const fd = this.connect();
    if (fd >= 0) this.loopAdd(fd);
    return fd;
  }

  loopGeneration(_loop: Pointer, fd: number): number {
    return this.entries.get(fd)?.generation ?? -9;
  }

  private loopAdd(fd: number): number {
    const entry = this.entries.get(fd);
    if (entry === undefined) return -9;
    entry.generation = ++this.generation;
    entry.socket.hasEdge = true;
    return entry.generation;
  }

  loopWatch(_loop: Pointer, fd: number, owned: number): number {
    const watched = this.watched.get(fd);
    if (watched === undefined) return -9;
    watched.generation = ++this.generation;
    watched.isOwned = owned === 1;
    return watched.generation;
  }

  loopUnwatch(_loop: Pointer, fd: number): number {
    const watched = this.watched.get(fd);
    if (watched === undefined) throw new RangeError(`descriptor ${fd} is not watched`);
    watched.generation = 0;
    if (watched.isOwned) this.watched.delete(fd);
    return 0;
  }

  loopClose(_loop: Pointer, fd: number, abort: number): number {
    const entry = this.entries.get(fd);
    if (entry === undefined) throw new RangeError(`descriptor ${fd} is closed twice`);
    this.entries.delete(fd);
    this.trace(() => `${abort === 1 ? "aborts" : "closes"} socket ${entry.socket.id}`);
    if (abort === 1) entry.socket.terminate();
    else entry.socket.end();
    return 0;
  }

  /** One batch: some of what has changed, in any order. */
  loopPoll(): number {
    const { choices, events } = this;
    const waiting: (() => number[])[] = [];
    for (const [fd, { socket, generation }] of this.entries) {
      if (!socket.hasEdge || socket.levels === 0) continue;
      waiting.push(() => {
        const bits = socket.levels;
        this.trace(() => `poll: socket ${socket.id} 0x${bits.toString(16)}`);
        socket.tellEdge();
        return [EVENT_SOCKET, fd, generation, bits];
      });
    }
    for (const [fd, { backlog, isAccepting }] of this.listeners) {
      if (isAccepting && !backlog.isEmpty()) waiting.push(() => this.accept(fd, backlog));
    }
    for (const [fd, { source, generation }] of this.watched) {
      if (generation === 0 || !source.hasInput()) continue;
      waiting.push(() => [EVENT_SOCKET, fd, generation, EPOLLIN]);
    }
    const most = choices.between(1, Math.max(1, waiting.length));
    let count = 0;
    while (count < most && waiting.length > 0) {
      const [tell] = waiting.splice(choices.below(waiting.length), 1);
      events.set(tell!(), count * EVENT_WORDS);
      count++;
    }
    return count;
  }

  /** Accepts what waits on a listening descriptor, as a poll would tell it. */
  loopAccept(_loop: Pointer, fd: number): number {
    const listener = this.listeners.get(fd);
    let count = 0;
    while (listener !== undefined && !listener.backlog.isEmpty() && count < ACCEPTS_MAX) {
      const event = this.accept(fd, listener.backlog);
      this.events.set(event, count * EVENT_WORDS);
      count++;
      if (event[0] === EVENT_ACCEPT_FAILED) break;
    }
    return count;
  }

  private accept(listener: number, backlog: SimBacklog): number[] {
    const socket = backlog.take();
    if (socket === undefined) return [EVENT_ACCEPT_FAILED, listener, 0, EMFILE];
    const fd = this.takeFd(socket);
    const generation = this.loopAdd(fd);
    return [EVENT_ACCEPTED, fd, generation, listener];
  }

  // ── what the system does ──

  connect(): number {
    const socket = this.dialling;
    if (socket === null) throw new RangeError("nothing is being dialled");
    this.dialling = null;
    return this.takeFd(socket);
  }

  send(fd: number, bytes: Uint8Array, offset: number, length: number): number {
    const socket = this.open(fd);
    const taken = socket.sendNow(bytes, offset, length);
    this.trace(() => `send to socket ${socket.id}: ${taken} of ${length}`);
    return taken;
  }

  recv(fd: number, buffer: Uint8Array, length: number): number {
    const socket = this.open(fd);
    const count = socket.receiveNow(buffer, length);
    this.trace(() => `recv from socket ${socket.id}: ${count}`);
    return count;
  }

  finish(fd: number): number {
    this.open(fd).shutdown();
    return 0;
  }

  getInt(fd: number, level: number, name: number): number {
    return level === SOL_SOCKET && name === SO_ERROR ? this.open(fd).takeError() : 0;
  }

  setInt(): number {
    return 0;
  }

  name(fd: number, peer: number, out: Uint8Array): number {
    const named = this.nameOf(this.open(fd), peer);
    if (named === undefined) return -107;
    const { bytes } = encodeSocketAddress({ family: "ipv4", ...named });
    out.set(bytes);
    return bytes.length;
  }

  private open(fd: number): SimSocket {
    const entry = this.entries.get(fd);
    if (entry === undefined) throw new RangeError(`descriptor ${fd} is used after its close`);
    return entry.socket;
  }
}
