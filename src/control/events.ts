/**
 * What happens to objects, told to whoever listens: `wait`, `show events`, state files, the page.
 * Listeners are called in the turn of the change and must not throw. Main thread.
 */
import type { ListenerObject, ProxyObject, ServerObject } from "./model.ts";

/** One thing that happened. */
export type ControlEvent = {
  /** What it was; the words after it depend on it. */
  kind:
    | "server-added"
    | "server-removed"
    | "server-purged"
    | "server-changed"
    | "server-health"
    | "backend-added"
    | "backend-removed"
    | "backend-purged"
    | "backend-changed"
    | "frontend-added"
    | "frontend-removed"
    | "frontend-purged"
    | "frontend-changed"
    | "listener-added"
    | "listener-removed"
    | "listener-changed"
    | "counters-cleared"
    | "globals-changed"
    /** A result of a check or an agent that moved something, and what an agent orders. */
    | "server-check"
    | "agent-orders"
    /** Mails about servers that a mail server was not given; the text says which and why. */
    | "mails-lost"
    /** A server or backend that somebody watches may be idle now. */
    | "idle"
    | "worker-lost";
  proxy?: ProxyObject;
  server?: ServerObject;
  listener?: ListenerObject;
  /** One line for `show events`. */
  text?: string;
};

type Listener = (event: ControlEvent) => void;

export class Events {
  readonly #listeners = new Set<Listener>();
  #idleAwaited = 0;

  /** @returns a function that ends it */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Tells everybody. A change of an object moves its version on first: see `changed`. */
  tell(event: ControlEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Somebody waits for streams to end: `idle` is told from now on. @returns what ends that */
  awaitIdle(): () => void {
    this.#idleAwaited++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#idleAwaited--;
    };
  }

  /** A worker has rung, as it does for each log record too: told only to those who wait. */
  tellIdle(): void {
    if (this.#idleAwaited > 0) this.tell({ kind: "idle" });
  }

  /** An object was changed on somebody's request. */
  changed(
    kind: ControlEvent["kind"],
    object: ProxyObject | ServerObject | ListenerObject,
    text?: string,
  ): void {
    object.version++;
    // What comes to and goes from a proxy is a change of the proxy, too.
    if (kind === "server-added" || kind === "server-removed") {
      if ("backend" in object) object.backend.version++;
    } else if (kind === "listener-added" || kind === "listener-removed") {
      if ("frontend" in object) object.frontend.version++;
    }
    const said = text === undefined ? {} : { text };
    if ("servers" in object) this.tell({ kind, proxy: object, ...said });
    else if ("backend" in object)
      this.tell({ kind, server: object, proxy: object.backend, ...said });
    else this.tell({ kind, listener: object, proxy: object.frontend, ...said });
  }
}
