/**
 * The simulator's pipe: the plainest conduit that keeps the contract of src/conduit/conduit.ts.
 * Written from the contract and not from TCP's conduit, so that the two check one another; both
 * stand on a SimSocket here.
 */
import { CLOSE_CLEAN, CLOSE_RESET, WRITE_CLOSED } from "../../src/conduit/conduit.ts";
import type { Conduit, ConduitOwner } from "../../src/conduit/conduit.ts";
import { LoopConduit } from "../../src/conduit/loop/loop-conduit.ts";
import type { Endpoint } from "../../src/conduit/sockaddr.ts";
import { TcpConduit } from "../../src/conduit/tcp/tcp-conduit.ts";
import type { TcpSocket } from "../../src/conduit/tcp/tcp-conduit.ts";
import type { SimSocket, SocketEvents } from "./sim-socket.ts";

/** Who is at both ends of a simulated connection. */
export type SimEndpoints = {
  remote(out: Endpoint): void;
  local(out: Endpoint): void;
};

/** Told when the conduit gets an owner. */
export type OwnerHandler = (owner: ConduitOwner | null) => void;

const NOTHING: OwnerHandler = () => {};

const OPEN = 0;
/** The peer's end has been told. */
const ENDED = 1;
const CLOSED = 2;

export class SimConduit implements Conduit, SocketEvents {
  private readonly socket: SimSocket;
  private readonly endpoints: SimEndpoints;
  owner: ConduitOwner | null;
  onOwner: OwnerHandler = NOTHING;
  private side: number;
  private state = OPEN;
  private isConnecting: boolean;
  private isHeld = false;
  /** The owner took less than it was offered: nothing is offered until it resumes. */
  private isBlocked = false;
  private readonly kept: Uint8Array[] = [];
  private keptOffset = 0;
  private hasEnd = false;
  /** CLOSE_* that is to be told; -1 = none. */
  private closeCode = -1;
  private isTelling = false;

  constructor(
    socket: SimSocket,
    endpoints: SimEndpoints,
    owner: ConduitOwner | null,
    side: number,
    isConnecting: boolean,
  ) {
    this.socket = socket;
    this.endpoints = endpoints;
    this.owner = owner;
    this.side = side;
    this.isConnecting = isConnecting;
    socket.events = this;
  }

  setOwner(owner: ConduitOwner | null, side: number): void {
    this.owner = owner;
    this.side = side;
    this.onOwner(owner);
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.state === CLOSED || this.closeCode >= 0) return WRITE_CLOSED;
    const taken = this.socket.write(bytes, offset, length);
    return taken < 0 ? WRITE_CLOSED : taken;
  }

  pause(): void {
    this.isHeld = true;
  }

  resume(): void {
    this.isHeld = false;
    this.isBlocked = false;
    this.tell();
  }

  finish(): void {
    if (this.state !== CLOSED && this.closeCode < 0) this.socket.shutdown();
  }

  close(): void {
    if (this.leave()) this.socket.end();
  }

  abort(): void {
    if (this.leave()) this.socket.terminate();
  }

  remoteEndpoint(out: Endpoint): void {
    this.endpoints.remote(out);
  }

  localEndpoint(out: Endpoint): void {
    this.endpoints.local(out);
  }

  /** @returns whether there is still a socket to end */
  private leave(): boolean {
    const wasAlive = this.state !== CLOSED && this.closeCode < 0;
    this.state = CLOSED;
    this.owner = null;
    this.kept.length = 0;
    return wasAlive;
  }

  receive(bytes: Uint8Array): void {
    if (this.state === CLOSED) return;
    this.kept.push(bytes);
    this.tell();
    if (this.kept.length > 0) this.socket.pause();
  }

  drain(): void {
    if (this.state === CLOSED || this.owner === null) return;
    if (this.isConnecting) {
      this.isConnecting = false;
      this.owner.onOpen(this.side);
    } else this.owner.onDrain(this.side);
  }

  end(): void {
    if (this.state === CLOSED) return;
    // A peer that accepts and finishes at once: the connection was made.
    if (this.isConnecting) this.drain();
    this.hasEnd = true;
    this.tell();
    if (this.hasEnd && this.owner !== null) this.owner.onEndAhead(this.side);
  }

  closed(code: number): void {
    if (this.state === CLOSED) return;
    // A refusal has a code of its own: a reset means that the peer had accepted.
    if (this.isConnecting && code === CLOSE_RESET) this.drain();
    this.closeCode = code;
    // An abort overtakes what has not been taken; an end in order does not.
    if (code !== CLOSE_CLEAN) this.kept.length = 0;
    this.tell();
  }

  /** Tells the owner all that it can be told now, in order. */
  private tell(): void {
    if (this.isTelling) return;
    this.isTelling = true;
    this.tellBytes();
    this.isTelling = false;
    if (this.kept.length > 0) return;
    if (this.hasEnd && this.state === OPEN && this.owner !== null && !this.isHeld) {
      this.hasEnd = false;
      this.state = ENDED;
      this.owner.onEnd(this.side);
    }
    if (this.closeCode >= 0 && this.owner !== null) this.tellClose();
    else if (this.state !== CLOSED && this.closeCode < 0 && !this.isHeld) this.socket.resume();
  }

  private tellBytes(): void {
    while (this.owner !== null && !this.isHeld && !this.isBlocked) {
      const bytes = this.kept[0];
      if (bytes === undefined) return;
      const offered = bytes.length - this.keptOffset;
      const taken = this.owner.onData(this.side, bytes, this.keptOffset, offered);
      // The owner may have ended this conduit inside the call.
      if (this.kept[0] !== bytes) return;
      this.keptOffset += taken;
      if (taken < offered) {
        this.isBlocked = true;
        return;
      }
      this.kept.shift();
      this.keptOffset = 0;
    }
  }

  private tellClose(): void {
    const { owner } = this;
    this.state = CLOSED;
    this.owner = null;
    if (owner !== null) owner.onClose(this.side, this.closeCode);
  }
}

/** TCP's own conduit over a simulated socket. */
export class SimTcpConduit extends TcpConduit {
  private readonly endpoints: SimEndpoints;
  onOwner: OwnerHandler = NOTHING;

  constructor(
    socket: SimSocket,
    endpoints: SimEndpoints,
    owner: ConduitOwner | null,
    side: number,
    isConnecting: boolean,
  ) {
    super(owner, side, isConnecting);
    this.endpoints = endpoints;
    this.socket = socket as unknown as TcpSocket;
    socket.events = this;
  }

  override setOwner(owner: ConduitOwner | null, side: number): void {
    super.setOwner(owner, side);
    this.onOwner(owner);
  }

  override remoteEndpoint(out: Endpoint): void {
    this.endpoints.remote(out);
  }

  override localEndpoint(out: Endpoint): void {
    this.endpoints.local(out);
  }
}

/** The production loop's conduit, which tells when it gets an owner. */
export class SimLoopConduit extends LoopConduit {
  onOwner: OwnerHandler = NOTHING;

  override setOwner(owner: ConduitOwner | null, side: number): void {
    super.setOwner(owner, side);
    this.onOwner(owner);
  }
}
