/**
 * Administrative state, health and checks of a server on an operator's request. What a state means
 * is in control/server-state.ts.
 */
import { Refusal } from "../../base/refusals.ts";
import { SERVER_FLAG_CHECKED, SERVER_FLAG_CHECKS_OFF } from "../../tables/generated/enums.ts";
import { SERVER_FLAGS } from "../../tables/generated/server.ts";
import { madeServer } from "../draft.ts";
import type { Change, ChangeResult, DraftServer } from "../draft.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";
import {
  adminAfter,
  readState,
  restoreState,
  saveState,
  setAdmin,
  setHealth,
} from "../server-state.ts";
import type { AdminMode, SavedState } from "../server-state.ts";
import type { Health } from "../state-notices.ts";
import { changed, draftName, unchanged } from "./change.ts";
import type { ServerControl } from "./change.ts";

const MODE_EFFECTS: Record<AdminMode, string> = {
  ready: "puts %s back into service",
  drain: "lets %s drain: no new streams",
  maint: "puts %s in maintenance",
};

/** `set server … state`, `enable server`, `disable server`. */
export function prepareAdmin(control: ServerControl, entry: DraftServer, mode: AdminMode): Change {
  entry.admin = adminAfter(entry.admin, mode);
  return {
    effect: MODE_EFFECTS[mode].replace("%s", draftName(entry)),
    ...stateChange(control, entry, `state ${mode}`, (server) => {
      const { admin } = readState(control.tables, server);
      setAdmin(control.keeper, server, adminAfter(admin, mode));
    }),
  };
}

/** `set server … health`. @throws Refusal for a server whose health is another's */
export function prepareHealth(control: ServerControl, entry: DraftServer, health: Health): Change {
  if (entry.spec.track !== undefined) {
    throw new Refusal("WRONG_STATE", "cannot change health on a tracking server.");
  }
  return {
    effect: `takes ${draftName(entry)} for ${health}`,
    ...stateChange(control, entry, `health ${health}`, (server) =>
      setHealth(control.keeper, server, health),
    ),
  };
}

/** Makes a change of state that can be taken back. */
function stateChange(
  control: ServerControl,
  entry: DraftServer,
  what: string,
  make: (server: ServerObject) => void,
): Pick<Change, "apply" | "undo"> {
  const { keeper, tables } = control;
  let before: SavedState | undefined;
  return {
    apply: () => {
      const server = madeServer(control, entry);
      before = saveState(keeper, server);
      make(server);
      const after = readState(tables, server);
      if (after.admin === before.admin && after.health === before.health) return unchanged(server);
      return changed(control, "server-changed", server, `${serverName(server)} ${what}`);
    },
    undo: () => {
      const server = madeServer(control, entry);
      if (before === undefined) return;
      restoreState(keeper, server, before);
      changed(control, "server-changed", server, `${serverName(server)} ${what} undone`);
    },
  };
}

/** `enable health`, `disable health`. @throws Refusal when there is no check to enable */
export function prepareChecks(control: ServerControl, entry: DraftServer, isOn: boolean): Change {
  if (isOn && !entry.spec.check.enabled) {
    const text = "Health check was not configured on this server, cannot enable.";
    throw new Refusal("WRONG_STATE", text);
  }
  const words = control.tables.servers.words;
  let hasChanged = false;
  const set = (server: ServerObject, value: boolean): ChangeResult => {
    const at = server.row + SERVER_FLAGS;
    if (value) Atomics.and(words, at, ~SERVER_FLAG_CHECKS_OFF);
    else Atomics.or(words, at, SERVER_FLAG_CHECKS_OFF);
    if (value) control.checks.resume(server);
    else control.checks.suspend(server);
    const what = `${serverName(server)} checks ${value ? "enabled" : "disabled"}`;
    return changed(control, "server-changed", server, what);
  };
  return {
    effect: `${isOn ? "resumes" : "suspends"} the health check of ${draftName(entry)}`,
    apply: () => {
      const server = madeServer(control, entry);
      const flags = words[server.row + SERVER_FLAGS]!;
      const wasOn = (flags & SERVER_FLAG_CHECKS_OFF) === 0;
      hasChanged = wasOn !== isOn && (flags & SERVER_FLAG_CHECKED) !== 0;
      return hasChanged ? set(server, isOn) : unchanged(server);
    },
    undo: () => {
      if (hasChanged) set(madeServer(control, entry), !isOn);
    },
  };
}
