/**
 * References on backends beyond what can be seen in the tables: who holds each, by name. The first
 * founding rule lives here: `del server` takes one on the parent backend, and only the purge of
 * that server gives it back. Main thread.
 */
import { assert } from "../../base/assert.ts";
import type { Holder } from "../../base/refusals.ts";
import { PROXY_REFERENCES } from "../../tables/generated/proxy.ts";
import type { Tables } from "../../tables/tables.ts";
import type { ProxyObject } from "../model.ts";

/** One reference; given back once. */
export type Reference = { readonly proxy: ProxyObject; readonly holder: Holder };

export class References {
  readonly #tables: Tables;
  readonly #held = new Map<number, Set<Reference>>();

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** Takes a reference on a proxy for a holder. */
  take(proxy: ProxyObject, holder: Holder): Reference {
    const reference = { proxy, holder };
    const set = this.#held.get(proxy.row) ?? new Set();
    this.#held.set(proxy.row, set.add(reference));
    Atomics.add(this.#tables.proxies.words, proxy.row + PROXY_REFERENCES, 1);
    return reference;
  }

  /** Gives a reference back. */
  give(reference: Reference): void {
    const { row } = reference.proxy;
    const wasHeld = this.#held.get(row)?.delete(reference) ?? false;
    assert(wasHeld, "References.give: a reference is given back once");
    if (this.#held.get(row)?.size === 0) this.#held.delete(row);
    Atomics.sub(this.#tables.proxies.words, row + PROXY_REFERENCES, 1);
  }

  /** Who holds a proxy. */
  holders(proxy: ProxyObject): Holder[] {
    return [...(this.#held.get(proxy.row) ?? [])].map(({ holder }) => holder);
  }

  /** References held on all proxies together. */
  get total(): number {
    let sum = 0;
    for (const set of this.#held.values()) sum += set.size;
    return sum;
  }
}
