/** Debian's prometheus-haproxy-exporter, unchanged: scrapes the runtime socket without an error. */
import { expect, test } from "bun:test";

import { findSluice } from "../support/haproxy.ts";
import { startNamed } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { startProcess, temporaryFolder, until } from "../support/procs.ts";
import { askName } from "../support/traffic.ts";
import { startSluice } from "./sluice.ts";

const EXPORTER = "prometheus-haproxy-exporter";
const isMissing = Bun.which(EXPORTER) === null;
const exporter = test.skipIf(findSluice() === undefined || isMissing);

/** What the exporter says now; "" while it does not answer. */
async function scrape(port: number): Promise<string> {
  try {
    return await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  } catch {
    return "";
  }
}

/** The value of a metric with these labels. */
function valueOf(metrics: string, name: string, labels: string): number {
  const line = metrics.split("\n").find((one) => one.startsWith(`${name}{${labels}} `));
  return Number(line?.split(" ").at(-1) ?? Number.NaN);
}

exporter(
  `the exporter reads all frontends, backends and servers${isMissing ? " (without it)" : ""}`,
  async () => {
    using folder = temporaryFolder();
    const socket = folder.file("stats.sock");
    await using server = startNamed("s1");
    const sections = (port: number): string => `frontend fe
  bind 127.0.0.1:${port}
  option socket-stats
  maxconn 77
  default_backend be
backend be
  server s1 127.0.0.1:${server.port} check
  server off 127.0.0.1:${server.port} disabled
backend empty`;
    const global = `  stats socket ${socket} level user`;
    await using sluice = await startSluice(sections, { global, workers: 2 });
    for (let i = 0; i < 5; i++) expect(await askName({ port: sluice.port })).toBe("s1");

    const port = freePort();
    const options = [
      `--haproxy.scrape-uri=unix:${socket}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    await using tool = startProcess([EXPORTER, ...options]);
    const metrics = await until("all sessions in the metrics", async () => {
      const text = await scrape(port);
      const name = "haproxy_backend_sessions_total";
      return valueOf(text, name, 'backend="be"') === 5 ? text : undefined;
    });
    expect(metrics).toContain("\nhaproxy_up 1\n");
    expect(metrics).toMatch(/^haproxy_exporter_csv_parse_failures(?:_total)? 0$/m);
    expect(metrics).toMatch(/haproxy_version_info\{.*version="3\.5-dev5".*\} 1/);
    const labels = 'backend="be",server="s1"';
    expect(valueOf(metrics, "haproxy_frontend_limit_sessions", 'frontend="fe"')).toBe(77);
    expect(valueOf(metrics, "haproxy_frontend_connections_total", 'frontend="fe"')).toBe(5);
    expect(valueOf(metrics, "haproxy_backend_up", 'backend="be"')).toBe(1);
    expect(valueOf(metrics, "haproxy_server_sessions_total", labels)).toBe(5);
    expect(valueOf(metrics, "haproxy_server_bytes_out_total", labels)).toBe(15);
    expect(valueOf(metrics, "haproxy_server_up", labels)).toBe(1);
    expect(valueOf(metrics, "haproxy_server_up", 'backend="be",server="off"')).toBe(0);
    expect(tool.output()).not.toMatch(/level=(?:error|warn)/);
  },
);
