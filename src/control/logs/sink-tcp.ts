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
import { LineQueue, type LogSink } from "./sink.ts";

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
  private socket: Socket<undefined> | undefined;
  private rest: Buffer | undefined;
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
    if (this.queue.length === 0 && this.rest === undefined) return;
    if (this.state === "idle") this.connect();
    else if (this.state === "open") this.send();
  }

  private connect(): void {
    this.state = "connecting";
    const handlers = {
      open: (socket: Socket<undefined>) => this.opened(socket),
      drain: () => this.send(),
      // A log server has nothing to say.
      data: () => undefined,
      end: (socket: Socket<undefined>) => void socket.end(),
      close: () => this.lost(),
      error: () => this.lost(),
      connectError: () => this.lost(),
    };
    const { address } = this;
    const isIp = address.family === "ipv4" || address.family === "ipv6";
    const pending = isIp
      ? Bun.connect<undefined>({ hostname: address.host, port: address.port, socket: handlers })
      : Bun.connect<undefined>({ unix: pathOf(address), socket: handlers });
    // A refusal is told by `connectError` first; the promise only repeats it.
    pending.catch(() => this.lost());
  }

  private opened(socket: Socket<undefined>): void {
    if (this.state === "closed") {
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
    this.socket = undefined;
    // Half a line on a new connection would break the framing.
    if (this.rest !== undefined) {
      this.rest = undefined;
      this.dropped++;
    }
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
      const bytes = this.rest ?? this.gather();
      if (bytes === undefined) return;
      const written = socket.write(bytes, 0, bytes.length);
      if (written < 0) {
        this.rest = bytes;
        this.lost();
        return;
      }
      this.rest = written < bytes.length ? bytes.subarray(written) : undefined;
      if (this.rest !== undefined) return;
    }
  }

  private gather(): Buffer | undefined {
    let text = "";
    for (let line = this.queue.peek(); line !== undefined; line = this.queue.peek()) {
      if (text.length > 0 && text.length + line.length > BATCH_BYTES) break;
      text += frameSyslog(this.framing, line);
      this.queue.shift();
    }
    return text === "" ? undefined : Buffer.from(text);
  }

  close(): void {
    this.send();
    this.state = "closed";
    this.timer?.stop();
    this.dropped += this.queue.clear() + (this.rest === undefined ? 0 : 1);
    this.rest = undefined;
    this.socket?.end();
    this.socket = undefined;
  }
}

function pathOf(address: Address): string {
  if (address.family === "abns") return `\0${address.name}`;
  return address.family === "unix" ? address.path : "";
}
