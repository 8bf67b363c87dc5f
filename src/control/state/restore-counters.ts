/** Counters of a state file, as what objects begin with. Before the first worker runs. */
import type { Workshop } from "../build.ts";
import { preloadByGuid } from "../guids.ts";
import { listenerKey } from "./collect.ts";
import { fieldsOf, presetCounter } from "./counters.ts";
import type { Counted } from "./counters.ts";
import { isQuicField, presetQuic, settleQuic } from "./quic-counters.ts";
import type { SavedCounters } from "./records.ts";

/** Puts the counters of all objects that still exist into the tables. O(counters). */
export function restoreCounters(shop: Workshop, counters: readonly SavedCounters[]): void {
  const listeners = new Map<string, Counted>();
  for (const object of shop.model.listenerByRow.values()) {
    const key = `${object.frontend.spec.name} ${listenerKey(object)}`;
    listeners.set(key, { kind: "listener", object });
  }
  for (const saved of counters) {
    const counted = byGuid(shop, saved) ?? byName(shop, saved, listeners);
    if (counted === undefined) continue;
    const offsets = new Map(fieldsOf(saved.kind));
    restoreQuic(shop, counted, saved);
    for (const [index, field] of saved.fields.entries()) {
      const offset = offsets.get(field);
      // A field of another release.
      if (offset === undefined) continue;
      presetCounter(shop.tables, counted, offset, saved.values[index]!);
    }
  }
}

/** QUIC counters of a frontend or a backend. */
function restoreQuic({ tables }: Workshop, counted: Counted, saved: SavedCounters): void {
  if (counted.kind !== "frontend" && counted.kind !== "backend") return;
  const isFront = counted.kind === "frontend";
  let hasQuic = false;
  for (const [index, field] of saved.fields.entries()) {
    if (!isQuicField(field)) continue;
    hasQuic = true;
    presetQuic(tables, counted.object, isFront, field, saved.values[index]!);
  }
  if (hasQuic) settleQuic(tables, counted.object, isFront);
}

function byGuid(shop: Workshop, { guid, kind }: SavedCounters): Counted | undefined {
  if (guid === "") return undefined;
  const object = preloadByGuid(shop, guid);
  if (object === undefined) return undefined;
  if ("servers" in object) {
    const isThere = kind === "frontend" ? object.spec.hasFront : object.spec.hasBack;
    return (kind === "frontend" || kind === "backend") && isThere ? { kind, object } : undefined;
  }
  if ("backend" in object) return kind === "server" ? { kind, object } : undefined;
  return kind === "listener" ? { kind, object } : undefined;
}

function byName(
  { model }: Workshop,
  { kind, proxy, name }: SavedCounters,
  listeners: ReadonlyMap<string, Counted>,
): Counted | undefined {
  if (kind === "listener") return listeners.get(`${proxy} ${name}`);
  const found = (kind === "frontend" ? model.frontends : model.backends).get(proxy);
  if (found === undefined) return undefined;
  if (kind !== "server") return { kind, object: found };
  const object = found.serversByName.get(name);
  return object === undefined ? undefined : { kind, object };
}
