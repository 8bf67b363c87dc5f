/** Numbers for proxies, listeners and servers: explicit ones as given, the others the next free. */

/** The next free numbers from 1 on, skipping those taken. */
export class IdPool {
  readonly #taken = new Set<number>();
  #next: number;

  /** @param first the lowest number to give out; explicit ones may be lower */
  constructor(first = 1) {
    this.#next = first;
  }

  /** Claims an explicit number. False when it is taken. */
  claim(id: number): boolean {
    if (this.#taken.has(id)) return false;
    this.#taken.add(id);
    return true;
  }

  /** The lowest free number above those given out before. */
  take(): number {
    while (this.#taken.has(this.#next)) this.#next++;
    this.#taken.add(this.#next);
    return this.#next;
  }
}
