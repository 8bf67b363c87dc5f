/** Bulk of random bytes, both ways at once, arrives intact through one worker and through four. */
import { expect } from "bun:test";

import { residentBytesMax } from "../support/procs.ts";
import { startBulkServer } from "../support/traffic-bulk.ts";
import { e2e, listenOver, startSluice } from "./sluice.ts";

const BYTES = Number(process.env["SLUICE_TEST_BULK_BYTES"] ?? 2 ** 30);
const LIMIT_MS = 120_000;
/** Half of what passes. Usually it is a few megabytes; a starved collector lets it grow. */
const MEMORY_BYTES_MAX = Math.max(BYTES, 512 * 2 ** 20);

for (const workers of [1, 4]) {
  e2e(
    `1 GiB each way at once is intact, ${workers} workers`,
    async () => {
      await using server = startBulkServer();
      await using sluice = await startSluice(listenOver([server.port]), { workers });
      await server.exchange(sluice.port, BYTES, LIMIT_MS);
      expect(residentBytesMax(sluice.pid)).toBeLessThan(MEMORY_BYTES_MAX);
    },
    LIMIT_MS,
  );
}
