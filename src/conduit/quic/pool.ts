/**
 * Connections of one worker to one QUIC server, and which of them a new stream goes to.
 *
 * A connection carries as many streams as the server allows. A stream that finds none with room
 * waits for one that is being made, and more are made as more wait. Connections without streams are
 * kept for the next stream (`pool-max-conn`, `pool-purge-delay`), unless the server takes no new
 * ones (drain, maintenance, down) or the target was replaced. Connections that asked for different
 * names (`sni`) are not shared.
 */
import { assert } from "../../base/assert.ts";
import { SERVER_STATE_UP } from "../../tables/generated/enums.ts";
import { SERVER_STATE } from "../../tables/generated/server.ts";
import { BACK } from "../conduit.ts";
import type { ConduitOwner } from "../conduit.ts";
import type { DialTarget } from "../tcp/dial.ts";
import type { QuicHub } from "./hub.ts";
import { dialFailure, QuicConduit } from "./quic-conduit.ts";
import { CONNECTION_CONNECTING, CONNECTION_OPEN, ServerConnection } from "./server-connection.ts";
import type { QuicTarget } from "./target.ts";

/** Streams that may wait for a connection whose limit is not known yet. */
const LIMIT_GUESS = 100;
/** Names whose session tickets are kept: with `sni` by a rule it is clients who choose them. */
const TICKETS_MAX = 64;

/** Connections of one worker to one target. */
export class ServerPool {
  readonly hub: QuicHub;
  readonly target: QuicTarget;
  /** Streams that the server was seen to allow on a connection. */
  limitSeen = LIMIT_GUESS;
  private readonly dialTarget: DialTarget;
  private readonly connections: ServerConnection[] = [];
  /** Session ticket of the newest connection, by the name that it asked for; oldest first. */
  private readonly tickets = new Map<string, Uint8Array>();
  private idleCount = 0;
  private purgedAtMs: number;
  /** No stream comes any more: the target was replaced, or its server is gone. */
  private isRetired = false;

  constructor(hub: QuicHub, target: QuicTarget, dialTarget: DialTarget) {
    this.hub = hub;
    this.target = target;
    this.dialTarget = dialTarget;
    this.purgedAtMs = hub.clock.nowMs();
  }

  get isEmpty(): boolean {
    return this.connections.length === 0;
  }

  /**
   * A stream to the server: open already, or when there is room for it.
   * @param sni name to ask for; "" = none
   * @returns a conduit that is connecting, or CLOSE_*
   */
  dial(owner: ConduitOwner, sni: string): QuicConduit | number {
    assert(!this.isRetired, "ServerPool.dial: nobody dials a target that was replaced");
    const { hub } = this;
    const conduit = new QuicConduit(hub.transport, hub, owner, BACK);
    const failure = this.place(conduit, sni);
    if (failure !== 0) return failure;
    // Not from inside the owner's own call.
    if (!conduit.isWaiting) hub.nextTurn(() => conduit.tellOpen());
    return conduit;
  }

  /** A conduit that waited for a connection that has no room for it, or is over: to another. */
  placeAgain(conduit: QuicConduit, sni: string): void {
    const failure = this.place(conduit, sni);
    if (failure !== 0) conduit.fail(failure);
    else if (!conduit.isWaiting) conduit.tellOpen();
  }

  /** Puts a conduit on a connection. @returns 0, or CLOSE_* when none can be made */
  private place(conduit: QuicConduit, sni: string): number {
    const { connections } = this;
    for (const connection of connections) {
      if (connection.sni === sni && connection.tryOpen(conduit)) return 0;
    }
    for (const connection of connections) {
      if (connection.sni === sni && mayWaitFor(connection, this.limitSeen)) {
        connection.wait(conduit);
        return 0;
      }
    }
    const connection = this.connect(sni);
    if (typeof connection === "number") return connection;
    connection.wait(conduit);
    return 0;
  }

