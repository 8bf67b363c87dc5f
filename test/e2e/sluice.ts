/** What the end-to-end tests share: the binary under test, started over one or more proxies. */
import { test } from "bun:test";

import { type Balancer, findSluice, startBalancer } from "../support/haproxy.ts";
import { freePort } from "../support/ports.ts";
import type { StartOptions } from "../support/procs.ts";

/** A test of the binary; skipped by name when it is not built. */
export const e2e = test.skipIf(findSluice() === undefined);

/** Time limits that never fire by themselves. */
export const LONG_TIMEOUTS = `  timeout connect 20s
  timeout client 60s
  timeout server 60s`;

/** What a test wants of its sluice. */
export interface Wanted extends StartOptions {
  workers?: number;
  /** Lines of `global` and `defaults`. */
  global?: string;
  defaults?: string;
  timeouts?: string;
  shellBefore?: string;
}

/** Starts sluice with one frontend, whose port the sections are told. */
export async function startSluice(
  sections: (port: number) => string,
  wanted: Wanted = {},
): Promise<Balancer & { port: number }> {
  const port = freePort();
  const { workers = 1, global = "", defaults = "", timeouts = LONG_TIMEOUTS, ...start } = wanted;
  const config = `global
  nbthread ${workers}
${global}
defaults
  mode tcp
${timeouts}
${defaults}
${sections(port)}
`;
  // A line per connection would fill this process's memory in a soak.
  const env = { SLUICE_LOG_FORMAT: "off", ...start.env };
  const balancer = await startBalancer("sluice", { config, ports: [port], ...start, env });
  return { ...balancer, port };
}

/** `listen` over servers at these ports of the loopback, with more lines if wanted. */
export function listenOver(
  servers: readonly (number | string)[],
  more = "",
): (port: number) => string {
  const lines = servers.map((one, i) => `  server s${i + 1} 127.0.0.1:${one}`);
  return (port) => `listen fe\n  bind 127.0.0.1:${port}\n${more}\n${lines.join("\n")}`;
}
