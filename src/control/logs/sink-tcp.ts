/**
 * Log lines over a TCP or unix stream connection, framed as RFC 6587 says. The connection is made
 * at the first line and made again, a little later, whenever it is lost. Control thread.
 *
 * ```
 *   idle ──flush──▶ connecting ──▶ open ──lost──▶ waiting ──RECONNECT_MS──▶ idle
 *                        └──────failed──────────────▲
 * ```
 */
import type { Socket } from "bun";

import { startTimer, type Ticker } from "../../base/clock.ts";
import type { Address } from "../../tables/spec.ts";
import { frameSyslog, type SyslogFraming } from "../../wire/syslog.ts";
import { nameOf } from "./sink-datagram.ts";
import { Batch, LineQueue, type LogSink } from "./sink.ts";

/** Pause before a lost or refused connection is tried again. */
const RECONNECT_MS = 1000;
/** Lines are joined up to this many bytes for one write. */
const BATCH_BYTES = 16_384;

/** Sends lines over one connection. */
export class TcpSink implements LogSink {
  readonly name: string;
  dropped = 0;
  private readonly address: Address;
  private readonly framing: SyslogFraming;
  private readonly queue = new LineQueue();
  private state: "idle" | "connecting" | "open" | "waiting" | "closed" = "idle";
  /** Number of the connection in use: what handlers of earlier ones say is stale. */
  private attempt = 0;
  private socket: Socket<undefined> | undefined;
  private batch: Batch | undefined;
  private timer: Ticker | undefined;

  constructor(address: Address, framing: SyslogFraming) {
    this.address = address;
    this.framing = framing;
    this.name = `tcp@${nameOf(address)}`;
  }

  write(line: string): void {
    if (this.state === "closed" || !this.queue.push(line)) this.dropped++;
  }

  flush(): void {
    if (this.queue.length === 0 && this.batch === undefined) return;
    if (this.state === "idle") this.connect();
    else if (this.state === "open") this.send();
  }

  private connect(): void {
    this.state = "connecting";
    const attempt = ++this.attempt;
    const lost = (): void => {
      if (attempt === this.attempt) this.lost();
    };
    const handlers = {
      open: (socket: Socket<undefined>) => this.opened(socket, attempt),
      drain: () => {
        if (attempt === this.attempt) this.send();
      },
      // A log server has nothing to say.
      data: () => undefined,
      end: (socket: Socket<undefined>) => void socket.end(),
      close: lost,
      error: lost,
      connectError: lost,
    };
    const { address } = this;
    const isIp = address.family === "ipv4" || address.family === "ipv6";
    const pending = isIp
      ? Bun.connect<undefined>({ hostname: address.host, port: address.port, socket: handlers })
      : Bun.connect<undefined>({ unix: pathOf(address), socket: handlers });
    // A refusal is told by `connectError` first; the promise only repeats it.
    pending.catch(lost);
  }

  private opened(socket: Socket<undefined>, attempt: number): void {
    if (this.state !== "connecting" || attempt !== this.attempt) {
      socket.end();
      return;
    }
    this.socket = socket;
    this.state = "open";
    this.send();
  }

  private lost(): void {
    if (this.state === "closed" || this.state === "waiting") return;
    this.state = "waiting";
    // Its `close` comes later, when another connection may be in use: it must not be heard.
    this.attempt++;
    this.socket?.terminate();
    this.socket = undefined;
    // Half a line on a new connection would break the framing.
    this.dropBatch();
    this.timer = startTimer(RECONNECT_MS, () => {
      this.timer = undefined;
      this.state = "idle";
      this.flush();
    });
  }

  private send(): void {
    const { socket } = this;
    if (this.state !== "open" || socket === undefined) return;
    for (;;) {
      this.batch ??= this.gather();
      if (this.batch === undefined) return;
      const bytes = this.batch.rest;
      const written = socket.write(bytes, 0, bytes.length);
      if (written < 0) {
        this.lost();
        return;
      }
      if (!this.batch.advance(written)) return;
      this.batch = undefined;
    }
  }

  private gather(): Batch | undefined {
    const lines: Buffer[] = [];
    let bytes = 0;
    for (let line = this.queue.peek(); line !== undefined; line = this.queue.peek()) {
      const next = Buffer.from(frameSyslog(this.framing, line));
      if (bytes > 0 && bytes + next.length > BATCH_BYTES) break;
      lines.push(next);
      bytes += next.length;
      this.queue.shift();
    }
    return lines.length === 0 ? undefined : new Batch(lines);
  }

  private dropBatch(): void {
    this.dropped += this.batch?.linesLeft ?? 0;
    this.batch = undefined;
  }

  close(): void {
    this.send();
    this.state = "closed";
    this.timer?.stop();
    this.dropped += this.queue.clear();
    this.dropBatch();
    this.socket?.end();
    this.socket = undefined;
  }
}

function pathOf(address: Address): string {
  if (address.family === "abns") return `\0${address.name}`;
  return address.family === "unix" ? address.path : "";
}
