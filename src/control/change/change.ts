/** What changes of objects that exist share: the parts of control that they need, their results. */
import type { Control } from "../control.ts";
import type { ChangeResult, DraftServer } from "../draft.ts";
import type { ControlEvent } from "../events.ts";
import type { ListenerObject, ProxyObject, ServerObject } from "../model.ts";

/** The part of control that changes of servers need. */
export type ServerControl = Pick<
  Control,
  "tables" | "model" | "shop" | "grace" | "keeper" | "checks" | "events" | "references"
> & {
  readonly pump: Pick<Control["pump"], "drain">;
  readonly runtime: Pick<Control["runtime"], "quicSettings">;
};

/** `<backend>/<server>` of a server as it will be. */
export function draftName({ proxy, spec }: DraftServer): string {
  return `${proxy.spec.name}/${spec.name}`;
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
