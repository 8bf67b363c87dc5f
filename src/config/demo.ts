/**
 * The demonstration: what runs when the program is started without a file, flags or arguments. A
 * listener over a few servers that the process itself starts, and a runtime socket.
 */
import type { ConfigText } from "./files.ts";

/** What the demonstration is made of. */
export type DemoOptions = {
  /** Where to listen, `127.0.0.1:8080`. */
  listen: string;
  /** Where the in-process servers are. */
  servers: readonly { name: string; address: string }[];
  /** Path of the runtime socket. */
  socket: string;
  /** A QUIC listener beside, where QUIC is there; `certificate` names a file. */
  quic?: { listen: string; certificate: string; alpn: string };
};

/** The demonstration's configuration as text: it is loaded, and may be printed, like any other. */
export function demoPlan(options: DemoOptions): ConfigText {
  const { quic } = options;
  const quicLines =
    quic === undefined
      ? []
      : [`    bind quic4@${quic.listen} ssl crt ${quote(quic.certificate)} alpn ${quic.alpn}`];
  const lines = [
    "global",
    `    stats socket ${quote(options.socket)} level admin mode 600`,
    "",
    "defaults",
    "    mode tcp",
    "    timeout connect 5s",
    "    timeout client 50s",
    "    timeout server 50s",
    "",
    "frontend demo",
    `    bind ${options.listen}`,
    ...quicLines,
    "    default_backend demo-servers",
    "",
    "backend demo-servers",
    "    balance roundrobin",
    "    option redispatch",
    ...options.servers.map(({ name, address }) => `    server ${name} ${address} check`),
  ];
  return { name: "demo", content: `${lines.join("\n")}\n` };
}

/** A word in strong quotes where it needs them. */
function quote(word: string): string {
  return /^[A-Za-z0-9_./@:-]+$/u.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
