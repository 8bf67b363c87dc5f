/** Profiles and a clock for tests over simulated QUIC transports. */
import { QuicProfile } from "../../src/conduit/quic/profile.ts";
import type { QuicBindSpec, QuicServerSpec, QuicTransportSpec } from "../../src/tables/spec.ts";

/** Limits that no test meets by accident. */
export const PLAIN_TRANSPORT: QuicTransportSpec = {
  idleTimeoutMs: 30_000,
  handshakeTimeoutMs: 5000,
  keepAliveMs: 0,
  streamsBidiMax: 100,
  streamsUniMax: 100,
  streamWindow: 256 * 1024,
  connectionWindow: 1024 * 1024,
  sendBuffer: 256 * 1024,
  congestion: "cubic",
  cwndMax: 0,
  datagramMax: 1000,
  udpPayloadMax: 0,
  early: false,
  gso: true,
};

export type BindWishes = Partial<Omit<QuicBindSpec, "transport">> & {
  transport?: Partial<QuicTransportSpec>;
};

export type ServerWishes = Partial<Omit<QuicServerSpec, "transport">> & {
  transport?: Partial<QuicTransportSpec>;
};

/** QUIC of a `bind` line that asks for nothing special. */
export function bindSpec({ transport = {}, ...wishes }: BindWishes = {}): QuicBindSpec {
  return {
    map: "stream",
    certificates: [],
    strictSni: false,
    alpn: [],
    verify: "none",
    forceRetry: false,
    retryFrom: 0,
    halfOpenMax: 1000,
    rejectLowPorts: false,
    ...wishes,
    transport: { ...PLAIN_TRANSPORT, ...transport },
  };
}

/** QUIC of a `server` line that asks for nothing special. */
export function serverSpec({ transport = {}, ...wishes }: ServerWishes = {}): QuicServerSpec {
  return {
    alpn: [],
    verify: "none",
    poolMaxConn: -1,
    poolPurgeDelayMs: 5000,
    maxReuse: -1,
    ...wishes,
    transport: { ...PLAIN_TRANSPORT, ...transport },
  };
}

export function bindProfile(wishes: BindWishes = {}): QuicProfile {
  return QuicProfile.ofBind(bindSpec(wishes));
}

export function serverProfile(wishes: ServerWishes = {}): QuicProfile {
  return QuicProfile.ofServer(serverSpec(wishes));
}

/** Time that a test moves. */
export function makeClock(): { nowMs: () => number; advance: (byMs: number) => void } {
  let now = 100_000;
  return {
    nowMs: () => now,
    advance: (byMs) => {
      now += byMs;
    },
  };
}
