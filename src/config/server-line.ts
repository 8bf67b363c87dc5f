/**
 * `server`, `server-template` and `default-server` in a file (HAProxy manual 4.2). What follows the
 * name is read by `server-words.ts`.
 */
import { TEMPLATE_SERVERS_MAX } from "../base/limits.ts";
import { alertLine, warnLine } from "./context.ts";
import type { Line } from "./context.ts";
import { cloneServerSettings, hasBack, newServerSettings } from "./draft.ts";
import type { ProxyDraft, ServerDraft, ServerSettings } from "./draft.ts";
import { readDefaultServer, readServer, wrongServerName } from "./server-words.ts";
import type { ServerPlace } from "./server-words.ts";

/** `server NAME ADDRESS options…`. */
export function parseServerLine(line: Line, proxy: ProxyDraft): void {
  const [name, where, ...options] = line.args;
  if (name === undefined || where === undefined) {
    alertLine(line, "'server' expects <name> and <addr>[:<port>] as arguments.");
    return;
  }
  if (!checkName(line, name)) return;
  const place = placeOf(line, proxy, `'server ${proxy.name}/${name}'`);
  const server = readServer(place, name, where, options);
  if (server !== undefined) addServer(line, proxy, server);
}

function addServer(line: Line, proxy: ProxyDraft, server: ServerDraft): void {
  const { name } = server;
  const same = proxy.serversByName.get(name);
  if (same === undefined) {
    proxy.serversByName.set(name, server);
  } else {
    const other = `another server named '${name}' was already defined at line ${same.origin.line}`;
    warnLine(line, `${proxy.section} '${proxy.name}', ${other}, please use distinct names.`);
  }
  proxy.servers.push(server);
}

/** `server-template PREFIX NUMBER|RANGE NAME[:PORT] options…`. */
export function parseServerTemplate(line: Line, proxy: ProxyDraft): void {
  const [prefix, range, where, ...options] = line.args;
  if (prefix === undefined || range === undefined || where === undefined) {
    const usage = "<prefix> <nb | range> <addr>[:<port>]";
    alertLine(line, `'server-template' expects ${usage} as arguments.`);
    return;
  }
  if (!checkName(line, prefix)) return;
  const match = /^(\d{1,9})(?:-(\d{1,9}))?$/u.exec(range);
  const from = match?.[2] === undefined ? 1 : Number(match[1]);
  const to = Number(match?.[2] ?? match?.[1] ?? 0);
  if (match === null || from < 1 || to < from) {
    alertLine(line, `Wrong server-template number or range arg '${range}'.`);
    return;
  }
  if (to - from >= TEMPLATE_SERVERS_MAX) {
    alertLine(line, `'server-template' makes at most ${TEMPLATE_SERVERS_MAX} servers.`);
    return;
  }
  const place = placeOf(line, proxy, `'server-template ${proxy.name}/${prefix}'`);
  const first = readServer(place, prefix, where, options);
  if (first === undefined) return;
  for (let number = from; number <= to; number++) {
    const settings = cloneServerSettings(first.settings);
    const server: ServerDraft = { ...first, name: `${prefix}${number}`, settings };
    // One explicit number serves the first of them; the others get the next free ones.
    if (number > from) {
      delete server.id;
      delete server.guid;
    }
    addServer(line, proxy, server);
  }
}

/** `default-server options…`: settings for the server lines that follow. */
export function parseDefaultServer(line: Line, proxy: ProxyDraft): void {
  const { namedDefaultServers } = proxy.settings;
  let options: readonly string[] = line.args;
  let name: string | undefined;
  if (options[0] === "name") {
    name = options[1];
    if (name === undefined) return alertLine(line, "'default-server' : 'name' : missing value.");
    if (!checkName(line, name)) return;
    options = options.slice(2);
  }
  const subject = name === undefined ? "'default-server'" : `'default-server ${name}'`;
  const place = placeOf(line, proxy, subject);
  if (name !== undefined) place.usual = namedDefaultServers.get(name) ?? newServerSettings();
  const settings = readDefaultServer(place, options);
  if (settings === undefined) return;
  if (name === undefined) proxy.settings.defaultServer = settings;
  else proxy.settings.namedDefaultServers = new Map([...namedDefaultServers, [name, settings]]);
}

function placeOf(line: Line, proxy: ProxyDraft, subject: string): ServerPlace {
  const find = (backend: string): ProxyDraft | undefined => {
    if (backend === "" || backend === proxy.name) return proxy;
    return line.context.proxiesNamed(backend).find(({ section }) => hasBack(section));
  };
  const named = (backend: string, name: string): ServerSettings | undefined => {
    const place = find(backend);
    const server = place?.serversByName.get(name);
    return server?.settings ?? place?.settings.namedDefaultServers.get(name);
  };
  const origins = { usual: (name: string) => find(name)?.settings.defaultServer, named };
  return { line, subject, usual: proxy.settings.defaultServer, origins, isDynamic: false };
}

function checkName(line: Line, name: string): boolean {
  const problem = wrongServerName(name);
  if (problem !== undefined) alertLine(line, problem);
  return problem === undefined;
}
