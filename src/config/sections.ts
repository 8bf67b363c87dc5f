/**
 * Lines to sections: opens and closes sections, finds the keyword of each line in the tables and
 * calls its parser. `global` is read line by line, since it changes the environment of what
 * follows; a proxy section when it ends, since its mode may stand in its last line.
 */
import type { Origin } from "../tables/spec.ts";
import { parseBindLine } from "./bind-line.ts";
import type { Line, LoadContext } from "./context.ts";
import { newProxyDraft, newProxySettings, titleOf } from "./draft.ts";
import type { Mode, ProxyDraft, ProxySection } from "./draft.ts";
import { classifyHttpSection } from "./http-section.ts";
import type { Keyword, KeywordIndex } from "./keywords/keyword.ts";
import { OTHER_SECTIONS } from "./keywords/other-sections.ts";
import type { OpenedSection, OtherSection } from "./keywords/other-sections.ts";
import { GLOBAL_INDEX, isSectionKeyword, PROXY_INDEX, SECTION_WORDS } from "./keywords/tables.ts";
import { didYouMean } from "./suggest.ts";

/** A line of a proxy section, kept until the section ends. */
export type KeptLine = { words: readonly string[]; origin: Origin };

type OpenSection =
  | { kind: "global" }
  | { kind: "proxy"; proxy: ProxyDraft; lines: KeptLine[] }
  | { kind: "other"; section: OtherSection; opened: OpenedSection | undefined };

const PROXY_SECTIONS: readonly ProxySection[] = ["defaults", "frontend", "backend", "listen"];

/** Words that may follow `no` and `default`, beside options. */
const INVERTIBLE =
  "options, log, busy-polling, set-dumpable, strict-limits, insecure-fork-wanted " +
  "and numa-cpu-mapping";

/** Receives the lines of all files in order. One per load. */
export class SectionReader {
  readonly #context: LoadContext;
  #open: OpenSection | undefined;
  /** Lines outside any section are reported once a file. */
  #lostFile = "";

  constructor(context: LoadContext) {
    this.#context = context;
  }

  /** Takes one line. */
  line(words: readonly string[], origin: Origin): void {
    const first = words[0] ?? "";
    if (isSectionKeyword(first)) {
      this.end();
      this.#begin(words, origin);
      this.#context.environment.place.section = words[1] ?? first;
      return;
    }
    const open = this.#open;
    if (open === undefined) this.#outside(first, origin);
    else if (open.kind === "global") this.#global(words, origin);
    else if (open.kind === "proxy") open.lines.push({ words, origin });
    else this.#other(open.section, open.opened, words, origin);
  }

  /** Ends the current section: at the next one and at the end of each file. */
  end(): void {
    const open = this.#open;
    this.#open = undefined;
    this.#context.environment.place.section = "";
    if (open?.kind === "proxy") this.#finishProxy(open.proxy, open.lines);
    else if (open?.kind === "other") open.opened?.end?.();
  }

  #outside(first: string, origin: Origin): void {
    if (this.#lostFile === origin.file) return;
    this.#lostFile = origin.file;
    const hint = didYouMean(first, SECTION_WORDS);
    this.#context.report.alertAt(origin, `'${first}' unknown keyword out of section${hint}`);
  }

