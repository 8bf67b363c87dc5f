/**
 * Who keeps a server or a backend from being removed, by name, with the command that makes each go.
 * Read from shared memory without asking anybody: a number may be a moment old. `explain.ts` asks
 * the workers for the streams themselves. Main thread.
 */
import type { Holder, RefusalCode } from "../../base/refusals.ts";
import { BACK_COUNT_CURRENT, BACK_COUNT_STRIDE } from "../../tables/generated/back-count.ts";
import { PROXY_FLAG_PUBLISHED, SERVER_STATE_MAINT } from "../../tables/generated/enums.ts";
import { FRONT_COUNT_CURRENT, FRONT_COUNT_STRIDE } from "../../tables/generated/front-count.ts";
import { PROXY_FLAGS, PROXY_STRIDE } from "../../tables/generated/proxy.ts";
import { SERVER_QUEUE_LENGTH, SERVER_STATE, SERVER_STRIDE } from "../../tables/generated/server.ts";
import { SHARE_SERVED, SHARE_STRIDE } from "../../tables/generated/share.ts";
import type { LifeControl } from "../control.ts";
import { serverName } from "../model.ts";
import type { Model, ProxyObject, ServerObject } from "../model.ts";
import { describeQuicUse, isQuicUsed, quicConnections } from "../quic-use.ts";
import { expressionNames } from "./names.ts";

/** The tables, objects and references that holders are read from. */
export type HolderSources = Pick<LifeControl, "model" | "tables" | "references">;

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Why something is not removed, in HAProxy's words. */
type Reason = {
  kind: Holder["kind"];
  text: string;
  code: RefusalCode;
  /** It goes by itself: who waits for it may succeed. */
  passes?: boolean;
};

/** Why a server is not removed. */
export const SERVER_REASONS = {
  named:
    "This server cannot be removed at runtime due to other configuration elements pointing to it.",
  state: "Only servers in maintenance mode can be deleted.",
  used: "Server still has connections attached to it, cannot remove it.",
} as const;

/** Why a backend is not removed, by what holds it, in the order in which HAProxy looks. */
export const BACKEND_REASONS: readonly Reason[] = [
  { kind: "configuration", code: "CONFIGURED", text: "Cannot delete a listen section." },
  {
    kind: "rule",
    code: "CONFIGURED",
    text:
      "This proxy cannot be removed at runtime due to other configuration elements " +
      "pointing to it.",
  },
  {
    kind: "quic",
    code: "CONFIGURED",
    text: "Cannot remove a backend in which a QUIC server is or was used.",
  },
  {
    kind: "state",
    code: "WRONG_STATE",
    text: "Backend must be unpublished prior to its deletion.",
  },
  { kind: "server", code: "IN_USE", text: "Only a backend without server can be deleted." },
  {
    kind: "stream",
    code: "IN_USE",
    text: "Backend still has attached streams on it.",
    passes: true,
  },
  { kind: "purge", code: "IN_USE", text: "Backend is still referenced.", passes: true },
  { kind: "session", code: "IN_USE", text: "Backend is still referenced.", passes: true },
];

/** Who keeps a server; empty = `del server` takes it. */
export function serverHolders({ model, tables }: HolderSources, server: ServerObject): Holder[] {
  const name = serverName(server);
  const words = tables.servers.words;
  const holders: Holder[] = serverNamers(model, server);
  if (words[server.row + SERVER_STATE] !== SERVER_STATE_MAINT) {
    holders.push({
      kind: "state",
      text: "the server is not in maintenance",
      clear: `disable server ${name}`,
    });
  }
  const share = (server.row / SERVER_STRIDE) * SHARE_STRIDE + SHARE_SERVED;
  tables.perWorker.forEach(({ shares }, index) => {
    const count = shares.words[share]!;
    if (count > 0) holders.push(streamsOf(count, index + 1, `shutdown sessions server ${name}`));
  });
  const queued = words[server.row + SERVER_QUEUE_LENGTH]!;
  if (queued > 0) {
    const text = `${plural(queued, "stream")} in its queue`;
    holders.push({ kind: "queue", text, clear: `disable server ${name}`, count: queued });
  }
  return holders;
}