  private connect(sni: string): ServerConnection | number {
    const { hub, target, dialTarget } = this;
    const connection = new ServerConnection(this, sni);
    const { source, interfaceName, socketAddress } = dialTarget;
    const handle = hub.transport.connect(
      {
        profile: target.profile,
        remote: socketAddress,
        local: source,
        interfaceName,
        sni,
        verifyName: target.spec.verifyHost ?? (sni === "" ? target.host : ""),
        alpn: [],
        ticket: this.tickets.get(sni) ?? null,
        proxyRow: target.proxyRow,
      },
      connection,
    );
    if (handle < 0) return dialFailure(handle);
    connection.begin(handle);
    this.connections.push(connection);
    hub.keepTime();
    return connection;
  }

  /** Keeps the session ticket of an established connection for the next one. */
  keepTicket(connection: ServerConnection): void {
    const ticket = this.hub.transport.connectionTicket(connection.handle);
    if (ticket === null) return;
    const { tickets } = this;
    tickets.delete(connection.sni);
    tickets.set(connection.sni, ticket);
    if (tickets.size > TICKETS_MAX) tickets.delete(tickets.keys().next().value!);
  }

  /** A connection has no stream any more. */
  becameIdle(connection: ServerConnection): void {
    const isWanted = connection.state === CONNECTION_OPEN && connection.isSound && this.wantsIdle();
    this.keepTicket(connection);
    if (isWanted) connection.setIdle(true, this.hub.clock.nowMs());
    else connection.close();
  }

  /** One connection more or less is idle. */
  countIdle(change: number): void {
    this.idleCount += change;
    assert(this.idleCount >= 0, "ServerPool.countIdle: an idle connection is counted once");
  }

  /** May one more connection be kept without a stream? */
  wantsIdle(): boolean {
    const { poolMaxConn, poolPurgeDelayMs } = this.target.spec;
    const hasRoom = poolMaxConn < 0 || this.idleCount < poolMaxConn;
    return this.mayKeep() && poolPurgeDelayMs !== 0 && hasRoom;
  }

  private mayKeep(): boolean {
    if (this.isRetired || this.hub.isStopping) return false;
    const words = this.hub.tables.servers.words;
    return Atomics.load(words, this.target.serverRow + SERVER_STATE) === SERVER_STATE_UP;
  }

  /** From time to time: finds connections whose server is silent, closes idle ones of no use. */
  tick(nowMs: number): void {
    for (const connection of [...this.connections]) connection.look(nowMs);
    if (this.idleCount === 0) return;
    if (!this.mayKeep()) {
      this.closeIdle();
      return;
    }
    const delay = this.target.spec.poolPurgeDelayMs;
    if (nowMs - this.purgedAtMs < delay) return;
    this.purgedAtMs = nowMs;
    const old = this.connections.filter(
      ({ isIdle, idleSinceMs }) => isIdle && nowMs - idleSinceMs >= delay,
    );
    // Manual 5.2, `pool-purge-delay`: half of them at a time.
    for (const connection of old.slice(0, Math.ceil(old.length / 2))) connection.close();
  }

  private closeIdle(): void {
    for (const connection of [...this.connections]) if (connection.isIdle) connection.close();
  }

  /** No stream dials here again: what is idle is closed now, the rest with its last stream. */
  retire(): void {
    this.isRetired = true;
    for (const connection of [...this.connections]) connection.retire();
  }

  /** A connection is over. */
  left(connection: ServerConnection): void {
    const at = this.connections.indexOf(connection);
    if (at >= 0) this.connections.splice(at, 1);
    if (this.isRetired && this.connections.length === 0) this.hub.poolLeft(this);
  }
}

/** Has a connection without room the best prospect of some? */
function mayWaitFor(connection: ServerConnection, limitSeen: number): boolean {
  if (connection.state === CONNECTION_CONNECTING) return connection.waitingCount < limitSeen;
  // A server that allows no stream at all gains nothing by another connection.
  if (!connection.isSound) return false;
  return connection.state === CONNECTION_OPEN && connection.streamCount === 0;
}
