/** QUIC among the metrics: names, labels, and who gets them. */
import { expect, test } from "bun:test";

import { QuicAccount } from "../../../../src/conduit/quic/account.ts";
import * as transport from "../../../../src/conduit/quic/transport.ts";
import { QUIC_STAT_FIELDS } from "../../../../src/control/stats/quic-fields.ts";
import { metricsText } from "../../../../src/page/metrics/exposition.ts";
import { parseMetricsQuery } from "../../../../src/page/metrics/query.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import { readMetrics } from "../../../support/prometheus.ts";
import { quicBindSpec } from "../../../support/quic-specs.ts";

const CONFIG = `defaults d
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend f
  bind abns@sluice-quicmetrics-${process.pid}
  default_backend b
backend b
  server s1 127.0.0.1:1
`;

async function metricsOf(query: string): Promise<ReturnType<typeof readMetrics>> {
  const lab = await makeControlLab(CONFIG, {
    planned: ({ proxies }) => {
      proxies.find(({ name }) => name === "f")!.binds[0]!.quic = quicBindSpec();
    },
  });
  const { row } = lab.control.model.frontends.get("f")!;
  const account = new QuicAccount(lab.control.tables, 1, () => {});
  const last = new Float64Array(transport.QUIC_COUNTS + transport.QUIC_MOMENTS.length);
  last[transport.QUIC_NUMBERS.indexOf("packetsSent")] = 12;
  last[transport.QUIC_COUNTS + transport.QUIC_MOMENTS.indexOf("rttSmoothMicros")] = 2500;
  account.opened(row, true);
  account.count(row, true, last);
  account.closed(row, true, transport.CAUSE_APPLICATION, 0x10cn);
  account.released(row, true, last);
  return readMetrics([...metricsText(lab.control, parseMetricsQuery(query)!)].join(""));
}

test("sluice's own come always, for what speaks QUIC", async () => {
  const metrics = await metricsOf("scope=frontend&scope=backend");
  const open = metrics.get("sluice_frontend_quic_conn_open_total");
  expect(open).toEqual(
    expect.objectContaining({
      type: "counter",
      samples: [expect.objectContaining({ labels: { proxy: "f" }, value: 1 })],
    }),
  );
  expect(metrics.get("sluice_frontend_quic_conn_cur")?.type).toBe("gauge");
  expect(metrics.get("sluice_frontend_quic_rtt_avg_seconds")?.samples[0]?.value).toBe(0.0025);
  expect(metrics.get("sluice_frontend_quic_app_errors_total")?.samples).toEqual([
    expect.objectContaining({ labels: { proxy: "f", code: "0x10c" }, value: 1 }),
  ]);
  const names = [...metrics.keys()].filter((name) => name.includes("quic"));
  expect(names.filter((name) => !name.startsWith("sluice_frontend_"))).toEqual([]);
});

test("HAProxy's come when they are asked for, with its label", async () => {
  const metrics = await metricsOf("scope=frontend&extra-counters");
  expect(metrics.get("haproxy_frontend_quic_sent_pkt")?.samples).toEqual([
    expect.objectContaining({ labels: { proxy: "f", mod: "quic" }, value: 12 }),
  ]);
  const told = [...metrics.keys()].filter((name) => name.startsWith("haproxy_frontend_quic_"));
  const names = QUIC_STAT_FIELDS.filter(({ isHaproxys }) => isHaproxys).map(({ name }) => name);
  expect(told.every((name) => names.includes(name.slice("haproxy_frontend_".length)))).toBe(true);
  expect(told.length).toBeGreaterThan(25);
});

test("one can be asked for alone, and left out", async () => {
  const only = await metricsOf("scope=frontend&metrics=sluice_frontend_quic_conn_cur");
  expect([...only.keys()]).toEqual(["sluice_frontend_quic_conn_cur"]);
  const but = await metricsOf("scope=frontend&metrics=-sluice_frontend_quic_conn_cur");
  expect(but.has("sluice_frontend_quic_conn_cur")).toBe(false);
  expect(but.has("sluice_frontend_quic_conn_open_total")).toBe(true);
});
