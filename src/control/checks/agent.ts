/**
 * What an agent's words do to a server (manual 5.2 `agent-check`): its administrative state first,
 * then weight and limit. Whether it is up is for the desk, which asks its check too. Words that
 * cannot be followed (a weight where the algorithm takes none) are told once.
 */
import { Refusal } from "../../base/refusals.ts";
import type { AgentOrders } from "../../check/result.ts";
import { LEVEL_WARNING } from "../../wire/syslog.ts";
import type { ServerControl } from "../change/change.ts";
import { prepareMaxconn, prepareWeight } from "../change/server-load.ts";
import { prepareAdmin } from "../change/server-state.ts";
import { Draft } from "../draft.ts";
import type { Change, DraftServer } from "../draft.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";

type OrderKind = "admin" | "weight" | "maxconn";

/** Follows the words of agents. */
export class AgentOrdersTaker {
  private readonly control: ServerControl;
  /** The last order of each kind that could not be followed, by server. */
  private readonly refused = new WeakMap<ServerObject, Map<OrderKind, string>>();

  constructor(control: ServerControl) {
    this.control = control;
  }

  /** Does what an agent asks for. Never throws. */
  take(server: ServerObject, { admin, weight, maxconn }: AgentOrders): void {
    if (admin !== undefined) {
      this.change(server, "admin", (entry) => prepareAdmin(this.control, entry, admin));
    }
    if (weight !== undefined) {
      const word = "percent" in weight ? `${weight.percent}%` : `${weight.absolute}`;
      this.change(server, "weight", (entry) => prepareWeight(this.control, entry, word));
    }
    if (maxconn !== undefined) {
      const word = `${maxconn}`;
      this.change(server, "maxconn", (entry) => prepareMaxconn(this.control, entry, word));
    }
  }

  private change(
    server: ServerObject,
    kind: OrderKind,
    prepare: (entry: DraftServer) => Change,
  ): void {
    const { model, keeper } = this.control;
    const draft = new Draft(model);
    const backend = draft.findBackend(server.backend.spec.name);
    const entry = backend && draft.findServer(backend, server.spec.name);
    if (entry?.object !== server) return;
    try {
      // None of these waits for anything.
      void prepare(entry).apply();
      this.refused.get(server)?.delete(kind);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const refused = this.refused.get(server) ?? new Map<OrderKind, string>();
      if (refused.get(kind) === error.message) return;
      this.refused.set(server, refused.set(kind, error.message));
      const text = `Server ${serverName(server)}: its agent cannot be followed: ${error.message}`;
      keeper.tell(server.backend, { level: LEVEL_WARNING, text });
    }
  }
}
