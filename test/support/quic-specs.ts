/** Specs of QUIC listeners and servers as a configuration would make them, without any file. */
import type { QuicBindSpec, QuicServerSpec, QuicTransportSpec } from "../../src/tables/spec.ts";

const TRANSPORT: QuicTransportSpec = {
  idleTimeoutMs: 30_000,
  handshakeTimeoutMs: 10_000,
  keepAliveMs: 0,
  streamsBidiMax: 100,
  streamsUniMax: 3,
  streamWindow: 262_144,
  connectionWindow: 1_048_576,
  sendBuffer: 262_144,
  congestion: "cubic",
  cwndMax: 0,
  datagramMax: 0,
  udpPayloadMax: 0,
  early: false,
  gso: true,
};

/** What is told apart from these by a test is given. */
export function quicServerSpec(changes: Partial<QuicServerSpec> = {}): QuicServerSpec {
  return {
    alpn: ["test"],
    verify: "none",
    poolMaxConn: -1,
    poolPurgeDelayMs: 5_000,
    maxReuse: -1,
    transport: { ...TRANSPORT },
    ...changes,
  };
}

/** The same of a listener. */
export function quicBindSpec(changes: Partial<QuicBindSpec> = {}): QuicBindSpec {
  return {
    map: "stream",
    certificates: [],
    strictSni: false,
    alpn: ["test"],
    verify: "none",
    forceRetry: false,
    retryFrom: 100,
    halfOpenMax: 1_000,
    rejectLowPorts: false,
    transport: { ...TRANSPORT },
    ...changes,
  };
}
