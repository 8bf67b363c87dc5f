/**
 * HTTP/3 by session mapping beside programs that terminate it: ngtcp2's client fetches from Caddy
 * without anything between them, through sluice (which does not understand it), through a second
 * Caddy that terminates it and speaks HTTP/1.1 to the first, and through an nginx that does, where
 * it was built with HTTP/3. CPU is that of what stands between.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { findSluice } from "../../test/support/haproxy.ts";
import { freePort, isListening } from "../../test/support/ports.ts";
import { cpuSeconds, startProcess, temporaryFolder, until } from "../../test/support/procs.ts";
import { certificates, SERVER_NAME } from "../../test/support/quic-certificates.ts";
import {
  fetchFiles,
  freeUdpPort,
  startCaddy,
  udpSockets,
} from "../../test/support/quic-programs.ts";
import type { Effort, Metric } from "../workload.ts";

/** Who stands between, in the order of the table. */
export const H3_CONTESTANTS = ["direct", "sluice", "caddy", "nginx"] as const;

/** One of them. */
export type H3Contestant = (typeof H3_CONTESTANTS)[number];

const FILE_BYTES = 100_000_000;
const SMALL_REQUESTS = 3_000;
const FETCH_LIMIT_MS = 120_000;

/** Numbers of one measurement. */
export const H3_METRICS: readonly Metric[] = [
  { name: "100 MB file", unit: "MB/s", better: "higher" },
  { name: "CPU per GB", unit: "s", better: "lower" },
  { name: "small requests", unit: "/s", better: "higher" },
  { name: "CPU per request", unit: "µs", better: "lower" },
];

/** Why it cannot be run here; undefined = it can. */
export function missingH3Part(name: H3Contestant): string | undefined {
  for (const program of ["caddy", "gtlsclient", "openssl"]) {
    if (Bun.which(program) === null) return program;
  }
  if (name === "sluice" && findSluice() === undefined) return "dist/sluice";
  if (name === "nginx" && !hasHttp3(nginxBinary())) return "an nginx with HTTP/3";
  return undefined;
}

/** `SLUICE_BENCH_NGINX` names one beside the system's. */
function nginxBinary(): string | null {
  return process.env["SLUICE_BENCH_NGINX"] ?? Bun.which("nginx");
}

function hasHttp3(binary: string | null): boolean {
  if (binary === null) return false;
  const { stderr } = Bun.spawnSync([binary, "-V"]);
  return stderr.toString().includes("http_v3_module");
}

interface Between extends AsyncDisposable {
  port: number;
  /** null: nothing stands between. */
  cpu: (() => number) | null;
}

async function startBetween(name: H3Contestant, h3Port: number, h1Port: number): Promise<Between> {
  if (name === "direct") return { port: h3Port, cpu: null, [Symbol.asyncDispose]: async () => {} };
  const folder = temporaryFolder();
  const port = freeUdpPort();
  const { server, authority } = certificates();
  const path = folder.file("config");
  const trust = `verify required ca-file ${authority} sni str(${SERVER_NAME})`;
  const configs = {
    sluice: `global
  nbthread 1
defaults
  mode tcp
  timeout connect 20s
  timeout client 60s
  timeout server 60s
listen h3
  bind quic4@127.0.0.1:${port} ssl crt ${server.both} alpn h3 quic-map session
  server s1 quic4@127.0.0.1:${h3Port} ssl ${trust}
`,
    caddy: `{
  admin off
  auto_https disable_redirects
  storage file_system ${folder.file("storage")}
}
https://${SERVER_NAME}:${port}, https://localhost:${port} {
  bind 127.0.0.1
  tls ${server.chain} ${server.key}
  reverse_proxy 127.0.0.1:${h1Port}
}
`,
    nginx: `daemon off;
master_process off;
pid ${folder.path}/nginx.pid;
error_log stderr crit;
events { worker_connections 1000; }
http {
  access_log off;
  client_body_temp_path ${folder.path};
  proxy_temp_path ${folder.path};
  proxy_max_temp_file_size 0;
  fastcgi_temp_path ${folder.path};
  uwsgi_temp_path ${folder.path};
  scgi_temp_path ${folder.path};
  upstream origin { server 127.0.0.1:${h1Port}; keepalive 64; }
  server {
    listen 127.0.0.1:${port} quic reuseport;
    ssl_certificate ${server.chain};
    ssl_certificate_key ${server.key};
    keepalive_requests 1000000;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`,
  };
  writeFileSync(path, configs[name]);
  const commands = {
    sluice: [findSluice() ?? "sluice", "-db", "-f", path],
    caddy: ["caddy", "run", "--config", path, "--adapter", "caddyfile"],
    nginx: [nginxBinary() ?? "nginx", "-p", folder.path, "-c", path, "-e", "stderr"],
  };
  const home = { HOME: folder.path, XDG_DATA_HOME: folder.path, XDG_CONFIG_HOME: folder.path };
  const child = startProcess(commands[name], { env: { ...home, SLUICE_LOG_FORMAT: "off" } });
  await until(`${name} to serve`, () => {
    if (child.hasExited()) throw new Error(child.output());
    return udpSockets(port) > 0;
  });
  return {
    port,
    cpu: () => cpuSeconds(child.pid),
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** One measurement: the values of H3_METRICS. */
export async function measureH3(name: H3Contestant, effort: Effort): Promise<number[]> {
  await using caddy = await startCaddy(certificates().server, SERVER_NAME);
  const bytes = Math.max(1_000_000, Math.round(FILE_BYTES * effort.scale));
  writeFileSync(join(caddy.root, "big"), Buffer.alloc(bytes, "b"));
  writeFileSync(join(caddy.root, "small"), "hello");
  await using origin = await startPlain(caddy.root);
  await using between = await startBetween(name, caddy.port, origin.port);
  using folder = temporaryFolder();
  const where = { port: between.port, name: SERVER_NAME, folder: folder.path };
  const fetch = async (files: readonly string[], more: readonly string[]) => {
    const before = between.cpu?.() ?? 0;
    const from = performance.now();
    const { code, output } = await fetchFiles({ ...where, files, more, limitMs: FETCH_LIMIT_MS });
    const seconds = (performance.now() - from) / 1_000;
    if (code !== 0) throw new Error(`${name}: the client ended with ${code}: ${output}`);
    return { seconds, cpu: between.cpu === null ? Number.NaN : between.cpu() - before };
  };
  await fetch(["small"], []);
  const big = await fetch(["big"], []);
  const count = Math.max(50, Math.round(SMALL_REQUESTS * effort.scale));
  const small = await fetch(["small"], [`--nstreams=${count}`]);
  return [
    bytes / 1e6 / big.seconds,
    (big.cpu / bytes) * 1e9,
    count / small.seconds,
    (small.cpu / count) * 1e6,
  ];
}

/** Caddy again, for plain HTTP/1.1. */
async function startPlain(root: string): Promise<{ port: number } & AsyncDisposable> {
  const port = freePort();
  const listen = `127.0.0.1:${port}`;
  const folder = temporaryFolder();
  const home = { HOME: folder.path, XDG_DATA_HOME: folder.path, XDG_CONFIG_HOME: folder.path };
  const command = ["caddy", "file-server", "--root", root, "--listen", listen];
  const child = startProcess(command, { env: home });
  await until("Caddy to listen", () => {
    if (child.hasExited()) throw new Error(child.output());
    return isListening(port);
  });
  return {
    port,
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}
