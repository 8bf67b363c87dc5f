/**
 * Log lines to standard output, standard error or any inherited descriptor, without waiting and
 * without changing the descriptor, which others share: it is asked first whether it takes data,
 * and then given at most what a pipe is bound to take at once. Control thread.
 */
import { writeSync } from "node:fs";

import { startTimer, type Ticker } from "../../base/clock.ts";
import { logLibc } from "./log-libc.ts";
import { Batch, LineQueue, type LogSink, RETRY_MS } from "./sink.ts";

/** PIPE_BUF: a pipe that polls as writable takes this much without waiting. */
const PIECE_BYTES = 4096;

/** Writes lines to one descriptor. */
export class DescriptorSink implements LogSink {
  readonly name: string;
  dropped = 0;
  private readonly fd: number;
  private readonly queue = new LineQueue();
  /** Taken from the queue and not wholly written. */
  private batch: Batch | undefined;
  private retry: Ticker | undefined;
  private isBroken = false;

  constructor(fd: number) {
    this.fd = fd;
    this.name = fd === 1 ? "stdout" : fd === 2 ? "stderr" : `fd@${fd}`;
  }

  write(line: string): void {
    if (this.isBroken || !this.queue.push(line)) this.dropped++;
  }

  flush(): void {
    if (this.retry !== undefined) return;
    this.send();
  }

  private send(): void {
    while (this.batch !== undefined || this.queue.length > 0) {
      if (!logLibc().isWritable(this.fd)) {
        this.retry = startTimer(RETRY_MS, () => {
          this.retry = undefined;
          this.send();
        });
        return;
      }
      if (!this.sendPiece()) return;
    }
  }

  /** Writes one piece: as many whole lines as fit, or a part of a long one. */
  private sendPiece(): boolean {
    const batch = this.batch ?? this.gather();
    this.batch = batch;
    const piece = batch.rest;
    try {
      const written = writeSync(this.fd, piece, 0, Math.min(piece.length, PIECE_BYTES));
      if (batch.advance(written)) this.batch = undefined;
      return true;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EAGAIN") {
        // Somebody has made it non-blocking: wait like for a full pipe.
        this.retry = startTimer(RETRY_MS, () => {
          this.retry = undefined;
          this.send();
        });
        return false;
      }
      // Its reader is gone for good.
      this.isBroken = true;
      this.drop();
      return false;
    }
  }

  /** Counts everything that is not wholly written as lost. */
  private drop(): void {
    this.dropped += this.queue.clear() + (this.batch?.linesLeft ?? 0);
    this.batch = undefined;
  }

  private gather(): Batch {
    const first = this.queue.peek() ?? "";
    this.queue.shift();
    const parts = [Buffer.from(`${first}\n`)];
    let bytes = parts[0]?.length ?? 0;
    for (let line = this.queue.peek(); line !== undefined; line = this.queue.peek()) {
      const next = Buffer.from(`${line}\n`);
      if (bytes + next.length > PIECE_BYTES) break;
      parts.push(next);
      bytes += next.length;
      this.queue.shift();
    }
    return new Batch(parts);
  }

  close(): void {
    this.stopRetry();
    this.send();
    this.stopRetry();
    this.drop();
  }

  private stopRetry(): void {
    this.retry?.stop();
    this.retry = undefined;
  }
}
