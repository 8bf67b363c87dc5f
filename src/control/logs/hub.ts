/**
 * The log of the process: takes records of streams from the rings and sentences from control, and
 * writes them where the configuration says. Nothing here waits. Control thread.
 *
 * ```
 *   record ─▶ RecordContext ─▶ ProxyLog (format) ─┬▶ TargetWriter (level, sampling, shape) ─▶ sink
 *   sentence ─────────────────────────────────────┘
 *   record of a frontend without `log` lines ──────▶ JsonLog ──────────────────────────────▶ sink
 * ```
 */
import { hostname } from "node:os";

import type { Clock } from "../../base/clock.ts";
import { errorText } from "../../base/errors.ts";
import { LOG_KIND_SESSION_ERROR } from "../../tables/generated/enums.ts";
import type { LogLevel, LogTarget, Plan, ProxySpec } from "../../tables/spec.ts";
import type { Table } from "../../tables/tables.ts";
import type { SyslogIdentity } from "../../wire/syslog.ts";
import type { Model, ProxyObject } from "../model.ts";
import { JsonLog } from "./json-line.ts";
import { logLibc } from "./log-libc.ts";
import { formatSessionError, formatTcpLine, ProxyLog } from "./proxy-log.ts";
import { type LiveNumbers, RecordContext } from "./record-context.ts";
import type { Notice } from "./sentences.ts";
import { DatagramSink, nameOf } from "./sink-datagram.ts";
import { DescriptorSink } from "./sink-descriptor.ts";
import { TcpSink } from "./sink-tcp.ts";
import type { LogSink } from "./sink.ts";
import { TargetWriter } from "./target.ts";

/** Lost lines are reported at most this often. */
const REPORT_MS = 10_000;

/** What the hub is given. */
export type HubOptions = {
  plan: Plan;
  model: Model;
  clock: Clock;
  random32: () => number;
  /** Counters for formats that ask for those of other proxies. */
  live?: LiveNumbers;
  /** Something an operator should know: lines were lost, a sink cannot be used. */
  warn: (text: string) => void;
};

/** The log of the process. One a process, made before privileges are dropped. */
export class LogHub {
  private readonly options: HubOptions;
  private readonly sinks = new Map<string, LogSink>();
  private readonly proxies = new WeakMap<ProxyObject, ProxyLog>();
  private readonly context: RecordContext;
  private readonly globalTargets: readonly TargetWriter[];
  private readonly standard: LogSink;
  private readonly json: JsonLog | undefined;
  /** Told of each connection that failed before it was a stream, while the record lasts. */
  onSessionError: ((context: RecordContext) => void) | undefined;
  private reportedAtMs = 0;
  private reported = 0;

  constructor(options: HubOptions) {
    const { plan, model, clock, random32, live, warn } = options;
    this.options = options;
    // After a chroot there may be no C library to load.
    logLibc();
    this.context = new RecordContext(model, clock, random32, live);
    this.standard = this.sinkOf({ kind: "fd", fd: 1 }) ?? new DescriptorSink(1);
    const { logFormat, logLevel } = plan.sluice;
    this.json = logFormat === "json" ? new JsonLog(this.standard, clock, logLevel) : undefined;
    this.globalTargets = this.makeTargets(plan.global.logs, plan.global.logTag);
    // Sinks of proxies are opened with the first line; an address that is none shows up now.
    for (const proxy of plan.proxies)
      for (const target of proxy.logs) this.sinkOf(target.sink, warn);
  }

  /** Takes one record of a worker's ring (RecordHandler of the log pump). */
  readonly handle = (ring: Table, row: number): void => {
    const { context } = this;
    context.load(ring, row);
    const { frontend } = context;
    if (frontend === undefined) return;
    if (context.kind() === LOG_KIND_SESSION_ERROR) this.onSessionError?.(context);
    const log = this.logOf(frontend);
    if (log.targets.length === 0) {
      this.handleUnsent(log);
      return;
    }
    const level = log.level(context);
    const line = log.format(context);
    const micros = this.options.clock.epochMicros();
    for (const target of log.targets) target.send(level, micros, line);
  };

  /** A frontend without `log` lines: standard output, as the flags say. */
  private handleUnsent(log: ProxyLog): void {
    const { context } = this;
    const { logFormat, logLevel } = this.options.plan.sluice;
    if (this.json !== undefined) this.json.stream(context, log.makeUniqueId(context));
    else if (logFormat === "tcplog" && (logLevel === "debug" || logLevel === "info")) {
      const isError = context.kind() === LOG_KIND_SESSION_ERROR;
      this.standard.write(isError ? formatSessionError(context) : formatTcpLine(context));
    }
  }

