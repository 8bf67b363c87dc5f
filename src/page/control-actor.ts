/**
 * Actions of the page on the running process: the same functions as the commands of the runtime
 * API call, through a draft, so that versions, events and refusals are the same. Main thread.
 */
import { Refusal } from "../base/refusals.ts";
import { prepareAdmin, prepareChecks, prepareHealth } from "../control/change/server-state.ts";
import type { Control } from "../control/control.ts";
import type { Change, DraftServer } from "../control/draft.ts";
import { Draft } from "../control/draft.ts";
import type { PageActor } from "./actions.ts";

/** Makes changes of servers. */
export class ControlActor implements PageActor {
  readonly #control: Control;

  constructor(control: Control) {
    this.#control = control;
  }

  findBackend(text: string): string | undefined {
    const { model } = this.#control;
    if (!text.startsWith("#")) return model.backends.has(text) ? text : undefined;
    const proxy = /^#\d{1,10}$/.test(text) ? model.proxyById.get(Number(text.slice(1))) : undefined;
    return proxy?.spec.hasBack === true ? proxy.spec.name : undefined;
  }

  hasServer(backend: string, server: string): boolean {
    return this.#control.model.backends.get(backend)?.serversByName.has(server) ?? false;
  }

  async act(action: string, backend: string, server: string): Promise<void> {
    const { model, pool } = this.#control;
    const draft = new Draft(model);
    const entry = draft.server(draft.backend(backend), server);
    if (action === "shutdown") {
      const row = entry.object?.row;
      if (row === undefined) throw new Refusal("NO_SERVER", "No such server.");
      const { silent } = await pool.shutdownStreams({ kind: "server", row }, "killed");
      if (silent.length > 0) throw new Refusal("TIMEOUT", "A worker did not answer in time.");
      return;
    }
    await this.#prepare(action, entry).apply();
  }

  #prepare(action: string, entry: DraftServer): Change {
    const control = this.#control;
    switch (action) {
      case "ready":
      case "drain":
      case "maint":
        return prepareAdmin(control, entry, action);
      case "dhlth":
        return prepareChecks(control, entry, false);
      case "ehlth":
        return prepareChecks(control, entry, true);
      case "hrunn":
        return prepareHealth(control, entry, "up");
      case "hnolb":
        return prepareHealth(control, entry, "stopping");
      case "hdown":
        return prepareHealth(control, entry, "down");
      default:
        throw new Refusal("NOT_YET", "Agent checks are not in this release.");
    }
  }
}
