/**
 * The words after `bind`: a list of addresses, then options that apply to all of them
 * (HAProxy manual 4.2 `bind`, 5.1). Also the addresses on an old section line.
 */
import { parseAddress } from "./address.ts";
import type { ConfigAddress } from "./address.ts";
import { alertLine } from "./context.ts";
import type { Line } from "./context.ts";
import { isQuic } from "./draft.ts";
import type { BindDraft, ProxyDraft } from "./draft.ts";
import { BIND_KEYWORDS } from "./keywords/bind.ts";
import type { BindParser } from "./keywords/bind.ts";
import { KeywordIndex } from "./keywords/keyword.ts";
import type { Keyword } from "./keywords/keyword.ts";
import { bindTlsWarnings, newBindTls, wrongBindTls } from "./quic/bind-tls.ts";
import { didYouMean } from "./suggest.ts";

const INDEX = new KeywordIndex(BIND_KEYWORDS);

/** Adds the listeners of a `bind` line to `proxy`, or reports why not. */
export function parseBindLine(line: Line, proxy: ProxyDraft): void {
  const { messages } = line.context.report;
  const before = messages.length;
  proxy.binds.push(...bindsOf(line, proxy));
  proxy.hasBrokenBind ||= messages.slice(before).some(({ severity }) => severity === "alert");
}

/** The listeners of a line that are neither refused nor skipped. */
function bindsOf(line: Line, { section }: ProxyDraft): BindDraft[] {
  const [where, ...options] = line.args;
  if (where === undefined) {
    const usage = "{<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}...";
    alertLine(line, `'bind' expects ${usage} as arguments.`);
    return [];
  }
  const binds = parseAddresses(line, where);
  return binds === undefined ? [] : applyOptions({ line, where, section, binds }, options);
}

function parseAddresses(line: Line, where: string): BindDraft[] | undefined {
  const { context, origin } = line;
  const binds: BindDraft[] = [];
  for (const written of splitAddresses(where)) {
    const result = parseAddress(written, {
      port: "mandatory",
      range: true,
      offset: false,
      transports: ["stream", "quic"],
      variables: context.environment.lookup,
    });
    if (!result.ok) {
      if (result.coming !== true) {
        alertLine(line, `'bind' : ${result.message}`);
        return undefined;
      }
      context.coming(origin, `'bind ${written}' (${result.message.split(" addr")[0]})`, "it");
    } else if (isQuic(result.value) && context.quicProblem() !== undefined) {
      context.withoutQuic(origin, `'bind ${written}'`, "it");
    } else {
      binds.push(newBind(line, written, result.value));
    }
  }
  return binds.length === 0 ? undefined : binds;
}

/** Addresses are separated by commas; a path may not hold one. */
function splitAddresses(where: string): string[] {
  return where.split(",").filter((part) => part !== "");
}

function newBind(line: Line, written: string, address: ConfigAddress): BindDraft {
  const { unixBind, tls } = line.context.global;
  const isPath = address.kind === "unix";
  const configAddress: ConfigAddress =
    isPath && unixBind.prefix !== ""
      ? { ...address, path: unixBind.prefix + address.path }
      : address;
  return {
    configAddress,
    acceptProxy: false,
    backlog: 0,
    maxconn: 0,
    v4v6: false,
    v6only: false,
    transparent: false,
    tfo: false,
    deferAccept: false,
    mss: 0,
    tcpUserTimeoutMs: 0,
    mode: isPath ? unixBind.mode : -1,
    uid: isPath ? unixBind.uid : -1,
    gid: isPath ? unixBind.gid : -1,
    tls: newBindTls(tls.strictSni),
    text: written,
    origin: line.origin,
  };
}

/** A line whose options are read. */
type BindLine = { line: Line; where: string; section: string; binds: readonly BindDraft[] };

/** What the line says of one option. */
type Option = { row: Keyword<BindParser>; word: string; value: string };

