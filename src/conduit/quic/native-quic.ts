/**
 * The QUIC module (native/quic/quic.h) as typed functions, or null where it is missing: then a
 * `quic4@` address is refused, and everything else works. Loaded once a thread, at its first use.
 *
 * Results are >= 0, or negative: an errno, or one of the codes of transport.ts. An engine and a
 * profile are addresses; connections and streams are handles, numbers above 0.
 */
import { dlopen, linkSymbols } from "bun:ffi";
import type { Pointer } from "bun:ffi";
import { statSync } from "node:fs";

import modulePath from "../../../dist/native/sluice-quic.so" with { type: "file" };
import { withLibraryPath } from "../embedded-library.ts";
import { nativeModule, nativeReason } from "../native.ts";
import type { NativeAddresses } from "../native.ts";

/** Version of the interface that this program speaks: SQ_INTERFACE. */
export const QUIC_INTERFACE = 2;

/** Words of an event, and its types: SQ_EV_*. */
export const EVENT_WORDS = 8;
export const EV_ACCEPTED = 1;
export const EV_CONNECTED = 2;
export const EV_STREAM = 3;
export const EV_DATA = 4;
export const EV_RESET = 5;
export const EV_STOP = 6;
export const EV_WRITABLE = 7;
export const EV_CREDIT = 8;
export const EV_DATAGRAM = 9;
export const EV_CLOSED = 10;
export const EV_RELEASED = 11;
export const EV_MIGRATED = 12;
export const EV_TICKET = 13;
export const EV_TROUBLE = 14;

/** Bit of a stream event: SQ_STREAM_UNI. */
export const STREAM_UNI = 1;

/** Settings of a profile, in the order of the SQ_SET_* numbers. */
export const QUIC_SETTINGS = [
  "idleMs",
  "handshakeMs",
  "keepAliveMs",
  "streamsBidi",
  "streamsUni",
  "streamWindow",
  "connectionWindow",
  "sendBuffer",
  "congestion",
  "cwndMax",
  "datagramMax",
  "datagramQueue",
  "udpPayloadMax",
  "early",
  "retry",
  "retryFrom",
  "halfOpenMax",
  "connectionsMax",
  "verify",
  "migration",
  "strictSni",
  "rejectLowPorts",
  "gso",
  "shared",
] as const;

export type QuicSetting = (typeof QUIC_SETTINGS)[number];

/** Words that calls fill: SQ_IO_*. */
export const IO_SEGMENT = 0;
export const IO_OFFSET = 1;
export const IO_END = 2;
export const IO_MORE = 3;
export const IO_WORDS = 16;

/** Options of a UDP socket: SQ_UDP_*. */
export const UDP_REUSEPORT = 1;
export const UDP_V6ONLY = 2;
export const UDP_DUAL = 4;
export const UDP_TRANSPARENT = 8;

/** Length of the secret of an engine, bytes; the second half is for stateless resets. */
export const SECRET_BYTES = 64;

