/**
 * What a row's status means at a glance: one of a few states, each with a word and a colour.
 * HAProxy's page tells the same by the colour of the row.
 */
import { numberOf, textOf } from "./fields.ts";
import type { Row } from "./fields.ts";

/** States, from the worst to those that need no look. */
export const STATES = [
  "down",
  "going-up",
  "going-down",
  "nolb",
  "drain",
  "maint",
  "unchecked",
  "up",
  "open",
] as const;
/** One of them. */
export type State = (typeof STATES)[number];

/** The state of a row. */
export function stateOf(row: Row): State {
  const status = textOf(row, "status");
  if (row.kind === "frontend" || row.kind === "listener") {
    return status === "OPEN" || status === "" ? "open" : "maint";
  }
  if (status.startsWith("MAINT")) return "maint";
  if (status.startsWith("DRAIN")) return "drain";
  if (status.startsWith("NOLB")) return "nolb";
  if (status === "no check") return "unchecked";
  // `UP 2/3` has begun to fail its checks; a backend has `UP (2/3)`, servers that are up.
  if (status.startsWith("UP")) return /^UP \d/.test(status) ? "going-down" : "up";
  // `DOWN 1/2` has begun to pass its checks.
  if (status.startsWith("DOWN")) {
    return /^DOWN \d/.test(status) && numberOf(row, "check_health") > 0 ? "going-up" : "down";
  }
  return "unchecked";
}

/** How far a state is from what one hopes for, for sorting: larger is better. */
export function stateRank(state: State): number {
  return STATES.indexOf(state);
}

/** States that count as trouble for the filter "not up". */
export function isUp(state: State): boolean {
  return state === "up" || state === "open" || state === "unchecked" || state === "going-down";
}
