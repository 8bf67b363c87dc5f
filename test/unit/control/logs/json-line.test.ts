import { expect, test } from "bun:test";

import { JsonLog } from "../../../../src/control/logs/json-line.ts";
import type { RecordContext } from "../../../../src/control/logs/record-context.ts";
import {
  LOG_KIND_SESSION_ERROR,
  LOG_KIND_STREAM_END,
} from "../../../../src/tables/generated/enums.ts";
import { fakeContext } from "../../expr/fake-context.ts";

const clock = { nowMs: () => 0, epochMicros: () => 1_795_256_080_276_632 };

function contextOf(kind: number): RecordContext {
  const answers = fakeContext({
    addresses: { client: "2001:db8::7" },
    ports: { client: 4711 },
    texts: { fe_name: "front", be_name: "back", srv_name: "s1", so_name: "lis" },
    integers: { bytes_in: 3, bytes_out: 5, "fc.timer.total": 12, "bc.timer.connect": 1 },
  });
  const rest = { kind: () => kind, errorCode: () => 16, word: () => 0 };
  return { ...answers, ...rest } as unknown as RecordContext;
}

function collect(level: "info" | "warning" | "error" = "info"): { log: JsonLog; lines: string[] } {
  const lines: string[] = [];
  const sink = {
    name: "test",
    dropped: 0,
    write: (line: string) => void lines.push(line),
    flush: () => undefined,
    close: () => undefined,
  };
  return { log: new JsonLog(sink, clock, level), lines };
}

const ENDED = {
  level: "info",
  time: "2026-11-21T10:14:40.276Z",
  pid: process.pid,
  frontend: "front",
  listener: "lis",
  client: "[2001:db8::7]:4711",
  backend: "back",
  server: "s1",
  bytesUp: 3,
  bytesDown: 5,
  waitMs: 0,
  connectMs: 1,
  totalMs: 12,
  termination: "--",
  retries: 0,
  redispatched: false,
  connections: 0,
  msg: "stream ended",
};

test("a stream and a refused connection, before and after pino is there", async () => {
  const { log, lines } = collect();
  log.stream(contextOf(LOG_KIND_STREAM_END), undefined);
  expect(lines).toEqual([]);
  while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
  log.stream(contextOf(LOG_KIND_STREAM_END), "id-1");
  log.stream(contextOf(LOG_KIND_SESSION_ERROR), undefined);
  const objects = lines.map((line): unknown => JSON.parse(line));
  expect(objects).toEqual([
    ENDED,
    { ...ENDED, uniqueId: "id-1" },
    {
      level: "warn",
      time: ENDED.time,
      pid: process.pid,
      frontend: "front",
      listener: "lis",
      client: "[2001:db8::7]:4711",
      error: "Received an invalid PROXY protocol header",
      msg: "connection refused",
    },
  ]);
});

test("an end before pino is there loses nothing and looks the same", () => {
  const { log, lines } = collect();
  log.stream(contextOf(LOG_KIND_STREAM_END), undefined);
  log.close();
  expect(lines.map((line): unknown => JSON.parse(line))).toEqual([ENDED]);
});

test("the level of the process holds", async () => {
  const { log, lines } = collect("warning");
  log.stream(contextOf(LOG_KIND_STREAM_END), undefined);
  log.stream(contextOf(LOG_KIND_SESSION_ERROR), undefined);
  while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(lines.length).toBe(1);
});