/** `sq_*` of native/quic/quic.h. */
export type Quic = {
  interface(): number;
  versionText(out: Uint8Array, room: number): number;
  errorText(out: Uint8Array, room: number): number;
  profileNew(isServer: number): Pointer | null;
  profileFree(profile: Pointer): void;
  profileSet(profile: Pointer, setting: number, value: number): number;
  profileCertificate(
    profile: Pointer,
    chain: Uint8Array,
    chainBytes: number,
    key: Uint8Array,
    keyBytes: number,
  ): number;
  profileAuthorities(profile: Pointer, pem: Uint8Array | null, bytes: number): number;
  profileAlpn(profile: Pointer, wire: Uint8Array, bytes: number): number;
  engineNew(
    worker: number,
    generation: number,
    secret: Uint8Array,
    events: Uint32Array,
    eventCount: number,
    io: Uint32Array,
    chunksMax: number,
  ): Pointer | null;
  engineDestroy(engine: Pointer): void;
  engineTimerFd(engine: Pointer): number;
  engineMailFd(engine: Pointer): number;
  segmentBytes(): number;
  segment(engine: Pointer, segment: number): number;
  chunksUsed(engine: Pointer): number;
  pump(engine: Pointer, endpoint: number): number;
  flush(engine: Pointer): number;
  events(engine: Pointer): number;
  udpSocket(
    address: Uint8Array,
    addressBytes: number,
    options: number,
    rcvbuf: number,
    sndbuf: number,
    interfaceName: Uint8Array | null,
  ): number;
  udpSteer(fds: Int32Array, workers: Int32Array, count: number): number;
  listen(engine: Pointer, profile: Pointer, fd: number): number;
  clientEndpoint(
    engine: Pointer,
    family: number,
    local: Uint8Array | null,
    localBytes: number,
    interfaceName: Uint8Array | null,
  ): number;
  endpointFd(engine: Pointer, endpoint: number): number;
  endpointAccept(engine: Pointer, endpoint: number, isAccepting: number): number;
  endpointClose(engine: Pointer, endpoint: number): number;
  endpointDeltas(engine: Pointer, endpoint: number, out: Float64Array): number;
  endpointHalfOpen(engine: Pointer, endpoint: number): number;
  connect(
    engine: Pointer,
    profile: Pointer,
    endpoint: number,
    remote: Uint8Array,
    remoteBytes: number,
    sni: Uint8Array | null,
    sniBytes: number,
    verifyName: Uint8Array | null,
    verifyNameBytes: number,
    alpn: Uint8Array | null,
    alpnBytes: number,
    ticket: Uint8Array | null,
    ticketBytes: number,
  ): number;
  connClose(
    engine: Pointer,
    connection: number,
    kind: number,
    low: number,
    high: number,
    reason: Uint8Array | null,
    reasonBytes: number,
  ): number;
  connFree(engine: Pointer, connection: number): number;
  connDeltas(engine: Pointer, connection: number, out: Float64Array): number;
  connNow(engine: Pointer, connection: number, out: Float64Array): number;
  connText(
    engine: Pointer,
    connection: number,
    which: number,
    out: Uint8Array,
    room: number,
  ): number;
  connAddress(
    engine: Pointer,
    connection: number,
    peer: number,
    out: Uint8Array,
    room: number,
  ): number;
  connFlags(engine: Pointer, connection: number): number;
  connTicket(engine: Pointer, connection: number, out: Uint8Array, room: number): number;
  conns(engine: Pointer, from: number, out: Uint32Array, room: number): number;
  connEndpoint(engine: Pointer, connection: number): number;
  connSetTag(engine: Pointer, connection: number, tag: number): number;
  connTag(engine: Pointer, connection: number): number;
  streamOpen(engine: Pointer, connection: number, isUni: number): number;
  streamId(engine: Pointer, stream: number): number;
  streamPeek(engine: Pointer, stream: number): number;
  streamConsume(engine: Pointer, stream: number, count: number): number;
  streamWrite(
    engine: Pointer,
    stream: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): number;
  streamFinish(engine: Pointer, stream: number): number;
  streamReset(engine: Pointer, stream: number, low: number, high: number): number;
  streamStop(engine: Pointer, stream: number, low: number, high: number): number;
  streamRelease(engine: Pointer, stream: number): number;
  streamIsUnsent(engine: Pointer, stream: number): number;
  datagramPeek(engine: Pointer, connection: number): number;
  datagramDrop(engine: Pointer, connection: number): number;
  datagramSend(
    engine: Pointer,
    connection: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): number;
  inject(engine: Pointer, kind: number, count: number): void;
  feed(
    engine: Pointer,
    endpoint: number,
    remote: Uint8Array,
    remoteBytes: number,
    bytes: Uint8Array,
    length: number,
  ): number;
};

const PTR = "ptr";
const I32 = "i32";
const U32 = "u32";
const F64 = "f64";

type Signature = { args: readonly (typeof PTR | typeof I32 | typeof U32 | typeof F64)[] } & {
  returns: typeof PTR | typeof I32 | typeof F64 | "void";
};

