/** A broken invariant of a simulation: ends the run, names what was broken. */
export class Violation extends Error {
  override name = "Violation";
}

/** Throws a Violation unless `condition` holds. `detail` is made only then. */
export function require(
  condition: boolean,
  invariant: string,
  detail: () => string = () => "",
): asserts condition {
  if (condition) return;
  const text = detail();
  throw new Violation(text === "" ? invariant : `${invariant}: ${text}`);
}
