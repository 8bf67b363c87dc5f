/**
 * What of a configuration is kept for run time: the settings that new servers, backends, frontends
 * and binds begin with, and the same keyword tables that read the files. Nothing here touches
 * running objects: it turns words into specs, or into one sentence that says what is wrong.
 */
import type {
  BindSpec,
  CertificateSpec,
  LogTarget,
  Plan,
  ProxySpec,
  QuicServerSpec,
  ServerSpec,
} from "../tables/spec.ts";
import type { Accounts } from "./accounts.ts";
import { Assembler } from "./assembler.ts";
import { parseBindLine } from "./bind-line.ts";
import { wrongGuid } from "./checks.ts";
import { newChecksDraft } from "./checks/draft.ts";
import { programOf } from "./checks/program.ts";
import { settleServer } from "./checks/settle.ts";
import { LoadContext } from "./context.ts";
import type { Line } from "./context.ts";
import { newGlobalDraft } from "./draft-global.ts";
import type { GlobalDraft } from "./draft-global.ts";
import {
  cloneServerSettings,
  hasBack,
  isQuic,
  newProxyDraft,
  newProxySettings,
  newServerSettings,
} from "./draft.ts";
import type { ProxyDraft, ProxySettings, ServerDraft, ServerSettings } from "./draft.ts";
import type { ConfigEnvironment } from "./environment.ts";
import { stateOf } from "./keywords/keyword.ts";
import { SERVER_KEYWORDS } from "./keywords/server.ts";
import { checkEmailAlert } from "./mailers.ts";
import { Report } from "./message.ts";
import { NEW_NAMING } from "./names/words.ts";
import type { PemStore } from "./quic/pem.ts";
import { quicServerOf } from "./quic/server-tls.ts";
import type { Resolved } from "./resolve.ts";
import { readProxyWords } from "./runtime-words.ts";
import { settingsOfServer } from "./server-settings.ts";
import { settleWords } from "./server-tls-words.ts";
import { readServer, wrongServerName } from "./server-words.ts";
import { CHECKS_AND_TRACKING } from "./tracking.ts";

/** Words that became a spec, or a refusal in HAProxy's words; `warnings` are told either way. */
export type Made<T> = { ok: true; spec: T; warnings: string[] } | { ok: false; message: string };

/** A server as it was made, for `from srv:…`; "" as backend never comes. */
export type FindServer = (backend: string, name: string) => ServerSpec | undefined;

export type RuntimeConfig = {
  /** Names of the `defaults` sections that `from` can name, in file order. */
  readonly defaultsNames: readonly string[];
  /**
   * `add server`: words behind the name, address first. Ids are not given out: 0 = not said. A host
   * name is not looked up: the server has no address then.
   * @param backend its name, for `from`
   * @param find servers that run now; left out, those of the configuration
   */
  makeServer(
    backend: string,
    name: string,
    words: readonly string[],
    find?: FindServer,
  ): Made<ServerSpec>;
  /**
   * TLS and pool of a server that `set server … addr quic4@…` moves to QUIC: what the
   * `default-server` of its backend says; `ssl` is understood. A server that has spoken QUIC before
   * keeps what it had: that is for the caller.
   */
  quicSettings(backend: string): Made<QuicServerSpec>;
  /** `add backend NAME from DEFAULTS [mode tcp] [guid …]`; id 0. Words behind DEFAULTS. */
  makeBackend(name: string, defaults: string, words: readonly string[]): Made<ProxySpec>;
  /**
   * `add frontend NAME from DEFAULTS [mode tcp] [guid …] [default_backend …] [maxconn …]`; id 0.
   * Whether the backend exists is not looked at.
   */
  makeFrontend(name: string, defaults: string, words: readonly string[]): Made<ProxySpec>;
  /**
   * A backend or frontend that a process before this one has made: what `add …` would make of the
   * defaults section; of none, where that is gone.
   */
  remakeProxy(section: "backend" | "frontend", name: string, defaults: string): Made<ProxySpec>;
  /** `add bind FRONTEND ADDRESS …`: one spec an address; ids 0 = not said. Names are refused. */
  makeBinds(frontend: string, words: readonly string[]): Made<BindSpec[]>;
  /** A certificate of a file that a spec named before, with its key, read again. */
  readCertificate(file: string): Made<CertificateSpec>;
  /** Authorities of a file or folder, read again. */
  readAuthorities(file: string): Made<string>;
  /** `show default-server`: names that `from` takes in a backend; "" = the unnamed one. */
  defaultServers(backend: string): readonly string[];
  /** Options that `add server` takes (`add server help`), by name. */
  serverKeywords(): readonly { name: string; args: string }[];
  /** A backend is gone: its settings go too. */
  forget(backend: string): void;
};