/** Rules and servers that name a server. */
function serverNamers(model: Model, server: ServerObject): Holder[] {
  const holders: Holder[] = [];
  const { backend, spec } = server;
  for (const rule of backend.spec.useServers) {
    if (rule.server !== spec.name) continue;
    const text = `the rule 'use-server ${spec.name}' at [${rule.origin.file}:${rule.origin.line}]`;
    holders.push({ kind: "rule", text });
  }
  for (const tracker of model.trackersOf(server)) {
    const name = serverName(tracker);
    holders.push({ kind: "track", text: `server ${name} tracks it`, clear: `del server ${name}` });
  }
  for (const where of expressionNames(model, "server", serverName(server))) {
    holders.push({ kind: "rule", text: where });
  }
  return holders;
}

const streamsOf = (count: number, worker: number, clear: string): Holder => ({
  kind: "stream",
  text: `${plural(count, "stream")} on worker ${worker}`,
  clear,
  count,
  worker,
});

/** Who keeps a backend; empty = `del backend` takes it. */
export function backendHolders(sources: HolderSources, proxy: ProxyObject): Holder[] {
  const { tables, references } = sources;
  const { name } = proxy.spec;
  const holders = backendNamers(sources.model, proxy);
  const flags = tables.proxies.words[proxy.row + PROXY_FLAGS]!;
  if (proxy.spec.hasFront) {
    holders.push({ kind: "configuration", text: "it is the backend of a listen section" });
  }
  if (isQuicUsed(tables, proxy)) {
    const count = quicConnections(tables, proxy.row, false);
    holders.push({ kind: "quic", text: describeQuicUse(tables, proxy), count });
  }
  if ((flags & PROXY_FLAG_PUBLISHED) !== 0) {
    const clear = `unpublish backend ${name}`;
    holders.push({ kind: "state", text: "the backend is published", clear });
  }
  if (proxy.servers.length > 0) {
    const names = proxy.servers.slice(0, 8).map(({ spec }) => spec.name);
    const more = proxy.servers.length > names.length ? ", …" : "";
    const text = `${plural(proxy.servers.length, "server")}: ${names.join(", ")}${more}`;
    holders.push({
      kind: "server",
      text,
      clear: `del server ${name}/${names[0]}`,
      count: proxy.servers.length,
    });
  }
  const cell = (proxy.row / PROXY_STRIDE) * BACK_COUNT_STRIDE + BACK_COUNT_CURRENT;
  tables.perWorker.forEach(({ proxyBack }, index) => {
    const count = proxyBack.floats[cell >> 1]!;
    if (count > 0) holders.push(streamsOf(count, index + 1, `shutdown sessions backend ${name}`));
  });
  return [...holders, ...references.holders(proxy)];
}

/** Rules that name a backend: they stay as long as the configuration does. */
function backendNamers(model: Model, proxy: ProxyObject): Holder[] {
  const { name } = proxy.spec;
  const holders: Holder[] = [];
  for (const { spec } of model.frontends.values()) {
    const rules = spec.useBackends.filter(
      ({ backend }) => backend.kind === "name" && backend.name === name,
    );
    const origins = rules.map(({ origin }) => ({ origin, word: "use_backend" }));
    const fallback = spec.defaultBackend;
    if (fallback?.name === name) origins.push({ origin: fallback.origin, word: "default_backend" });
    for (const { origin, word } of origins) {
      const where = `at [${origin.file}:${origin.line}]`;
      holders.push({ kind: "rule", text: `the rule '${word} ${name}' of ${spec.name} ${where}` });
    }
  }
  for (const where of expressionNames(model, "backend", name)) {
    holders.push({ kind: "rule", text: where });
  }
  return holders;
}

/** Who keeps a frontend from being freed once its listeners are closed. */
export function frontendHolders({ tables }: HolderSources, proxy: ProxyObject): Holder[] {
  const cell = (proxy.row / PROXY_STRIDE) * FRONT_COUNT_STRIDE + FRONT_COUNT_CURRENT;
  const holders: Holder[] = [];
  tables.perWorker.forEach(({ proxyFront }, index) => {
    const count = proxyFront.floats[cell >> 1]!;
    const clear = "shutdown session <id>";
    if (count > 0) holders.push(streamsOf(count, index + 1, clear));
  });
  return holders;
}

/** Holders as one clause for a refusal: `2 streams on worker 3; …`. */
export function holderClause(holders: readonly Holder[]): string {
  return holders.map(({ text }) => text).join("; ");
}
