/** Records on their way from the rings to whoever formats them. */
import { expect, test } from "bun:test";

import { LogPump } from "../../../src/control/log-pump.ts";
import { STREAM_LOG_KIND } from "../../../src/tables/generated/stream-log.ts";
import { CONTROL_THREAD, ringBell } from "../../../src/tables/inbox.ts";
import { beginRecord, commitRecord } from "../../../src/tables/log-ring.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";

function makeTables(): Tables {
  const one = { proxies: 1, listeners: 1, servers: 1, queueEntries: 1, arenaWords: 16 };
  return new Tables(reserveTables({ workers: 1, ...one }));
}

function put(tables: Tables, kind: number): void {
  const { words } = tables.perWorker[0]!.logRing;
  words[beginRecord(words) + STREAM_LOG_KIND] = kind;
  commitRecord(words);
}

test("a record that cannot be handled is told once, and the ones behind it are handled", async () => {
  // Story: one exception in a format ended the log of the process.
  const tables = makeTables();
  const handled: number[] = [];
  const turns: (() => void)[] = [];
  const handle = (ring: { words: Int32Array }, row: number): void => {
    const kind = ring.words[row + STREAM_LOG_KIND]!;
    if (kind === 2) throw new Error("a format that fails");
    handled.push(kind);
  };
  const pump = new LogPump(
    tables,
    handle,
    () => {},
    (run) => void turns.push(run),
  );
  for (const kind of [1, 2, 3]) put(tables, kind);
  expect(() => pump.start()).toThrow("a format that fails");
  expect(handled).toEqual([1]);
  turns.shift()!();
  expect(handled).toEqual([1, 3]);
  put(tables, 4);
  ringBell(tables, CONTROL_THREAD);
  while (handled.length < 3) await new Promise((resolve) => setImmediate(resolve));
  expect(handled).toEqual([1, 3, 4]);
  expect(turns).toEqual([]);
});
