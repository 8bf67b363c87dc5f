/**
 * Loads a configuration: files, folders and texts, the environment and the command line, to a plan.
 *
 *   texts ─▶ reader ─▶ sections ─▶ drafts ─▶ flags, overrides ─▶ checks ─▶ names ─▶ plan
 *
 * All errors of all files come back in one go; nothing throws; nothing is printed. Main thread.
 */
import type { Plan } from "../tables/spec.ts";
import type { Accounts } from "./accounts.ts";
import { checkDrafts } from "./checks.ts";
import { LoadContext } from "./context.ts";
import { newGlobalDraft } from "./draft-global.ts";
import { ConfigEnvironment } from "./environment.ts";
import { readFiles } from "./files.ts";
import type { ConfigText, FileAccess } from "./files.ts";
import type { SluiceFlags } from "./flags.ts";
import { addFlagSections, applyFlags, applyOverrides, sluiceSpec } from "./from-flags.ts";
import type { Overrides } from "./from-flags.ts";
import { Report } from "./message.ts";
import type { Message } from "./message.ts";
import { collectNames } from "./names.ts";
import { assemblePlan } from "./plan.ts";
import { PemStore } from "./quic/pem.ts";
import { readText } from "./reader.ts";
import { resolveNames } from "./resolve.ts";
import type { LookupAddress } from "./resolve.ts";
import { makeRuntimeConfig } from "./runtime.ts";
import type { RuntimeConfig } from "./runtime.ts";
import { applySavedStates, readSavedStates, savedAddress } from "./saved-states.ts";
import { SectionReader } from "./sections.ts";

/** What a load takes in. */
export type LoadInput = {
  /** Files and folders, in order (`-f`). */
  files: readonly string[];
  /** Texts to read after the files. */
  texts?: readonly ConfigText[];
  environment: Readonly<Record<string, string | undefined>>;
  flags: SluiceFlags;
  overrides: Overrides;
  /** `--skip-coming`; `SLUICE_SKIP_COMING` does the same. */
  skipComing: boolean;
  system: LoadSystem;
};

/** What a load asks of the machine; `system.ts` has the real one, tests hand in their own. */
export type LoadSystem = {
  files: FileAccess;
  accounts: Accounts;
  /** This machine's name. */
  hostName: string;
  lookup: LookupAddress;
  /** Why QUIC is not to be had; undefined = it is. Left out: it is. */
  quicProblem?: () => string | undefined;
  /** A promise that resolves when all look-ups of the start have had their time. */
  lookupDeadline: () => Promise<void>;
};

/** What comes out: nothing to run when there is an alert among the messages. */
export type LoadResult = { messages: Message[] } & (
  { plan: Plan; runtime: RuntimeConfig } | { plan: null; runtime: null }
);

/** Loads. */
export async function loadConfiguration(input: LoadInput): Promise<LoadResult> {
  const { system, flags } = input;
  const report = new Report();
  const context = new LoadContext({
    report,
    environment: new ConfigEnvironment(input.environment),
    skipComing: input.skipComing || flags.skipComing === true,
    global: newGlobalDraft(system.hostName),
    accounts: system.accounts,
    aclSources: {
      readFile: (path) => {
        const result = system.files.readText(path);
        return "content" in result ? result.content : undefined;
      },
    },
    pem: new PemStore(system.files),
    quicProblem: system.quicProblem ?? (() => undefined),
  });
  if (input.overrides.serverVerifyNone === true) context.global.tls.serverVerify = "none";
  const texts = [...readFiles(input.files, system.files, report), ...(input.texts ?? [])];
  readAll(context, texts, input.overrides.diagnostics === true);
  addFlagSections(context, flags);
  const { environment } = context;
  environment.set("HAPROXY_CFGFILES", texts.map((text) => text.name).join(";"), true);
  applyFlags(context, flags);
  applyOverrides(context, input.overrides);
  environment.set("HAPROXY_LOCALPEER", context.global.localPeer, true);
  checkDrafts(context);
  context.reportInert();
  const names = collectNames(context);
  const resolved = await resolveNames(names, system.lookup, system.lookupDeadline);
  const states = readSavedStates(context, system.files);
  const plan = assemblePlan(context, {
    resolved,
    lastAddress: (backend, server) => savedAddress(states, backend, server),
    ignoresResolution: input.overrides.ignoresResolution === true,
    sluice: sluiceSpec(flags),
    files: system.files,
  });
  applySavedStates(context, states, plan);
  const { messages } = report;
  if (report.hasAlerts()) return { plan: null, runtime: null, messages };
  return { plan, runtime: makeRuntimeConfig({ context, resolved, plan }), messages };
}

function readAll(context: LoadContext, texts: readonly ConfigText[], diagnostics: boolean): void {
  const { report, environment } = context;
  for (const text of texts) {
    const sections = new SectionReader(context);
    readText(text.name, text.content, {
      report,
      environment,
      diagnostics,
      receive: (words, origin) => {
        sections.line(words, origin);
      },
    });
    sections.end();
  }
}
