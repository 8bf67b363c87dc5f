/**
 * What follows the name of a server: its address and options (HAProxy manual 5.2), for the lines of
 * a file and for `add server` alike, and `source`, which servers and backends share.
 */
import { parseAddress } from "./address.ts";
import type { AddressRules, ConfigAddress } from "./address.ts";
import type { Line } from "./context.ts";
import { cloneServerSettings, isQuic, newServerSettings } from "./draft.ts";
import type { ServerDraft, ServerSettings, SourceDraft } from "./draft.ts";
import { KeywordIndex } from "./keywords/keyword.ts";
import { SERVER_KEYWORDS } from "./keywords/server.ts";
import type { ServerTarget } from "./keywords/server.ts";
import { settleWords } from "./server-tls-words.ts";
import { nearestWord } from "./suggest.ts";

const INDEX = new KeywordIndex(SERVER_KEYWORDS);

const SOURCE_USAGE = "<addr>[:<port>[-<port>]], and optionally 'interface' <name>";

/** Where `from` finds settings to begin with; "" = the backend of the line. */
export type ServerOrigins = {
  /** The unnamed `default-server` of a backend. */
  usual(backend: string): ServerSettings | undefined;
  /** A server, or a named `default-server`. */
  named(backend: string, name: string): ServerSettings | undefined;
};

/** The line that a server is written on. */
export type ServerPlace = {
  line: Line;
  /** Begins the sentences about it: `'server b/s'`. */
  subject: string;
  /** Settings without `from`. */
  usual: ServerSettings;
  origins: ServerOrigins;
  /** Made at run time: some options are not for those. */
  isDynamic: boolean;
};

/** An error in a server line: `[file:line] : 'server b/s' : text`. */
export function alertServer(line: Line, subject: string, text: string): void {
  const { file, line: number } = line.origin;
  const place = `[${file}:${number}] : ${subject} : ${text}`;
  line.context.report.add("alert", line.origin, place, text);
}

/** The sentence about a character that no server's name may have; undefined = it may be used. */
export function wrongServerName(name: string): string | undefined {
  const bad = /[^A-Za-z0-9_:.-]/u.exec(name)?.[0];
  if (bad === undefined && name !== "") return undefined;
  return `character '${bad ?? ""}' is not permitted in server name '${name}'.`;
}

/** Address and options of a server; undefined after reporting what is wrong. */
export function readServer(
  place: ServerPlace,
  name: string,
  where: string,
  options: readonly string[],
): ServerDraft | undefined {
  const { line } = place;
  const address = readServerAddress(place, where);
  if (address === undefined) return undefined;
  const start = takeOrigin(place, options);
  if (start === undefined) return undefined;
  const { settings } = start;
  const target: ServerTarget = { settings, isServerLine: true, name };
  if (!applyOptions(place, target, start.options, isQuic(address))) return undefined;
  const settled = settleWords(place, settings, isQuic(address));
  if (settled === undefined) return undefined;
  const draft: ServerDraft = { name, written: where, address, settings, origin: line.origin };
  if (settled.tls !== undefined) draft.tls = settled.tls;
  if (target.id !== undefined) draft.id = target.id;
  if (target.guid !== undefined) draft.guid = target.guid;
  return draft;
}

/** Options of a `default-server`; undefined after reporting what is wrong. */
export function readDefaultServer(
  place: ServerPlace,
  options: readonly string[],
): ServerSettings | undefined {
  const start = takeOrigin(place, options);
  if (start === undefined) return undefined;
  const { settings } = start;
  const target: ServerTarget = { settings, isServerLine: false, name: "default-server" };
  return applyOptions(place, target, start.options, false) ? settings : undefined;
}

function readServerAddress(place: ServerPlace, where: string): ConfigAddress | undefined {
  const { line, subject } = place;
  const rules: AddressRules = {
    port: "optional",
    range: false,
    offset: true,
    transports: ["stream", "quic"],
    variables: line.context.environment.lookup,
  };
  const result = parseAddress(where, rules);
  if (result.ok && isQuic(result.value) && line.context.quicProblem() !== undefined) {
    line.context.withoutQuic(line.origin, subject, "this server");
    return undefined;
  }
  if (result.ok) {
    if (result.value.kind !== "fd") return result.value;
    alertServer(line, subject, `a descriptor cannot be connected to: '${where}'`);
    return undefined;
  }
  if (result.coming === true) {
    line.context.coming(line.origin, subject, "this server", result.message);
  } else {
    alertServer(line, subject, result.message);
  }
  return undefined;
}

/** `from ORIGIN` before the other options: whose settings to begin with. */
function takeOrigin(
  place: ServerPlace,
  options: readonly string[],
): { settings: ServerSettings; options: readonly string[] } | undefined {
  if (options[0] !== "from") return { settings: cloneServerSettings(place.usual), options };
  const written = options[1] ?? "";
  const found = findOrigin(place.origins, written);
  if (found !== undefined) {
    return { settings: cloneServerSettings(found), options: options.slice(2) };
  }
  const known = "'none', 'be:[<backend>]' and 'srv:[<backend>/]<server>'";
  const text = `'from' : nothing is known as '${written}'; it takes ${known}.`;
  alertServer(place.line, place.subject, text);
  return undefined;
}

function findOrigin(origins: ServerOrigins, written: string): ServerSettings | undefined {
  if (written === "none") return newServerSettings();
  const match = /^(be|srv):(?:(.+)\/)?(.*)$/u.exec(written);
  if (match === null) return undefined;
  const [, kind, slashed, last = ""] = match;
  if (kind === "be") return slashed === undefined ? origins.usual(last) : undefined;
  return origins.named(slashed ?? "", last);
}

/**
 * Applies options to `target`; false when the line is refused or skipped as a whole. What depends
 * on the address is kept in `words`.
 */
function applyOptions(
  place: ServerPlace,
  target: ServerTarget,
  options: readonly string[],
  overQuic: boolean,
): boolean {
  const { line, subject } = place;
  const { context, origin } = line;
  let keeps = true;
  for (let at = 0; at < options.length; at++) {
    const word = options[at] ?? "";
    const row = INDEX.find([word])?.row;
    if (row === undefined) {
      alertServer(line, subject, unknownWord(word));
      return false;
    }
    const isPooling = overQuic && row.quic?.state === "done";
    if (place.isDynamic && row.notDynamic === true && !isPooling) {
      alertServer(line, subject, `'${word}' option is not accepted for dynamic server`);
      return false;
    }
    if (place.isDynamic && word === "proto" && !overQuic) {
      alertServer(line, subject, "MUX protocol is not usable for server.");
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
    if (row.quic !== undefined) {
      const { settings } = target;
      settings.words = [...settings.words, { name: word, value, origin }];
      if (row.state !== "done") continue;
    }
    if (row.state === "inert") {
      context.inert(origin, `server … ${word}`);
    } else if (row.state === "coming") {
      const skipped = row.wholeLine === true ? "this server" : "it";
      context.coming(origin, `${subject} : '${word}'`, skipped, `'${word}' is not built yet.`);
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

/** HAProxy's sentence to the letter: tools show it. */
function unknownWord(word: string): string {
  const nearest = nearestWord(word, INDEX.firstWords());
  if (nearest === undefined) return `unknown keyword '${word}'.`;
  return `unknown keyword '${word}'; did you mean '${nearest}' maybe ?`;
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
      const what = `${subject} : 'source … usesrc'`;
      context.coming(origin, what, "it", "'usesrc' is not built yet.");
      if (!context.skipComing) return undefined;
    }
    at += 2;
  }
  return { draft, length: at };
}
