/**
 * What a server has answered to a check, as samples see it, and the check's variables. Whoever runs
 * checks fills it; streams have none.
 */
import type { Sample } from "./sample.ts";

/** One answer, as far as it has come. Views are valid within the evaluation. */
export type CheckAnswer = {
  /** The bytes as they came. */
  payload(): Uint8Array;
  /** HTTP: code of the status line; undefined = it has not come. */
  status(): number | undefined;
  /** HTTP: `1.1`; "" = it has not come. */
  version(): string;
  /** HTTP: what stands behind the colon, of each line of that name, in order. Any case. */
  headers(name: string): readonly string[];
  /** HTTP: the body, as far as it has come, without its encoding in chunks. */
  body(): Uint8Array;
  /** A variable by its name with the scope: `check.port`. */
  variable(name: string): Sample | undefined;
};
