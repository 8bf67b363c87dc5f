/**
 * The sockets of the runtime API: unix, abstract, TCP, inherited. Bound before privileges drop;
 * clients that come before the process serves wait in the backlog. Main thread, Bun's event loop.
 *
 * With the native part it makes the listening descriptor, and Bun is handed a copy: accepting can
 * then stop (`maxconn`, no descriptors left) while clients wait in the backlog. Without it Bun
 * binds, clients beyond the limit are accepted and wait unread, an abstract name is not padded as
 * HAProxy pads it, and a port is not shared with another process.
 */
import { chmodSync, chownSync, lstatSync, renameSync, rmSync } from "node:fs";

import { formatIp } from "../base/address.ts";
import { SluiceError } from "../base/errors.ts";
import { systemLibc } from "../base/system-libc.ts";
import type { Native } from "../conduit/native.ts";
import { OPT_BACKLOG, OPT_COUNT, OPT_REUSEPORT, OPT_V6ONLY } from "../conduit/native.ts";
import { decodeSocketAddress, encodeSocketAddress, Endpoint } from "../conduit/sockaddr.ts";
import { addressText } from "../tables/address-text.ts";
import type { Address, StatsSocketSpec } from "../tables/spec.ts";

/** Backlog when nothing is said. */
const BACKLOG_DEFAULT = 1024;
const EINVAL = 22;
/** Room for any sockaddr. */
const SOCKADDR_BYTES = 128;

/** What Bun's sockets of the API carry. */
export type SocketHandler<Data> = Bun.SocketHandler<Data>;

/** A socket that is bound and listens; nobody accepts yet. */
export type OpenSocket = {
  readonly spec: StatsSocketSpec;
  /** As `show cli sockets` names it. */
  readonly name: string;
  /** The listening descriptor, ours or inherited; -1 without the native part. */
  readonly fd: number;
  /** Makes Bun accept. */
  accept<Data>(handler: SocketHandler<Data>): Bun.TCPSocketListener<Data>;
  /** Ends it; removes the path if it is still ours. */
  close(): void;
};

/** Opens a socket of a `stats socket` line. @throws SluiceError SLC_API_SOCKET */
export function openSocket(
  spec: StatsSocketSpec,
  native: Native | null,
  isPortShared: boolean,
): OpenSocket {
  try {
    return native === null ? openByBun(spec) : openNatively(spec, native, isPortShared);
  } catch (error) {
    const { file, line } = spec.origin;
    const what = spec.address.family === "unix" ? "UNIX socket" : "socket";
    const address = addressText(spec.address);
    throw new SluiceError("SLC_API_SOCKET", { file, line, what, reason: reasonOf(error), address });
  }
}

function reasonOf(error: unknown): string {
  const errno = error instanceof Error && "errno" in error ? Math.abs(Number(error.errno)) : 0;
  if (errno > 0) return systemLibc().strerror(errno);
  return error instanceof Error ? error.message : String(error);
}

/** An error of a system call that gave `-errno`. */
function systemError(result: number): Error {
  return Object.assign(new Error(systemLibc().strerror(-result)), { errno: result });
}

function openNatively(spec: StatsSocketSpec, native: Native, isPortShared: boolean): OpenSocket {
  const { address } = spec;
  if (address.family === "fd") {
    const listening = native.isListening(address.fd);
    if (listening <= 0) throw systemError(listening < 0 ? listening : -EINVAL);
    return openSocketOf(spec, native, address.fd, () => undefined);
  }
  const options = new Int32Array(OPT_COUNT);
  options[OPT_BACKLOG] = spec.backlog || BACKLOG_DEFAULT;
  options[OPT_REUSEPORT] = isPortShared ? 1 : 0;
  options[OPT_V6ONLY] = -1;
  const bind = (where: Address): number => {
    const { bytes } = encodeSocketAddress(where);
    const fd = native.listen(bytes, bytes.length, options, null);
    if (fd < 0) throw systemError(fd);
    return fd;
  };
  if (address.family !== "unix") return openSocketOf(spec, native, bind(address), () => undefined);
  const { made: fd, remove } = atPath(spec, address.path, (path) => bind({ family: "unix", path }));
  return openSocketOf(spec, native, fd, remove);
}

function openSocketOf(
  spec: StatsSocketSpec,
  native: Native,
  fd: number,
  remove: () => void,
): OpenSocket {
  return {
    spec,
    name: boundName(spec.address, native, fd),
    fd,
    accept<Data>(socket: SocketHandler<Data>) {
      const copy = native.dup(fd);
      if (copy < 0) throw systemError(copy);
      return listenOn<Data>({ fd: copy }, socket);
    },
    close() {
      remove();
      native.close(fd);
    },
  };
}

