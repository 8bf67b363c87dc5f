/**
 * From the bytes of a state file to its records, each looked at before anybody relies on its shape.
 * Whatever is not as it should be refuses the file as a whole: half a state is none. Pure.
 */
import type {
  Pair,
  SavedCounters,
  SavedGlobals,
  SavedGrave,
  SavedHead,
  SavedListener,
  SavedProxy,
  SavedServer,
  SavedState,
} from "./records.ts";
import { isAddress, isFields } from "./specs.ts";
import { readStateBytes } from "./state-format.ts";

/** The state of a file, or why it is refused. */
export type ReadState = { ok: true; state: SavedState } | { ok: false; reason: string };

type Fields = Record<string, unknown>;

/** Reads a file. Never throws. */
export function readState(bytes: Uint8Array): ReadState {
  const read = readStateBytes(bytes);
  if (!read.ok) return read;
  let head: SavedHead | undefined;
  const state: Omit<SavedState, "head"> = {
    globals: { environment: {} },
    proxies: [],
    listeners: [],
    servers: [],
    graves: [],
    counters: [],
  };
  for (const { kind, items } of read.batches) {
    for (const item of items) {
      const isTaken = isFields(item) && takeItem(kind, item, state, (one) => (head = one));
      if (!isTaken) return { ok: false, reason: `a record of kind '${kind}' has an unknown shape` };
    }
  }
  if (head === undefined) return { ok: false, reason: "it does not say who wrote it" };
  return { ok: true, state: { head, ...state } };
}

function takeItem(
  kind: string,
  item: Fields,
  state: Omit<SavedState, "head">,
  setHead: (head: SavedHead) => void,
): boolean {
  switch (kind) {
    case "head":
      if (!isHead(item)) return false;
      setHead(item);
      return true;
    case "globals":
      if (!isGlobals(item)) return false;
      state.globals = item;
      return true;
    case "grave":
      return isGrave(item) && state.graves.push(item) > 0;
    case "proxy":
      return isProxy(item) && state.proxies.push(item) > 0;
    case "listener":
      return isListener(item) && state.listeners.push(item) > 0;
    case "server":
      return isServer(item) && state.servers.push(item) > 0;
    case "counters":
      return isCounters(item) && state.counters.push(item) > 0;
    default:
      return false;
  }
}

const isText = (value: unknown): value is string => typeof value === "string";
const isWord = (value: unknown): boolean =>
  Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31;
const isBoolean = (value: unknown): boolean => typeof value === "boolean";

/** Nothing, or a pair of which each part passes. */
function isPair(value: unknown, test: (one: unknown) => boolean): boolean {
  if (value === undefined) return true;
  return Array.isArray(value) && value.length === 2 && value.every(test);
}

const optional = (value: unknown, test: (one: unknown) => boolean): boolean =>
  value === undefined || test(value);

function isHead(item: Fields): item is SavedHead {
  const { program, writtenEpochMs, pid } = item;
  return isText(program) && Number.isFinite(writtenEpochMs) && Number.isFinite(pid);
}

function isGlobals(item: Fields): item is Fields & SavedGlobals {
  const { maxconn, maxconnrate, maxsessrate, environment } = item;
  const isVariable = (pair: unknown): pair is Pair<string | null> =>
    isPair(pair, (one) => one === null || isText(one)) && pair !== undefined;
  return (
    [maxconn, maxconnrate, maxsessrate].every((pair) => isPair(pair, isWord)) &&
    isFields(environment) &&
    Object.values(environment).every(isVariable)
  );
}

/** Is this a spec, as far as whoever completes it relies on it? */
function isNamed(value: unknown): boolean {
  return isFields(value) && isText(value["name"]) && value["name"] !== "";
}

function isBind(value: unknown): boolean {
  return isFields(value) && isAddress(value["address"]) && isText(value["text"]);
}

function isGrave(item: Fields): item is SavedGrave {
  const { kind, side, proxy, backend, spec } = item;
  if (kind === "proxy") return isSide(side) && isNamed(spec);
  if (kind === "listener") return isText(proxy) && isBind(spec);
  return kind === "server" && isText(backend) && isNamed(spec);
}

const isSide = (value: unknown): boolean => value === "front" || value === "back";

function isAge(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { sinceMs, downtimeMs, downs } = value;
  return [sinceMs, downtimeMs, downs].every(isAmount);
}

function isAmount(value: unknown): boolean {
  return Number.isFinite(value) && Number(value) >= 0;
}

function isQuicUse(value: unknown): boolean {
  return isFields(value) && Number.isFinite(value["sinceEpochMs"]) && isText(value["server"]);
}

function isProxy(item: Fields): item is SavedProxy {
  const { name, side, guid, made, frontMaxconn, state, isPublished, quicUse, age } = item;
  const isMade = (value: unknown): boolean =>
    isFields(value) && isNamed(value["spec"]) && isText(value["from"]);
  return (
    isText(name) &&
    isSide(side) &&
    optional(guid, isText) &&
    optional(made, isMade) &&
    isPair(frontMaxconn, isWord) &&
    isPair(state, isWord) &&
    isPair(isPublished, isBoolean) &&
    optional(quicUse, isQuicUse) &&
    optional(age, isAge)
  );
}

function isListener(item: Fields): item is SavedListener {
  return isText(item["proxy"]) && isBind(item["made"]);
}

function isHealth(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { isDown, isStopping, areChecksOff, isAgentOff, isAgentDown, counter, age, of } = value;
  const flags = [isDown, isStopping, areChecksOff];
  if (!optional(value["slowStartMs"], isAmount)) return false;
  const ofAgent = [isAgentOff, isAgentDown];
  if (!ofAgent.every((flag) => optional(flag, isBoolean))) return false;
  return flags.every(isBoolean) && isWord(counter) && isAge(age) && isText(of);
}

function isServer(item: Fields): item is SavedServer {
  const { backend, name, guid, made, changes, weight, maxconn, minconn, admin, health } = item;
  const isDiff = (value: unknown): boolean =>
    isFields(value) && Object.values(value).every((one) => Array.isArray(one) && one.length === 2);
  return (
    isText(backend) &&
    isText(name) &&
    optional(guid, isText) &&
    optional(made, isNamed) &&
    optional(changes, isDiff) &&
    [weight, maxconn, minconn, admin].every((pair) => isPair(pair, isWord)) &&
    optional(health, isHealth)
  );
}

const COUNTER_KINDS: readonly unknown[] = ["frontend", "listener", "backend", "server"];

function isCounters(item: Fields): item is SavedCounters {
  const { kind, proxy, name, guid, fields, values } = item;
  return (
    COUNTER_KINDS.includes(kind) &&
    [proxy, name, guid].every(isText) &&
    Array.isArray(fields) &&
    fields.every(isText) &&
    Array.isArray(values) &&
    values.length === fields.length &&
    values.every((value) => Number.isFinite(value) && value >= 0)
  );
}
