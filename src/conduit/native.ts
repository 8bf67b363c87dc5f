/**
 * The native module (native/sys.c) as typed functions, or null where it is missing: then sluice
 * runs on Bun's own sockets, without what they cannot do (docs/decisions/0002-native.md).
 *
 * Loaded once a thread. Results are >= 0, or -errno.
 */
import { dlopen, linkSymbols } from "bun:ffi";
import type { Pointer } from "bun:ffi";

import modulePath from "../../dist/native/sluice.so" with { type: "file" };
import { withLibraryPath } from "./embedded-library.ts";

/** Indices into the options array; the same order stands in native/sys.c. */
export const OPT_RCVBUF = 0;
export const OPT_SNDBUF = 1;
export const OPT_KEEPALIVE = 2;
export const OPT_KEEP_IDLE = 3;
export const OPT_KEEP_INTERVAL = 4;
export const OPT_KEEP_COUNT = 5;
export const OPT_TFO = 6;
export const OPT_USER_TIMEOUT = 7;
export const OPT_MARK = 8;
export const OPT_TOS = 9;
export const OPT_REUSEPORT = 10;
export const OPT_V6ONLY = 11;
export const OPT_TRANSPARENT = 12;
export const OPT_DEFER_ACCEPT = 13;
export const OPT_MSS = 14;
export const OPT_BACKLOG = 15;
export const OPT_QUICKACK = 16;
export const OPT_COUNT = 17;

/**
 * Functions of native/sys.c and native/loop.c. Byte arrays are sockaddr structures, strings end in
 * a zero byte.
 */
export type Native = {
  connect(
    address: Uint8Array,
    addressBytes: number,
    source: Uint8Array | null,
    sourceBytes: number,
    options: Int32Array | null,
    interfaceName: Uint8Array | null,
  ): number;
  listen(
    address: Uint8Array,
    addressBytes: number,
    options: Int32Array,
    interfaceName: Uint8Array | null,
  ): number;
  tune(fd: number, family: number, options: Int32Array): number;
  lingerZero(fd: number): number;
  setInt(fd: number, level: number, name: number, value: number): number;
  getInt(fd: number, level: number, name: number): number;
  name(fd: number, peer: number, out: Uint8Array, room: number): number;
  dup(fd: number): number;
  close(fd: number): number;
  isListening(fd: number): number;
  raiseDescriptors(wanted: number): number;
  threadCpuMicros(): number;
  loopNew(events: Int32Array, eventCount: number, bell: number): Pointer | null;
  loopDestroy(loop: Pointer): void;
  loopBell(loop: Pointer): number;
  ring(bell: number): number;
  loopListen(loop: Pointer, fd: number, accepting: number): number;
  loopAccept(loop: Pointer, fd: number): number;
  loopConnect(
    loop: Pointer,
    address: Uint8Array,
    addressBytes: number,
    source: Uint8Array | null,
    sourceBytes: number,
    options: Int32Array | null,
    interfaceName: Uint8Array | null,
  ): number;
  loopGeneration(loop: Pointer, fd: number): number;
  loopWatch(loop: Pointer, fd: number, owned: number): number;
  loopUnwatch(loop: Pointer, fd: number): number;
  loopPoll(loop: Pointer, timeoutMs: number): number;
  loopClose(loop: Pointer, fd: number, abort: number): number;
  recv(fd: number, buffer: Uint8Array, length: number): number;
  send(fd: number, buffer: Uint8Array, offset: number, length: number): number;
  finish(fd: number): number;
};

const SYMBOLS = {
  sl_connect: { args: ["ptr", "u32", "ptr", "u32", "ptr", "ptr"], returns: "i32" },
  sl_listen: { args: ["ptr", "u32", "ptr", "ptr"], returns: "i32" },
  sl_tune: { args: ["i32", "i32", "ptr"], returns: "i32" },
  sl_linger_zero: { args: ["i32"], returns: "i32" },
  sl_set_int: { args: ["i32", "i32", "i32", "i32"], returns: "i32" },
  sl_get_int: { args: ["i32", "i32", "i32"], returns: "i32" },
  sl_name: { args: ["i32", "i32", "ptr", "u32"], returns: "i32" },
  sl_dup: { args: ["i32"], returns: "i32" },
  sl_close: { args: ["i32"], returns: "i32" },
  sl_is_listening: { args: ["i32"], returns: "i32" },
  sl_raise_descriptors: { args: ["f64"], returns: "f64" },
  sl_thread_cpu_micros: { args: [], returns: "f64" },
  sl_loop_new: { args: ["ptr", "i32", "i32"], returns: "ptr" },
  sl_loop_destroy: { args: ["ptr"], returns: "void" },
  sl_loop_bell: { args: ["ptr"], returns: "i32" },
  sl_ring: { args: ["i32"], returns: "i32" },
  sl_loop_listen: { args: ["ptr", "i32", "i32"], returns: "i32" },
  sl_loop_accept: { args: ["ptr", "i32"], returns: "i32" },
  sl_loop_connect: {
    args: ["ptr", "ptr", "u32", "ptr", "u32", "ptr", "ptr"],
    returns: "i32",
  },
  sl_loop_generation: { args: ["ptr", "i32"], returns: "i32" },
  sl_loop_watch: { args: ["ptr", "i32", "i32"], returns: "i32" },
  sl_loop_unwatch: { args: ["ptr", "i32"], returns: "i32" },
  sl_loop_poll: { args: ["ptr", "i32"], returns: "i32" },
  sl_loop_close: { args: ["ptr", "i32", "i32"], returns: "i32" },
  sl_recv: { args: ["i32", "ptr", "u32"], returns: "i32" },
  sl_send: { args: ["i32", "ptr", "u32", "u32"], returns: "i32" },
  sl_finish: { args: ["i32"], returns: "i32" },
} as const;

