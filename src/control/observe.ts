/**
 * `observe layer4` (manual 5.2): workers count the connections to a server that fail in a row
 * (data/connect/report.ts); at `error-limit` its check is told, which does what `on-error` says.
 * Main thread.
 */
import type { CheckDesk } from "./checks/desk.ts";
import type { Model } from "./model.ts";

/** What this needs of control. */
export type Observer = {
  readonly model: Pick<Model, "serverByRow">;
  readonly checks: Pick<CheckDesk, "reportErrors">;
};

/**
 * `count` connections in a row have failed on the server of a row, which may be another one by now.
 * @param generation of the row, as the worker knew it
 */
export function reportConnectErrors(
  { model, checks }: Observer,
  row: number,
  generation: number,
  count: number,
): void {
  const server = model.serverByRow.get(row);
  if (server === undefined || server.generation !== generation) return;
  // HAProxy's sentence.
  const last = "L4 unsuccessful connection";
  checks.reportErrors(server, `Detected ${count} consecutive errors, last one was: ${last}`);
}
