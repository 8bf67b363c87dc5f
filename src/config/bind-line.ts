/**
 * The words after `bind`: a list of addresses, then options that apply to all of them
 * (HAProxy manual 4.2 `bind`, 5.1). Also the addresses on an old section line.
 */
import { parseAddress } from "./address.ts";
import type { ConfigAddress } from "./address.ts";
import { alertLine } from "./context.ts";
import type { Line } from "./context.ts";
import type { BindDraft, ProxyDraft } from "./draft.ts";
import { BIND_KEYWORDS } from "./keywords/bind.ts";
import { KeywordIndex } from "./keywords/keyword.ts";
import { didYouMean } from "./suggest.ts";

const INDEX = new KeywordIndex(BIND_KEYWORDS);

/** Adds the listeners of a `bind` line to `proxy`, or reports why not. */
export function parseBindLine(line: Line, proxy: ProxyDraft): void {
  const [where, ...options] = line.args;
  if (where === undefined) {
    const usage = "{<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}...";
    alertLine(line, `'bind' expects ${usage} as arguments.`);
    return;
  }
  const binds = parseAddresses(line, where);
  if (binds === undefined) return;
  if (applyOptions(line, proxy, where, binds, options)) proxy.binds.push(...binds);
}

function parseAddresses(line: Line, where: string): BindDraft[] | undefined {
  const { context, origin } = line;
  const binds: BindDraft[] = [];
  for (const written of splitAddresses(where)) {
    const result = parseAddress(written, {
      port: "mandatory",
      range: true,
      offset: false,
      transports: ["stream"],
      variables: context.environment.lookup,
    });
    if (!result.ok) {
      if (result.coming !== true) {
        alertLine(line, `'bind' : ${result.message}`);
        return undefined;
      }
      context.coming(origin, `'bind ${written}' (${result.message.split(" addr")[0]})`, "it");
      continue;
    }
    binds.push(newBind(line, written, result.value));
  }
  return binds.length === 0 ? undefined : binds;
}

/** Addresses are separated by commas; a path may not hold one. */
function splitAddresses(where: string): string[] {
  return where.split(",").filter((part) => part !== "");
}

function newBind(line: Line, written: string, address: ConfigAddress): BindDraft {
  const { unixBind } = line.context.global;
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
    text: written,
    origin: line.origin,
  };
}

/** Applies the options to every address; false when the line is refused or skipped as a whole. */
function applyOptions(
  line: Line,
  proxy: ProxyDraft,
  where: string,
  binds: readonly BindDraft[],
  options: readonly string[],
): boolean {
  const { context, origin } = line;
  const subject = `'bind ${where}' in section '${proxy.section}'`;
  let keeps = true;
  for (let at = 0; at < options.length; at++) {
    const word = options[at] ?? "";
    const row = INDEX.find([word])?.row;
    if (row === undefined) {
      const hint = didYouMean(word, INDEX.firstWords());
      alertLine(line, `${subject}: unknown keyword '${word}'${hint}`);
      return false;
    }
    let value = "";
    if (row.args !== "") {
      at++;
      const next = options[at];
      if (next === undefined) {
        alertLine(line, `${subject} : '${word}' : missing value (${row.args}).`);
        return false;
      }
      value = next;
    }
    if (row.state === "inert") {
      context.inert(origin, `bind … ${word}`);
    } else if (row.state === "coming") {
      // A listener that would hand on cipher text, or not verify whom it should, stays closed.
      if (keeps) {
        const skipped = row.wholeLine === true ? "this listener" : "it";
        context.coming(origin, `'bind ${where} … ${word}'`, skipped);
      }
      if (row.wholeLine === true || !context.skipComing) keeps = false;
    } else {
      for (const bind of binds) {
        const problem = row.parse?.(bind, value, context);
        if (problem === undefined) continue;
        alertLine(line, `${subject} : '${word}' : ${problem}`);
        return false;
      }
    }
  }
  return keeps;
}
