/** What the last second was like, and what has happened since counters were cleared. */
import { describe, expect, test } from "bun:test";

import { ACTIVITY, Activity } from "../../../../src/control/stats/activity.ts";
import { uptimeText } from "../../../../src/control/stats/info.ts";
import { Sampler } from "../../../../src/control/stats/sampler.ts";
import { PROCESS_WORKER_COUNT } from "../../../../src/tables/generated/process.ts";
import * as worker from "../../../../src/tables/generated/worker.ts";
import { reserveTables, Tables } from "../../../../src/tables/tables.ts";

const sizes = { proxies: 1, listeners: 1, servers: 1, queueEntries: 1, arenaWords: 16 };

function makeTables(): Tables {
  const tables = new Tables(reserveTables({ workers: 2, ...sizes }));
  tables.process.words[PROCESS_WORKER_COUNT] = 2;
  return tables;
}

function add(tables: Tables, number: number, field: number, value: number): void {
  const at = (number * worker.WORKER_STRIDE + field) >> 1;
  tables.workers.floats[at] = tables.workers.floats[at]! + value;
}

describe("the sampler", () => {
  test("knows CPU and bytes of the time between its last two looks", () => {
    const tables = makeTables();
    let nowMs = 0;
    const sampler = new Sampler(tables, () => nowMs);
    expect([sampler.idlePercent(), sampler.bytesOutRate()]).toEqual([100, 0]);
    nowMs = 2000;
    add(tables, 1, worker.WORKER_CPU_MICROS, 1_000_000);
    add(tables, 2, worker.WORKER_BYTES_OUT, 5000);
    sampler.sample();
    expect(sampler.busyShare(1)).toBe(0.5);
    expect([sampler.idlePercent(), sampler.bytesOutRate()]).toEqual([75, 2500]);
    nowMs = 3000;
    sampler.sample();
    expect([sampler.idlePercent(), sampler.bytesOutRate()]).toEqual([100, 0]);
  });

  test("takes a replaced worker, whose time begins anew, for idle", () => {
    const tables = makeTables();
    let nowMs = 0;
    const sampler = new Sampler(tables, () => nowMs);
    add(tables, 1, worker.WORKER_CPU_MICROS, 9e6);
    nowMs = 1000;
    sampler.sample();
    expect(sampler.busyShare(1)).toBe(1);
    add(tables, 1, worker.WORKER_CPU_MICROS, -9e6);
    nowMs = 2000;
    sampler.sample();
    expect(sampler.idlePercent()).toBe(100);
  });
});

describe("activity", () => {
  test("counts from the last clearing on, gauges stay", () => {
    const tables = makeTables();
    const activity = new Activity(tables);
    const at = (name: string): number => ACTIVITY.findIndex((metric) => metric.name === name);
    add(tables, 1, worker.WORKER_ACCEPTED, 5);
    tables.workers.words[2 * worker.WORKER_STRIDE + worker.WORKER_STREAMS] = 3;
    expect(activity.read(at("accepted"))).toEqual([5, 0]);
    activity.clear();
    add(tables, 2, worker.WORKER_ACCEPTED, 2);
    expect(activity.read(at("accepted"))).toEqual([0, 2]);
    expect(activity.read(at("streams"))).toEqual([0, 3]);
  });
});

describe("uptime", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0d 0h00m00s"],
    [59.9, "0d 0h00m59s"],
    [3661, "0d 1h01m01s"],
    [2 * 86_400 + 23 * 3600 + 59, "2d 23h00m59s"],
  ];
  for (const [seconds, text] of cases) {
    test(text, () => expect(uptimeText(seconds)).toBe(text));
  }
});
