/**
 * Which protocols are checked by a dialogue of their own, and which dialogue that is. Thread of
 * checks.
 */
import type { CheckEnvironment, CheckJob, Dialogue } from "../probe.ts";

/** The dialogue of one check; undefined: its program is none of these. */
export function dialogueFor(job: CheckJob, _environment: CheckEnvironment): Dialogue | undefined {
  switch (job.program.kind) {
    default:
      return undefined;
  }
}
