/**
 * sluice between QUIC peers: the four bridges with one frontend and one server each, and a starter
 * that waits for UDP ports as well.
 */
import { type Balancer, startBalancer } from "./haproxy.ts";
import { freePort } from "./ports.ts";
import { until } from "./procs.ts";
import { certificates, SERVER_NAME } from "./quic-certificates.ts";
import { freeUdpPort, udpSockets } from "./quic-programs.ts";

/** One of the ways through. */
export interface Bridge {
  readonly name: string;
  readonly isFrontQuic: boolean;
  readonly isBackQuic: boolean;
  readonly isSession: boolean;
}

/** All of them. */
export const BRIDGES: readonly Bridge[] = [
  { name: "TCP to QUIC", isFrontQuic: false, isBackQuic: true, isSession: false },
  { name: "QUIC to TCP", isFrontQuic: true, isBackQuic: false, isSession: false },
  { name: "QUIC to QUIC by stream", isFrontQuic: true, isBackQuic: true, isSession: false },
  { name: "QUIC to QUIC by session", isFrontQuic: true, isBackQuic: true, isSession: true },
];

/** Protocol that the peers of most tests speak. */
export const ALPN = "test";

/** How a sluice is started. */
export interface QuicSluiceOptions {
  workers?: number;
  /** Lines of `global`, `defaults`, and instead of the usual time limits. */
  global?: string;
  defaults?: string;
  timeouts?: string;
  env?: Record<string, string>;
  tcpPorts?: readonly number[];
  udpPorts?: readonly number[];
}

const TIMEOUTS = `  timeout connect 20s
  timeout client 60s
  timeout server 60s`;

/** Starts sluice with these sections, and waits until all ports are bound. */
export async function startQuicSluice(
  sections: string,
  options: QuicSluiceOptions = {},
): Promise<Balancer> {
  const { workers = 1, global = "", defaults = "", timeouts = TIMEOUTS } = options;
  const { tcpPorts = [], udpPorts = [], env = {} } = options;
  const config = `global
  nbthread ${workers}
${global}
defaults
  mode tcp
${timeouts}
${defaults}
${sections}
`;
  const sluice = await startBalancer("sluice", {
    config,
    ports: [...tcpPorts],
    env: { SLUICE_LOG_FORMAT: "off", ...env },
  });
  try {
    await until(`sluice to bind ${udpPorts.join(", ")}`, () => {
      if (sluice.hasExited()) throw new Error(sluice.output());
      return udpPorts.every((port) => udpSockets(port) > 0);
    });
  } catch (error) {
    await sluice[Symbol.asyncDispose]();
    throw new Error(`${String(error)}\n${sluice.output()}\n--- with\n${config}`);
  }
  return sluice;
}

/** More words on the lines of a bridge. */
export interface BridgeWords {
  bind?: string;
  server?: string;
  /** Lines of the section. */
  lines?: string;
  alpn?: string;
}

/** Address and words behind `bind` for QUIC at this port. */
export function quicBind(port: number, more = "", alpn = ALPN): string {
  return `quic4@127.0.0.1:${port} ssl crt ${certificates().server.both} alpn ${alpn} ${more}`;
}

/** Address and words of a QUIC server at this port, its certificate verified; "" = no `alpn`. */
export function quicServer(port: number, more = "", alpn = ALPN): string {
  const verified = `verify required ca-file ${certificates().authority} sni str(${SERVER_NAME})`;
  const protocols = alpn === "" ? "" : `alpn ${alpn}`;
  return `quic4@127.0.0.1:${port} ssl ${verified} ${protocols} ${more}`;
}

/** A `listen` section that is this bridge: clients at `port`, the server at `serverPort`. */
export function bridgeSection(
  bridge: Bridge,
  port: number,
  serverPort: number,
  words: BridgeWords = {},
): string {
  const { bind = "", server = "", lines = "", alpn = ALPN } = words;
  const map = bridge.isSession ? "quic-map session" : "";
  const front = bridge.isFrontQuic ? quicBind(port, map, alpn) : `127.0.0.1:${port}`;
  // A session asks its server for the protocol that its client speaks.
  const backAlpn = bridge.isSession ? "" : alpn;
  const back = bridge.isBackQuic ? quicServer(serverPort, "", backAlpn) : `127.0.0.1:${serverPort}`;
  return `listen fe\n  bind ${front} ${bind}\n${lines}\n  server s1 ${back} ${server}`;
}

/** A started bridge and the port of its clients. */
export type RunningBridge = Balancer & { readonly port: number };

/** Starts sluice as this bridge in front of the server at `serverPort`. */
export async function startBridge(
  bridge: Bridge,
  serverPort: number,
  words: BridgeWords = {},
  options: QuicSluiceOptions = {},
): Promise<RunningBridge> {
  const port = bridge.isFrontQuic ? freeUdpPort() : freePort();
  const ports = bridge.isFrontQuic ? { udpPorts: [port] } : { tcpPorts: [port] };
  const section = bridgeSection(bridge, port, serverPort, words);
  const sluice = await startQuicSluice(section, { ...options, ...ports });
  return { ...sluice, port };
}
