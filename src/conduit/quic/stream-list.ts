/**
 * The streams of a connection that are conduits of their own, a client's or a server's, and what
 * both kinds of connection do with what they have no use for.
 */
import { cleanCodeFor } from "./codes.ts";
import type { QuicNote } from "./describe.ts";
import type { ConduitHome, QuicConduit } from "./quic-conduit.ts";
import type { Transport } from "./transport.ts";

/** Open streams, in no order; each knows its place. O(1) to add and to remove. */
export class StreamList {
  private readonly conduits: QuicConduit[] = [];

  get count(): number {
    return this.conduits.length;
  }

  /** Makes `stream` the conduit's, which tells `home` when it is over. */
  open(conduit: QuicConduit, home: ConduitHome, connection: number, stream: number): void {
    conduit.home = home;
    conduit.place = this.conduits.length;
    this.conduits.push(conduit);
    conduit.open(connection, stream);
  }

  /** A conduit that is in the list is over. */
  remove(conduit: QuicConduit): void {
    const last = this.conduits.pop()!;
    if (last !== conduit) {
      this.conduits[conduit.place] = last;
      last.place = conduit.place;
    }
    conduit.place = -1;
  }

  /** The connection is over, and all its streams: the list is empty before the first is told. */
  endAll(cause: number, code: bigint): void {
    for (const conduit of this.conduits.splice(0)) {
      conduit.place = -1;
      conduit.connectionClosed(cause, code);
    }
  }

  /** The streams, for `show quic`. */
  describe(): QuicNote["streams"] {
    return this.conduits.map(({ stream, heldBy: owner }) => ({ stream, owner }));
  }
}

/** Code for what ends in order on a connection. */
export function cleanCodeOf(transport: Transport, connection: number): bigint {
  return cleanCodeFor(transport.connectionText(connection, "alpn"));
}

/** A stream that the peer opened and nobody serves: it is told so in both directions. */
export function refuseStream(
  transport: Transport,
  connection: number,
  stream: number,
  isUni: boolean,
): void {
  const code = cleanCodeOf(transport, connection);
  transport.stop(stream, code);
  if (!isUni) transport.reset(stream, code);
  transport.release(stream);
}

/** Datagrams have nowhere to go where streams are apart. */
export function dropDatagrams(transport: Transport, connection: number): void {
  while (transport.peekDatagram(connection) >= 0) transport.dropDatagram(connection);
}
