/**
 * The few calls of the C library that the runtime does not offer: chroot, descriptors of standard
 * streams, listening and not, sentences of errors. Loaded at the first use, on the main thread,
 * before a chroot.
 */
import { openLibc } from "./libc.ts";

const SYMBOLS = {
  chroot: { args: ["cstring"], returns: "i32" },
  dup2: { args: ["i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  shutdown: { args: ["i32", "i32"], returns: "i32" },
  strerror: { args: ["i32"], returns: "cstring" },
  getpriority: { args: ["i32", "u32"], returns: "i32" },
  setpriority: { args: ["i32", "u32", "i32"], returns: "i32" },
} as const;

/** Return values are those of the C functions: -1 is a failure. */
export type Libc = {
  chroot(path: string): number;
  dup2(from: number, to: number): number;
  close(fd: number): number;
  listen(fd: number, backlog: number): number;
  /** @param how 0 = no more reading: a listening socket refuses, and its port is free */
  shutdown(fd: number, how: number): number;
  /** The system's sentence for an error number. */
  strerror(errno: number): string;
  /** Others go before the calling thread. @param by steps of `nice` */
  yieldTo(by: number): number;
};

let loaded: Libc | undefined;

/** The C library of this system. @throws when neither glibc nor musl is found */
export function systemLibc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  const symbols = openLibc(SYMBOLS);
  return {
    chroot: (path) => symbols.chroot(Buffer.from(`${path}\0`)),
    dup2: (from, to) => symbols.dup2(from, to),
    close: (fd) => symbols.close(fd),
    listen: (fd, backlog) => symbols.listen(fd, backlog),
    shutdown: (fd, how) => symbols.shutdown(fd, how),
    strerror: (errno) => String(symbols.strerror(errno)),
    // Linux: the calling thread is meant, not its process.
    yieldTo: (by) => symbols.setpriority(0, 0, symbols.getpriority(0, 0) + by),
  };
}
