/** Metrics of `outlier-ejection`: only servers of backends that ask for it have them. */
import type { Control } from "../../control/control.ts";
import type { ServerWatch } from "../../control/outlier/desk.ts";
import type { MetricsQuery } from "./query.ts";
import { escapeLabel, headText } from "./text.ts";

const FAMILIES = [
  {
    name: "sluice_server_ejected",
    type: "gauge",
    help: "1 while the server is left alone for doing worse than its peers",
    read: ({ ejection }: ServerWatch) => (ejection === null ? 0 : 1),
  },
  {
    name: "sluice_server_ejections_total",
    type: "counter",
    help: "Times that the server was ejected",
    read: ({ count }: ServerWatch) => count,
  },
] as const;

/** Their text; empty where no backend asks for it. */
export function outlierMetrics({ model, outliers }: Control, query: MetricsQuery): string {
  const watched = model.proxies
    .filter(({ spec }) => spec.hasBack && spec.outlier !== undefined)
    .flatMap(({ servers }) => servers);
  if (watched.length === 0) return "";
  let text = "";
  for (const { name, type, help, read } of FAMILIES) {
    if (!query.wants(name)) continue;
    text += headText(name, type, help);
    for (const server of watched) {
      const watch = outliers.watchOf(server);
      if (watch === undefined) continue;
      const labels =
        `proxy="${escapeLabel(server.backend.spec.name)}",` +
        `server="${escapeLabel(server.spec.name)}"`;
      text += `${name}{${labels}} ${read(watch)}\n`;
    }
  }
  return text;
}
