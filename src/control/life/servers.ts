/**
 * Servers that come and go at run time.
 *
 *   add:  row, balancing (not chosen yet) ─▶ mutation ─▶ all workers know it ─▶ may be chosen
 *   del:  nobody on it, off the backend's list ─▶ reference on the backend ─▶ mutation
 *         ─▶ all workers have forgotten it ─▶ purge: row freed ─▶ reference given back
 *
 * The first founding rule is the order of the last line: a backend outlives the purge of each
 * server that `del server` took from it. Servers freed otherwise take no reference.
 */
import { linkServer, unlinkServer } from "../../balance/control.ts";
import { refreshServer } from "../../balance/refresh.ts";
import { assert } from "../../base/assert.ts";
import { SluiceError } from "../../base/errors.ts";
import { Refusal } from "../../base/refusals.ts";
import { BACK_COUNT_STRIDE } from "../../tables/generated/back-count.ts";
import {
  SERVER_ADMIN_FORCED_MAINT,
  SERVER_FLAG_NEW,
  SERVER_STATE_FREE,
} from "../../tables/generated/enums.ts";
import {
  SERVER_FLAGS,
  SERVER_PICKS,
  SERVER_QUEUE_MAX,
  SERVER_QUIC_OPEN,
  SERVER_SERVED,
  SERVER_SERVED_MAX,
  SERVER_STATE,
  SERVER_STRIDE,
} from "../../tables/generated/server.ts";
import type { ProxySpec, ServerSpec } from "../../tables/spec.ts";
import { addServer } from "../build.ts";
import type { LifeControl } from "../control.ts";
import { madeProxy, madeServer } from "../draft.ts";
import type { Change, Draft, DraftProxy, DraftServer } from "../draft.ts";
import { claimGuid, enterGuid, removeGuid } from "../guids.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";
import { isInMaintenance } from "../state-notices.ts";
import { withStreamAges } from "./explain.ts";
import { holderClause, SERVER_REASONS, serverHolders } from "./holders.ts";
import { purgeLater } from "./removal.ts";
import { refuseBehindSessions } from "./session-map.ts";
import { refuseTrack } from "./track.ts";

/** What linking a server anew would forget: maxima and the picks (a float, in two words). */
const KEPT_FIELDS = [SERVER_SERVED_MAX, SERVER_QUEUE_MAX, SERVER_PICKS, SERVER_PICKS + 1];

/** Most rounds of log records read before a server's name is forgotten. */
const DRAIN_ROUNDS_MAX = 64;

/** Does the backend's algorithm take servers at run time (manual 9.3, `add server`)? */
export function isDynamicAlgorithm({ spec: { balance } }: DraftProxy): boolean {
  switch (balance.algorithm) {
    case "static-rr":
      return false;
    case "source":
    case "hash":
      return balance.hashType === "consistent";
    case "roundrobin":
    case "leastconn":
    case "first":
    case "random":
    case "peak-ewma":
      return true;
  }
}

/** Why a proxy takes no servers at run time, in HAProxy's words. */
export function staticReason({ section, name }: ProxySpec): string {
  const title = section === "listen" ? "proxy" : section;
  return `${title} '${name}' uses a non dynamic load balancing method`;
}

/**
 * Checks that a server can be added, and enters it into the draft.
 * @param spec made from words; an id of 0 is given out here
 * @throws Refusal
 */
export function prepareAddServer(
  control: LifeControl,
  draft: Draft,
  proxy: DraftProxy,
  spec: ServerSpec,
): Change {
  if (!isDynamicAlgorithm(proxy)) {
    const why = staticReason(proxy.spec);
    throw new Refusal("NOT_DYNAMIC", `Backend does not support dynamic servers : ${why}.`);
  }
  if (draft.findServer(proxy, spec.name) !== undefined) {
    throw nameTaken();
  }
  refuseTrack(draft, proxy, spec.track);
  refuseBehindSessions(draft, proxy, spec);
  claimGuid(control.shop, draft, spec.guid);
  const complete = { ...spec, id: serverId(proxy, spec) };
  const entry = draft.addServer(proxy, complete, SERVER_ADMIN_FORCED_MAINT);
  const name = `${proxy.spec.name}/${spec.name}`;
  return {
    effect: `adds server ${name}, in maintenance`,
    apply: () => {
      entry.object = makeServer(control, proxy, entry.spec);
      return { text: "New server registered." };
    },
    undo: () => {
      const { object } = entry;
      // A later change of the same transaction may have removed it.
      if (object === undefined || control.model.serverByRow.get(object.row) !== object) return;
      removeServer(control, object);
    },
  };
}

