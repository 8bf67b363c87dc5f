/**
 * Items of a state file that could not be made again for a reason that may pass: a file is missing
 * or damaged, the QUIC module is not there. They are written down again as they were, until
 * somebody makes, changes or removes what they are about. Main thread.
 */
import { Refusal } from "../../base/refusals.ts";
import type { ControlEvent } from "../events.ts";
import type { ServerObject } from "../model.ts";
import type { SavedCounters, SavedListener, SavedServer, SavedState } from "./records.ts";
import { addressKey } from "./specs.ts";

/** Why an item is left out this time, as a sentence; another start may have it. */
export class PassingError extends Error {}

/** @throws PassingError in place of a refusal of `run` */
export function orLater(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (error instanceof Refusal) throw new PassingError(error.message);
    throw error;
  }
}

/** One item that was left out; `server` = the configured one whose changes these are. */
export type KeptItem =
  | { kind: "server"; saved: SavedServer; server?: ServerObject }
  | { kind: "listener"; saved: SavedListener };

/** The name that a saved server had last. */
export function lastName({ name, changes }: SavedServer): string {
  const last = changes?.["name"]?.[1];
  return typeof last === "string" ? last : name;
}

/** What a process keeps for the next one. */
export class Kept {
  #items: readonly KeptItem[];
  /** Of items that are no objects now, by `partKey`. */
  readonly #counters = new Map<string, SavedCounters>();
  /** Configured servers whose changes are kept. */
  #configured: ReadonlySet<ServerObject>;

  /** @param state the file that the items are from; their counters are kept with them */
  constructor(items: readonly KeptItem[] = [], state?: SavedState) {
    this.#items = items;
    this.#configured = configuredOf(items);
    if (items.length === 0) return;
    for (const counters of state?.counters ?? []) {
      const { kind, proxy, name } = counters;
      this.#counters.set(partKey(kind, proxy, name), counters);
    }
  }

  get servers(): SavedServer[] {
    return this.#items.flatMap((item) => (item.kind === "server" ? [item.saved] : []));
  }

  get listeners(): SavedListener[] {
    return this.#items.flatMap((item) => (item.kind === "listener" ? [item.saved] : []));
  }

  get counters(): SavedCounters[] {
    return this.#items.flatMap((item) => {
      const counters = this.#counters.get(keyOf(item));
      const isObject = item.kind === "server" && item.server !== undefined;
      return counters === undefined || isObject ? [] : [counters];
    });
  }

  /** Are there changes of this server that take the place of what it is now? */
  has(server: ServerObject): boolean {
    return this.#configured.has(server);
  }

  /** Forgets what somebody has decided anew. */
  note(event: ControlEvent): void {
    if (this.#items.length === 0) return;
    const items = this.#items.filter((item) => !isAbout(event, item));
    if (items.length === this.#items.length) return;
    this.#items = items;
    this.#configured = configuredOf(items);
  }
}

function configuredOf(items: readonly KeptItem[]): ReadonlySet<ServerObject> {
  return new Set(
    items.flatMap((item) => (item.kind === "server" && item.server ? [item.server] : [])),
  );
}

const partKey = (kind: string, proxy: string, name: string): string => `${kind} ${proxy} ${name}`;

/** What counters of an item are found by. */
function keyOf(item: KeptItem): string {
  if (item.kind === "server") return partKey("server", item.saved.backend, lastName(item.saved));
  const { proxy, made } = item.saved;
  return partKey("listener", proxy, made.name ?? made.text);
}

function isAbout({ kind, proxy, server, listener }: ControlEvent, item: KeptItem): boolean {
  switch (kind) {
    case "server-added":
    case "server-removed":
    case "server-changed":
      return server !== undefined && (isServer(server, item) || hasGuid(server.spec.guid, item));
    case "listener-added":
    case "listener-removed":
    case "listener-changed": {
      if (listener === undefined) return false;
      const { address, guid } = listener.spec;
      if (item.kind === "server") return hasGuid(guid, item);
      return addressKey(address) === addressKey(item.saved.made.address) || hasGuid(guid, item);
    }
    case "backend-removed":
      return item.kind === "server" && item.saved.backend === proxy?.spec.name;
    case "frontend-removed":
      return item.kind === "listener" && item.saved.proxy === proxy?.spec.name;
    default:
      return false;
  }
}

function isServer(server: ServerObject, item: KeptItem): boolean {
  if (item.kind !== "server") return false;
  if (item.server !== undefined) return item.server === server;
  const { saved } = item;
  return server.backend.spec.name === saved.backend && server.spec.name === lastName(saved);
}

/** GUIDs are borne once: what has it now is the one that counts. */
function hasGuid(guid: string | undefined, item: KeptItem): boolean {
  if (guid === undefined || (item.kind === "server" && item.server !== undefined)) return false;
  return guid === item.saved.made?.guid;
}
