/**
 * Invariants. `assert` and `bug` take static text only, so that a check that holds costs nothing.
 * Whatever a network peer can cause is handled and counted, never asserted.
 */

/** Thrown by a broken invariant; ends the thread it happens on, which is then replaced. */
export class InvariantError extends Error {
  override name = "InvariantError";
}

/** Throws InvariantError unless `condition` holds. Always on. */
export function assert(condition: boolean, text: string): asserts condition {
  if (!condition) throw new InvariantError(text);
}

/** End of a branch that the types or a state machine rule out. */
export function unreachable(text: string): never {
  throw new InvariantError(text);
}

/** A thrown value as one line for people. */
export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
