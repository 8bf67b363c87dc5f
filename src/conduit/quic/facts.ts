/**
 * What rules, logs and PROXY headers may ask of a QUIC connection. Cold, but asked by every stream
 * whose frontend logs: what was read of a connection is kept while its streams come and go.
 */
import type { ConnectionFacts } from "../conduit.ts";
import {
  CONNECTION_CERTIFICATE,
  CONNECTION_EARLY,
  CONNECTION_ESTABLISHED,
  CONNECTION_RESUMED,
  CONNECTION_VERIFIED,
} from "./transport.ts";
import type { Transport } from "./transport.ts";

/** Connections of a transport whose facts are kept; a power of two. */
const KEPT = 256;

type Kept = { connection: number; facts: ConnectionFacts };

/** By connection: handles have a generation, so what is found is about that very connection. */
const kept = new WeakMap<Transport, (Kept | undefined)[]>();

/** The facts of a live connection. Those of one whose handshake is done never change. */
export function factsOf(transport: Transport, connection: number): ConnectionFacts {
  let all = kept.get(transport);
  if (all === undefined) {
    all = new Array<Kept | undefined>(KEPT);
    kept.set(transport, all);
  }
  const place = connection % KEPT;
  const known = all[place];
  if (known !== undefined && known.connection === connection) return known.facts;
  const facts = readFacts(transport, connection);
  if (facts.isComplete) all[place] = { connection, facts };
  return facts;
}

function readFacts(transport: Transport, connection: number): ConnectionFacts {
  const flags = transport.connectionFlags(connection);
  const text = (which: Parameters<Transport["connectionText"]>[1]): string =>
    transport.connectionText(connection, which);
  return {
    transport: "quic",
    sni: text("sni"),
    alpn: text("alpn"),
    cipher: text("cipher"),
    subject: text("subject"),
    commonName: text("commonName"),
    hasCertificate: (flags & CONNECTION_CERTIFICATE) !== 0,
    isVerified: (flags & CONNECTION_VERIFIED) !== 0,
    isResumed: (flags & CONNECTION_RESUMED) !== 0,
    isEarly: (flags & CONNECTION_EARLY) !== 0,
    isComplete: (flags & CONNECTION_ESTABLISHED) !== 0,
    key: text("key"),
    signature: text("signature"),
  };
}
