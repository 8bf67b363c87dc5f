/** Notes from other threads, as they come out of the inbox. */
import { unreachable } from "../base/assert.ts";
import { NOTE_GRANT, NOTE_LOST, NOTE_RESUME, NOTE_STARVED } from "../tables/inbox.ts";
import { resumeListeners } from "./accept/admission.ts";
import { checkDescriptors } from "./accept/descriptors.ts";
import { grantArrived, sweepGrants } from "./connect/choose.ts";
import type { Engine } from "./engine.ts";

/** Acts on one note. */
export function handleNote(engine: Engine, kind: number, a: number, b: number, c: number): void {
  switch (kind) {
    case NOTE_GRANT: {
      const stream = engine.streams[b];
      // A stream that has ended has left its entry: balance finds the grant stale.
      if (stream !== null && stream !== undefined && stream.generation === c) {
        grantArrived(stream, a);
      }
      return;
    }
    case NOTE_RESUME:
      resumeListeners(engine, a, b);
      return;
    case NOTE_STARVED:
      checkDescriptors(engine);
      return;
    case NOTE_LOST:
      sweepGrants(engine);
      resumeListeners(engine, 0, 0);
      return;
    default:
      unreachable("handleNote: notes have known kinds");
  }
}
