/**
 * The host names that a load has to look up, and addresses of drafts turned into those of the plan.
 */
import type { Address } from "../tables/spec.ts";
import type { ConfigAddress } from "./address.ts";
import type { LoadContext } from "./context.ts";
import type { LogDraft, ServerDraft } from "./draft.ts";
import { initMethods, isService } from "./names/words.ts";
import { lookupKey } from "./resolve.ts";
import type { Resolved } from "./resolve.ts";

/** A name to look up. */
export type PendingName = { name: string; family: 0 | 4 | 6 };

/** Every name of the drafts that needs an answer. */
export function collectNames(context: LoadContext): PendingName[] {
  const names: PendingName[] = [];
  const add = (address: ConfigAddress | undefined): void => {
    if (address?.kind === "name") names.push({ name: address.name, family: address.family });
  };
  const addLogs = (logs: readonly LogDraft[]): void => {
    for (const log of logs) {
      if (log.kind === "target" && log.sink.kind === "address") add(log.sink.address);
    }
  };
  addLogs(context.global.logs);
  for (const socket of context.global.statsSockets) add(socket.configAddress);
  for (const { mailers } of context.mailers) for (const { address } of mailers) add(address);
  for (const { nameservers } of context.resolvers) {
    for (const one of nameservers) if (one.kind === "nameserver") add(one.address);
  }
  for (const proxy of context.proxies) {
    if (proxy.skipped !== undefined && proxy.skipped !== "page") continue;
    addLogs(proxy.settings.logs);
    add(proxy.settings.source?.address);
    for (const bind of proxy.binds) add(bind.configAddress);
    for (const server of proxy.servers) {
      if (asksLibc(server)) add(server.address);
      add(server.settings.source?.address);
      add(server.settings.checkAddress?.address);
      add(server.settings.agentAddress?.address);
    }
  }
  return names;
}

/** True when `libc` is tried before something that always succeeds. */
function asksLibc(server: ServerDraft): boolean {
  if (isService(server)) return false;
  for (const method of initMethods(server)) {
    if (method.kind === "libc") return true;
    if (method.kind === "none" || method.kind === "ip") return false;
  }
  return false;
}

/** An address of the plan; undefined when its name has no answer. @param port overrides */
export function toAddress(
  address: ConfigAddress,
  resolved: Resolved,
  port?: number,
): Address | undefined {
  switch (address.kind) {
    case "unix":
      return { family: "unix", path: address.path };
    case "abns":
      return { family: "abns", name: address.name };
    case "fd":
      return { family: "fd", fd: address.fd };
    case "ip": {
      const family = address.family === 4 ? "ipv4" : "ipv6";
      return { family, host: address.host, port: port ?? address.portLow };
    }
    case "name": {
      const found = resolved.get(lookupKey(address.name, address.family));
      if (found === undefined) return undefined;
      const family = found.family === 4 ? "ipv4" : "ipv6";
      return { family, host: found.host, port: port ?? address.portLow };
    }
  }
}
