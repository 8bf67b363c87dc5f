/**
 * The C library of the system, glibc or musl, for the calls that the runtime does not offer. Who
 * needs some declares them and wraps them in words of its own. Loaded at the first use, before a
 * chroot. Control thread.
 */
import { dlopen, type FFIFunction, type Library } from "bun:ffi";

/** Opens the C library for `symbols`. @throws when neither glibc nor musl is found */
export function openLibc<Symbols extends Record<string, FFIFunction>>(
  symbols: Symbols,
): Library<Symbols>["symbols"] {
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  try {
    return dlopen("libc.so.6", symbols).symbols;
  } catch {
    return dlopen(`libc.musl-${machine}.so.1`, symbols).symbols;
  }
}
