/**
 * quiche (Cloudflare's QUIC, BoringSSL inside) as an npm package brings it: the parts of its
 * interface that the peers of quic-quiche.ts use. It does no input, output or timing itself.
 */
import { createRequire } from "node:module";

/** Where a packet comes from or goes to. */
export interface HostPort {
  host: string;
  port: number;
}

/** Why a connection was closed, by either end. */
export interface QuicheError {
  isApp: boolean;
  errorCode: number;
  reason: Uint8Array;
}

/** Settings of either side. */
export interface QuicheConfig {
  loadCertChainFromPemFile(file: string): void;
  loadPrivKeyFromPemFile(file: string): void;
  loadVerifyLocationsFromFile(file: string): void;
  verifyPeer(verify: boolean): void;
  grease(grease: boolean): void;
  enableEarlyData(): void;
  setApplicationProtos(list: string[]): void;
  setMaxIdleTimeout(milliseconds: number): void;
  setMaxRecvUdpPayloadSize(bytes: number): void;
  setMaxSendUdpPayloadSize(bytes: number): void;
  setInitialMaxData(bytes: number): void;
  setInitialMaxStreamDataBidiLocal(bytes: number): void;
  setInitialMaxStreamDataBidiRemote(bytes: number): void;
  setInitialMaxStreamDataUni(bytes: number): void;
  setInitialMaxStreamsBidi(count: number): void;
  setInitialMaxStreamsUni(count: number): void;
  setMaxStreamWindow(bytes: number): void;
  setMaxConnectionWindow(bytes: number): void;
  setDisableActiveMigration(isDisabled: boolean): void;
  enablePacing(isEnabled: boolean): void;
  enableDgram(isEnabled: boolean, receiveQueue: number, sendQueue: number): void;
}

/** One connection: packets in by `recv`, packets out by `send`. */
export interface QuicheConnection {
  recv(data: Uint8Array, info: { from: HostPort; to: HostPort }): number;
  send(out: Uint8Array): [length: number, info: { to: HostPort }] | null;
  /** Throws `StreamReset(code)`. null = nothing now. */
  streamRecv(id: number, out: Uint8Array): [length: number, isEnd: boolean] | null;
  /** Throws `StreamStopped(code)`. null = nothing taken. */
  streamSend(id: number, data: Uint8Array, isEnd: boolean): number | null;
  streamShutdown(id: number, direction: 0 | 1, code: number): void | null;
  streamCapacity(id: number): number;
  streamFinished(id: number): boolean;
  peerStreamsLeftBidi(): number;
  peerStreamsLeftUni(): number;
  readable(): Iterable<number>;
  writable(): Iterable<number>;
  dgramRecvVec(): Uint8Array | null;
  dgramSend(data: Uint8Array): void | null;
  timeout(): number | null;
  onTimeout(): void;
  close(isApp: boolean, code: number, reason: Uint8Array): void | null;
  applicationProto(): Uint8Array;
  serverName(): string | null;
  peerCertChain(): Uint8Array[] | null;
  setSession(session: Uint8Array): void;
  session(): Uint8Array | null;
  isEstablished(): boolean;
  isInEarlyData(): boolean;
  isResumed(): boolean;
  isDraining(): boolean;
  isClosed(): boolean;
  isTimedOut(): boolean;
  peerError(): QuicheError | null;
  localError(): QuicheError | null;
  stats(): { recv: number; sent: number; lost: number };
}

/** What the package exports. */
export interface Quiche {
  Config: new () => QuicheConfig;
  Connection: {
    connect(
      name: string | null,
      scid: Uint8Array,
      local: HostPort,
      remote: HostPort,
      config: QuicheConfig,
    ): QuicheConnection;
    accept(
      scid: Uint8Array,
      odcid: Uint8Array | null,
      local: HostPort,
      remote: HostPort,
      config: QuicheConfig,
    ): QuicheConnection;
  };
  Header: {
    fromSlice(
      data: Uint8Array,
      cidBytes: number,
    ): { ty: number; version: number; dcid: Uint8Array };
  };
}

/** `ty` of an Initial packet. */
export const TYPE_INITIAL = 0;

const PACKAGE = `@matrixai/quic-${process.platform}-${process.arch}`;

/** The package, or undefined where it is not installed: it is built for some systems only. */
export function findQuiche(): Quiche | undefined {
  try {
    return createRequire(import.meta.url)(PACKAGE) as Quiche;
  } catch {
    return undefined;
  }
}
