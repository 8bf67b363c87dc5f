/**
 * Other people's programs as QUIC peers: knot as a DNS server, kdig as its client over TCP and
 * QUIC, Caddy (quic-go) as a server of HTTP/3 files, ngtcp2's own client.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

import { freePort, isListening } from "./ports.ts";
import { runProcess, startProcess, temporaryFolder, until } from "./procs.ts";
import type { Certificate } from "./quic-certificates.ts";

const UDP_PATHS = ["/proc/net/udp", "/proc/net/udp6"];

/** How many sockets are bound to UDP port `port`, on any address. */
export function udpSockets(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const line = new RegExp(`^ *\\d+: [0-9A-F]+:${hex} `, "gm");
  return UDP_PATHS.reduce(
    (sum, path) => sum + Array.from(readFileSync(path, "latin1").matchAll(line)).length,
    0,
  );
}

/** A port that is free for TCP and UDP. */
export function freeUdpPort(): number {
  for (;;) {
    const port = freePort();
    if (udpSockets(port) === 0) return port;
  }
}

/** A server that listens on `port`. */
export interface Program extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
}

/** Name with the records that `startKnot` serves: A 192.0.2.1, and a TXT of about 3,000 bytes. */
export const DNS_NAME = "example.test";
export const DNS_ADDRESS = "192.0.2.1";

/** knot, authoritative for `example.test`, over TCP and UDP. */
export async function startKnot(): Promise<Program> {
  const folder = temporaryFolder();
  const port = freeUdpPort();
  const long = Array.from({ length: 12 }, (_, i) => `"${String(i).padStart(250, "t")}"`).join(" ");
  writeFileSync(
    folder.file("example.test.zone"),
    `$ORIGIN ${DNS_NAME}.
$TTL 60
@ SOA ns admin 1 3600 600 86400 60
@ NS ns
@ A ${DNS_ADDRESS}
ns A 192.0.2.2
long TXT ${long}
`,
  );
  writeFileSync(
    folder.file("knot.conf"),
    `server:
  rundir: ${folder.path}
  listen: 127.0.0.1@${port}
  tcp-max-clients: 1000
  tcp-idle-timeout: 60
log:
  - target: stderr
    any: error
database:
  storage: ${folder.path}
template:
  - id: default
    storage: ${folder.path}
zone:
  - domain: ${DNS_NAME}
    file: example.test.zone
`,
  );
  const child = startProcess(["knotd", "-c", folder.file("knot.conf")]);
  await until("knot to serve", async () => {
    if (child.hasExited()) throw new Error(`knotd ended: ${child.output()}`);
    if (!isListening(port)) return false;
    return (await askDns({ port, how: "tcp" })).includes(DNS_ADDRESS);
  });
  return {
    port,
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** How kdig asks. */
export interface DnsQuestion {
  port: number;
  how: "tcp" | "quic";
  name?: string;
  type?: string;
  /** File of the authority for the server's certificate, and the name it must bear. */
  authority?: string;
  hostname?: string;
  /** More arguments, such as more questions. */
  more?: readonly string[];
}

/** What kdig prints; the answers of `+short` unless `more` says otherwise. */
export async function askDns(question: DnsQuestion): Promise<string> {
  const { port, how, name = DNS_NAME, type = "A", authority, hostname, more = [] } = question;
  const command = ["kdig", "@127.0.0.1", "-p", String(port), "+short", "+timeout=5", "+retry=0"];
  if (authority !== undefined) command.push(`+tls-ca=${authority}`);
  if (hostname !== undefined) command.push(`+tls-hostname=${hostname}`);
  // Last: what is said of TLS before would make it TLS over TCP.
  const { output } = await runProcess([...command, `+${how}`, name, type, ...more]);
  return output;
}

/** Caddy serving the files of its `root` over HTTPS and HTTP/3, from its own QUIC (quic-go). */
export async function startCaddy(
  certificate: Certificate,
  name: string,
): Promise<Program & { readonly root: string }> {
  const folder = temporaryFolder();
  const root = folder.file("root");
  mkdirSync(root);
  const port = freeUdpPort();
  writeFileSync(
    folder.file("Caddyfile"),
    `{
  admin off
  auto_https disable_redirects
  storage file_system ${folder.file("storage")}
}
https://${name}:${port}, https://localhost:${port} {
  bind 127.0.0.1
  tls ${certificate.chain} ${certificate.key}
  root * ${root}
  file_server
}
`,
  );
  const command = ["caddy", "run", "--config", folder.file("Caddyfile"), "--adapter", "caddyfile"];
  const env = { HOME: folder.path, XDG_DATA_HOME: folder.path, XDG_CONFIG_HOME: folder.path };
  const child = startProcess(command, { env });
  await until("Caddy to listen", () => {
    if (child.hasExited()) throw new Error(`caddy ended: ${child.output()}`);
    return udpSockets(port) > 0 && isListening(port);
  });
  return {
    port,
    pid: child.pid,
    root,
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** How ngtcp2's client fetches. */
export interface Fetch {
  port: number;
  name: string;
  /** Names of files at the server's root. */
  files: readonly string[];
  /** Where they go. */
  folder: string;
  more?: readonly string[];
  limitMs?: number;
}

/**
 * Fetches over HTTP/3 with ngtcp2's client; what it printed, and its exit code. It asks TLS for the
 * name `localhost` whenever it is given an address.
 */
export async function fetchFiles(fetch: Fetch): Promise<{ code: number; output: string }> {
  const { port, name, files, folder, more = [], limitMs = 60_000 } = fetch;
  const options = ["--quiet", "--no-quic-dump", "--no-http-dump", "--exit-on-all-streams-close"];
  const urls = files.map((file) => `https://${name}:${port}/${file}`);
  const command = ["gtlsclient", ...options, `--download=${folder}`, ...more];
  command.push("127.0.0.1", String(port), ...urls);
  return await runProcess(command, { limitMs });
}