/** The id that was asked for, or the lowest free one. @throws Refusal EXISTS */
function serverId(proxy: DraftProxy, { id }: ServerSpec): number {
  if (id === 0) {
    while (holderOfId(proxy, proxy.freeServerId) !== undefined) proxy.freeServerId++;
    return proxy.freeServerId;
  }
  const holder = holderOfId(proxy, id);
  if (holder === undefined) return id;
  throw idTaken(id, holder);
}

const nameTaken = (): Refusal =>
  new Refusal("EXISTS", "Already exists a server with the same name in backend.");

const idTaken = (id: number, holder: string): Refusal =>
  new Refusal("EXISTS", `'id' : custom id ${id} already used by server '${holder}'.`);

/** Name of the server that has an id, as it will be; undefined = the id is free. */
function holderOfId(proxy: DraftProxy, id: number): string | undefined {
  const drafted = proxy.serversById.get(id);
  if (drafted !== undefined) return drafted.isDeleted ? undefined : drafted.spec.name;
  return proxy.object?.serversById.get(id)?.spec.name;
}

/** Makes a server of a backend that runs, in maintenance. @throws Refusal */
export function makeServer(
  control: LifeControl,
  proxy: DraftProxy,
  spec: ServerSpec,
): ServerObject {
  const { shop, events } = control;
  const backend = madeProxy(control, proxy);
  // Others may have made one since this was checked.
  if (backend.serversByName.has(spec.name)) throw nameTaken();
  const holder = backend.serversById.get(spec.id);
  if (holder !== undefined) throw idTaken(spec.id, holder.spec.name);
  let server: ServerObject;
  try {
    server = addServer(shop, backend, spec, true);
  } catch (error) {
    if (error instanceof SluiceError) throw new Refusal("TOO_MANY", error.message);
    throw error;
  }
  holdBack(control, server);
  shop.log.flushSoon();
  events.changed("server-added", server, `${serverName(server)} added`);
  return server;
}

/** The mutation by which workers know a server: the last, where it was taken out and put back. */
const linkedBy = new WeakMap<ServerObject, number>();

/**
 * The last mutation links the server, or says where it is: until all workers know it nobody chooses
 * it.
 */
export function holdBack(
  { shop, tables, grace }: Pick<LifeControl, "shop" | "tables" | "grace">,
  server: ServerObject,
): void {
  const { generation, row, backend } = server;
  const { words } = tables.servers;
  const { sequence } = shop.log;
  linkedBy.set(server, sequence);
  Atomics.or(words, row + SERVER_FLAGS, SERVER_FLAG_NEW);
  grace.after(sequence, () => {
    if (linkedBy.get(server) !== sequence) return;
    if (shop.serverRows.generation(row) !== generation) return;
    Atomics.and(words, row + SERVER_FLAGS, ~SERVER_FLAG_NEW);
    refreshServer(shop.lb, backend.row, row);
  });
}

/**
 * Checks that a server can be removed (manual 9.3, `del server`), and takes it out of the draft.
 * @throws Refusal that lists the holders
 */
export function prepareDelServer(control: LifeControl, entry: DraftServer): Change {
  const { proxy, spec, object } = entry;
  const name = `${proxy.spec.name}/${spec.name}`;
  if (object !== undefined) refuseHeld(control, object, entry.admin);
  else if (!isInMaintenance(entry.admin)) throw notInMaintenance();
  entry.isDeleted = true;
  proxy.freeServerId = Math.min(proxy.freeServerId, spec.id);
  let takeBack = (): void => undefined;
  return {
    effect: `removes server ${name}`,
    apply: () => {
      takeBack = removeServer(control, madeServer(control, entry));
      return { text: "Server deleted." };
    },
    // One that this transaction has added is to be gone anyway.
    undo: () => (object === undefined ? undefined : takeBack()),
  };
}

const notInMaintenance = (): Refusal => new Refusal("WRONG_STATE", SERVER_REASONS.state);

