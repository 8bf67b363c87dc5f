/**
 * Log lines as datagrams, over UDP or to a unix socket: one line, one datagram, sent without
 * waiting. What the system has no room for is sent a little later; what nobody listens to is lost
 * and counted, as with any syslog. Control thread.
 */
import { startTimer, type Ticker } from "../../base/clock.ts";
import { encodeSocketAddress } from "../../conduit/sockaddr.ts";
import { addressText } from "../../tables/address-text.ts";
import type { Address } from "../../tables/spec.ts";
import { EAGAIN, ENOBUFS, logLibc } from "./log-libc.ts";
import { LineQueue, type LogSink, RETRY_MS } from "./sink.ts";

const SYSLOG_PORT = 514;

/** Sends each line as one datagram. */
export class DatagramSink implements LogSink {
  readonly name: string;
  dropped = 0;
  private readonly target: Uint8Array;
  private readonly family: number;
  private readonly queue = new LineQueue();
  private fd = -1;
  private retry: Ticker | undefined;

  /**
   * @param address IP literal with a port (0 = 514), or a unix path or abstract name
   * @throws RangeError for an address that cannot be one
   */
  constructor(address: Address) {
    const encoded = encodeSocketAddress(address, portOf(address));
    this.target = encoded.bytes;
    this.family = encoded.family;
    this.name = nameOf(address);
  }

  write(line: string): void {
    if (!this.queue.push(line)) this.dropped++;
  }

  flush(): void {
    if (this.retry !== undefined) return;
    this.send();
  }

  private send(): void {
    const libc = logLibc();
    if (this.fd < 0) this.fd = libc.datagramSocket(this.family);
    for (let line = this.queue.peek(); line !== undefined; line = this.queue.peek()) {
      // Like HAProxy's, a datagram ends in a newline.
      const result =
        this.fd < 0 ? this.fd : libc.sendTo(this.fd, Buffer.from(`${line}\n`), this.target);
      if (result === -EAGAIN || result === -ENOBUFS) {
        this.retry = startTimer(RETRY_MS, () => {
          this.retry = undefined;
          this.send();
        });
        return;
      }
      if (result < 0) this.dropped++;
      this.queue.shift();
    }
  }

  close(): void {
    this.stopRetry();
    this.send();
    // The last attempt may have armed another, for which nobody will be there.
    this.stopRetry();
    this.dropped += this.queue.clear();
    if (this.fd >= 0) logLibc().close(this.fd);
    this.fd = -1;
  }

  private stopRetry(): void {
    this.retry?.stop();
    this.retry = undefined;
  }
}

function portOf(address: Address): number | undefined {
  if (address.family !== "ipv4" && address.family !== "ipv6") return undefined;
  return address.port === 0 ? SYSLOG_PORT : address.port;
}

/** An address as text, for messages. */
export function nameOf(address: Address): string {
  return addressText("port" in address ? { ...address, port: portOf(address) ?? 0 } : address);
}