/** What a load leaves behind for it. */
export type RuntimeInput = {
  context: LoadContext;
  resolved: Resolved;
  plan: Plan;
};

/** Settings that a backend's servers may begin with. */
type BackendSettings = Pick<ProxySettings, "defaultServer" | "namedDefaultServers" | "checks">;

/** Where objects of the runtime API come from, for messages. */
const ORIGIN = { file: "runtime", line: 0 };

/** Makes the run-time side of a load that succeeded. Main thread. */
export function makeRuntimeConfig(input: RuntimeInput): RuntimeConfig {
  return new LoadedRuntime(input);
}

class LoadedRuntime implements RuntimeConfig {
  readonly defaultsNames: readonly string[];
  readonly #defaults: readonly ProxyDraft[];
  readonly #backends = new Map<string, BackendSettings>();
  readonly #environment: ConfigEnvironment;
  readonly #accounts: Accounts;
  readonly #globalLogs: readonly LogTarget[];
  readonly #resolved: Resolved;
  readonly #skipComing: boolean;
  readonly #global: Pick<
    GlobalDraft,
    "quic" | "tls" | "unixBind" | "externalCheck" | "insecureFork"
  >;
  readonly #healthchecks: LoadContext["healthchecks"];
  readonly #pem: PemStore;
  readonly #quicProblem: () => string | undefined;
  readonly #plan: Plan;