/** Addresses of the functions in this process, by their C names. */
export type NativeAddresses = Record<string, number>;

type Opened = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

let loaded:
  { native: Native | null; addresses: NativeAddresses | null; reason: string } | undefined;

/** The module of this thread, or null. `SLUICE_NATIVE=off` does without it, for tests. */
export function nativeModule(): Native | null {
  loaded ??= load();
  return loaded.native;
}

/** Why there is no native module; empty when there is one. */
export function nativeReason(): string {
  loaded ??= load();
  return loaded.reason;
}

/** What another thread of the process is given, to use the module without opening a file. */
export function nativeAddresses(): NativeAddresses | null {
  loaded ??= load();
  return loaded.addresses;
}

/**
 * Makes this thread use the module at these addresses. After a chroot no file can be opened any
 * more: a worker that is started then lives on what the main thread opened before.
 */
export function useNativeAddresses(addresses: NativeAddresses | null): void {
  if (addresses === null) {
    loaded = { native: null, addresses: null, reason: "not active in the main thread" };
    return;
  }
  const symbols: Record<string, { args: readonly string[]; returns: string; ptr: number }> = {};
  for (const [name, symbol] of Object.entries(SYMBOLS)) {
    symbols[name] = { ...symbol, ptr: addresses[name] ?? 0 };
  }
  const linked = linkSymbols(symbols as unknown as Parameters<typeof linkSymbols>[0]);
  loaded = { native: typed(linked.symbols as unknown as Opened), addresses, reason: "" };
}

function load(): NonNullable<typeof loaded> {
  if (process.env["SLUICE_NATIVE"] === "off") {
    return { native: null, addresses: null, reason: "SLUICE_NATIVE=off" };
  }
  try {
    const { symbols } = withLibraryPath(modulePath, (path) => dlopen(path, SYMBOLS));
    const addresses: NativeAddresses = {};
    for (const [name, symbol] of Object.entries(symbols)) {
      addresses[name] = (symbol as unknown as { ptr: number }).ptr;
    }
    return { native: typed(symbols), addresses, reason: "" };
  } catch (error) {
    return { native: null, addresses: null, reason: messageOf(error) };
  }
}

function typed(symbols: Opened): Native {
  return {
    connect: symbols.sl_connect as unknown as Native["connect"],
    listen: symbols.sl_listen as unknown as Native["listen"],
    tune: symbols.sl_tune as unknown as Native["tune"],
    lingerZero: symbols.sl_linger_zero,
    setInt: symbols.sl_set_int,
    getInt: symbols.sl_get_int,
    name: symbols.sl_name as unknown as Native["name"],
    dup: symbols.sl_dup,
    close: symbols.sl_close,
    isListening: symbols.sl_is_listening,
    raiseDescriptors: symbols.sl_raise_descriptors,
    threadCpuMicros: symbols.sl_thread_cpu_micros,
    loopNew: symbols.sl_loop_new as unknown as Native["loopNew"],
    loopDestroy: symbols.sl_loop_destroy as unknown as Native["loopDestroy"],
    loopBell: symbols.sl_loop_bell as unknown as Native["loopBell"],
    ring: symbols.sl_ring,
    loopListen: symbols.sl_loop_listen as unknown as Native["loopListen"],
    loopAccept: symbols.sl_loop_accept as unknown as Native["loopAccept"],
    loopConnect: symbols.sl_loop_connect as unknown as Native["loopConnect"],
    loopGeneration: symbols.sl_loop_generation as unknown as Native["loopGeneration"],
    loopWatch: symbols.sl_loop_watch as unknown as Native["loopWatch"],
    loopUnwatch: symbols.sl_loop_unwatch as unknown as Native["loopUnwatch"],
    loopPoll: symbols.sl_loop_poll as unknown as Native["loopPoll"],
    loopClose: symbols.sl_loop_close as unknown as Native["loopClose"],
    recv: symbols.sl_recv as unknown as Native["recv"],
    send: symbols.sl_send as unknown as Native["send"],
    finish: symbols.sl_finish,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
