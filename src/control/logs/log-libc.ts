/**
 * Calls of the C library that log sinks need and the runtime does not offer: datagrams to unix
 * sockets and without waiting, and asking whether a descriptor takes data now. Loaded at the first
 * use, before a chroot. Control thread.
 */
import { read } from "bun:ffi";

import { openLibc } from "../../base/libc.ts";

const SYMBOLS = {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  __errno_location: { args: [], returns: "ptr" },
} as const;

const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLOUT = 4;

/** No room now. */
export const EAGAIN = 11;
/** No buffers now. */
export const ENOBUFS = 105;

/** Results are >= 0, or -errno. */
export type LogLibc = {
  /** A datagram socket of a family (AF_UNIX 1, AF_INET 2, AF_INET6 10). */
  datagramSocket(family: number): number;
  /** Sends one datagram, without waiting. */
  sendTo(fd: number, bytes: Uint8Array, address: Uint8Array): number;
  /** True when at least a small write would not wait. */
  isWritable(fd: number): boolean;
  close(fd: number): number;
};

let loaded: LogLibc | undefined;

/** The C library of this system. @throws when neither glibc nor musl is found */
export function logLibc(): LogLibc {
  loaded ??= load();
  return loaded;
}

function load(): LogLibc {
  const symbols = openLibc(SYMBOLS);
  const result = (value: number): number => {
    if (value >= 0) return value;
    const location = symbols.__errno_location();
    return location === null ? -EAGAIN : -read.i32(location, 0);
  };
  const pollFd = new Int32Array(2);
  return {
    datagramSocket: (family) =>
      result(symbols.socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
    sendTo: (fd, bytes, address) =>
      result(
        symbols.sendto(
          fd,
          bytes,
          bytes.length,
          MSG_DONTWAIT | MSG_NOSIGNAL,
          address,
          address.length,
        ),
      ),
    isWritable: (fd) => {
      // struct pollfd: descriptor, then events and revents as 16 bits each.
      pollFd[0] = fd;
      pollFd[1] = POLLOUT;
      const ready = symbols.poll(pollFd, 1, 0);
      // An error or a hang-up counts as ready: the write tells which.
      return ready !== 0;
    },
    close: (fd) => result(symbols.close(fd)),
  };
}
