/**
 * Which server follows the state of which (`track`, manual 5.2). Chains are allowed, circles are
 * refused by whoever makes them. Main thread.
 */
import type { Model, ProxyObject, ServerObject } from "./model.ts";

const NONE: readonly ServerObject[] = [];

/** Servers and those that track them. */
export class Tracking {
  readonly #tracked = new Map<ServerObject, ServerObject>();
  readonly #trackers = new Map<ServerObject, ServerObject[]>();

  /** Servers that follow this one directly, the newest first (as HAProxy tells them). */
  trackersOf(server: ServerObject): readonly ServerObject[] {
    return this.#trackers.get(server) ?? NONE;
  }

  /** The server whose state this one follows; undefined = its own. */
  trackedBy(server: ServerObject): ServerObject | undefined {
    return this.#tracked.get(server);
  }

  /** Enters a server whose spec names another. @returns that other, undefined = none */
  link(model: Model, server: ServerObject): ServerObject | undefined {
    const { track } = server.spec;
    if (track === undefined) return undefined;
    const tracked = findTracked(model, server.backend, track);
    if (tracked === undefined || tracked === server) return undefined;
    this.#tracked.set(server, tracked);
    const trackers = this.#trackers.get(tracked) ?? [];
    trackers.unshift(server);
    this.#trackers.set(tracked, trackers);
    return tracked;
  }

  /** Forgets a server that is gone. */
  unlink(server: ServerObject): void {
    const tracked = this.#tracked.get(server);
    this.#trackers.delete(server);
    if (tracked === undefined) return;
    this.#tracked.delete(server);
    const trackers = this.#trackers.get(tracked) ?? [];
    const left = trackers.filter((other) => other !== server);
    if (left.length === 0) this.#trackers.delete(tracked);
    else this.#trackers.set(tracked, left);
  }
}

/** The server that `track <name>` in `backend` means. */
export function findTracked(
  model: Model,
  backend: ProxyObject,
  track: string,
): ServerObject | undefined {
  const slash = track.indexOf("/");
  if (slash < 0) return backend.serversByName.get(track);
  return model.backends.get(track.slice(0, slash))?.serversByName.get(track.slice(slash + 1));
}
