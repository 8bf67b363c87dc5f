/**
 * Lists of QUIC connections, asked of their workers page by page at the pace of whoever reads, like
 * those of streams (streams.ts); and their ids, as `show quic` writes and takes them: the worker's
 * number and the transport's number of the connection in one hexadecimal number.
 *
 *   0x  W…  CCCCCCCC     worker · connection
 */
import { ASK_STREAMS_MAX } from "../base/limits.ts";
import type { QuicDetail, QuicFilter, QuicRecord } from "../tables/questions.ts";
import { ANSWER_MS } from "./ask.ts";
import type { AskedPool } from "./ask.ts";

const CONNECTION_DIGITS = 8;

/** What names a connection. */
export type QuicName = { worker: number; connection: number };

/** `0x100000003`: lower case, the worker's digits without zeros in front. */
export function formatQuicId({ worker, connection }: QuicName): string {
  const low = (connection >>> 0).toString(16).padStart(CONNECTION_DIGITS, "0");
  return `0x${worker.toString(16)}${low}`;
}

/** Reads an id. @returns "unknown" for a number that none can have, undefined for no number */
export function parseQuicId(text: string): QuicName | "unknown" | undefined {
  const [, digits] = /^0x([0-9a-f]{1,16})$/iu.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const split = digits.length - CONNECTION_DIGITS;
  const worker = split <= 0 ? 0 : Number.parseInt(digits.slice(0, split), 16);
  const connection = Number.parseInt(digits.slice(Math.max(0, split)), 16);
  return worker > 0 && connection > 0 ? { worker, connection } : "unknown";
}

/** One page of one worker. */
export type QuicPage =
  | { kind: "connections"; worker: number; connections: QuicRecord[] }
  /** It did not answer in time: what it has is missing. */
  | { kind: "silent"; worker: number };

/**
 * All connections that match, by worker. Never rejects.
 * @param worker the only one to ask; undefined = all
 */
export async function* listQuic(
  { pool }: { pool: AskedPool },
  filter: QuicFilter,
  detail: QuicDetail,
  worker?: number,
  limitMs = ANSWER_MS,
): AsyncGenerator<QuicPage> {
  const workers = worker === undefined ? pool.serving() : [worker];
  for (const one of workers) {
    let from = 0;
    do {
      const limit = ASK_STREAMS_MAX;
      const told = await pool.ask(one, { kind: "quic", filter, from, limit, detail }, limitMs);
      if (told.kind === "silent") yield { kind: "silent", worker: one };
      if (told.kind !== "answer") break;
      const { connections, next } = told.answer;
      if (connections.length > 0) yield { kind: "connections", worker: one, connections };
      from = next;
    } while (from !== 0);
  }
}
