/** Another name for a server (management manual 9.3, `set server … name`). */
import { Refusal } from "../../base/refusals.ts";
import { madeServer } from "../draft.ts";
import type { Change, Draft, DraftServer } from "../draft.ts";
import { serverHolders } from "../life/holders.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";
import { isInMaintenance } from "../state-notices.ts";
import { changed, draftName, unchanged } from "./change.ts";
import type { ServerControl } from "./change.ts";
import { changeSpec } from "./server-address.ts";

/** Longest name, in characters. */
const SERVER_NAME_LENGTH_MAX = 255;

/** Checks that a server can be called otherwise. @throws Refusal */
export function prepareRename(
  control: ServerControl,
  draft: Draft,
  entry: DraftServer,
  name: string,
): Change {
  if (/[^A-Za-z0-9_:.-]/u.test(name)) {
    throw new Refusal("BAD_ARGUMENT", "Server name contains invalid characters.");
  }
  if (name.length > SERVER_NAME_LENGTH_MAX) {
    throw new Refusal("BAD_ARGUMENT", "Server name too long.");
  }
  if (!isInMaintenance(entry.admin)) {
    const how = "(set server <b>/<s> state maint)";
    const text = `Server must be in maintenance mode to be renamed ${how}.`;
    throw new Refusal("WRONG_STATE", text);
  }
  refuseNamed(control, entry);
  const { proxy, spec } = entry;
  const old = spec.name;
  if (name !== old && draft.findServer(proxy, name) !== undefined) {
    const text = "A server with the same name already exists in this backend.";
    throw new Refusal("EXISTS", text);
  }
  const effect = `calls ${draftName(entry)} ${name} from now on`;
  proxy.servers.set(old, { ...entry, isDeleted: true });
  proxy.servers.set(name, entry);
  entry.spec = { ...spec, name };
  return {
    effect,
    apply: () => {
      const server = madeServer(control, entry);
      const text = "Server name updated.";
      if (name === server.spec.name) return unchanged(server, text);
      const was = serverName(server);
      rename(control, server, name);
      return changed(control, "server-changed", server, `${was} is called ${name}`, text);
    },
    undo: () => {
      const server = madeServer(control, entry);
      if (server.spec.name === old) return;
      rename(control, server, old);
      changed(control, "server-changed", server, `${serverName(server)} has its name back`);
    },
  };
}

/** What the configuration names keeps its name. */
function refuseNamed(control: ServerControl, { object }: DraftServer): void {
  if (object === undefined) return;
  const holders = serverHolders(control, object);
  const namers = holders.filter(({ kind }) => kind === "rule" || kind === "track");
  if (namers.length === 0) return;
  const why = "server's name is statically referenced (use-server, track, or sample argument)";
  throw new Refusal("CONFIGURED", `Cannot rename: ${why}.`, namers);
}

function rename(control: ServerControl, server: ServerObject, name: string): void {
  // Records of streams that have ended bear the name that the server had then.
  control.pump.drain();
  const { serversByName } = server.backend;
  if (serversByName.get(server.spec.name) === server) serversByName.delete(server.spec.name);
  if (!serversByName.has(name)) serversByName.set(name, server);
  changeSpec(control, server, { ...server.spec, name });
}
