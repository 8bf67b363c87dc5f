/**
 * GUIDs of objects: entered as they are made, freed as they go, found from any thread
 * (`tables/guid-index.ts`). Main thread.
 */
import { assert } from "../base/assert.ts";
import { Refusal } from "../base/refusals.ts";
import {
  GUID_KIND_LISTENER,
  GUID_KIND_PROXY,
  GUID_KIND_SERVER,
} from "../tables/generated/enums.ts";
import { guidProblem } from "../tables/guid-index.ts";
import type { Workshop } from "./build.ts";
import type { Draft } from "./draft.ts";
import { serverName } from "./model.ts";
import type { ListenerObject, ProxyObject, ServerObject } from "./model.ts";

/** What may bear a GUID. */
export type GuidBearer = ProxyObject | ServerObject | ListenerObject;

/** The index, and the objects that it names. */
type GuidSources = Pick<Workshop, "guids" | "model">;

/** The object that bears a GUID. Takes the read lock. */
export function findByGuid({ guids, model }: GuidSources, guid: string): GuidBearer | undefined {
  return guids.find(guid) ? bearerOf({ guids, model }) : undefined;
}

/** The same at the start, for state that is loaded before the first worker runs. */
export function preloadByGuid({ guids, model }: Workshop, guid: string): GuidBearer | undefined {
  return guids.preloadLookup(guid) ? bearerOf({ guids, model }) : undefined;
}

/** The object that the last look-up has found. */
function bearerOf({ guids, model }: GuidSources): GuidBearer | undefined {
  const { kind, row, generation } = guids;
  const found =
    kind === GUID_KIND_SERVER
      ? model.serverByRow.get(row)
      : kind === GUID_KIND_LISTENER
        ? model.listenerByRow.get(row)
        : model.proxyByRow.get(row);
  return found?.generation === generation ? found : undefined;
}

/** @throws Refusal when something bears the GUID already */
export function refuseTakenGuid(shop: Workshop, guid: string | undefined): void {
  if (guid === undefined) return;
  const bearer = findByGuid(shop, guid);
  if (bearer !== undefined) throw takenBy(bearer);
}

/**
 * Takes a GUID for an object that a change will make, in the draft.
 * @throws Refusal when it cannot be one, or something that stays bears it
 */
export function claimGuid(shop: Workshop, draft: Draft, guid: string | undefined): void {
  if (guid === undefined) return;
  const problem = guidProblem(guid);
  if (problem !== "") throw new Refusal("BAD_ARGUMENT", `'guid' : ${problem}`);
  if (draft.guids.has(guid)) throw new Refusal("EXISTS", "'guid' : duplicate entry");
  const bearer = findByGuid(shop, guid);
  if (bearer !== undefined && !isGoing(draft, bearer)) throw takenBy(bearer);
  draft.guids.add(guid);
}

/** Does a change before in the draft take it away? */
function isGoing(draft: Draft, bearer: GuidBearer): boolean {
  if ("servers" in bearer) {
    const { name, hasBack } = bearer.spec;
    return (hasBack ? draft.findBackend(name) : draft.findFrontend(name)) === undefined;
  }
  if (!("backend" in bearer)) return false;
  const proxy = draft.findBackend(bearer.backend.spec.name);
  return proxy === undefined || draft.findServer(proxy, bearer.spec.name) === undefined;
}

function takenBy(bearer: GuidBearer): Refusal {
  return new Refusal("EXISTS", `'guid' : duplicate entry with ${bearerTitle(bearer)}`);
}

/** An object with its kind, for people. */
export function bearerTitle(bearer: GuidBearer): string {
  if ("servers" in bearer) return `${bearer.spec.section} ${bearer.spec.name}`;
  if ("backend" in bearer) return `server ${serverName(bearer)}`;
  return `listener ${bearer.frontend.spec.name}/${bearer.spec.name ?? bearer.spec.text}`;
}

function kindOf(bearer: GuidBearer): number {
  if ("servers" in bearer) return GUID_KIND_PROXY;
  return "backend" in bearer ? GUID_KIND_SERVER : GUID_KIND_LISTENER;
}

/** Enters the GUID of an object that has been made. Nothing bears it (`refuseTakenGuid`). */
export function enterGuid({ guids }: Workshop, object: GuidBearer): void {
  const { guid } = object.spec;
  if (guid === undefined) return;
  const isEntered = guids.insert(guid, kindOf(object), object.row, object.generation);
  assert(isEntered, "enterGuid: it is one, and nothing bears it");
}

/**
 * Frees the GUID of an object on its way out: nobody finds it any more, another may bear it. Who
 * has found it before is past it after the grace period, which comes before the row is freed.
 */
export function removeGuid({ guids }: Workshop, object: GuidBearer): void {
  const { guid } = object.spec;
  if (guid === undefined) return;
  const isRemoved = guids.remove(guid, kindOf(object), object.row);
  assert(isRemoved, "removeGuid: the object bears it");
}
