/**
 * Server state files of a load: which backend reads which (HAProxy manual 3.1 `server-state-file`,
 * `server-state-base`, 4.2 `load-server-state-from-file`), and their lines put into the plan.
 */
import type { Plan } from "../tables/spec.ts";
import type { LoadContext } from "./context.ts";
import { hasBack } from "./draft.ts";
import type { ProxyDraft } from "./draft.ts";
import type { FileAccess } from "./files.ts";
import { applySavedLine, lastAddress } from "./saved-server.ts";
import type { LastAddress } from "./saved-server.ts";
import { StateFiles } from "./state-file.ts";
import type { SavedLine } from "./state-file.ts";

/** What was read about a backend's servers, by their names. */
export type SavedStates = ReadonlyMap<string, ReadonlyMap<string, SavedLine>>;

/** Reads the files that the backends ask for. What cannot be used is a warning. */
export function readSavedStates(context: LoadContext, access: FileAccess): SavedStates {
  const { global, report } = context;
  const files = new StateFiles(access, report);
  const states = new Map<string, ReadonlyMap<string, SavedLine>>();
  // Like HAProxy, the process's file is looked at whether or not a backend asks for it.
  const path = global.serverStateFile;
  const all = path === undefined ? undefined : files.lines(fullPath(context, path), "config");
  for (const proxy of context.proxies) {
    const { name, section, settings, skipped } = proxy;
    const from = settings.serverStateFrom;
    if (from === "none" || skipped !== undefined || !hasBack(section)) continue;
    if (from === "local") {
      const file = settings.serverStateFileName === "" ? name : settings.serverStateFileName;
      const own = files.lines(fullPath(context, file), `Proxy '${name}'`).get(name);
      if (own !== undefined) states.set(name, own);
    } else if (all === undefined) {
      warnNoFile(context, proxy);
    } else {
      const lines = all.get(name);
      if (lines !== undefined) states.set(name, lines);
    }
  }
  return states;
}

function warnNoFile({ report }: LoadContext, { name, section }: ProxyDraft): void {
  const what = "configured to load server state file from global section 'server-state-file'";
  const kind = section === "listen" ? "proxy" : section;
  const why = "Unfortunately, 'server-state-file' is not set!";
  report.add("warning", undefined, `${kind} '${name}' ${what} directive. ${why}`);
}

function fullPath({ global }: LoadContext, path: string): string {
  const base = global.serverStateBase;
  return path.startsWith("/") || base === undefined ? path : `${base}/${path}`;
}

/** The address that a server had last, for `init-addr last`. */
export function savedAddress(
  states: SavedStates,
  backend: string,
  server: string,
): LastAddress | undefined {
  const line = states.get(backend)?.get(server);
  return line === undefined ? undefined : lastAddress(line);
}

/** Puts the lines into the plan. Lines about servers that are not there mean nothing. */
export function applySavedStates(context: LoadContext, states: SavedStates, plan: Plan): void {
  const { report } = context;
  for (const proxy of plan.proxies) {
    const lines = proxy.hasBack ? states.get(proxy.name) : undefined;
    if (lines === undefined) continue;
    proxy.servers = proxy.servers.map((server) => {
      const line = lines.get(server.name);
      if (line === undefined) return server;
      const applied = applySavedLine(proxy.name, server, line);
      if (typeof applied === "string") {
        const where = `server '${proxy.name}/${server.name}'`;
        const text = `server-state application failed for ${where}${applied}`;
        report.add("warning", undefined, text);
        return server;
      }
      for (const text of applied.warnings) report.add("warning", undefined, text);
      plan.savedServers.push(applied.saved);
      return applied.spec;
    });
  }
}
