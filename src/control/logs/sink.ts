/**
 * Where log lines go, and what all sinks have in common: a bounded queue that drops and counts
 * when it is full, and never waits.
 *
 * ```
 *   write(line) ──▶ queue (≤ LOG_QUEUE_BYTES_MAX) ──▶ flush(): as much as the system takes now
 *                     │ full                         │ it takes no more
 *                     ▼                              ▼
 *                   dropped++                     try again in RETRY_MS
 * ```
 */
import { LOG_QUEUE_BYTES_MAX } from "../../base/limits.ts";

/** When the system takes no more, it is asked again after this long. */
export const RETRY_MS = 10;

/** One destination of lines. */
export interface LogSink {
  /** For messages about it: `udp 127.0.0.1:514`. */
  readonly name: string;
  /** Lines lost since the start. */
  readonly dropped: number;
  /** Takes one line, without its end; never waits, never throws. */
  write(line: string): void;
  /** Hands on what it can now. */
  flush(): void;
  /** Hands on what it can and lets go of descriptors. */
  close(): void;
}

/** A first-in first-out queue of lines, bounded in bytes. */
export class LineQueue {
  private lines: string[] = [];
  private head = 0;
  private units = 0;

  /** @returns false when there is no room: the line is lost */
  push(line: string): boolean {
    // One line always fits, however long, or it never would.
    if (this.units > 0 && this.units + line.length > LOG_QUEUE_BYTES_MAX) return false;
    this.lines.push(line);
    this.units += line.length;
    return true;
  }

  /** The oldest line, undefined when there is none. */
  peek(): string | undefined {
    return this.lines[this.head];
  }

  /** Removes the oldest line. */
  shift(): void {
    const line = this.lines[this.head];
    if (line === undefined) return;
    this.units -= line.length;
    this.head++;
    // Shifting an array costs its length: forget the front in large steps.
    if (this.head === this.lines.length) {
      this.lines = [];
      this.head = 0;
    } else if (this.head >= 1024) {
      this.lines = this.lines.slice(this.head);
      this.head = 0;
    }
  }

  /** Lines waiting. */
  get length(): number {
    return this.lines.length - this.head;
  }

  /** Removes all lines. @returns how many there were */
  clear(): number {
    const count = this.length;
    this.lines = [];
    this.head = 0;
    this.units = 0;
    return count;
  }
}

/** Lines joined for one write, which may take several: knows which of them are wholly written. */
export class Batch {
  private readonly bytes: Buffer;
  /** Where each line ends in `bytes`. */
  private readonly ends: number[] = [];
  private at = 0;
  private linesWritten = 0;

  /** @param lines at least one, with their framing */
  constructor(lines: readonly Buffer[]) {
    let end = 0;
    for (const line of lines) this.ends.push((end += line.length));
    this.bytes = Buffer.concat(lines, end);
  }

  /** What is still to be written. */
  get rest(): Buffer {
    return this.bytes.subarray(this.at);
  }

  /** Takes note of a write. @returns true when nothing is left */
  advance(bytesWritten: number): boolean {
    this.at += bytesWritten;
    while ((this.ends[this.linesWritten] ?? Infinity) <= this.at) this.linesWritten++;
    return this.at >= this.bytes.length;
  }

  /** Lines that are lost when no more of it can be written. */
  get linesLeft(): number {
    return this.ends.length - this.linesWritten;
  }
}
