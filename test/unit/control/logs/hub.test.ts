import { describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";

import { parseIpv4 } from "../../../../src/base/address.ts";
import type { Clock } from "../../../../src/base/clock.ts";
import { LogHub } from "../../../../src/control/logs/hub.ts";
import { proxyStopped } from "../../../../src/control/logs/sentences.ts";
import { Model, type ProxyObject } from "../../../../src/control/model.ts";
import {
  LOG_FLAG_ASAP,
  LOG_FLAG_ERROR,
  LOG_FLAG_REDISPATCHED,
  LOG_KIND_SESSION_ERROR,
  LOG_KIND_STREAM_END,
} from "../../../../src/tables/generated/enums.ts";
import * as log from "../../../../src/tables/generated/stream-log.ts";
import type { Plan } from "../../../../src/tables/spec.ts";
import { Table, type Tables } from "../../../../src/tables/tables.ts";
import { CONN_PRX_BAD_HDR } from "../../../../src/wire/connection-error.ts";
import { loadText } from "../../config/load-text.ts";

process.env["TZ"] = "UTC";

const MICROS = 1_795_256_080_276_632;
const clock: Clock = { nowMs: () => 0, epochMicros: () => MICROS };

/** Loads a configuration that logs to a receiver of this test. */
async function planFor(port: number, front: string, global = ""): Promise<Plan> {
  const text = `global
    log 127.0.0.1:${port} local0
    ${global}
defaults
    mode tcp
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend front
    bind 127.0.0.1:8000 name lis id 7
    log 127.0.0.1:${port} local0
    ${front}
    default_backend back
backend back
    log 127.0.0.1:${port} local1
    server s1 127.0.0.1:9000
`;
  const { plan, messages } = await loadText(text);
  if (plan === null) throw new Error(JSON.stringify(messages));
  return plan;
}

function modelOf(plan: Plan): Model {
  // The hub asks the model for names only, never for the tables.
  const model = new Model(plan, {} as Tables);
  plan.proxies.forEach((spec, index) => {
    const proxy: ProxyObject = {
      row: 80 * (index + 1),
      generation: 1,
      version: 1,
      isDynamic: false,
      spec,
      servers: [],
      serversByName: new Map(),
      serversById: new Map(),
      freeServerId: 1,
      listeners: [],
    };
    model.addProxy(proxy);
    for (const bind of spec.binds) {
      const common = { row: 16, generation: 1, version: 1, isDynamic: false };
      model.addListener({ ...common, frontend: proxy, spec: bind, fds: [] });
    }
    for (const server of spec.servers) {
      const common = { row: 32, generation: 5, version: 1, isDynamic: false };
      model.addServer({ ...common, backend: proxy, spec: server, configured: server });
    }
  });
  return model;
}

/** A record as a worker writes it. */
function record(changes: Partial<Record<keyof typeof log, number>> = {}): Table {
  const table = new Table(new SharedArrayBuffer(4 * log.STREAM_LOG_STRIDE));
  const { words, floats } = table;
  const set = (offset: number, value: number): void => void (words[offset] = value);
  set(log.STREAM_LOG_KIND, LOG_KIND_STREAM_END);
  set(log.STREAM_LOG_FRONT_ROW, 80);
  set(log.STREAM_LOG_FRONT_GENERATION, 1);
  set(log.STREAM_LOG_LISTENER_ROW, 16);
  set(log.STREAM_LOG_BACK_ROW, 160);
  set(log.STREAM_LOG_BACK_GENERATION, 1);
  set(log.STREAM_LOG_SERVER_ROW, 32);
  set(log.STREAM_LOG_SERVER_GENERATION, 5);
  floats[log.STREAM_LOG_ACCEPTED_AT_MICROS >> 1] = MICROS - 1_000_000;
  floats[log.STREAM_LOG_BYTES_UP >> 1] = 3;
  floats[log.STREAM_LOG_BYTES_DOWN >> 1] = 2 ** 40;
  set(log.STREAM_LOG_WAIT_MS, 1);
  set(log.STREAM_LOG_CONNECT_MS, 2);
  set(log.STREAM_LOG_TOTAL_MS, 153);
  set(log.STREAM_LOG_TERMINATION, (0x2d << 8) | 0x2d);
  set(log.STREAM_LOG_PROCESS_CURRENT, 7);
  set(log.STREAM_LOG_FRONT_CURRENT, 6);
  set(log.STREAM_LOG_BACK_CURRENT, 5);
  set(log.STREAM_LOG_SERVER_CURRENT, 4);
  set(log.STREAM_LOG_SERVER_QUEUE, 3);
  set(log.STREAM_LOG_BACK_QUEUE, 2);
  set(log.STREAM_LOG_UNIQUE_COUNTER, 17);
  set(log.STREAM_LOG_CLIENT_FAMILY, 4);
  set(log.STREAM_LOG_CLIENT_PORT, 47_694);
  set(log.STREAM_LOG_CLIENT_ADDRESS, parseIpv4("192.0.2.7"));
  set(log.STREAM_LOG_DESTINATION_FAMILY, 4);
  set(log.STREAM_LOG_DESTINATION_PORT, 8000);
  set(log.STREAM_LOG_DESTINATION_ADDRESS, parseIpv4("192.0.2.1"));
  set(log.STREAM_LOG_WORKER, 1);
  for (const [name, value] of Object.entries(changes)) {
    const offset = log[name as keyof typeof log];
    if (typeof offset === "number") set(offset, value);
  }
  return table;
}

type Run = { front?: string; global?: string; records: Table[]; after?: (hub: LogHub) => void };

/** Datagrams that a run leaves behind. */
async function logOf(run: Run): Promise<string[]> {
  const receiver = createSocket("udp4");
  await new Promise<void>((resolve) => receiver.bind(0, "127.0.0.1", resolve));
  const seen: string[] = [];
  receiver.on("message", (bytes) => seen.push(bytes.toString()));
  const plan = await planFor(receiver.address().port, run.front ?? "", run.global);
  const model = modelOf(plan);
  const hub = new LogHub({ plan, model, clock, random32: () => 1, warn: () => undefined });
  for (const ring of run.records) hub.handle(ring, 0);
  run.after?.(hub);
  hub.logGlobal(5, "END");
  hub.flush();
  while (!seen.at(-1)?.includes("END")) await new Promise((resolve) => setImmediate(resolve));
  hub.close();
  receiver.close();
  return seen.slice(0, -1).map((line) => line.trimEnd().replace(`[${process.pid}]`, "[PID]"));
}

const HEAD = "<134>Nov 21 10:14:40 haproxy[PID]: ";
const START = "192.0.2.7:47694 [21/Nov/2026:10:14:39.276]";

describe("lines of streams", () => {
  test("option tcplog", async () => {
    expect(await logOf({ front: "option tcplog", records: [record()] })).toEqual([
      `${HEAD}${START} front back/s1 1/2/153 1099511627776 -- 7/6/5/4/0 3/2`,
    ]);
  });
  test("no server, an error, a redispatch, as soon as possible", async () => {
    const records = [
      record({
        STREAM_LOG_SERVER_ROW: 0,
        STREAM_LOG_TERMINATION: (0x53 << 8) | 0x43,
        STREAM_LOG_WAIT_MS: -1,
        STREAM_LOG_CONNECT_MS: -1,
        STREAM_LOG_SERVER_CURRENT: 0,
        STREAM_LOG_FLAGS: LOG_FLAG_ERROR,
      }),
      record({ STREAM_LOG_RETRIES: 2, STREAM_LOG_FLAGS: LOG_FLAG_REDISPATCHED }),
      record({ STREAM_LOG_FLAGS: LOG_FLAG_ASAP }),
      record({ STREAM_LOG_BACK_ROW: 0, STREAM_LOG_SERVER_ROW: 0 }),
      // Its slot belongs to another server now.
      record({ STREAM_LOG_SERVER_GENERATION: 4 }),
    ];
    const lines = await logOf({ front: "option tcplog\n option log-separate-errors", records });
    expect(lines).toEqual([
      `<131>${HEAD.slice(5)}${START} front back/<NOSRV> -1/-1/153 1099511627776 SC 7/6/5/0/0 3/2`,
      `${HEAD}${START} front back/s1 1/2/153 1099511627776 -- 7/6/5/4/+2 3/2`,
      `${HEAD}${START} front back/s1 1/2/+153 +1099511627776 -- 7/6/5/4/0 3/2`,
      `${HEAD}${START} front front/<NOSRV> 1/2/153 1099511627776 -- 7/6/5/4/0 3/2`,
      `${HEAD}${START} front back/<removed> 1/2/153 1099511627776 -- 7/6/5/4/0 3/2`,
    ]);
  });
  test("the default format, and a unix client", async () => {
    const unix = record({ STREAM_LOG_CLIENT_FAMILY: 1, STREAM_LOG_DESTINATION_FAMILY: 1 });
    expect(await logOf({ records: [record(), unix] })).toEqual([
      `${HEAD}Connect from 192.0.2.7:47694 to 192.0.2.1:8000 (front/TCP)`,
      `${HEAD}Connect to unix:7 (front/TCP)`,
    ]);
  });
  test("a format of one's own, with id and counter", async () => {
    const front = `log-format "%ID %lc %[fe_id] %[srv_name] %{+X}ci %Td %[fc_err]"
    unique-id-format %{+X}o%ci-%rt`;
    expect(await logOf({ front, records: [record(), record()] })).toEqual([
      `${HEAD}C0000207-0011 0 1 s1 C0000207 150 0`,
      `${HEAD}C0000207-0011 1 1 s1 C0000207 150 0`,
    ]);
  });
  test("connections that fail before they are streams", async () => {
    const failed = record({
      STREAM_LOG_KIND: LOG_KIND_SESSION_ERROR,
      STREAM_LOG_TERMINATION: CONN_PRX_BAD_HDR,
      STREAM_LOG_BACK_ROW: 0,
      STREAM_LOG_SERVER_ROW: 0,
    });
    expect(await logOf({ front: "option tcplog", records: [failed] })).toEqual([
      `${HEAD}${START} front/lis: Received an invalid PROXY protocol header`,
    ]);
    const front = 'option tcplog\n error-log-format "%ci %[fc_err] %[fc_err_str]"';
    expect(await logOf({ front, records: [failed] })).toEqual([
      `${HEAD}192.0.2.7 16 Received an invalid PROXY protocol header`,
    ]);
  });
  test("tag and host name", async () => {
    const global = "log-tag edge\n log-send-hostname box";
    const lines = await logOf({ front: "option tcplog", global, records: [record()] });
    expect(lines[0]).toStartWith("<134>Nov 21 10:14:40 box edge[PID]: ");
  });
});

describe("sentences", () => {
  test("go to the log lines of their proxy", async () => {
    const lines = await logOf({
      records: [],
      after: (hub) => {
        const [, back] = (hub as unknown as { options: { model: Model } }).options.model.proxies;
        if (back !== undefined) hub.logProxy(back, proxyStopped("back", 1, 2));
      },
    });
    expect(lines).toEqual([
      "<140>Nov 21 10:14:40 haproxy[PID]: Proxy back stopped (cumulated conns: FE: 1, BE: 2).",
    ]);
  });
});

test("a sink that cannot be, and lines that are lost, are told", async () => {
  const plan = await planFor(1, "");
  const proxy = plan.proxies.find(({ logs }) => logs.length > 0);
  const target = proxy?.logs[0];
  if (proxy === undefined || target === undefined) throw new Error("no log line");
  const long = `/${"x".repeat(200)}`;
  proxy.logs = [{ ...target, sink: { kind: "unix", path: long } }];
  plan.global.logs = [{ ...target, sink: { kind: "unix", path: "/nonexistent/log" } }];
  const told: string[] = [];
  const warn = (text: string): void => void told.push(text);
  const hub = new LogHub({ plan, model: modelOf(plan), clock, random32: () => 1, warn });
  hub.logGlobal(5, "nobody reads this");
  hub.flush();
  hub.close();
  expect(told).toHaveLength(2);
  expect(told[0]).toMatch(/^log : '.*xxx' cannot be used: .* \[SLC_LOG_SINK\]$/);
  expect(told[1]).toBe(
    "1 log lines were lost; so far by /nonexistent/log (1) [SLC_LOG_LINES_LOST]",
  );
});
