/**
 * Listening descriptors: bound by control, before privileges are dropped, one a worker
 * (SO_REUSEPORT) for IP, one for all for unix sockets and inherited descriptors. A worker that is
 * replaced takes over the descriptor of the one before it, so its backlog is served.
 *
 * QUIC has one UDP socket a worker; they are bound here in the order of the workers, since the
 * kernel counts them in that order when it chooses by connection ID.
 */
import { chmodSync, chownSync, lstatSync, renameSync, rmSync } from "node:fs";

import type { Native } from "../conduit/native.ts";
import {
  OPT_BACKLOG,
  OPT_COUNT,
  OPT_DEFER_ACCEPT,
  OPT_KEEP_COUNT,
  OPT_KEEP_IDLE,
  OPT_KEEP_INTERVAL,
  OPT_KEEPALIVE,
  OPT_MSS,
  OPT_RCVBUF,
  OPT_REUSEPORT,
  OPT_SNDBUF,
  OPT_TFO,
  OPT_TRANSPARENT,
  OPT_USER_TIMEOUT,
  OPT_V6ONLY,
} from "../conduit/native.ts";
import {
  quicModule,
  UDP_DUAL,
  UDP_REUSEPORT,
  UDP_TRANSPARENT,
  UDP_V6ONLY,
} from "../conduit/quic/native-quic.ts";
import { encodeSocketAddress } from "../conduit/sockaddr.ts";
import type { BindSpec, GlobalSpec, ProxySpec } from "../tables/spec.ts";

/** Backlog when nothing is said: HAProxy takes the frontend's maxconn; the kernel caps it. */
const BACKLOG_DEFAULT = 4096;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;
const EACCES = 13;
const EBADF = 9;
const EOPNOTSUPP = 95;
/** Clients that TCP Fast Open may keep waiting. */
const TFO_QUEUE = 256;

/** Descriptors of a bind, or why it failed: errno of bind(2) or listen(2), and the step. */
export type BoundSockets = { fds: number[] } | { errno: number; step: string };

/** What a bind takes from its section. */
export type BindFrontend = Pick<ProxySpec, "clientKeepalive" | "backlog" | "maxconn">;

/** Binds one address for `workers` workers; a worker outside the bind's set gets -1. */
export function bindListener(
  native: Native,
  global: GlobalSpec,
  frontend: BindFrontend,
  bind: BindSpec,
  workers: number,
): BoundSockets {
  const isWanted = (worker: number): boolean =>
    bind.workers === undefined || bind.workers.some((r) => worker >= r.from && worker <= r.to);
  const wanted = Array.from({ length: workers }, (_, i) => isWanted(i + 1));
  if (bind.quic !== undefined) return bindUdp(native, global, bind, wanted);
  if (bind.address.family === "fd") return shareDescriptor(native, bind.address.fd, wanted);
  const options = listenOptions(global, frontend, bind);
  const name = bind.interfaceName;
  const interfaceName = name === undefined ? null : new TextEncoder().encode(`${name}\0`);
  if (bind.address.family === "unix") return bindUnix(native, bind, bind.address, options, wanted);
  const { bytes } = encodeSocketAddress(bind.address);
  if (bind.address.family === "abns" || global.noreuseport) {
    const fd = native.listen(bytes, bytes.length, options, interfaceName);
    if (fd < 0) return { errno: -fd, step: "bind" };
    return { fds: wanted.map((yes) => (yes ? fd : -1)) };
  }
  const fds: number[] = [];
  for (const yes of wanted) {
    const fd = yes ? native.listen(bytes, bytes.length, options, interfaceName) : -1;
    if (yes && fd < 0) {
      for (const one of fds) if (one >= 0) native.close(one);
      return { errno: -fd, step: "bind" };
    }
    fds.push(fd);
  }
  return { fds };
}

/**
 * Without the native part the workers bind: whether they can is tried here, so that a start fails
 * with a message and not with silence.
 * @returns 0 or errno
 */
export function tryBind({ address, v6only }: BindSpec): number {
  const socket = { data: () => undefined };
  try {
    if (address.family === "fd") return EBADF;
    const where: unknown =
      address.family === "unix" || address.family === "abns"
        ? { unix: address.family === "unix" ? address.path : `\0${address.name}` }
        : { hostname: address.host, port: address.port, reusePort: true, ipv6Only: v6only };
    Bun.listen({ ...(where as Bun.UnixSocketOptions<undefined>), socket }).stop(true);
    return 0;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "EADDRINUSE") return EADDRINUSE;
    return code === "EACCES" ? EACCES : EADDRNOTAVAIL;
  }
}