  constructor({ context, resolved, plan }: RuntimeInput) {
    this.#defaults = context.defaults.filter(({ name }) => wrongProxyName(name) === undefined);
    this.defaultsNames = [...new Set(this.#defaults.map(({ name }) => name))];
    for (const { name, section, skipped, settings } of context.proxies) {
      if (skipped !== undefined || !hasBack(section)) continue;
      const { defaultServer, namedDefaultServers, checks } = settings;
      if (!this.#backends.has(name)) {
        this.#backends.set(name, { defaultServer, namedDefaultServers, checks });
      }
    }
    this.#environment = context.environment;
    this.#accounts = context.accounts;
    const { quic, tls, unixBind, externalCheck, insecureFork } = context.global;
    this.#global = { quic, tls, unixBind, externalCheck, insecureFork };
    this.#healthchecks = context.healthchecks;
    this.#pem = context.pem;
    this.#quicProblem = context.quicProblem;
    this.#globalLogs = plan.global.logs;
    this.#resolved = resolved;
    this.#skipComing = context.skipComing;
    this.#plan = plan;
  }

  makeServer(
    backend: string,
    name: string,
    words: readonly string[],
    find: FindServer = (from, server) => this.#configured(from, server),
  ): Made<ServerSpec> {
    const [where, ...options] = words;
    if (where === undefined) {
      return refusal("'server' expects <name> and <addr>[:<port>] as arguments.");
    }
    const wrongName = wrongServerName(name);
    if (wrongName !== undefined) return refusal(wrongName);
    const line = this.#line("server", words);
    const subject = `'server ${backend}/${name}'`;
    const origins = {
      usual: (from: string) => this.#backends.get(from === "" ? backend : from)?.defaultServer,
      named: (from: string, wanted: string) =>
        this.#namedSettings(from === "" ? backend : from, wanted, find),
    };
    const usual = newServerSettings();
    const place = { line, subject, usual, origins, isDynamic: true };
    const draft = readServer(place, name, where, options);
    if (draft === undefined) return refused(line.context);
    const checks = this.#backends.get(backend)?.checks ?? newChecksDraft();
    const program = programOf(checks, line.context.global);
    const wrong = wrongServer(draft) ?? settleServer(line.context, draft, program, backend);
    if (wrong !== undefined) return refusal(wrong);
    draft.settings.initAddresses = [{ kind: "none" }];
    draft.settings.naming = NEW_NAMING;
    return finish(
      line.context,
      this.#assembler(line.context).server(backend, draft, draft.id ?? 0, true),
    );
  }

  quicSettings(backend: string): Made<QuicServerSpec> {
    const line = this.#line("server", []);
    const settings = cloneServerSettings(
      this.#backends.get(backend)?.defaultServer ?? newServerSettings(),
    );
    settings.words = [...settings.words, { name: "ssl", value: "", origin: ORIGIN }];
    const origins = { usual: () => undefined, named: () => undefined };
    const subject = `'default-server' of backend '${backend}'`;
    const place = { line, subject, usual: settings, origins, isDynamic: true };
    const tls = settleWords(place, settings, true)?.tls;
    if (tls === undefined) return refused(line.context);
    return finish(line.context, quicServerOf(tls, this.#global.quic));
  }

  makeBackend(name: string, defaults: string, words: readonly string[]): Made<ProxySpec> {
    const made = this.#makeProxy("backend", name, defaults, words);
    if (made.ok) this.#backends.set(name, made.spec.settings);
    return made.ok ? { ...made, spec: made.spec.proxy } : made;
  }

  makeFrontend(name: string, defaults: string, words: readonly string[]): Made<ProxySpec> {
    const made = this.#makeProxy("frontend", name, defaults, words);
    return made.ok ? { ...made, spec: made.spec.proxy } : made;
  }

  remakeProxy(section: "backend" | "frontend", name: string, defaults: string): Made<ProxySpec> {
    const isThere = this.#defaults.some((candidate) => candidate.name === defaults);
    if (isThere && section === "backend") return this.makeBackend(name, defaults, ["mode", "tcp"]);
    if (isThere) return this.makeFrontend(name, defaults, ["mode", "tcp"]);
    const wrongName = wrongProxyName(name);
    if (wrongName !== undefined) return refusal(`${wrongName} in '${section}' name '${name}'.`);
    const { context } = this.#line(section, []);
    const draft = newProxyDraft(section, name, ORIGIN, newProxySettings());
    const spec = this.#assembler(context).proxy(draft, 0, this.#globalLogs);
    if (section === "backend") this.#backends.set(name, draft.settings);
    return finish(context, spec);
  }

  #makeProxy(
    section: "backend" | "frontend",
    name: string,
    defaults: string,
    words: readonly string[],
  ): Made<{ proxy: ProxySpec; settings: ProxySettings }> {
    const wrongName = wrongProxyName(name);
    if (wrongName !== undefined) return refusal(`${wrongName} in '${section}' name '${name}'.`);
    const found = this.#defaults.filter((candidate) => candidate.name === defaults);
    const base = found[0];
    if (base === undefined) return refusal(`Cannot find default proxy '${defaults}'.`);
    if (found.length > 1) {
      return refusal(`There are ${found.length} defaults sections named '${defaults}'.`);
    }
    const line = this.#line(section, words);
    const draft = newProxyDraft(section, name, ORIGIN, base.settings);
    draft.settings.serverStateFrom = "none";
    const wrong = readProxyWords(draft, defaults, words);
    if (wrong !== undefined) return refusal(wrong);
    const coming = base.comingWords.find(({ sections }) => sections.includes(section));
    if (coming !== undefined && !this.#skipComing) {
      const place = `${coming.origin.file}:${coming.origin.line}`;
      const what = `'${coming.name}' of defaults section '${defaults}' (${place})`;
      return refusal(`${what} is not built yet.`);
    }
    checkEmailAlert(line.context.report, this.#plan.mailers, draft);
    const made = this.#assembler(line.context).proxy(draft, 0, this.#globalLogs);
    const proxy = { ...made, madeFrom: defaults };
    return finish(line.context, { proxy, settings: draft.settings });
  }

  makeBinds(frontend: string, words: readonly string[]): Made<BindSpec[]> {
    const line = this.#line("bind", words);
    const draft = newProxyDraft("frontend", frontend, ORIGIN, newProxySettings());
    parseBindLine(line, draft);
    for (const { configAddress, guid, text } of draft.binds) {
      if (configAddress.kind === "fd") {
        return refusal(`'bind' : a descriptor cannot be listened on at run time: '${text}'.`);
      }
      const wrong = guid === undefined ? undefined : wrongGuid(guid);
      if (wrong !== undefined) return refusal(`'guid' : ${wrong}`);
      if (configAddress.kind === "name") {
        return refusal(`'bind' : '${text}' is not an IP address: names are not looked up here.`);
      }
    }
    if (draft.binds.length === 0) return refused(line.context);
    if (draft.binds.some((bind) => isQuic(bind.configAddress)) && !this.#global.quic.isListening) {
      return refusal("'bind' : 'tune.quic.listen' is off.");
    }
    const binds = this.#assembler(line.context).binds(draft);
    return finish(
      line.context,
      draft.binds[0]?.id === undefined ? binds.map((bind) => ({ ...bind, id: 0 })) : binds,
    );
  }

  readCertificate(file: string): Made<CertificateSpec> {
    const found = this.#pem.certificates(file, "");
    if (!found.ok) return refusal(found.message);
    const [spec, ...more] = found.value.certificates;
    if (spec === undefined || more.length > 0) return refusal(`'${file}' is not one certificate`);
    return { ok: true, spec, warnings: found.value.warnings };
  }

  readAuthorities(file: string): Made<string> {
    const found = this.#pem.authorities(file, "");
    return found.ok ? { ok: true, spec: found.value, warnings: [] } : refusal(found.message);
  }

  defaultServers(backend: string): readonly string[] {
    const settings = this.#backends.get(backend);
    if (settings === undefined) return [];
    const isPlain = Bun.deepEquals(settings.defaultServer, newServerSettings());
    return [...(isPlain ? [] : [""]), ...settings.namedDefaultServers.keys()];
  }

  serverKeywords(): readonly { name: string; args: string }[] {
    const rows = SERVER_KEYWORDS.filter((row) => {
      return stateOf(row) === "done" && (row.notDynamic !== true || row.quic?.state === "done");
    });
    const from = { name: "from", args: "{none|be:[<backend>]|srv:[<backend>/]<server>}" };
    const known = [from, ...rows.map(({ name, args }) => ({ name, args }))];
    return known.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  forget(backend: string): void {
    this.#backends.delete(backend);
  }

  /** A server's settings by its name, or those of a named `default-server`. */
  #namedSettings(backend: string, name: string, find: FindServer): ServerSettings | undefined {
    const server = find(backend, name);
    if (server !== undefined) return settingsOfServer(server);
    return this.#backends.get(backend)?.namedDefaultServers.get(name);
  }

  #configured(backend: string, name: string): ServerSpec | undefined {
    const proxy = this.#plan.proxies.find((one) => one.hasBack && one.name === backend);
    return proxy?.servers.find((server) => server.name === name);
  }

  /** A line that no file has, with a report of its own. */
  #line(keyword: string, args: readonly string[]): Line {
    const context = new LoadContext({
      report: new Report(),
      environment: this.#environment,
      // What would be left out silently here is refused instead.
      skipComing: false,
      global: { ...newGlobalDraft(this.#plan.global.node), ...this.#global },
      accounts: this.#accounts,
      aclSources: {},
      pem: this.#pem,
      quicProblem: this.#quicProblem,
      healthchecks: this.#healthchecks,
    });
    return { context, origin: ORIGIN, keyword, args, prefix: "" };
  }

  #assembler(context: LoadContext): Assembler {
    return new Assembler(context, { resolved: this.#resolved, ignoresResolution: false });
  }
}

/** What is wrong with the name of a section; undefined = nothing. */
function wrongProxyName(name: string): string | undefined {
  if (name === "") return "an empty text is not permitted";
  const bad = /[^A-Za-z0-9_:.-]/u.exec(name)?.[0];
  return bad === undefined ? undefined : `character '${bad}' is not permitted`;
}

/** What a whole server has that does not fit together, checks aside. */
function wrongServer(server: ServerDraft): string | undefined {
  const { guid, settings } = server;
  if (guid !== undefined) {
    const wrong = wrongGuid(guid);
    if (wrong !== undefined) return `'guid' : ${wrong}`;
  }
  if (settings.track !== undefined && settings.check.enabled) return CHECKS_AND_TRACKING;
  return undefined;
}

function refusal(message: string): { ok: false; message: string } {
  return { ok: false, message };
}

function refused({ report }: LoadContext): { ok: false; message: string } {
  const alert = report.messages.find(({ severity }) => severity === "alert");
  return refusal(alert?.sentence ?? "The words make no object.");
}

/** The spec, unless making it was refused. Words without effect become warnings. */
function finish<T>(context: LoadContext, spec: T): Made<T> {
  const { report } = context;
  if (report.hasAlerts()) return refused(context);
  const said = report.messages.map(({ text, sentence }) => sentence ?? text);
  const inert = context.inertWords().map((word) => `'${word}' is without effect in this program.`);
  return { ok: true, spec, warnings: [...said, ...inert] };
}
