/**
 * Holders with what only the owners of streams know: which streams they are, how old, how much they
 * have carried. Asks all workers at once; a worker that is silent is said to be. Main thread.
 */
import { Refusal } from "../../base/refusals.ts";
import type { Holder } from "../../base/refusals.ts";
import { summarizeHolders } from "../ask.ts";
import type { WorkerHolders } from "../ask.ts";
import type { LifeControl } from "../control.ts";
import { serverName } from "../model.ts";
import type { ProxyObject, ServerObject } from "../model.ts";
import { formatStreamId } from "../stream-id.ts";
import { backendHolders, holderClause, serverHolders } from "./holders.ts";

/** An object's name, and who holds it. */
export type Explanation = { name: string; holders: Holder[] };

/** Streams of each worker that are told one by one. */
const EXAMPLES = 3;

/** Who holds a server or a backend, streams told one by one where there are few. */
export async function describeHolders(
  control: LifeControl,
  object: ProxyObject | ServerObject,
): Promise<Explanation> {
  const isServer = "backend" in object;
  const holders = isServer ? serverHolders(control, object) : backendHolders(control, object);
  const name = isServer ? serverName(object) : object.spec.name;
  const kind = isServer ? "server" : "backend";
  return { name, holders: await withAges(control, holders, kind, object.row, true) };
}

/** The same holders, streams with their age. @param isFull name the streams too */
async function withAges(
  control: LifeControl,
  holders: readonly Holder[],
  kind: "server" | "backend",
  row: number,
  isFull: boolean,
): Promise<Holder[]> {
  if (!holders.some((holder) => holder.kind === "stream")) return [...holders];
  const filter = kind === "server" ? { serverRow: row } : { backendRow: row };
  const workers = await summarizeHolders(control, filter, EXAMPLES);
  const byWorker = new Map(workers.map((one) => [one.worker, one]));
  return holders.flatMap((holder): Holder[] => {
    const told = holder.kind === "stream" ? byWorker.get(holder.worker ?? 0) : undefined;
    return told === undefined ? [holder] : [aged(holder, told, isFull)];
  });
}

function aged(holder: Holder, told: WorkerHolders, isFull: boolean): Holder {
  if (told.isSilent) return { ...holder, text: `${holder.text}, which does not answer` };
  const noun = told.count === 1 ? "stream" : "streams";
  const oldest = told.oldestMs < 0 ? "" : `, oldest ${Math.round(told.oldestMs / 1000)} s`;
  const streams = told.examples.map(({ worker, slot, generation, ageMs, bytesUp, bytesDown }) => {
    const id = formatStreamId({ worker, slot, generation });
    return `${id}: ${Math.round(ageMs / 1000)} s, ${bytesUp} bytes up, ${bytesDown} down`;
  });
  const list = isFull && streams.length > 0 ? ` (${streams.join("; ")})` : "";
  const text = `${told.count} ${noun} on worker ${told.worker}${oldest}${list}`;
  return { ...holder, text, count: told.count };
}

/** A refusal that says of each worker's streams how old the oldest is. */
export async function withStreamAges(
  control: LifeControl,
  refusal: Refusal,
  kind: "server" | "backend",
  row: number,
  sentence: string,
): Promise<Refusal> {
  const holders = await withAges(control, refusal.holders, kind, row, false);
  return new Refusal(refusal.code, `${sentence} Held by: ${holderClause(holders)}.`, holders);
}