  #begin(words: readonly string[], origin: Origin): void {
    const [word = "", ...rest] = words;
    const section = PROXY_SECTIONS.find((name) => name === word);
    if (section !== undefined) {
      const proxy = this.#beginProxy(section, rest, origin);
      this.#open = { kind: "proxy", proxy, lines: [] };
    } else if (word === "global") {
      if (rest.length > 0) this.#unexpected("global", rest[0] ?? "", origin);
      this.#open = { kind: "global" };
    } else {
      this.#beginOther(word, rest, origin);
    }
  }

  #unexpected(word: string, extra: string, origin: Origin): void {
    const text = `'${word}' cannot handle unexpected argument '${extra}'.`;
    this.#context.report.alertAt(origin, text);
  }

  #beginProxy(section: ProxySection, args: readonly string[], origin: Origin): ProxyDraft {
    const { report, defaults } = this.#context;
    const fromAt = args.indexOf("from", section === "defaults" ? 0 : 1);
    const own = fromAt < 0 ? args : args.slice(0, fromAt);
    const name = own[0] ?? "";
    if (name === "" && section !== "defaults") {
      report.alertAt(origin, `'${section}' expects an <id> argument`);
    }
    const bad = /[^A-Za-z0-9_:.-]/u.exec(name)?.[0];
    if (bad !== undefined) {
      const sentence = `character '${bad}' is not permitted in '${section}' name '${name}'.`;
      report.alertAt(origin, sentence);
    }
    const inherited =
      fromAt < 0
        ? section === "defaults"
          ? undefined
          : defaults.at(-1)
        : this.#namedDefaults(args, fromAt, section, name, origin);
    const settings = inherited?.settings ?? newProxySettings();
    const proxy = newProxyDraft(section, name, origin, settings);
    for (const [acl, tests] of inherited?.acls ?? []) proxy.acls.set(acl, tests);
    proxy.comingWords.push(...(inherited?.comingWords ?? []));
    this.#checkDuplicate(proxy);
    if (section === "defaults") this.#context.defaults.push(proxy);
    else this.#context.addProxy(proxy);
    this.#sectionAddress(proxy, own.slice(1), origin);
    return proxy;
  }

  #namedDefaults(
    args: readonly string[],
    fromAt: number,
    section: string,
    name: string,
    origin: Origin,
  ): ProxyDraft | undefined {
    const { report, defaults } = this.#context;
    const wanted = args[fromAt + 1];
    const extra = args[fromAt + 2];
    if (wanted === undefined) {
      report.alertAt(origin, "'from' expects the name of a defaults section.");
      return undefined;
    }
    if (extra !== undefined) this.#unexpected(section, extra, origin);
    const found = defaults.filter((candidate) => candidate.name === wanted);
    const last = found.at(-1);
    if (last === undefined) {
      const known = defaults.map((candidate) => candidate.name);
      const what = section === "defaults" ? "defaults section" : "proxy";
      const sentence = `defaults section '${wanted}' not found for ${what} '${name}'`;
      report.alertAt(origin, `${sentence}${didYouMean(wanted, known)}.`);
    } else if (found.length > 1) {
      report.alertAt(origin, `there are ${found.length} defaults sections named '${wanted}'.`);
    }
    return last;
  }

  #checkDuplicate(proxy: ProxyDraft): void {
    const { section, name, origin } = proxy;
    if (section === "defaults" || name === "") return;
    const same = this.#context.proxiesNamed(name).find((other) => {
      return section === "listen" || other.section === "listen" || other.section === section;
    });
    if (same === undefined) return;
    const where = `${same.origin.file}:${same.origin.line}`;
    const title = titleOf(proxy);
    this.#context.report.alertAt(
      origin,
      `${title} has the same name as ${titleOf(same)} declared at ${where}.`,
    );
  }

  /** `listen NAME ADDRESS options…`: a bind line before 1.5, taken with a warning. */
  #sectionAddress(proxy: ProxyDraft, words: readonly string[], origin: Origin): void {
    const first = words[0];
    if (first === undefined) return;
    const isAddress = proxy.section === "frontend" || proxy.section === "listen";
    if (!isAddress || !/[:/@]/u.test(first)) {
      this.#unexpected(proxy.section, first, origin);
      return;
    }
    const context = this.#context;
    context.report.warnAt(origin, "please use the 'bind' keyword for listening addresses.");
    parseBindLine({ context, origin, keyword: "bind", args: words, prefix: "" }, proxy);
  }

  #beginOther(word: string, rest: readonly string[], origin: Origin): void {
    const section = OTHER_SECTIONS.find((candidate) => candidate.name === word);
    if (section === undefined) return;
    const name = rest[0] ?? "";
    const opened = section.state === "done" ? section.open(this.#context, rest, origin) : undefined;
    this.#open = { kind: "other", section, opened };
    const title = name === "" ? `'${word}'` : `'${word} ${name}'`;
    if (section.state === "inert") this.#context.inert(origin, `${word} ${name}`.trim());
    if (section.state !== "coming") return;
    this.#context.coming(origin, `section ${title}`, "the whole section");
  }

  /** Lines of sections that are left out are still checked for words that nobody knows. */
  #other(
    section: OtherSection,
    opened: OpenedSection | undefined,
    words: readonly string[],
    origin: Origin,
  ): void {
    const known = section.words.map(([name]) => name.split(" ")[0] ?? name);
    if (known.length === 0) return;
    const isNegated = words[0] === "no";
    const [first = "", ...args] = isNegated ? words.slice(1) : words;
    const bare = first.replace(/\(.*$/u, "()");
    if (!known.includes(first) && !known.includes(bare)) {
      this.#unknown(first, section.name, [...known, ...SECTION_WORDS], origin);
    } else if (opened !== undefined && isNegated) {
      this.#notInvertible("no", first, origin);
    } else {
      opened?.line({ context: this.#context, origin, keyword: first, args, prefix: "" });
    }
  }

  #unknown(word: string, section: string, known: readonly string[], origin: Origin): void {
    const hint = didYouMean(word, known);
    const text = `'${word}' unknown keyword in '${section}' section${hint}`;
    this.#context.report.alertAt(origin, text);
  }

  #global(written: readonly string[], origin: Origin): void {
    const found = this.#find(GLOBAL_INDEX, "global", written, origin);
    if (found === undefined) return;
    const { row, line } = found;
    if (row.state === "inert") this.#context.inert(origin, row.name);
    else if (row.state === "coming") this.#context.coming(origin, `'${row.name}'`, "it");
    else row.parse?.(line);
  }

  #finishProxy(proxy: ProxyDraft, lines: readonly KeptLine[]): void {
    const mode = effectiveMode(proxy, lines);
    if (proxy.section !== "defaults" && mode !== "tcp") {
      proxy.settings.mode = mode;
      if (!classifyHttpSection(this.#context, proxy, lines)) {
        this.#checkWords(proxy, lines);
        return;
      }
    }
    proxy.isHttp = mode === "http";
    if (proxy.section !== "defaults") this.#takeOverComing(proxy);
    for (const { words, origin } of lines) {
      const found = this.#find(PROXY_INDEX, proxy.section, words, origin);
      if (found === undefined) continue;
      const { row, line } = found;
      if (proxy.skipped === "page" && isOfNoUse(row)) this.#context.inert(origin, row.name);
      else if (row.state === "done") row.parse?.(line, proxy);
      else if (row.state === "inert") this.#context.inert(origin, row.name);
      else if (proxy.section === "defaults") proxy.comingWords.push({ ...row, origin });
      else this.#context.coming(origin, `'${row.name}'`, "it");
    }
  }

  /** Lines of sections that are left out are still checked for words that nobody knows. */
  #checkWords(proxy: ProxyDraft, lines: readonly KeptLine[]): void {
    for (const { words, origin } of lines) this.#find(PROXY_INDEX, proxy.section, words, origin);
  }

  /** Reports, once each, what a section takes over from its defaults and is not built yet. */
  #takeOverComing(proxy: ProxyDraft): void {
    for (const { name, sections, origin } of proxy.comingWords) {
      const key = `${origin.file}:${origin.line}`;
      if (proxy.skipped === "page" && !GUARDS.test(name)) continue;
      if (!sections.includes(proxy.section) || this.#context.takenOver.has(key)) continue;
      this.#context.takenOver.add(key);
      this.#context.coming(origin, `'${name}'`, "it");
    }
  }

  /** The row of a line, its prefix taken off; undefined after reporting what is wrong. */
  #find<P>(
    index: KeywordIndex<P>,
    section: string,
    written: readonly string[],
    origin: Origin,
  ): { row: Keyword<P>; line: Line } | undefined {
    const prefix = written[0] === "no" || written[0] === "default" ? written[0] : "";
    const words = prefix === "" ? written : written.slice(1);
    if (words.length === 0) {
      this.#context.report.alertAt(origin, `'${prefix}' expects a keyword.`);
      return undefined;
    }
    const found = index.find(words);
    if (found === undefined) {
      this.#reportUnknown(index, section, words, origin);
      return undefined;
    }
    const { row, length } = found;
    if (prefix !== "" && row.invertible !== true) {
      this.#notInvertible(prefix, row.name, origin);
      return undefined;
    }
    if (!row.sections.includes(section) && !isToleratedSide(row.sections, section)) {
      const where = row.sections.map((name) => `'${name}'`).join(", ");
      const text = `'${row.name}' is not allowed in '${section}' section; it belongs to ${where}.`;
      this.#context.report.alertAt(origin, text);
      return undefined;
    }
    if (section === "defaults" && row.needsNamedDefaults === true && this.#isAnonymous()) {
      const text = `'${row.name}' is only allowed in named defaults sections.`;
      this.#context.report.alertAt(origin, text);
      return undefined;
    }
    const args = words.slice(length);
    const line: Line = { context: this.#context, origin, keyword: row.name, args, prefix };
    if (row.name.endsWith("()")) line.call = words[length - 1] ?? "";
    return { row, line };
  }

  #notInvertible(prefix: string, word: string, origin: Origin): void {
    if (word.startsWith("option ")) {
      const what = `option '${word.slice("option ".length)}'`;
      this.#context.report.alertAt(origin, `negation/default is not supported for ${what}.`);
      return;
    }
    const got = `(got '${prefix} ${word}')`;
    const text = `negation/default currently supported only for ${INVERTIBLE} ${got}.`;
    this.#context.report.alertAt(origin, text);
  }

  /** True while the last `defaults` section has no name. */
  #isAnonymous(): boolean {
    return this.#context.defaults.at(-1)?.name === "";
  }

  #reportUnknown<P>(
    index: KeywordIndex<P>,
    section: string,
    words: readonly string[],
    origin: Origin,
  ): void {
    const [first = "", second = ""] = words;
    const seconds = index.secondWords(first);
    if (seconds.length === 0) {
      this.#unknown(first, section, [...index.firstWords(), ...SECTION_WORDS], origin);
    } else if (first === "option") {
      const text =
        second === "" ? "'option' expects an option name." : `unknown option '${second}'`;
      this.#context.report.alertAt(origin, `${text}${didYouMean(second, seconds)}`);
    } else {
      const list = seconds.map((word) => `'${word}'`).join(", ");
      const hint = didYouMean(second, seconds);
      const text = `'${first}' supports ${list} (got '${second}')${hint}`;
      this.#context.report.alertAt(origin, text);
    }
  }
}

/** Words not built yet that say who may reach a section, or how: pages need them too. */
const GUARDS = /^(?:tcp-request|quic-initial|crt$|ssl-f-use|filter)/u;

/** Words about traffic, which a page has none of: its requests are logged in one format. */
function isOfNoUse({ name, state }: Pick<Keyword<unknown>, "name" | "state">): boolean {
  if (/^(?:error-)?log-format$|^unique-id-format$/u.test(name)) return true;
  if (/^option .*(?:-check|chk)$|^(?:tcp|http|external)-check /u.test(name)) return true;
  return state === "coming" && !GUARDS.test(name);
}

/** Front words in a backend and the reverse are warned about by their parsers, not refused. */
function isToleratedSide(sections: readonly string[], section: string): boolean {
  const isSided = section === "frontend" || section === "backend";
  return isSided && sections.includes("listen");
}

/** The last valid `mode` line, else what the defaults say. */
function effectiveMode(proxy: ProxyDraft, lines: readonly KeptLine[]): Mode {
  let { mode } = proxy.settings;
  for (const { words } of lines) {
    if (words[0] !== "mode") continue;
    const word = words[1];
    if (word === "tcp" || word === "http" || word === "log" || word === "spop") mode = word;
  }
  return mode;
}
