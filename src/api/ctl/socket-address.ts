/** Where `sluice ctl` finds a process: addresses as HAProxy writes them, and the usual places. */
import { existsSync } from "node:fs";

/** Places that are tried in this order when none is named. */
export const USUAL_SOCKETS = [
  "/run/sluice/sluice.sock",
  "/run/sluice.sock",
  "/tmp/sluice-demo.sock",
  "/run/haproxy/admin.sock",
  "/run/haproxy.sock",
];

/** A path, an abstract name that fills the address as HAProxy has it, or an address and port. */
export type Where = { unix: string } | { abstract: string } | { hostname: string; port: number };

/** Reads `path`, `unix@path`, `abns@name`, `abnsz@name`, `address:port`, with HAProxy's words. */
export function parseSocketAddress(text: string): Where | undefined {
  const parts = /^(?:(unix|abns|abnsz|ipv4|ipv6|tcp|tcp4|tcp6)@)?(.*)$/s.exec(text);
  const [, prefix = "", rest = ""] = parts ?? [];
  if (rest === "") return undefined;
  if (prefix === "abns") return { abstract: rest };
  if (prefix === "abnsz") return { unix: `\0${rest}` };
  if (prefix === "unix" || rest.includes("/")) return { unix: rest };
  const found = /^(?:\[([^\]]+)\]|(.*)):(\d+)$/.exec(rest);
  if (found === null) return prefix === "" ? { unix: rest } : undefined;
  const hostname = found[1] ?? found[2] ?? "";
  return {
    hostname: hostname === "" || hostname === "*" ? "127.0.0.1" : hostname,
    port: Number(found[3]),
  };
}

/** The socket to ask when none is named: the environment's, or the first usual one that exists. */
export function findSocket(
  named: string | undefined,
  exists: (path: string) => boolean = existsSync,
): string {
  if (named !== undefined && named !== "") return named;
  return USUAL_SOCKETS.find((path) => exists(path)) ?? USUAL_SOCKETS[0]!;
}
