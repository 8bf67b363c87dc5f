/** What rules, logs and PROXY headers may ask of a QUIC connection. Cold. */
import type { ConnectionFacts } from "../conduit.ts";
import {
  CONNECTION_CERTIFICATE,
  CONNECTION_EARLY,
  CONNECTION_RESUMED,
  CONNECTION_VERIFIED,
} from "./transport.ts";
import type { Transport } from "./transport.ts";

/** The facts of a live connection. */
export function factsOf(transport: Transport, connection: number): ConnectionFacts {
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
    key: text("key"),
    signature: text("signature"),
  };
}
