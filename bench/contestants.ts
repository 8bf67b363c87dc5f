/**
 * The three that are measured: sluice, haproxy and nginx with its stream module, each started over
 * the same servers with equal settings: no access log, default buffers, the same number of workers.
 */
import { existsSync, writeFileSync } from "node:fs";

import { balancerBinary, findBalancer } from "../test/support/haproxy.ts";
import {
  cpuSeconds,
  type Process,
  processTree,
  residentBytes,
  startProcess,
  temporaryFolder,
} from "../test/support/procs.ts";

/** Who is measured. */
export type ContestantName = "sluice" | "haproxy" | "nginx";

/** All contestants, the one under test first. */
export const CONTESTANTS: readonly ContestantName[] = ["sluice", "haproxy", "nginx"];

/** The module where Debian's package puts it. */
const NGINX_STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** More than any benchmark opens, and within the usual limit of 20,000 descriptors. */
const CONNECTIONS_MAX = 8_000;

/** What a contestant proxies. */
export interface Setup {
  workers: number;
  frontPort: number;
  /** Every server is this port of the loopback. */
  serverPort: number;
  /** A second frontend, for bulk beside small requests; unused without `bulkServerPort`. */
  bulkFrontPort: number;
  bulkServerPort?: number;
  /** Servers in the backend that is used; 1 unless load time is measured. */
  servers?: number;
  /** Backends beside the one that is used, and servers in each of them (1 unless said). */
  extraBackends?: number;
  extraServers?: number;
  /** Opens the runtime API. */
  hasRuntime?: boolean;
  /** More sections, as sluice and haproxy read them; nginx cannot. */
  moreText?: string;
}

/** A started contestant. Its accounts cover the whole of it, all threads and children. */
export interface Contestant extends AsyncDisposable {
  readonly name: ContestantName;
  readonly process: Process;
  /** Path of the runtime API, where it was wanted. */
  readonly runtimeSocket: string;
  cpuSeconds(): number;
  residentBytes(): number;
}

/** Whether `name` can be run on this machine; otherwise what is missing. */
export function missingPart(name: ContestantName): string | undefined {
  if (name === "nginx") {
    if (Bun.which("nginx") === null) return "nginx (Debian: nginx-light)";
    if (!existsSync(NGINX_STREAM_MODULE)) return "libnginx-mod-stream";
    return undefined;
  }
  if (findBalancer(name) !== undefined) return undefined;
  return name === "sluice" ? "dist/sluice (run ./scripts/build)" : "haproxy";
}

/** The version line of `name`, for the report. */
export function versionOf(name: ContestantName): string {
  const command = name === "nginx" ? ["nginx", "-v"] : [balancerBinary(name), "-v"];
  const { stdout, stderr } = Bun.spawnSync(command);
  const [line = ""] = (stdout.toString() + stderr.toString()).split("\n");
  // The address behind it says nothing about what was measured.
  return line.split(" - ")[0] ?? "";
}

/** Starts `name`; does not wait until it listens, since that is measured too. */
export function startContestant(name: ContestantName, setup: Setup): Contestant {
  const folder = temporaryFolder();
  const path = folder.file("balancer.cfg");
  const runtimeSocket = folder.file("runtime.sock");
  const text =
    name === "nginx" ? nginxConfig(setup, folder.path) : haproxyConfig(setup, runtimeSocket);
  writeFileSync(path, text);
  const command =
    name === "nginx"
      ? ["nginx", "-p", folder.path, "-c", path, "-e", "stderr"]
      : [balancerBinary(name), "-db", "-f", path];
  // The others log no connections unless they are told to.
  const child = startProcess(command, { env: { SLUICE_LOG_FORMAT: "off" } });
  const sum = (read: (pid: number) => number): number =>
    processTree(child.pid).reduce((total, pid) => total + read(pid), 0);
  return {
    name,
    process: child,
    runtimeSocket,
    cpuSeconds: () => sum(cpuSeconds),
    residentBytes: () => sum(residentBytes),
    async [Symbol.asyncDispose]() {
      // nginx's master takes its workers along only when it is asked.
      child.kill("SIGTERM");
      await Promise.race([child.exited, Bun.sleep(1_000)]);
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

function haproxyConfig(setup: Setup, runtimeSocket: string): string {
  const address = `127.0.0.1:${setup.serverPort}`;
  const servers = Array.from({ length: setup.servers ?? 1 }, (_, i) => `  server s${i} ${address}`);
  const extraLines = Array.from(
    { length: setup.extraServers ?? 1 },
    (_, i) => `  server s${i} ${address}`,
  ).join("\n");
  const extra = Array.from(
    { length: setup.extraBackends ?? 0 },
    (_, i) => `backend extra${i}\n${extraLines}`,
  );
  const bulk =
    setup.bulkServerPort === undefined
      ? ""
      : `listen bulk
  bind 127.0.0.1:${setup.bulkFrontPort}
  server s0 127.0.0.1:${setup.bulkServerPort}
`;
  const runtime =
    setup.hasRuntime === true
      ? `  stats socket ${runtimeSocket} level admin\n  stats timeout 1h`
      : "";
  return `global
  nbthread ${setup.workers}
  maxconn ${CONNECTIONS_MAX}
${runtime}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend front
  bind 127.0.0.1:${setup.frontPort}
  default_backend back
backend back
  balance roundrobin
${servers.join("\n")}
${extra.join("\n")}
${bulk}${setup.moreText ?? ""}`;
}

function nginxConfig(setup: Setup, folder: string): string {
  const address = `127.0.0.1:${setup.serverPort}`;
  const servers = Array.from({ length: setup.servers ?? 1 }, () => `    server ${address};`);
  const extra = Array.from(
    { length: setup.extraBackends ?? 0 },
    (_, i) => `  upstream extra${i} {\n    server ${address};\n  }`,
  );
  const bulk =
    setup.bulkServerPort === undefined
      ? ""
      : nginxServer(setup.bulkFrontPort, `127.0.0.1:${setup.bulkServerPort}`);
  return `load_module ${NGINX_STREAM_MODULE};
daemon off;
worker_processes ${setup.workers};
pid ${folder}/nginx.pid;
error_log stderr crit;
events {
  worker_connections ${2 * CONNECTIONS_MAX + 100};
}
stream {
  upstream back {
${servers.join("\n")}
  }
${extra.join("\n")}
${nginxServer(setup.frontPort, "back")}${bulk}}
`;
}

function nginxServer(port: number, address: string): string {
  return `  server {
    listen 127.0.0.1:${port} reuseport;
    proxy_connect_timeout 5s;
    proxy_timeout 1m;
    proxy_pass ${address};
  }
`;
}
