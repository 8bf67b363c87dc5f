/** What the connections of one process share besides `Control`: sockets, the anonymising key. */
import type { Control } from "../control/control.ts";
import type { Level } from "./command.ts";

export type ApiFacts = {
  /** Sockets that are open, as `show cli sockets` names them. */
  sockets: { name: string; level: Level }[];
  /** `set anon global-key`; 0 = none. */
  anonymKey: number;
};

const facts = new WeakMap<Control, ApiFacts>();

/** The facts of a process; made at the first call. */
export function apiFacts(control: Control): ApiFacts {
  let known = facts.get(control);
  if (known === undefined) facts.set(control, (known = { sockets: [], anonymKey: 0 }));
  return known;
}
