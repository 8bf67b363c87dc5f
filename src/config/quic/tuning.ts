/**
 * What `tune.quic.*` and the like say about QUIC as a whole, with HAProxy's defaults (manual 3.2),
 * and how that becomes the settings of one listener or server. Pure.
 */
import type { QuicTransportSpec } from "../../tables/spec.ts";

/** One side: `tune.quic.fe.*` towards clients, `tune.quic.be.*` towards servers. */
export type QuicSideTuning = {
  /** `max-idle-timeout`, ms; 0 = none. */
  idleTimeoutMs: number;
  /** `cc.max-win-size`, bytes. */
  cwndMax: number;
  /** `stream.data-ratio`, percent of the connection's window that a stream may have. */
  dataRatio: number;
  /** `stream.max-concurrent`. */
  streamsMax: number;
  /** `stream.rxbuf`, bytes; 0 = `streamsMax` times STREAM_ROOM. */
  rxbuf: number;
  /** `tx.udp-gso`. */
  gso: boolean;
};

/** All of it. */
export type QuicTuning = {
  front: QuicSideTuning;
  back: QuicSideTuning;
  /** `tune.quic.fe.sec.retry-threshold`. */
  retryThreshold: number;
  /** `tune.quic.listen`. */
  isListening: boolean;
  /** `harden.reject-privileged-ports.quic`. */
  rejectLowPorts: boolean;
};

/** TLS settings of `global`. */
export type TlsDefaults = {
  /** `ca-base`, `crt-base`; "" = none. */
  caBase: string;
  crtBase: string;
  /** `ssl-server-verify`. */
  serverVerify: "none" | "required";
  /** `ssl-default-bind-options strict-sni`. */
  strictSni: boolean;
};

/** Algorithm of `quic-cc-algo`, with its largest window; 0 = that of the side. */
export type Congestion = { algorithm: QuicTransportSpec["congestion"]; cwndMax: number };

/** Bytes for each stream that make up a connection's window: HAProxy's default `tune.bufsize`. */
const STREAM_ROOM = 16_384;
/** Longest handshake, where nothing else is said. */
export const HANDSHAKE_MS = 10_000;
/** Longest silence of a connection with streams before it is asked for a sign of life. */
const KEEP_ALIVE_MS = 10_000;
/** Bytes of a stream that may wait for their acknowledgement. */
const SEND_BUFFER = 524_288;
/** Longest datagram frame that is taken: what fits into a packet. */
const DATAGRAM_MAX = 65_535;

/** Handshakes under way at most, where no `backlog` says: each costs some 50 KB. */
export const HALF_OPEN_MAX = 1_024;

/** What holds before any file is read. */
export function newQuicTuning(): QuicTuning {
  const side = {
    idleTimeoutMs: 30_000,
    cwndMax: 480 * 1_024,
    dataRatio: 90,
    streamsMax: 100,
    rxbuf: 0,
    gso: true,
  };
  return {
    front: { ...side },
    back: { ...side },
    retryThreshold: 100,
    isListening: true,
    rejectLowPorts: true,
  };
}

/** What holds before any file is read. */
export function newTlsDefaults(): TlsDefaults {
  return { caBase: "", crtBase: "", serverVerify: "required", strictSni: false };
}

/**
 * Settings of one listener or server.
 * @param takesAll the peer may open unidirectional streams and send datagrams: whole sessions
 */
export function transportOf(
  side: QuicSideTuning,
  options: {
    takesAll: boolean;
    early: boolean;
    congestion: Congestion | undefined;
    handshakeTimeoutMs?: number;
  },
): QuicTransportSpec {
  const { takesAll, early, congestion, handshakeTimeoutMs = HANDSHAKE_MS } = options;
  const connectionWindow = side.rxbuf === 0 ? side.streamsMax * STREAM_ROOM : side.rxbuf;
  const share = Math.ceil((connectionWindow * side.dataRatio) / 100 / STREAM_ROOM) * STREAM_ROOM;
  return {
    idleTimeoutMs: side.idleTimeoutMs,
    handshakeTimeoutMs,
    // Timeouts of streams decide about silent ones; the idle timeout finds peers that are gone.
    keepAliveMs: Math.min(Math.floor(side.idleTimeoutMs / 3), KEEP_ALIVE_MS),
    streamsBidiMax: side.streamsMax,
    streamsUniMax: takesAll ? side.streamsMax : 0,
    streamWindow: Math.min(Math.max(share, STREAM_ROOM), connectionWindow),
    connectionWindow,
    sendBuffer: SEND_BUFFER,
    congestion: congestion?.algorithm ?? "cubic",
    cwndMax:
      congestion === undefined || congestion.cwndMax === 0 ? side.cwndMax : congestion.cwndMax,
    datagramMax: takesAll ? DATAGRAM_MAX : 0,
    udpPayloadMax: 0,
    early,
    gso: side.gso,
  };
}