/** @throws Refusal, in the order in which HAProxy looks */
function refuseHeld(control: LifeControl, server: ServerObject, admin: number): void {
  const holders = serverHolders(control, server);
  const namers = holders.filter(({ kind }) => kind === "rule" || kind === "track");
  if (namers.length > 0) {
    const text = SERVER_REASONS.named;
    throw new Refusal("CONFIGURED", `${text} Held by: ${holderClause(namers)}.`, namers);
  }
  if (!isInMaintenance(admin)) throw notInMaintenance();
  const users = holders.filter(({ kind }) => kind === "stream" || kind === "queue");
  if (users.length > 0) throw stillUsed(control, server, users);
}

function stillUsed(
  control: LifeControl,
  { row }: ServerObject,
  users: ReturnType<typeof serverHolders>,
): Refusal {
  const text = SERVER_REASONS.used;
  const refusal = new Refusal("IN_USE", `${text} Held by: ${holderClause(users)}.`, users);
  refusal.elaborate = () => withStreamAges(control, refusal, "server", row, text);
  return refusal;
}

/**
 * Takes a server out for good. Nobody is on it; it is in maintenance, so nobody comes either.
 * @returns what takes it back, for a transaction that fails later, as long as it is not purged
 * @throws Refusal IN_USE when a stream came to it after all
 */
export function removeServer(control: LifeControl, server: ServerObject): () => void {
  const { shop, model, references, grace, events, checks, tables } = control;
  const { backend, row } = server;
  const { words } = tables.servers;
  const place = backend.servers.indexOf(server);
  const record = words.slice(row, row + SERVER_STRIDE);
  if (!unlinkServer(shop.lb, backend.row, row)) {
    throw stillUsed(control, server, serverHolders(control, server));
  }
  // Records of the streams that were on it name it by its row: they are read while it has a name.
  forgetRecords(control);
  checks.remove(server);
  Atomics.store(words, row + SERVER_STATE, SERVER_STATE_FREE);
  const name = server.spec.name;
  const reference = references.take(backend, {
    kind: "purge",
    text: `1 deleted server not yet purged: ${name}`,
  });
  model.removeServer(server);
  removeGuid(shop, server);
  const sequence = shop.log.append({ kind: "server.unlink", row });
  const path = serverName(server);
  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
      purgeServer(control, server);
      references.give(reference);
      events.tell({ kind: "server-purged", proxy: backend, text: path });
    },
    putBack: () => {
      references.give(reference);
      putBack(control, server, place, record);
    },
    late: `${path} is purged.`,
  });
  shop.log.flushSoon();
  events.changed("server-removed", server, `${path} removed`);
  return takeBack;
}

/** A removal is taken back: the server is what it was, counters included. */
function putBack(
  control: LifeControl,
  server: ServerObject,
  place: number,
  record: Int32Array,
): void {
  const { shop, model, tables, events } = control;
  const { row, generation, spec, backend } = server;
  const { words } = tables.servers;
  model.addServer(server, place);
  enterGuid(shop, server);
  const backendRow = backend.row;
  shop.log.append({ kind: "server.link", row, generation, backendRow, server: spec });
  // Workers that know it still forget it first: no stream may come to it before they have.
  holdBack(control, server);
  linkServer(shop.lb, backendRow, row);
  for (const at of KEPT_FIELDS) words[row + at] = record[at]!;
  Atomics.store(words, row + SERVER_STATE, record[SERVER_STATE]!);
  refreshServer(shop.lb, backendRow, row);
  shop.log.flushSoon();
  events.changed("server-added", server, `${serverName(server)} is back`);
}

/** All workers have forgotten the server: its row is free for another. */
function purgeServer({ shop, tables }: LifeControl, server: ServerObject): void {
  const { row } = server;
  const { words } = tables.servers;
  assert(words[row + SERVER_SERVED] === 0, "purgeServer: no stream knows it");
  // Its pools are closed by the workers as they forget it.
  assert(words[row + SERVER_QUIC_OPEN] === 0, "purgeServer: no connection counts for it");
  const index = row / SERVER_STRIDE;
  for (const { serverBack } of tables.perWorker) {
    serverBack.words.fill(0, index * BACK_COUNT_STRIDE, (index + 1) * BACK_COUNT_STRIDE);
  }
  shop.serverRows.give(row);
}

/** Reads the log records that are there. */
function forgetRecords({ pump }: LifeControl): void {
  for (let round = 0; round < DRAIN_ROUNDS_MAX && pump.drain() > 0; round++) {
    // Each round takes what came meanwhile.
  }
}
