/**
 * The words after `server`, `server-template` and `default-server` (HAProxy manual 4.2, 5.2), and
 * after `source`, which servers and backends share.
 */
import { TEMPLATE_SERVERS_MAX } from "../base/limits.ts";
import { parseAddress } from "./address.ts";
import type { AddressRules, ConfigAddress } from "./address.ts";
import { alertLine, warnLine } from "./context.ts";
import type { Line } from "./context.ts";
import { cloneServerSettings, hasBack, newServerSettings } from "./draft.ts";
import type { ProxyDraft, ServerDraft, ServerSettings, SourceDraft } from "./draft.ts";
import { KeywordIndex } from "./keywords/keyword.ts";
import { SERVER_KEYWORDS } from "./keywords/server.ts";
import type { ServerTarget } from "./keywords/server.ts";
import { didYouMean } from "./suggest.ts";

const INDEX = new KeywordIndex(SERVER_KEYWORDS);

const SOURCE_USAGE = "<addr>[:<port>[-<port>]], and optionally 'interface' <name>";

function serverRules(line: Line): AddressRules {
  return {
    port: "optional",
    range: false,
    offset: true,
    transports: ["stream"],
    variables: line.context.environment.lookup,
  };
}

/** An error in a server line: `[file:line] : 'server b/s' : text`. */
function alertServer(line: Line, subject: string, text: string): void {
  const { file, line: number } = line.origin;
  const place = `[${file}:${number}] : ${subject} : ${text}`;
  line.context.report.add("alert", line.origin, place);
}

/** `server NAME ADDRESS options…`. */
export function parseServerLine(line: Line, proxy: ProxyDraft): void {
  const [name, where, ...options] = line.args;
  if (name === undefined || where === undefined) {
    alertLine(line, "'server' expects <name> and <addr>[:<port>] as arguments.");
    return;
  }
  if (!checkName(line, name)) return;
  const subject = `'server ${proxy.name}/${name}'`;
  const address = parseServerAddress(line, subject, where);
  if (address === undefined) return;
  const server = buildServer(line, proxy, subject, { name, where, address, options });
  if (server === undefined) return;
  addServer(line, proxy, server);
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
  const subject = `'server-template ${proxy.name}/${prefix}'`;
  const address = parseServerAddress(line, subject, where);
  if (address === undefined) return;
  const first = buildServer(line, proxy, subject, { name: prefix, where, address, options });
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
  const { defaultServer, namedDefaultServers } = proxy.settings;
  let options: readonly string[] = line.args;
  let name: string | undefined;
  if (options[0] === "name") {
    name = options[1];
    if (name === undefined) return alertLine(line, "'default-server' : 'name' : missing value.");
    if (!checkName(line, name)) return;
    options = options.slice(2);
  }
  const subject = name === undefined ? "'default-server'" : `'default-server ${name}'`;
  const before =
    name === undefined ? defaultServer : (namedDefaultServers.get(name) ?? newServerSettings());
  const start = takeOrigin(line, proxy, subject, options, before);
  if (start === undefined) return;
  const { settings } = start;
  const target: ServerTarget = { settings, isServerLine: false, name: "default-server" };
  if (!applyOptions(line, subject, target, start.options)) return;
  if (name === undefined) proxy.settings.defaultServer = settings;
  else proxy.settings.namedDefaultServers = new Map([...namedDefaultServers, [name, settings]]);
}

/**
 * `from ORIGIN` before the other options: whose settings to begin with.
 * @param usual settings without `from`
 */
function takeOrigin(
  line: Line,
  proxy: ProxyDraft,
  subject: string,
  options: readonly string[],
  usual: ServerSettings,
): { settings: ServerSettings; options: readonly string[] } | undefined {
  if (options[0] !== "from") return { settings: cloneServerSettings(usual), options };
  const written = options[1] ?? "";
  const found = findOrigin(line, proxy, written);
  if (found !== undefined) {
    return { settings: cloneServerSettings(found), options: options.slice(2) };
  }
  const known = "'none', 'be:[<backend>]' and 'srv:[<backend>/]<server>'";
  alertServer(line, subject, `'from' : nothing is known as '${written}'; it takes ${known}.`);
  return undefined;
}

function findOrigin(line: Line, proxy: ProxyDraft, written: string): ServerSettings | undefined {
  if (written === "none") return newServerSettings();
  const match = /^(be|srv):(?:(.+)\/)?(.*)$/u.exec(written);
  if (match === null) return undefined;
  const [, kind, slashed, last = ""] = match;
  const backend = kind === "be" ? last : (slashed ?? "");
  const place =
    backend === "" || backend === proxy.name
      ? proxy
      : line.context.proxiesNamed(backend).find(({ section }) => hasBack(section));
  if (kind === "be") return slashed === undefined ? place?.settings.defaultServer : undefined;
  const server = place?.serversByName.get(last);
  return server?.settings ?? place?.settings.namedDefaultServers.get(last);
}