  /** Hands everything on; called after a batch, in the turn in which it was written. */
  readonly flush = (): void => {
    for (const sink of this.sinks.values()) sink.flush();
    this.report();
  };

  /** A sentence about the process: the `log` lines of `global`. */
  logGlobal(level: LogLevel, text: string): void {
    this.send(this.globalTargets, level, text);
  }

  /** A sentence about a proxy or one of its servers: the `log` lines of that proxy. */
  logProxy(proxy: ProxyObject, notice: Notice): void {
    this.send(this.logOf(proxy).targets, notice.level, notice.text);
  }

  private send(targets: readonly TargetWriter[], level: LogLevel, text: string): void {
    const micros = this.options.clock.epochMicros();
    for (const target of targets) target.send(level, micros, text);
    // Sentences are rare and often the last words.
    for (const sink of this.sinks.values()) sink.flush();
  }

  private logOf(proxy: ProxyObject): ProxyLog {
    const known = this.proxies.get(proxy);
    if (known?.spec === proxy.spec) return known;
    const made = this.makeProxyLog(proxy.spec);
    this.proxies.set(proxy, made);
    return made;
  }

  private makeProxyLog(spec: ProxySpec): ProxyLog {
    const tag = spec.logTag ?? this.options.plan.global.logTag;
    return new ProxyLog(spec, this.makeTargets(spec.logs, tag));
  }

  private makeTargets(targets: readonly LogTarget[], tag: string): TargetWriter[] {
    const sent = this.options.plan.global.logSendHostname;
    const identity: SyslogIdentity = {
      tag,
      pid: process.pid,
      hostname: sent === undefined ? "" : sent === "" ? hostname() : sent,
    };
    return targets.flatMap((target) => {
      const sink = this.sinkOf(target.sink);
      return sink === undefined ? [] : [new TargetWriter(target, sink, identity)];
    });
  }

  /** The sink of an address: one each, however many `log` lines name it. */
  private sinkOf(
    target: LogTarget["sink"],
    warn: (text: string) => void = () => undefined,
  ): LogSink | undefined {
    const key = keyOf(target);
    const known = this.sinks.get(key);
    if (known !== undefined) return known;
    try {
      const made = makeSink(target);
      this.sinks.set(key, made);
      return made;
    } catch (error) {
      const reason = error instanceof Error ? error.message : "?";
      warn(errorText("SLC_LOG_SINK", { sink: key, reason }));
      return undefined;
    }
  }

  /** Lines lost by all sinks since the start (DroppedLogs of `show info`). */
  dropped(): number {
    let sum = this.json?.dropped ?? 0;
    for (const sink of this.sinks.values()) sum += sink.dropped;
    return sum;
  }

  private report(): void {
    const dropped = this.dropped();
    if (dropped === this.reported) return;
    const now = this.options.clock.nowMs();
    if (this.reportedAtMs !== 0 && now - this.reportedAtMs < REPORT_MS) return;
    const names = [...this.sinks.values()].filter((sink) => sink.dropped > 0);
    const where = names.map((sink) => `${sink.name} (${sink.dropped})`).join(", ");
    const lost = dropped - this.reported;
    this.reported = dropped;
    this.reportedAtMs = now;
    this.options.warn(errorText("SLC_LOG_LINES_LOST", { count: lost, sinks: where }));
  }

  /** The last flush, before the process ends. */
  close(): void {
    this.json?.close();
    for (const sink of this.sinks.values()) sink.close();
  }
}

function keyOf(target: LogTarget["sink"]): string {
  switch (target.kind) {
    case "udp":
      return `udp@${nameOf(target.address)}`;
    case "tcp":
      return `tcp@${nameOf(target.address)}`;
    case "unix":
      return `unix@${target.path}`;
    case "fd":
      return `fd@${target.fd}`;
  }
}

function makeSink(target: LogTarget["sink"]): LogSink {
  switch (target.kind) {
    case "udp":
      return new DatagramSink(target.address);
    case "unix":
      return new DatagramSink({ family: "unix", path: target.path });
    case "tcp":
      // An implicit ring forwards with HAProxy's default protocol: manual 12.5, `log-proto legacy`.
      return new TcpSink(target.address, "newline");
    case "fd":
      return new DescriptorSink(target.fd);
  }
}
