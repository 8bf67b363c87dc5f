/** What the runtime API, statistics and metrics say of outliers. */
import { expect, test } from "bun:test";

import { peakOf, samplePeak } from "../../../../src/balance/peak-ewma.ts";
import { OutlierDesk } from "../../../../src/control/outlier/desk.ts";
import { outlierMetrics } from "../../../../src/page/metrics/outliers.ts";
import type { MetricsQuery } from "../../../../src/page/metrics/query.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { feedServer, HandClock } from "../../../support/outlier-lab.ts";

const CONFIG = `
defaults
 timeout connect 1s
 timeout server 1s
backend b
 balance peak-ewma
 outlier-ejection interval 1s eject 30s
 server s1 127.0.0.1:1
 server s2 127.0.0.1:2 check
 server s3 127.0.0.1:3
backend plain
 server s1 127.0.0.1:4
`;

async function labWithEjection(): Promise<{ lab: ControlLab; clock: HandClock }> {
  const lab = await makeControlLab(CONFIG);
  const clock = new HandClock();
  const { control } = lab;
  const keeper = { ...control.keeper, nowMs: () => clock.nowMs };
  const outliers = new OutlierDesk(keeper, clock.startTimer);
  Object.assign(control, { outliers, clock: { nowMs: () => clock.nowMs, epochMicros: () => 0 } });
  for (const name of ["s1", "s2", "s3"]) {
    const failed = name === "s2" ? 40 : 0;
    feedServer(control.tables, lab.server(`b/${name}`).row, {
      attempts: 50,
      failed,
      firstByteMs: 2,
    });
  }
  // The ring of events begins with its first reader.
  await lab.ask("show events buf0");
  const { row, backend } = lab.server("b/s1");
  samplePeak(control.shop.lb, backend.row, row, 12.4, 1000);
  clock.advance(1000);
  return { lab, clock };
}

test("show outliers tells what was measured, and who is out why", async () => {
  const { lab, clock } = await labWithEjection();
  clock.advance(18_000);
  expect(await lab.ask("show outliers")).toBe(
    "b: judged every 1s, errors 50%, latency 300%, 50% out at most, decay 10s\n" +
      "  s1: connects in 2ms, 0 of 0 connections failed\n" +
      "  s2: ejected, 12s left (40 of 50 connections failed, more than 50%), 1 ejection\n" +
      "  s3: 0 of 0 connections failed\n",
  );
  const { reply } = await lab.run("show outliers b");
  expect(reply.kind === "pieces" ? null : reply.data).toEqual([
    {
      backend: "b",
      servers: [
        expect.objectContaining({ server: "s1", ejections: 0, ejected: null }),
        expect.objectContaining({
          server: "s2",
          ejections: 1,
          ejected: {
            reason: "40 of 50 connections failed, more than 50%",
            times: 1,
            leftMs: 12_000,
          },
        }),
        expect.objectContaining({ server: "s3" }),
      ],
    },
  ]);
  expect(await lab.ask("show outliers plain")).toContain("WRONG_STATE: It has neither");
});

test("under set anon on no name is told", async () => {
  const { lab } = await labWithEjection();
  await lab.ask("set anon on");
  const text = await lab.ask("show outliers");
  expect(text).not.toMatch(/\bs[123]\b|^b:/m);
});

test("why server says it, show stat and the log too", async () => {
  const { lab, clock } = await labWithEjection();
  expect(await lab.ask("why server b/s2")).toContain(
    ", ejected for another 30s (40 of 50 connections failed, more than 50%): ",
  );
  expect(await lab.ask("why server b/s1")).not.toContain("ejected");
  expect(await lab.ask("show events buf0")).toContain(" server-health b/s2 up, ejected\n");
  expect(lab.told).toContainEqual(expect.stringContaining("Server b/s2 is ejected for 30s"));
  clock.advance(30_000);
  expect(await lab.ask("why server b/s2")).not.toContain("ejected");
  expect(await lab.ask("show events buf0")).toEndWith(" server-health b/s2 up\n");
});

test("backends and servers that come at run time are watched, those that go are not", async () => {
  const lab = await makeControlLab(CONFIG.replace("defaults\n", "defaults d\n outlier-ejection\n"));
  const clock = new HandClock();
  const { control } = lab;
  const keeper = { ...control.keeper, nowMs: () => clock.nowMs };
  const desk = new OutlierDesk(keeper, clock.startTimer);
  desk.follow(control.events);
  const done = async (line: string): Promise<void> => {
    const { code, reply } = await lab.run(line);
    expect(`${code} ${reply.kind === "pieces" ? "" : reply.text}`).toStartWith("OK");
  };
  await done("add backend n from d mode tcp");
  await done("add server n/s1 127.0.0.1:9");
  lab.settle();
  clock.advance(10_000);
  const server = lab.server("n/s1");
  expect(desk.watchOf(server)?.count).toBe(0);
  // Another address is another machine.
  const { shop } = control;
  samplePeak(shop.lb, server.backend.row, server.row, 500, 0);
  const peak = (): number => peakOf(shop.lb, server.backend.row, server.row, 0);
  await done("set weight n/s1 10");
  expect(peak()).toBeGreaterThan(0);
  await done("set server n/s1 addr 127.0.0.7");
  expect(peak()).toBe(0);
  await done("del server n/s1");
  expect(desk.watchOf(server)).toBeUndefined();
  lab.settle();
  await done("del backend n");
  // Nothing of it is judged any more.
  clock.advance(60_000);
  expect(desk.watchOf(server)).toBeUndefined();
});

test("metrics are of watched servers only", async () => {
  const { lab } = await labWithEjection();
  const query = { wants: () => true } as unknown as MetricsQuery;
  const text = outlierMetrics(lab.control, query);
  expect(text).toContain('sluice_server_ejected{proxy="b",server="s2"} 1\n');
  expect(text).toContain('sluice_server_ejected{proxy="b",server="s1"} 0\n');
  expect(text).toContain('sluice_server_ejections_total{proxy="b",server="s2"} 1\n');
  expect(text).not.toContain("plain");
  const none = { wants: () => false } as unknown as MetricsQuery;
  expect(outlierMetrics(lab.control, none)).toBe("");
});
