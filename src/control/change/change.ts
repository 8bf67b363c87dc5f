/** What changes of objects that exist share: the parts of control that they need, their results. */
import { Refusal } from "../../base/refusals.ts";
import type { Control } from "../control.ts";
import type { ChangeResult, DraftServer } from "../draft.ts";
import type { ControlEvent } from "../events.ts";
import type { ListenerObject, ProxyObject, ServerObject } from "../model.ts";

/** The part of control that changes of servers need. */
export type ServerControl = Pick<
  Control,
  "tables" | "model" | "shop" | "keeper" | "checks" | "events" | "references"
> & { readonly pump: Pick<Control["pump"], "drain"> };

/** `<backend>/<server>` of a server as it is. */
export function serverName({ backend, spec }: ServerObject): string {
  return `${backend.spec.name}/${spec.name}`;
}

/** `<backend>/<server>` of a server as it will be. */
export function draftName({ proxy, spec }: DraftServer): string {
  return `${proxy.spec.name}/${spec.name}`;
}

/** The object of an entry, made by now. @throws Refusal when it went meanwhile */
export function madeServer(control: Pick<Control, "model">, entry: DraftServer): ServerObject {
  const { object } = entry;
  if (object === undefined || control.model.serverByRow.get(object.row) !== object) {
    throw new Refusal("NO_SERVER", "No such server.");
  }
  return object;
}

/** The object of a frontend's entry, made by now. @throws Refusal when it went meanwhile */
export function madeFrontend(
  control: Pick<Control, "model">,
  object: ProxyObject | undefined,
): ProxyObject {
  if (object === undefined || control.model.proxyByRow.get(object.row) !== object) {
    throw new Refusal("NO_FRONTEND", "No such frontend.");
  }
  return object;
}

/** Tells that an object has changed, and answers with the version that it has now. */
export function changed(
  control: Pick<Control, "events">,
  kind: ControlEvent["kind"],
  object: ProxyObject | ServerObject | ListenerObject,
  what: string,
  text = "",
): ChangeResult {
  control.events.changed(kind, object, what);
  return { text, data: { version: object.version } };
}

/** The answer where everything is as wanted already. */
export function unchanged(
  object: ProxyObject | ServerObject | ListenerObject,
  text = "",
): ChangeResult {
  return { text, data: { version: object.version } };
}
