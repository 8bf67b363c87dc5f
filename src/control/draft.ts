/**
 * A draft of changes: objects as they will be once the changes before have been made. Commands are
 * checked against it before anything happens, so that a transaction is refused as a whole and a dry
 * run says what would happen. Reads the model; writes nothing but itself.
 */
import type { Json } from "../base/json.ts";
import { Refusal } from "../base/refusals.ts";
import { PROXY_FLAG_PUBLISHED } from "../tables/generated/enums.ts";
import { PROXY_FLAGS } from "../tables/generated/proxy.ts";
import { SERVER_ADMIN_STATE } from "../tables/generated/server.ts";
import type { BindSpec, ProxySpec, ServerSpec } from "../tables/spec.ts";
import type { ListenerObject, Model, ProxyObject, ServerObject } from "./model.ts";

/** A backend or frontend in a draft. */
export type DraftProxy = {
  spec: ProxySpec;
  /** Undefined until the change that adds it has been made. */
  object: ProxyObject | undefined;
  isPublished: boolean;
  isDeleted: boolean;
  /** Servers that this draft has looked at or made, by name. */
  readonly servers: Map<string, DraftServer>;
  /** The same by id: the last one that had it. */
  readonly serversById: Map<number, DraftServer>;
  /** No id of a server below it is free. */
  freeServerId: number;
};

/** A server in a draft. */
export type DraftServer = {
  readonly proxy: DraftProxy;
  spec: ServerSpec;
  object: ServerObject | undefined;
  /** SERVER_ADMIN_* bits. */
  admin: number;
  isDeleted: boolean;
};

/** What a change answers once it is made. */
export type ChangeResult = {
  text: string;
  data?: Json;
  /** Progress of a change that takes its time, instead of the text. */
  pieces?: AsyncIterable<string>;
};

/** A change that was found possible. */
export type Change = {
  /** What it does, for a dry run: one sentence. */
  effect: string;
  /** It takes its time and tells its progress: it cannot be part of a transaction. */
  isLong?: boolean;
  /** Makes it. @throws Refusal when the world has moved meanwhile; then nothing has changed */
  apply(): ChangeResult | Promise<ChangeResult>;
  /** Takes it back when a later change of its transaction fails; undefined = it stays made. */
  undo?(): void | Promise<void>;
};

export class Draft {
  readonly model: Model;
  readonly #backends = new Map<string, DraftProxy>();
  readonly #frontends = new Map<string, DraftProxy>();
  /** GUIDs that changes before have taken. */
  readonly guids = new Set<string>();
  /** Listeners that changes before will make, and that hand on whole QUIC sessions. */
  readonly sessionBinds = new Map<DraftProxy, BindSpec>();
  /** Listeners that changes before will close. */
  readonly closing = new Set<ListenerObject>();

  constructor(model: Model) {
    this.model = model;
  }

  /** The backend called `name`. @throws Refusal NO_BACKEND */
  backend(name: string): DraftProxy {
    const found = this.findBackend(name);
    if (found === undefined) throw new Refusal("NO_BACKEND", "No such backend.");
    return found;
  }

  /** The same, undefined where there is none. */
  findBackend(name: string): DraftProxy | undefined {
    return this.#find(this.#backends, this.model.backends, name);
  }

  findFrontend(name: string): DraftProxy | undefined {
    return this.#find(this.#frontends, this.model.frontends, name);
  }

  /** Frontends that hand on whole QUIC sessions, each with a listener that does. */
  *sessionFronts(): Iterable<[frontend: DraftProxy, bind: BindSpec]> {
    for (const { hasQuicFront, listeners, spec } of this.model.frontends.values()) {
      if (hasQuicFront !== true) continue;
      const found = listeners.find(
        (one) => one.spec.quic?.map === "session" && !this.closing.has(one),
      );
      const frontend = found === undefined ? undefined : this.findFrontend(spec.name);
      if (found !== undefined && frontend !== undefined) yield [frontend, found.spec];
    }
    yield* this.sessionBinds;
  }

  /** The server called `name`. @throws Refusal NO_SERVER */
  server(proxy: DraftProxy, name: string): DraftServer {
    const found = this.findServer(proxy, name);
    if (found === undefined) throw new Refusal("NO_SERVER", "No such server.");
    return found;
  }

  findServer(proxy: DraftProxy, name: string): DraftServer | undefined {
    const known = proxy.servers.get(name);
    if (known !== undefined) return known.isDeleted ? undefined : known;
    const object = proxy.object?.serversByName.get(name);
    if (object === undefined) return undefined;
    const admin = this.model.tables.servers.words[object.row + SERVER_ADMIN_STATE]!;
    return enter({ proxy, spec: object.spec, object, admin, isDeleted: false });
  }

  /** Enters a backend or frontend that a change will make. */
  addProxy(spec: ProxySpec): DraftProxy {
    const made = {
      spec,
      object: undefined,
      isPublished: false,
      isDeleted: false,
      servers: new Map(),
      serversById: new Map(),
      freeServerId: 1,
    };
    if (spec.hasBack) this.#backends.set(spec.name, made);
    if (spec.hasFront) this.#frontends.set(spec.name, made);
    return made;
  }

  /** Enters a server that a change will make. */
  addServer(proxy: DraftProxy, spec: ServerSpec, admin: number): DraftServer {
    return enter({ proxy, spec, object: undefined, admin, isDeleted: false });
  }

  #find(
    drafts: Map<string, DraftProxy>,
    objects: ReadonlyMap<string, ProxyObject>,
    name: string,
  ): DraftProxy | undefined {
    const known = drafts.get(name);
    if (known !== undefined) return known.isDeleted ? undefined : known;
    const object = objects.get(name);
    if (object === undefined) return undefined;
    const flags = this.model.tables.proxies.words[object.row + PROXY_FLAGS]!;
    const made = {
      spec: object.spec,
      object,
      isPublished: (flags & PROXY_FLAG_PUBLISHED) !== 0,
      isDeleted: false,
      servers: new Map(),
      serversById: new Map(),
      freeServerId: object.freeServerId,
    };
    drafts.set(name, made);
    return made;
  }
}

function enter(server: DraftServer): DraftServer {
  const { proxy, spec } = server;
  proxy.servers.set(spec.name, server);
  proxy.serversById.set(spec.id, server);
  return server;
}

/** The server of an entry, made by now. @throws Refusal NO_SERVER when it went meanwhile */
export function madeServer({ model }: { model: Model }, { object }: DraftServer): ServerObject {
  if (object !== undefined && model.serverByRow.get(object.row) === object) return object;
  throw new Refusal("NO_SERVER", "No such server.");
}

/** The proxy of an entry, made by now. @throws Refusal when it went meanwhile */
export function madeProxy({ model }: { model: Model }, { object, spec }: DraftProxy): ProxyObject {
  if (object !== undefined && model.proxyByRow.get(object.row) === object) return object;
  if (spec.hasFront) throw new Refusal("NO_FRONTEND", "No such frontend.");
  throw new Refusal("NO_BACKEND", "No such backend.");
}