/** One socket for each worker that is wanted; without port sharing for the first of them alone. */
function bindUdp(
  native: Native,
  global: GlobalSpec,
  bind: BindSpec,
  wanted: readonly boolean[],
): BoundSockets {
  const quic = quicModule();
  const { address, interfaceName: name } = bind;
  const isIp = address.family === "ipv4" || address.family === "ipv6";
  // An inherited descriptor is one socket, and belongs to no group that could be steered.
  if (quic === null || !isIp) return { errno: EOPNOTSUPP, step: "bind" };
  const interfaceName = name === undefined ? null : new TextEncoder().encode(`${name}\0`);
  const options =
    (global.noreuseport ? 0 : UDP_REUSEPORT) |
    (bind.v6only ? UDP_V6ONLY : bind.v4v6 ? UDP_DUAL : 0) |
    (bind.transparent ? UDP_TRANSPARENT : 0);
  const { bytes } = encodeSocketAddress(address);
  const fds = wanted.map(() => -1);
  const workers: number[] = [];
  for (const [index, isWanted] of wanted.entries()) {
    if (!isWanted || (global.noreuseport && workers.length > 0)) continue;
    const { rcvbufClient, sndbufClient } = global;
    const length = bytes.length;
    const fd = quic.udpSocket(bytes, length, options, rcvbufClient, sndbufClient, interfaceName);
    if (fd < 0) {
      for (const one of fds) if (one >= 0) native.close(one);
      return { errno: -fd, step: "bind" };
    }
    // Port 0 is one port for all: the one that the first was given.
    if (workers.length === 0) native.name(fd, 0, bytes, length);
    fds[index] = fd;
    workers.push(index + 1);
  }
  // Where the kernel cannot, workers hand each other what is not theirs.
  const steered = Int32Array.from(workers, (worker) => fds[worker - 1]!);
  if (workers.length > 1) quic.udpSteer(steered, Int32Array.from(workers), workers.length);
  return { fds };
}

function shareDescriptor(native: Native, fd: number, wanted: boolean[]): BoundSockets {
  const listening = native.isListening(fd);
  if (listening < 0) return { errno: -listening, step: "use inherited descriptor" };
  if (listening === 0) return { errno: 22, step: "listen on inherited descriptor" };
  return { fds: wanted.map((yes) => (yes ? fd : -1)) };
}

function listenOptions(global: GlobalSpec, frontend: BindFrontend, bind: BindSpec): Int32Array {
  const options = new Int32Array(OPT_COUNT);
  const keepalive = frontend.clientKeepalive;
  // Accepted sockets inherit these: nothing has to be set on each of them.
  options[OPT_RCVBUF] = global.rcvbufClient;
  options[OPT_SNDBUF] = global.sndbufClient;
  options[OPT_KEEPALIVE] = keepalive.enabled ? 1 : 0;
  options[OPT_KEEP_IDLE] = keepalive.idleSeconds;
  options[OPT_KEEP_INTERVAL] = keepalive.intervalSeconds;
  options[OPT_KEEP_COUNT] = keepalive.count;
  options[OPT_TFO] = bind.tfo ? TFO_QUEUE : 0;
  options[OPT_USER_TIMEOUT] = bind.tcpUserTimeoutMs;
  options[OPT_REUSEPORT] = global.noreuseport ? 0 : 1;
  options[OPT_V6ONLY] = bind.v6only ? 1 : bind.v4v6 ? 0 : -1;
  options[OPT_TRANSPARENT] = bind.transparent ? 1 : 0;
  options[OPT_DEFER_ACCEPT] = bind.deferAccept ? 1 : 0;
  options[OPT_MSS] = bind.mss;
  options[OPT_BACKLOG] = bind.backlog || frontend.backlog || frontend.maxconn || BACKLOG_DEFAULT;
  return options;
}

/**
 * A unix socket takes its place in one step: bound beside it, given its owner, and renamed onto it,
 * so that a living process's socket goes only when ours is ready.
 */
function bindUnix(
  native: Native,
  bind: BindSpec,
  address: { family: "unix"; path: string },
  options: Int32Array,
  wanted: boolean[],
): BoundSockets {
  const beside = `${address.path}.${process.pid}.tmp`;
  try {
    if (!isReplaceable(address.path)) return { errno: EADDRINUSE, step: "bind" };
    rmSync(beside, { force: true });
    const { bytes } = encodeSocketAddress({ family: "unix", path: beside });
    const fd = native.listen(bytes, bytes.length, options, null);
    if (fd < 0) return { errno: -fd, step: "bind" };
    setOwner(bind, beside);
    renameSync(beside, address.path);
    return { fds: wanted.map((yes) => (yes ? fd : -1)) };
  } catch (error) {
    rmSync(beside, { force: true });
    const errno = error instanceof Error && "errno" in error ? Math.abs(Number(error.errno)) : 22;
    return { errno, step: "bind" };
  }
}

/** Nothing stands there, or a socket; never a file of another kind. */
function isReplaceable(path: string): boolean {
  try {
    return lstatSync(path).isSocket();
  } catch {
    return true;
  }
}

function setOwner(bind: BindSpec, path: string): void {
  if (bind.mode >= 0) chmodSync(path, bind.mode);
  if (bind.uid >= 0 || bind.gid >= 0) chownSync(path, bind.uid, bind.gid);
}
