/**
 * Servers and backends that somebody waits for to be idle: workers ring control when the last
 * stream leaves one of these, and only then. Several may wait for the same. Main thread.
 */
import { PROXY_WATCHED } from "../../tables/generated/proxy.ts";
import { SERVER_WATCHED } from "../../tables/generated/server.ts";
import type { LifeControl } from "../control.ts";
import type { ProxyObject, ServerObject } from "../model.ts";

const counts = new WeakMap<ProxyObject | ServerObject, number>();

/** Watches an object. @returns a function that ends it */
export function watch(control: LifeControl, object: ProxyObject | ServerObject): () => void {
  const isServer = "backend" in object;
  const { words } = isServer ? control.tables.servers : control.tables.proxies;
  const at = object.row + (isServer ? SERVER_WATCHED : PROXY_WATCHED);
  counts.set(object, (counts.get(object) ?? 0) + 1);
  Atomics.store(words, at, 1);
  const stopWaiting = control.events.awaitIdle();
  let isOver = false;
  return () => {
    if (isOver) return;
    isOver = true;
    stopWaiting();
    const left = (counts.get(object) ?? 1) - 1;
    counts.set(object, left);
    // A row that was freed meanwhile may be somebody else's.
    const isStill = isServer
      ? control.model.serverByRow.get(object.row) === object
      : control.model.proxyByRow.get(object.row) === object;
    if (left === 0 && isStill) Atomics.store(words, at, 0);
  };
}
