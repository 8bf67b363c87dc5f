/**
 * `show outliers`: what live connections say of the servers of backends that listen to it, by
 * `outlier-ejection` or `balance peak-ewma` (docs/outliers.md). A command of this program's own.
 */
import { peakOf } from "../../balance/peak-ewma.ts";
import type { Json } from "../../base/json.ts";
import { Refusal } from "../../base/refusals.ts";
import type { Control } from "../../control/control.ts";
import type { ProxyObject, ServerObject } from "../../control/model.ts";
import type { ServerWatch } from "../../control/outlier/desk.ts";
import { faultText, timeText } from "../../control/outlier/sentences.ts";
import { anonymName } from "../anonymize.ts";
import { output } from "../command.ts";
import type { Asker, Call, Command, Reply } from "../command.ts";
import { backendOf } from "../find.ts";

/** The commands. */
export const OUTLIER_COMMANDS: readonly Command[] = [
  {
    name: "show outliers",
    usage: "[<backend>]",
    summary: "show what live connections say of servers, and who is ejected for it",
    level: "operator",
    run: showOutliers,
  },
];

const listens = ({ spec }: ProxyObject): boolean =>
  spec.hasBack && (spec.outlier !== undefined || spec.balance.algorithm === "peak-ewma");

function showOutliers({ control, args, asker }: Call): Reply {
  const [name = ""] = args;
  const chosen = name === "" ? control.model.proxies : [backendOf(control.model, name)];
  const backends = chosen.filter(listens);
  if (name !== "" && backends.length === 0) {
    throw new Refusal("WRONG_STATE", "It has neither 'outlier-ejection' nor 'balance peak-ewma'.");
  }
  const told = backends.map((backend) => tellBackend(control, backend, asker));
  return output(
    told.map(({ text }) => text).join(""),
    told.map(({ data }) => data),
  );
}

function tellBackend(
  control: Control,
  backend: ProxyObject,
  asker: Asker,
): { text: string; data: Json } {
  const { spec } = backend;
  const name = anonymName(asker, spec.name);
  const { outlier, balance } = spec;
  const servers = backend.servers.map((server) => tellServer(control, server, asker));
  const rules: string[] = [];
  if (outlier !== undefined) {
    rules.push(`judged every ${timeText(outlier.intervalMs)}`);
    if (outlier.errorPercent > 0) rules.push(`errors ${outlier.errorPercent}%`);
    if (outlier.latencyPercent > 0) rules.push(`latency ${outlier.latencyPercent}%`);
    rules.push(`${outlier.ejectedPercentMax}% out at most`);
  }
  if (balance.algorithm === "peak-ewma") rules.push(`decay ${timeText(balance.decayMs)}`);
  const lines = servers.map(({ text }) => `  ${text}\n`);
  return {
    text: `${name}: ${rules.join(", ")}\n${lines.join("")}`,
    data: { backend: name, servers: servers.map(({ data }) => data) },
  };
}

function tellServer(
  control: Control,
  server: ServerObject,
  asker: Asker,
): { text: string; data: Json } {
  const { clock, shop, outliers } = control;
  const { backend, spec, row } = server;
  const now = clock.nowMs();
  const name = anonymName(asker, spec.name);
  const isTimed = backend.spec.balance.algorithm === "peak-ewma";
  const peakMs = isTimed ? peakOf(shop.lb, backend.row, row, now) : 0;
  const watch = outliers.watchOf(server);
  const parts: string[] = [];
  if (peakMs > 0) parts.push(`connects in ${timeText(peakMs)}`);
  if (watch !== undefined) parts.push(...watchParts(watch, now));
  const { ejection = null, measure = null, count = 0 } = watch ?? {};
  return {
    text: `${name}: ${parts.length === 0 ? "nothing is known yet" : parts.join(", ")}`,
    data: {
      server: name,
      connectMs: peakMs > 0 ? peakMs : null,
      attempts: measure?.attempts ?? null,
      errors: measure?.errors ?? null,
      firstByteMs: measure === null || measure.firstBytes === 0 ? null : measure.firstByteMs,
      firstBytes: measure?.firstBytes ?? null,
      ejections: count,
      ejected:
        ejection === null
          ? null
          : {
              reason: faultText(ejection.fault),
              times: ejection.times,
              leftMs: Math.max(0, ejection.untilMs - now),
            },
    },
  };
}

function watchParts({ ejection, measure, count }: ServerWatch, now: number): string[] {
  const parts: string[] = [];
  if (ejection !== null) {
    const left = timeText(Math.max(0, ejection.untilMs - now));
    parts.push(`ejected, ${left} left (${faultText(ejection.fault)})`);
  }
  if (measure !== null && ejection === null) {
    parts.push(`${measure.errors} of ${measure.attempts} connections failed`);
    if (measure.firstBytes > 0) parts.push(`first byte after ${timeText(measure.firstByteMs)}`);
  }
  if (count > 0) parts.push(`${count} ${count === 1 ? "ejection" : "ejections"}`);
  return parts;
}
