import { expect, test } from "bun:test";

import { INFO_FIELDS } from "../../../../src/control/stats/info.ts";
import { FAMILIES, PROCESS_FAMILIES, SCOPES } from "../../../../src/page/metrics/families.ts";
import { parseMetricsQuery } from "../../../../src/page/metrics/query.ts";
import { escapeHelp, escapeLabel, numberText } from "../../../../src/page/metrics/text.ts";
import { readMetrics } from "../../../support/prometheus.ts";

test("labels and helps hold any text", () => {
  const text = 'a"b\\c\nd';
  const line = `# HELP x ${escapeHelp(text)}\n# TYPE x gauge\nx{l="${escapeLabel(text)}"} 1\n`;
  expect(readMetrics(line).get("x")?.samples[0]?.labels).toEqual({ l: text });
});

test("numbers as Go reads them", () => {
  expect([1, 0.25, 1e21, -1, NaN, Infinity, -Infinity].map(numberText)).toEqual([
    "1",
    "0.25",
    "1e+21",
    "-1",
    "NaN",
    "+Inf",
    "-Inf",
  ]);
});

test("scopes and names are chosen as with HAProxy's exporter", () => {
  const scopes = (query: string): string =>
    [...(parseMetricsQuery(query)?.scopes ?? ["?"])].join(" ");
  const all = "global frontend listener backend server";
  expect(scopes("")).toBe(all);
  expect(scopes("scope=server")).toBe("server");
  expect(scopes("scope=frontend&scope=backend")).toBe("frontend backend");
  expect(scopes("scope=*&scope=")).toBe("");
  expect(scopes("scope=&scope=global")).toBe("global");
  expect(scopes("scope=%2A")).toBe(all);
  expect(scopes("scope=sticktable")).toBe("");
  expect(scopes("scope=kitchen")).toBe("?");
  expect(parseMetricsQuery("no-maint=empty")?.noMaint).toBe(true);
  expect(parseMetricsQuery("desc-labels")?.withDescriptions).toBe(true);
  const but = parseMetricsQuery("metrics=-haproxy_server_check_status");
  expect(but?.wants("haproxy_server_check_status")).toBe(false);
  expect(but?.wants("haproxy_server_status")).toBe(true);
  const only = parseMetricsQuery("metrics=haproxy_frontend_status,haproxy_server_status");
  expect(only?.wants("haproxy_server_status")).toBe(true);
  expect(only?.wants("haproxy_backend_status")).toBe(false);
});

test("names are unique, and counters end in _total but where HAProxy's do not", () => {
  const names = SCOPES.flatMap((scope) =>
    FAMILIES[scope].map(({ name, type }) => ({ name: `haproxy_${scope}_${name}`, type })),
  );
  const all = [...names, ...PROCESS_FAMILIES];
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  const odd = all.filter(({ name, type }) => (type === "counter") !== name.endsWith("_total"));
  expect(odd.map(({ name }) => name)).toEqual(
    ["haproxy_process_pipes_free_total", "haproxy_process_failed_resolutions"].filter((name) =>
      odd.some((one) => one.name === name),
    ),
  );
});

test("every figure of the process is a field of show info", () => {
  const known = new Set(INFO_FIELDS.map(({ name }) => name));
  expect(PROCESS_FAMILIES.filter(({ field }) => !known.has(field))).toEqual([]);
});

test("the reader of the tests refuses what Prometheus refuses", () => {
  const head = "# HELP a x\n# TYPE a counter\n";
  for (const bad of [
    `${head}a 1`,
    `${head}b 1\n`,
    `${head}a{x=1} 1\n`,
    `${head}a{x="1",x="2"} 1\n`,
    `${head}a one\n`,
    `${head}a 1\na 2\n`,
    `${head}a -1\n`,
    `${head}a{x="\n"} 1\n`,
    `# TYPE a counter\na 1\n`,
    `${head}a 1\n# HELP b x\n# TYPE b gauge\nb 1\n# HELP a x\n# TYPE a counter\n`,
    head,
  ]) {
    expect(() => readMetrics(bad)).toThrow();
  }
});
