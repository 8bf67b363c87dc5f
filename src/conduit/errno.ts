/** What an errno of the socket calls means to a stream. Linux numbers. */
import {
  CLOSE_OTHER,
  CLOSE_REFUSED,
  CLOSE_RESET,
  CLOSE_RESOURCE,
  CLOSE_TIMEOUT,
  CLOSE_UNREACHABLE,
} from "./conduit.ts";

/** The peer has reset the connection. */
export const ECONNRESET = 104;
/** Try again when the socket says so. */
export const EAGAIN = 11;
/** No descriptor is left to the process, or to the machine. */
export const EMFILE = 24;
export const ENFILE = 23;

/** CLOSE_* of a failed connection attempt: a reset there means that nobody accepts. */
export function connectCloseCode(errno: number): number {
  const code = closeCodeOfErrno(errno);
  return code === CLOSE_RESET ? CLOSE_REFUSED : code;
}

/** CLOSE_* of an errno. */
export function closeCodeOfErrno(errno: number): number {
  switch (errno) {
    case ECONNRESET:
    case 32: // EPIPE
      return CLOSE_RESET;
    case 111: // ECONNREFUSED
    case 2: // ENOENT: no such unix socket
      return CLOSE_REFUSED;
    case 101: // ENETUNREACH
    case 113: // EHOSTUNREACH
    case 100: // ENETDOWN
    case 112: // EHOSTDOWN
      return CLOSE_UNREACHABLE;
    case 110: // ETIMEDOUT
      return CLOSE_TIMEOUT;
    case EAGAIN: // of connect(2): backlog of a unix socket is full, or no free port
    case EMFILE:
    case ENFILE:
    case 12: // ENOMEM
    case 105: // ENOBUFS
    case 98: // EADDRINUSE
    case 99: // EADDRNOTAVAIL
    case 1: // EPERM
    case 13: // EACCES
      return CLOSE_RESOURCE;
    default:
      return CLOSE_OTHER;
  }
}
