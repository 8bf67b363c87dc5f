/**
 * Numbers for proxies, listeners and servers, as HAProxy gives them: explicit ones as written, the
 * others counted up, where whatever has an explicit number moves the count on as well.
 *
 *   a, b id 9, c, d id 5, e   ─▶   1, 9, 3, 5, 6
 */

/** The count of one kind of things, from 1 on. Claim all explicit numbers first. */
export class IdPool {
  readonly #taken = new Set<number>();
  #next = 1;

  /** Claims an explicit number. False when it is taken. */
  claim(id: number): boolean {
    if (this.#taken.has(id)) return false;
    this.#taken.add(id);
    return true;
  }

  /** The number of the next thing. @param id its explicit number, claimed before */
  take(id?: number): number {
    if (id === undefined) {
      while (this.#taken.has(this.#next)) this.#next++;
      this.#taken.add(this.#next);
    }
    const number = id ?? this.#next;
    this.#next++;
    return number;
  }

  /** Leaves a place for something that shows no number. */
  skip(): void {
    this.#next++;
  }
}
