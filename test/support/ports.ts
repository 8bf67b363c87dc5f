/**
 * Free ports and the kernel's own list of listening sockets, for tests and benchmarks.
 *
 * Whether a balancer listens is read from /proc, never probed by a connection: a probe would take a
 * turn of a round robin and leave a line in a log.
 */
import { readFileSync } from "node:fs";

/** Below the kernel's ephemeral range, so that no outgoing connection takes the port meanwhile. */
const PORTS_FIRST = 10_000;
const PORTS_LAST = 32_000;
/** `SLUICE_TEST_LANE`: runs beside each other draw from halves of their own. */
const LANE = process.env["SLUICE_TEST_LANE"];
const PORTS_MIDDLE = (PORTS_FIRST + PORTS_LAST) / 2;
const PORT_FIRST = LANE === "1" ? PORTS_MIDDLE : PORTS_FIRST;
const PORT_LAST = LANE === "0" ? PORTS_MIDDLE : PORTS_LAST;
const ATTEMPTS_MAX = 500;
const TCP_LISTEN = "0A";

const taken = new Set<number>();

/** A TCP port free on all addresses, and never handed out twice by this process. */
export function freePort(): number {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const port = PORT_FIRST + Math.floor(Math.random() * (PORT_LAST - PORT_FIRST));
    if (taken.has(port) || !isBindable(port)) continue;
    taken.add(port);
    return port;
  }
  throw new Error(`no free port after ${ATTEMPTS_MAX} attempts`);
}

/** `count` distinct free ports, in no order. */
export function freePorts(count: number): number[] {
  return Array.from({ length: count }, freePort);
}

/** The first of `count` free ports that follow each other. */
export function freePortRange(count: number): number {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const first = freePort();
    const rest = Array.from({ length: count - 1 }, (_, i) => first + 1 + i);
    if (rest.some((port) => taken.has(port) || !isBindable(port))) continue;
    for (const port of rest) taken.add(port);
    return first;
  }
  throw new Error(`no ${count} free ports in a row`);
}

function isBindable(port: number): boolean {
  try {
    Bun.listen({ hostname: "0.0.0.0", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}

/** What /proc/net/tcp{,6} says of a TCP socket. */
interface KernelSocket {
  remotePort: number;
  /** Hexadecimal, as in the kernel's tcp_states.h: 01 established, 0A listen. */
  state: string;
  /** 0 while a connection waits in a listener's backlog, before anyone has accepted it. */
  inode: number;
}

/**
 * The TCP sockets of this network namespace with that local port, both families. The tables may
 * hold tens of thousands of finished connections, so they are searched, not parsed.
 */
function kernelSockets(localPort: number): KernelSocket[] {
  const hex = localPort.toString(16).toUpperCase().padStart(4, "0");
  const line = new RegExp(
    `^ *\\d+: [0-9A-F]+:${hex} [0-9A-F]+:([0-9A-F]{4}) (\\w\\w) \\S+ \\S+ \\S+ +\\d+ +\\d+ (\\d+)`,
    "gm",
  );
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) =>
    Array.from(readFileSync(path, "latin1").matchAll(line), ([, remote, state, inode]) => ({
      remotePort: Number.parseInt(remote ?? "", 16),
      state: state ?? "",
      inode: Number(inode),
    })),
  );
}

/** Whether someone listens on TCP port `port`, on any address. */
export function isListening(port: number): boolean {
  return kernelSockets(port).some((socket) => socket.state === TCP_LISTEN);
}

/** Whether the connection from `clientPort` to `listenPort` has left the listener's backlog. */
export function isAccepted(listenPort: number, clientPort: number): boolean {
  return kernelSockets(listenPort).some(
    (socket) => socket.remotePort === clientPort && socket.inode !== 0,
  );
}
