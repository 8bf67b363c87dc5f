/**
 * Drafts to plan: numbers given out, sections assembled (`assembler.ts`), limits kept. The last
 * step of a load; pure but for the report.
 */
import { LISTENERS_MAX } from "../base/limits.ts";
import type { GlobalSpec, PageSpec, Plan, ProxySpec, SluiceSpec } from "../tables/spec.ts";
import { Assembler } from "./assembler.ts";
import type { AssemblerOptions } from "./assembler.ts";
import type { LoadContext } from "./context.ts";
import type { ProxyDraft } from "./draft.ts";
import type { FileAccess } from "./files.ts";
import { IdPool } from "./ids.ts";
import { assembleMailers } from "./mailers.ts";
import { toAddress } from "./names.ts";
import { assembleResolvers } from "./names/section.ts";
import type { Resolved } from "./resolve.ts";

/** What assembling a whole plan needs beside the drafts. */
export type AssembleOptions = AssemblerOptions & { sluice: SluiceSpec; files: FileAccess };

/** Makes the plan. Problems go to the report; with alerts there the plan must not be used. */
export function assemblePlan(context: LoadContext, options: AssembleOptions): Plan {
  const assembler = new Assembler(context, options);
  const ids = proxyIds(context);
  const global = assembleGlobal(context, assembler, options.resolved);
  const proxies: ProxySpec[] = [];
  const pages: PageSpec[] = [];
  for (const draft of context.proxies) {
    const id = ids.get(draft) ?? 0;
    if (draft.skipped === undefined) proxies.push(assembler.proxy(draft, id, global.logs));
    else if (draft.skipped === "page") pages.push(assembler.page(draft, id, global));
  }
  const listeners = proxies.reduce((sum, proxy) => sum + proxy.binds.length, 0);
  if (listeners > LISTENERS_MAX) {
    const most = `more than the ${LISTENERS_MAX} that this program can hold.`;
    context.report.add("alert", undefined, `${listeners} listeners are ${most}`);
  }
  return {
    version: 1,
    global,
    sluice: options.sluice,
    proxies,
    pages,
    resolvers: assembleResolvers(context, options.resolved, options.files),
    mailers: assembleMailers(context, options.resolved),
    savedServers: [],
  };
}

/** Skipped sections keep their numbers, so that the others have the ones HAProxy gives. */
function proxyIds({ proxies, report, global }: LoadContext): Map<ProxyDraft, number> {
  const pool = new IdPool();
  const holders = new Map<number, ProxyDraft>();
  for (const proxy of proxies) {
    if (proxy.id === undefined) continue;
    const holder = holders.get(proxy.id);
    if (holder !== undefined) {
      const where = `declared at ${holder.origin.file}:${holder.origin.line}`;
      const other = `${holder.section} ${holder.name} (${where})`;
      const subject = `${proxy.section} ${proxy.name}`;
      report.alertAt(proxy.origin, `${subject} reuses same custom id as ${other}.`);
    }
    pool.claim(proxy.id);
    holders.set(proxy.id, proxy);
  }
  return new Map(
    proxies.map((proxy, place) => {
      if (place === global.runtimePlace) pool.skip();
      return [proxy, pool.take(proxy.id)];
    }),
  );
}

function assembleGlobal(
  context: LoadContext,
  assembler: Assembler,
  resolved: Resolved,
): GlobalSpec {
  const { environment, report, global } = context;
  const { logs, statsSockets, localPeer, unixBind, runtimePlace, quic, tls, dnsFamilies, ...more } =
    global;
  const { externalCheck, insecureFork, ...rest } = more;
  return {
    ...rest,
    isQuicEnabled:
      quic.isListening && (!context.asksForQuic || context.quicProblem() === undefined),
    logs: assembler.logs(logs, []),
    statsSockets: statsSockets.flatMap(({ configAddress, ...socket }) => {
      const address = toAddress(configAddress, resolved);
      if (address !== undefined) return [{ ...socket, address }];
      report.alertAt(socket.origin, "'stats socket' : the host name could not be resolved.");
      return [];
    }),
    environment: environment.toRecord(),
  };
}

/**
 * `fullconn` of a backend that does not say: a tenth of the connections that all frontends which
 * may choose it can have together (HAProxy manual 4.2, `fullconn`).
 * @param processMaxconn stands in for frontends without a `maxconn`
 */
export function automaticFullconn(
  plan: Pick<Plan, "proxies">,
  backend: ProxySpec,
  processMaxconn: number,
): number {
  if (backend.fullconn > 0) return backend.fullconn;
  let sum = 0;
  for (const proxy of plan.proxies) {
    if (!proxy.hasFront) continue;
    const isChosen =
      proxy.name === backend.name && proxy.hasBack
        ? true
        : proxy.defaultBackend?.name === backend.name ||
          proxy.useBackends.some(
            (rule) => rule.backend.kind === "dynamic" || rule.backend.name === backend.name,
          );
    if (isChosen) sum += proxy.maxconn > 0 ? proxy.maxconn : processMaxconn;
  }
  return Math.max(1, Math.ceil(sum / 10));
}

/** True when some listener of the plan accepts connections. */
export function hasListener(plan: Plan): boolean {
  const all = [...plan.proxies, ...plan.pages];
  return all.some((proxy) => !proxy.disabled && proxy.binds.length > 0);
}