/** `ipv4@127.0.0.1:9999`, with the port that the system chose where none was named. */
function boundName(address: Address, native: Native, fd: number): string {
  if (address.family === "unix") return `unix@${address.path}`;
  if (address.family === "abns") return `abns@${address.name}`;
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  const length = native.name(fd, 0, bytes, bytes.length);
  if (length < 0) return addressText(address);
  const endpoint = new Endpoint();
  decodeSocketAddress(bytes, length, endpoint);
  if (endpoint.family === 1) return `unix@${unixPath(bytes, length)}`;
  const host = formatIp(endpoint.ip);
  return endpoint.family === 6
    ? `ipv6@[${host}]:${endpoint.port}`
    : `ipv4@${host}:${endpoint.port}`;
}

function unixPath(bytes: Uint8Array, length: number): string {
  const end = bytes.indexOf(0, 2);
  return Buffer.from(bytes.subarray(2, end < 0 ? length : Math.min(end, length))).toString();
}

/** Bun's own way, where the native part is missing. */
function openByBun(spec: StatsSocketSpec): OpenSocket {
  const { address } = spec;
  let socket: SocketHandler<unknown> = { data: () => undefined };
  // Bun accepts at once: what comes before the process serves is handed over then.
  const early: Bun.Socket<unknown>[] = [];
  const handler: SocketHandler<unknown> = {
    open(client) {
      if (socket.open !== undefined) return socket.open(client);
      client.pause();
      early.push(client);
    },
    data: (client, bytes) => socket.data?.(client, bytes),
    drain: (client) => socket.drain?.(client),
    end: (client) => socket.end?.(client),
    close: (client, error) => socket.close?.(client, error),
    error: (client, error) => socket.error?.(client, error),
  };
  const { made, remove } =
    address.family === "unix"
      ? atPath(spec, address.path, (path) => listenOn({ unix: path }, handler))
      : { made: listenOn(whereOf(address), handler), remove: () => undefined };
  return {
    spec,
    name: address.family === "unix" ? `unix@${address.path}` : nameOfListener(address, made),
    fd: -1,
    accept<Data>(wanted: SocketHandler<Data>) {
      socket = wanted as SocketHandler<unknown>;
      for (const client of early.splice(0)) {
        client.resume();
        socket.open?.(client);
      }
      return made as Bun.TCPSocketListener<Data>;
    },
    close: remove,
  };
}

function whereOf(address: Exclude<Address, { family: "unix" }>): object {
  if (address.family === "abns") return { unix: `\0${address.name}` };
  if (address.family === "fd") return { fd: address.fd };
  return { hostname: address.host, port: address.port };
}

function nameOfListener(address: Address, listener: { port: number }): string {
  if (address.family !== "ipv4" && address.family !== "ipv6") return addressText(address);
  return `${address.family}@${addressText({ ...address, port: listener.port })}`;
}

function listenOn<Data>(where: object, socket: SocketHandler<Data>): Bun.TCPSocketListener<Data> {
  const options = { ...where, allowHalfOpen: true, socket };
  return Bun.listen(options as unknown as Bun.TCPSocketListenOptions<Data>);
}

/**
 * A unix socket takes its place in one step: bound beside it, given mode and owner, renamed onto
 * it. Nothing but a socket is replaced. Never wider open than `mode`, not for a moment.
 */
function atPath<Made>(
  spec: StatsSocketSpec,
  path: string,
  bind: (path: string) => Made,
): { made: Made; remove: () => void } {
  if (!isReplaceable(path)) throw new Error("there is a file that is no socket");
  const beside = `${path}.${process.pid}.tmp`;
  rmSync(beside, { force: true });
  const mask = process.umask();
  try {
    if (spec.mode >= 0) process.umask(0o777 & ~spec.mode);
    const made = bind(beside);
    if (spec.mode >= 0) chmodSync(beside, spec.mode);
    if (spec.uid >= 0 || spec.gid >= 0) chownSync(beside, spec.uid, spec.gid);
    const { dev, ino } = lstatSync(beside);
    renameSync(beside, path);
    return { made, remove: () => removeIfOurs(path, dev, ino) };
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  } finally {
    process.umask(mask);
  }
}

function isReplaceable(path: string): boolean {
  try {
    return lstatSync(path).isSocket();
  } catch {
    return true;
  }
}

/** A later process may have put its own socket there. */
function removeIfOurs(path: string, dev: number, ino: number): void {
  try {
    const found = lstatSync(path);
    if (found.dev === dev && found.ino === ino) rmSync(path);
  } catch {
    // It is gone already, or out of reach after a chroot.
  }
}
