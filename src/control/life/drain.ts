/**
 * `del server … after-drain <delay> [then-kill]`: the whole way out of a server in one command, a
 * line for each step. Drain first, so that streams may end by themselves; then maintenance, and
 * with `then-kill` their end; then the removal. Stops cleanly when its client leaves: what was done
 * stays, and is said. So it does when somebody else removes the server first. Main thread.
 */
import { startTimer } from "../../base/clock.ts";
import { Refusal } from "../../base/refusals.ts";
import { SERVER_SERVED } from "../../tables/generated/server.ts";
import type { LifeControl } from "../control.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";
import { holderClause, serverHolders } from "./holders.ts";
import { removeServer } from "./servers.ts";
import { lookAtServer, waitRemovable } from "./wait.ts";
import { watch } from "./watches.ts";

/** What the sequence does to the server's state: the same functions as `set server … state`. */
export type DrainSteps = {
  drain(server: ServerObject): void;
  maintain(server: ServerObject): void;
};

export type DrainOrder = {
  server: ServerObject;
  delayMs: number;
  kills: boolean;
  gone: AbortSignal;
};

/** How long streams that were shut down may take to be gone, ms. */
const KILLED_MS = 5000;

/** Does it. Yields progress lines; the last one says how it ended. @throws Refusal */
export async function* drainAndDelete(
  control: LifeControl,
  steps: DrainSteps,
  order: DrainOrder,
): AsyncGenerator<string> {
  const { server, delayMs, kills, gone } = order;
  const name = serverName(server);
  const served = (): number => control.tables.servers.words[server.row + SERVER_SERVED]!;
  refuseGone(control, server);
  steps.drain(server);
  yield `${name}: draining, ${served()} streams, up to ${delayMs} ms\n`;
  const isIdle = await waitIdle(control, server, delayMs, gone);
  refuseGone(control, server);
  if (gone.aborted)
    return yield `Interrupted. ${name} stays in drain, ${served()} streams on it.\n`;
  if (!isIdle && !kills) {
    const holders = serverHolders(control, server).filter(({ kind }) => kind !== "state");
    const clause = holderClause(holders);
    throw new Refusal(
      "TIMEOUT",
      `Drain delay expired, ${name} stays in drain: ${clause}.`,
      holders,
    );
  }
  steps.maintain(server);
  yield `${name}: in maintenance, ${served()} streams\n`;
  if (served() > 0) {
    const ended = await control.pool.shutdown({ kind: "server", row: server.row }, "killed");
    yield `${name}: ${ended} streams shut down\n`;
  }
  const end = await waitRemovable(control, KILLED_MS, gone, () => {
    refuseGone(control, server);
    return lookAtServer(control, () => server);
  });
  refuseGone(control, server);
  if (end.kind === "interrupted") return yield `Interrupted. ${name} stays in maintenance.\n`;
  if (end.kind !== "done") {
    const text = `${end.reason} Held by: ${holderClause(end.held)}.`;
    throw new Refusal("IN_USE", text, end.held);
  }
  removeServer(control, server);
  yield "Server deleted.\n";
}

/** Is it there still? Its row may be another's once somebody else has removed it. */
function isThere({ model }: LifeControl, server: ServerObject): boolean {
  return model.serverByRow.get(server.row) === server;
}

/** @throws Refusal NO_SERVER when somebody else has removed it: nothing of it may be touched */
function refuseGone(control: LifeControl, server: ServerObject): void {
  if (!isThere(control, server)) throw new Refusal("NO_SERVER", "No such server.");
}

/**
 * Waits until nobody is on the server, or somebody else has removed it.
 * @returns whether that came before the delay was over
 */
async function waitIdle(
  control: LifeControl,
  server: ServerObject,
  delayMs: number,
  gone: AbortSignal,
): Promise<boolean> {
  const { words } = control.tables.servers;
  const isIdle = (): boolean =>
    !isThere(control, server) || Atomics.load(words, server.row + SERVER_SERVED) === 0;
  const unwatch = watch(control, server);
  const { promise, resolve } = Promise.withResolvers<void>();
  const unlisten = control.events.listen(() => {
    if (isIdle()) resolve();
  });
  const timer = startTimer(delayMs, resolve);
  const onGone = (): void => resolve();
  gone.addEventListener("abort", onGone);
  if (!isIdle() && !gone.aborted) await promise;
  gone.removeEventListener("abort", onGone);
  timer.stop();
  unlisten();
  unwatch();
  return isIdle();
}
