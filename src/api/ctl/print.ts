/** What `sluice ctl` prints, complete however slow the reader is; a reader that left ends it. */
import { writeSync } from "node:fs";

import { sleepMs } from "../../base/clock.ts";

/** Pause before a full pipe is tried again, ms. */
const FULL_MS = 5;

/** Writes all of a text to standard output (1) or standard error (2). */
export async function print(fd: 1 | 2, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "";
      if (code !== "EAGAIN") process.exit(0);
      await sleepMs(FULL_MS);
    }
  }
}
