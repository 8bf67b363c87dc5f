/**
 * What one load knows while it reads: the messages, the environment, the sections so far, names to
 * look up, and the two ways to treat words that do nothing here. Main thread; one per load.
 */
import type { AclSources } from "../expr/parse.ts";
import type { CheckProgramSpec, Origin } from "../tables/spec.ts";
import type { Accounts } from "./accounts.ts";
import type { GlobalDraft } from "./draft-global.ts";
import type { ProxyDraft } from "./draft.ts";
import type { ConfigEnvironment } from "./environment.ts";
import type { MailersDraft } from "./mailers.ts";
import type { Report } from "./message.ts";
import type { ResolversDraft } from "./names/section.ts";
import type { PemStore } from "./quic/pem.ts";

/** How the command line and the environment ask for coming words to be skipped. */
export const SKIP_HINT = "--skip-coming or SLUICE_SKIP_COMING=1";

/** Mutable state of a load. */
export class LoadContext {
  readonly report: Report;
  readonly environment: ConfigEnvironment;
  readonly skipComing: boolean;
  readonly global: GlobalDraft;
  readonly accounts: Accounts;
  /** Pattern files for ACLs. */
  readonly aclSources: AclSources;
  readonly pem: PemStore;
  /** A rule or format asks whether QUIC is there (`quic_enabled`). */
  asksForQuic = false;
  /** Why QUIC is not to be had; undefined = it is. Asked when somebody wants it. */
  readonly quicProblem: () => string | undefined;
  readonly proxies: ProxyDraft[] = [];
  readonly mailers: MailersDraft[] = [];
  readonly resolvers: ResolversDraft[] = [];
  readonly #proxiesByName = new Map<string, ProxyDraft[]>();
  readonly defaults: ProxyDraft[] = [];
  /** Programs of `healthcheck` sections, by name. */
  readonly healthchecks: Map<string, CheckProgramSpec>;
  /** Places of coming words in `defaults` that were reported already. */
  readonly takenOver = new Set<string>();
  /** Words without effect, by file, in order of appearance, with their first line. */
  readonly #inert = new Map<string, Map<string, number>>();

  constructor(options: {
    report: Report;
    environment: ConfigEnvironment;
    skipComing: boolean;
    global: GlobalDraft;
    accounts: Accounts;
    aclSources: AclSources;
    pem: PemStore;
    quicProblem: () => string | undefined;
    /** Left out: none yet. */
    healthchecks?: Map<string, CheckProgramSpec>;
  }) {
    this.report = options.report;
    this.environment = options.environment;
    this.skipComing = options.skipComing;
    this.global = options.global;
    this.accounts = options.accounts;
    this.aclSources = options.aclSources;
    this.pem = options.pem;
    this.quicProblem = options.quicProblem;
    this.healthchecks = options.healthchecks ?? new Map();
  }

  /** Adds a section that makes a proxy. */
  addProxy(proxy: ProxyDraft): void {
    this.proxies.push(proxy);
    const same = this.#proxiesByName.get(proxy.name);
    if (same === undefined) this.#proxiesByName.set(proxy.name, [proxy]);
    else same.push(proxy);
  }

  /** The sections of a name, in file order. */
  proxiesNamed(name: string): readonly ProxyDraft[] {
    return this.#proxiesByName.get(name) ?? [];
  }

  /** Notes a word that has no effect here. */
  inert(origin: Origin, word: string): void {
    const words = this.#inert.get(origin.file) ?? new Map<string, number>();
    if (!words.has(word)) words.set(word, origin.line);
    this.#inert.set(origin.file, words);
  }

  /**
   * Reports something that is not built yet: an error, or a warning where skipping was asked for.
   * @param what subject of the sentence, e.g. `'stick-table'`
   * @param skipped what is left out when skipping, e.g. `the line`
   * @param sentence what the runtime API answers, which skips nothing
   */
  coming(
    origin: Origin,
    what: string,
    skipped = "it",
    sentence = `${what} is not built yet.`,
  ): void {
    if (this.skipComing) {
      this.report.warnAt(origin, `${what} is not built yet: going on without ${skipped}.`);
      return;
    }
    const text = `remove it, or go on without ${skipped} by ${SKIP_HINT}.`;
    const place = `parsing [${origin.file}:${origin.line}] : ${what} is not built yet`;
    this.report.add("alert", origin, `${place}; ${text}`, sentence);
  }

  /**
   * Reports an address of QUIC where the program has none: an error, or a warning where skipping
   * was asked for.
   */
  withoutQuic(origin: Origin, what: string, skipped: string): void {
    const reason = `QUIC is not to be had: ${this.quicProblem() ?? "unknown"}`;
    if (this.skipComing) {
      this.report.warnAt(origin, `${what} : ${reason}; going on without ${skipped}.`);
      return;
    }
    this.report.alertAt(origin, `${what} : ${reason}.`);
  }

  /** Words without effect that were met so far. */
  inertWords(): string[] {
    return [...this.#inert.values()].flatMap((words) => [...words.keys()]);
  }

  /** Writes the one warning per file that names its words without effect. */
  reportInert(): void {
    for (const [file, words] of this.#inert) {
      const list = [...words].map(([word, line]) => `'${word}' (line ${line})`).join(", ");
      this.report.harmless(file, `[${file}] : without effect in this program: ${list}.`);
    }
  }
}

/** One line handed to a parse function. */
export type Line = {
  context: LoadContext;
  origin: Origin;
  /** The keyword as its row names it. */
  keyword: string;
  /** Its last word as written, where the row's ends in `()`. */
  call?: string;
  /** Words after the keyword's own. */
  args: readonly string[];
  prefix: "" | "no" | "default";
};

/** A fatal error about `line`. */
export function alertLine(line: Line, text: string): void {
  line.context.report.alertAt(line.origin, text);
}

/** A warning about `line`. */
export function warnLine(line: Line, text: string): void {
  line.context.report.warnAt(line.origin, text);
}

/** Checks the number of arguments; reports and answers false when it is wrong. */
export function hasArgs(line: Line, min: number, max: number, usage: string): boolean {
  if (line.args.length < min) {
    alertLine(line, `'${line.keyword}' expects ${usage}.`);
    return false;
  }
  if (line.args.length > max) {
    const extra = line.args[max] ?? "";
    alertLine(line, `'${line.keyword}' cannot handle unexpected argument '${extra}'.`);
    return false;
  }
  return true;
}