function checkName(line: Line, name: string): boolean {
  const bad = /[^A-Za-z0-9_:.-]/u.exec(name)?.[0];
  if (bad === undefined && name !== "") return true;
  alertLine(line, `character '${bad ?? ""}' is not permitted in server name '${name}'.`);
  return false;
}

function parseServerAddress(line: Line, subject: string, where: string): ConfigAddress | undefined {
  const result = parseAddress(where, serverRules(line));
  if (result.ok) {
    if (result.value.kind !== "fd") return result.value;
    alertServer(line, subject, `a descriptor cannot be connected to: '${where}'`);
    return undefined;
  }
  if (result.coming === true) line.context.coming(line.origin, subject, "this server");
  else alertServer(line, subject, result.message);
  return undefined;
}

function buildServer(
  line: Line,
  proxy: ProxyDraft,
  subject: string,
  server: { name: string; where: string; address: ConfigAddress; options: readonly string[] },
): ServerDraft | undefined {
  const { name, where, address, options } = server;
  const start = takeOrigin(line, proxy, subject, options, proxy.settings.defaultServer);
  if (start === undefined) return undefined;
  const { settings } = start;
  const target: ServerTarget = { settings, isServerLine: true, name };
  if (!applyOptions(line, subject, target, start.options)) return undefined;
  const draft: ServerDraft = { name, written: where, address, settings, origin: line.origin };
  if (target.id !== undefined) draft.id = target.id;
  if (target.guid !== undefined) draft.guid = target.guid;
  return draft;
}

/** Applies options to `target`; false when the line is refused or skipped as a whole. */
function applyOptions(
  line: Line,
  subject: string,
  target: ServerTarget,
  options: readonly string[],
): boolean {
  const { context, origin } = line;
  let keeps = true;
  for (let at = 0; at < options.length; at++) {
    const word = options[at] ?? "";
    const row = INDEX.find([word])?.row;
    if (row === undefined) {
      const hint = didYouMean(word, INDEX.firstWords());
      alertServer(line, subject, `unknown keyword '${word}'${hint}`);
      return false;
    }
    if (word === "source") {
      const source = parseSource(line, options.slice(at + 1), subject);
      if (source === undefined) return false;
      target.settings.source = source.draft;
      at += source.length;
      continue;
    }
    const value = row.args === "" ? "" : options[at + 1];
    if (value === undefined) {
      alertServer(line, subject, `'${word}' : missing value (${row.args}).`);
      return false;
    }
    if (row.args !== "") at++;
    if (row.state === "inert") {
      context.inert(origin, `server … ${word}`);
    } else if (row.state === "coming") {
      const skipped = row.wholeLine === true ? "this server" : "it";
      context.coming(origin, `${subject} : '${word}'`, skipped);
      if (row.wholeLine === true || !context.skipComing) keeps = false;
    } else {
      const problem = row.parse?.(target, value, context);
      if (problem === undefined) continue;
      alertServer(line, subject, `'${word}' : ${problem}`);
      return false;
    }
  }
  return keeps;
}

/** Words after `source`. `length` says how many of `words` belong to it. */
export function parseSource(
  line: Line,
  words: readonly string[],
  subject: string,
): { draft: SourceDraft; length: number } | undefined {
  const { context, origin } = line;
  const written = words[0];
  if (written === undefined) {
    alertServer(line, subject, `'source' expects ${SOURCE_USAGE}.`);
    return undefined;
  }
  const address = parseAddress(written, {
    port: "optional",
    range: true,
    offset: false,
    transports: ["stream"],
    variables: context.environment.lookup,
  });
  if (!address.ok || (address.value.kind !== "ip" && address.value.kind !== "name")) {
    const text = address.ok ? `'${written}' is no IP address` : address.message;
    alertServer(line, subject, `'source ${written}' : ${text}`);
    return undefined;
  }
  const draft: SourceDraft = { written, address: address.value, origin };
  let at = 1;
  while (words[at] === "interface" || words[at] === "usesrc") {
    const value = words[at + 1];
    if (value === undefined) {
      alertServer(line, subject, `'source' : '${words[at]}' : missing value.`);
      return undefined;
    }
    if (words[at] === "interface") {
      draft.interfaceName = value;
    } else {
      context.coming(origin, `${subject} : 'source … usesrc'`, "it");
      if (!context.skipComing) return undefined;
    }
    at += 2;
  }
  return { draft, length: at };
}
