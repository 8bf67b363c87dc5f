/**
 * How many QUIC connections a server has, in its shared row and in this worker's share of it:
 * control takes a dead worker's share off the row.
 */
import {
  SERVER_QUIC_IDLE,
  SERVER_QUIC_OPEN,
  SERVER_STRIDE,
} from "../../tables/generated/server.ts";
import { SHARE_QUIC_IDLE, SHARE_QUIC_OPEN, SHARE_STRIDE } from "../../tables/generated/share.ts";
import type { Tables } from "../../tables/tables.ts";

/** One connection more (1) or less (-1) to a server. This worker's thread, or who buries it. */
export function countServerOpen(tables: Tables, worker: number, row: number, change: number): void {
  Atomics.add(tables.servers.words, row + SERVER_QUIC_OPEN, change);
  addShare(tables, worker, row, SHARE_QUIC_OPEN, change);
}

/** One idle connection more or less. */
export function countServerIdle(tables: Tables, worker: number, row: number, change: number): void {
  Atomics.add(tables.servers.words, row + SERVER_QUIC_IDLE, change);
  addShare(tables, worker, row, SHARE_QUIC_IDLE, change);
}

function addShare(tables: Tables, worker: number, row: number, field: number, by: number): void {
  const { words } = tables.perWorker[worker - 1]!.shares;
  const at = (row / SERVER_STRIDE) * SHARE_STRIDE + field;
  words[at] = words[at]! + by;
}

/** Takes what a dead worker held of a server off its row. Control. */
export function buryServerPresence(tables: Tables, worker: number, row: number): void {
  const { words } = tables.perWorker[worker - 1]!.shares;
  const share = (row / SERVER_STRIDE) * SHARE_STRIDE;
  countServerOpen(tables, worker, row, -words[share + SHARE_QUIC_OPEN]!);
  countServerIdle(tables, worker, row, -words[share + SHARE_QUIC_IDLE]!);
}