/**
 * Applies the options to every address. TCP and QUIC may stand on one line, and take some words
 * differently.
 * @returns the listeners that are neither refused nor skipped
 */
function applyOptions(bindLine: BindLine, options: readonly string[]): BindDraft[] {
  const { line, binds } = bindLine;
  const overTcp = binds.filter(({ configAddress }) => !isQuic(configAddress));
  const overQuic = binds.filter(({ configAddress }) => isQuic(configAddress));
  const read = readOptions(bindLine, options);
  if (read === undefined) return [];
  const keeps = { tcp: true, quic: true };
  for (const option of read) {
    const { row } = option;
    if (overTcp.length > 0) {
      const result = applyOption(bindLine, option, row, overTcp, keeps.tcp);
      if (result === undefined) return [];
      keeps.tcp &&= result;
    }
    if (overQuic.length > 0) {
      const result = applyOption(bindLine, option, row.quic ?? row, overQuic, keeps.quic);
      if (result === undefined) return [];
      keeps.quic &&= result;
    }
  }
  const first = overQuic[0];
  if (first !== undefined && keeps.quic) {
    const wrong = wrongBindTls(first.tls);
    if (wrong !== undefined) {
      alertLine(line, `${subjectOf(bindLine)} : ${wrong}`);
      return [];
    }
    for (const warning of bindTlsWarnings(first.tls)) {
      line.context.report.warnAt(line.origin, `${subjectOf(bindLine)} : ${warning}`);
    }
  }
  return [...(keeps.tcp ? overTcp : []), ...(keeps.quic ? overQuic : [])];
}

function subjectOf({ where, section }: BindLine): string {
  return `'bind ${where}' in section '${section}'`;
}

/** The options with their rows; undefined after reporting one that is wrong. */
function readOptions(bindLine: BindLine, options: readonly string[]): Option[] | undefined {
  const { line } = bindLine;
  const read: Option[] = [];
  for (let at = 0; at < options.length; at++) {
    const word = options[at] ?? "";
    const row = INDEX.find([word])?.row;
    if (row === undefined) {
      const hint = didYouMean(word, INDEX.firstWords());
      alertLine(line, `${subjectOf(bindLine)}: unknown keyword '${word}'${hint}`);
      return undefined;
    }
    let value = "";
    if (row.args !== "") {
      at++;
      const next = options[at];
      if (next === undefined) {
        alertLine(line, `${subjectOf(bindLine)} : '${word}' : missing value (${row.args}).`);
        return undefined;
      }
      value = next;
    }
    read.push({ row, word, value });
  }
  return read;
}

/**
 * Applies one option to the listeners of one kind.
 * @param side what it does there
 * @param isKept nothing has taken them out yet
 * @returns false when they are skipped; undefined after reporting an error
 */
function applyOption(
  bindLine: BindLine,
  { row, word, value }: Option,
  side: Pick<Keyword<BindParser>, "state" | "parse"> | NonNullable<Keyword<BindParser>["quic"]>,
  binds: readonly BindDraft[],
  isKept: boolean,
): boolean | undefined {
  const { line, where } = bindLine;
  const { context, origin } = line;
  if (side.state === "inert") {
    context.inert(origin, `bind … ${word}`);
    return true;
  }
  if (side.state === "refused") {
    alertLine(line, `${subjectOf(bindLine)} : '${word}' : ${side.why}`);
    return undefined;
  }
  if (side.state === "coming") {
    // A listener that would hand on cipher text, or not verify whom it should, stays closed.
    const skipped = row.wholeLine === true ? "this listener" : "it";
    if (isKept) context.coming(origin, `'bind ${where} … ${word}'`, skipped);
    return row.wholeLine !== true && context.skipComing;
  }
  for (const bind of binds) {
    const problem = side.parse?.(bind, value, context);
    if (problem === undefined) continue;
    alertLine(line, `${subjectOf(bindLine)} : '${word}' : ${problem}`);
    return undefined;
  }
  return true;
}