const SYMBOLS = {
  interface: { args: [], returns: I32 },
  versionText: { args: [PTR, I32], returns: I32 },
  errorText: { args: [PTR, I32], returns: I32 },
  profileNew: { args: [I32], returns: PTR },
  profileFree: { args: [PTR], returns: "void" },
  profileSet: { args: [PTR, I32, F64], returns: I32 },
  profileCertificate: { args: [PTR, PTR, I32, PTR, I32], returns: I32 },
  profileAuthorities: { args: [PTR, PTR, I32], returns: I32 },
  profileAlpn: { args: [PTR, PTR, I32], returns: I32 },
  engineNew: { args: [I32, I32, PTR, PTR, I32, PTR, I32], returns: PTR },
  engineDestroy: { args: [PTR], returns: "void" },
  engineTimerFd: { args: [PTR], returns: I32 },
  engineMailFd: { args: [PTR], returns: I32 },
  segmentBytes: { args: [], returns: I32 },
  segment: { args: [PTR, I32], returns: F64 },
  chunksUsed: { args: [PTR], returns: I32 },
  pump: { args: [PTR, I32], returns: I32 },
  flush: { args: [PTR], returns: I32 },
  events: { args: [PTR], returns: I32 },
  udpSocket: { args: [PTR, I32, I32, I32, I32, PTR], returns: I32 },
  udpSteer: { args: [PTR, PTR, I32], returns: I32 },
  listen: { args: [PTR, PTR, I32], returns: I32 },
  clientEndpoint: { args: [PTR, I32, PTR, I32, PTR], returns: I32 },
  endpointFd: { args: [PTR, I32], returns: I32 },
  endpointAccept: { args: [PTR, I32, I32], returns: I32 },
  endpointClose: { args: [PTR, I32], returns: I32 },
  endpointDeltas: { args: [PTR, I32, PTR], returns: I32 },
  endpointHalfOpen: { args: [PTR, I32], returns: I32 },
  connect: {
    args: [PTR, PTR, I32, PTR, I32, PTR, I32, PTR, I32, PTR, I32, PTR, I32],
    returns: F64,
  },
  connClose: { args: [PTR, U32, I32, U32, U32, PTR, I32], returns: I32 },
  connFree: { args: [PTR, U32], returns: I32 },
  connDeltas: { args: [PTR, U32, PTR], returns: I32 },
  connNow: { args: [PTR, U32, PTR], returns: I32 },
  connText: { args: [PTR, U32, I32, PTR, I32], returns: I32 },
  connAddress: { args: [PTR, U32, I32, PTR, I32], returns: I32 },
  connFlags: { args: [PTR, U32], returns: I32 },
  connTicket: { args: [PTR, U32, PTR, I32], returns: I32 },
  conns: { args: [PTR, I32, PTR, I32], returns: I32 },
  connEndpoint: { args: [PTR, U32], returns: I32 },
  connSetTag: { args: [PTR, U32, F64], returns: I32 },
  connTag: { args: [PTR, U32], returns: F64 },
  streamOpen: { args: [PTR, U32, I32], returns: F64 },
  streamId: { args: [PTR, U32], returns: F64 },
  streamPeek: { args: [PTR, U32], returns: I32 },
  streamConsume: { args: [PTR, U32, I32], returns: I32 },
  streamWrite: { args: [PTR, U32, PTR, I32, I32], returns: I32 },
  streamFinish: { args: [PTR, U32], returns: I32 },
  streamReset: { args: [PTR, U32, U32, U32], returns: I32 },
  streamStop: { args: [PTR, U32, U32, U32], returns: I32 },
  streamRelease: { args: [PTR, U32], returns: I32 },
  streamIsUnsent: { args: [PTR, U32], returns: I32 },
  datagramPeek: { args: [PTR, U32], returns: I32 },
  datagramDrop: { args: [PTR, U32], returns: I32 },
  datagramSend: { args: [PTR, U32, PTR, I32, I32], returns: I32 },
  inject: { args: [PTR, I32, I32], returns: "void" },
  feed: { args: [PTR, I32, PTR, I32, PTR, I32], returns: I32 },
} as const satisfies Record<keyof Quic, Signature>;

