/**
 * One `log` line of the configuration in force: which messages pass, in which shape, to which sink.
 * Control thread. Source: manual 4.2, `log`.
 */
import type { LogLevel, LogTarget } from "../../tables/spec.ts";
import { encodeSyslog, type SyslogIdentity, truncateMessage } from "../../wire/syslog.ts";
import type { LogSink } from "./sink.ts";

/** A `log` line in force, bound to its sink. */
export class TargetWriter {
  private readonly target: LogTarget;
  private readonly sink: LogSink;
  private readonly identity: SyslogIdentity;
  /** Position in the sampling period, from 1. */
  private position = 0;

  constructor(target: LogTarget, sink: LogSink, identity: SyslogIdentity) {
    this.target = target;
    this.sink = sink;
    this.identity = identity;
  }

  /** Sends one message if its level and the sampling let it pass. */
  send(level: LogLevel, micros: number, text: string): void {
    const { target } = this;
    if (level > target.levelMax || !this.isSampled()) return;
    const capped = level < target.levelMin ? target.levelMin : level;
    const { format, facility, lengthMax } = target;
    const line = encodeSyslog(format, facility, capped, micros, this.identity, text);
    // A descriptor has no limit of its own: manual 4.2.
    this.sink.write(target.sink.kind === "fd" ? line : truncateMessage(line, lengthMax));
  }

  private isSampled(): boolean {
    const { sample } = this.target;
    if (sample === undefined) return true;
    this.position = this.position >= sample.size ? 1 : this.position + 1;
    for (const range of sample.ranges) {
      if (this.position >= range.from && this.position <= range.to) return true;
    }
    return false;
  }
}