/** What the module is built from, and how: whoever asks for QUIC in vain is told. */
const NOT_BUILT =
  "this program was built without it, which takes ngtcp2 >= 1.24 and OpenSSL >= 3.5 or GnuTLS " +
  "(Debian: libngtcp2-dev, libssl-dev, or their source packages): install them and run " +
  "'./scripts/build'";

type Loaded = {
  quic: Quic | null;
  addresses: NativeAddresses | null;
  reason: string;
};

let loaded: Loaded | undefined;

/** The module of this thread, or null. */
export function quicModule(): Quic | null {
  loaded ??= load();
  return loaded.quic;
}

/** Why there is no QUIC; empty when there is. Loads the module. */
export function quicReason(): string {
  loaded ??= load();
  return loaded.reason;
}

/** Names of the libraries that are in it: "ngtcp2 1.24.0, OpenSSL 3.5.7"; "" without module. */
export function quicLibraries(): string {
  const quic = quicModule();
  return quic === null ? "" : readText((out, room) => quic.versionText(out, room));
}

/** What is wrong, after a result TRANSPORT_TLS on this thread. */
export function quicErrorText(): string {
  const quic = quicModule();
  return quic === null ? "" : readText((out, room) => quic.errorText(out, room));
}

/** What another thread of the process is given, to use the module without opening a file. */
export function quicAddresses(): NativeAddresses | null {
  loaded ??= load();
  return loaded.addresses;
}

/** Makes this thread use the module at these addresses; null = there is none. */
export function useQuicAddresses(addresses: NativeAddresses | null): void {
  if (addresses === null) {
    loaded = { quic: null, addresses: null, reason: "not active in the main thread" };
    return;
  }
  const symbols: Record<string, Signature & { ptr: number }> = {};
  for (const [name, signature] of Object.entries(SYMBOLS)) {
    symbols[name] = { ...signature, ptr: addresses[name] ?? 0 };
  }
  const linked = linkSymbols(symbols as unknown as Parameters<typeof linkSymbols>[0]);
  loaded = { quic: linked.symbols as unknown as Quic, addresses, reason: "" };
}

/**
 * The text that a function of the module writes.
 * @param write as of C: returns the length, which may be more than there was room for
 */
export function readText(write: (out: Uint8Array, room: number) => number): string {
  const out = new Uint8Array(TEXT_ROOM);
  const length = write(out, out.length);
  return length <= 0 ? "" : new TextDecoder().decode(out.subarray(0, Math.min(length, TEXT_ROOM)));
}

/** Longest text that is read; longer ones are cut. */
const TEXT_ROOM = 4096;

function load(): Loaded {
  const without = (reason: string): Loaded => ({ quic: null, addresses: null, reason });
  if (nativeModule() === null) return without(`it needs the native part: ${nativeReason()}`);
  if (process.env["SLUICE_LOOP"] === "bun") return without("SLUICE_LOOP=bun has no QUIC");
  // The build leaves an empty file where it had no libraries.
  if (statSync(modulePath).size === 0) return without(NOT_BUILT);
  try {
    return open();
  } catch (error) {
    return without(error instanceof Error ? error.message : String(error));
  }
}

function open(): Loaded {
  const named = Object.fromEntries(
    Object.entries(SYMBOLS).map(([name, signature]) => [nameInC(name), signature]),
  );
  const opened = withLibraryPath(modulePath, (path) => dlopen(path, named));
  const quic: Record<string, unknown> = {};
  const addresses: NativeAddresses = {};
  for (const name of Object.keys(SYMBOLS)) {
    const call = opened.symbols[nameInC(name)] as unknown as { ptr: number };
    quic[name] = call;
    addresses[name] = call.ptr;
  }
  const module = quic as Quic;
  const version = module.interface();
  if (version !== QUIC_INTERFACE) {
    throw new Error(`the library has interface ${version}, not ${QUIC_INTERFACE}: build it anew`);
  }
  return { quic: module, addresses, reason: "" };
}

/** `streamPeek` is sq_stream_peek. */
function nameInC(name: string): string {
  return `sq_${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
}
