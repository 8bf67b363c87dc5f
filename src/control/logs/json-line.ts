/**
 * Structured log lines by pino: what sluice prints of its streams when no `log` line says
 * otherwise. One JSON object a line; names of fields are stable. Control thread.
 *
 * pino is loaded with the first line, since loading it costs a third of a start; lines wait for it.
 */
import type { Logger } from "pino";

import { formatIp, IpAddress } from "../../base/address.ts";
import type { Clock } from "../../base/clock.ts";
import { JSON_LINES_WAITING_MAX } from "../../base/limits.ts";
import type { AddressField } from "../../expr/keyword.ts";
import { LOG_FLAG_ERROR, LOG_KIND_SESSION_ERROR } from "../../tables/generated/enums.ts";
import { STREAM_LOG_FLAGS } from "../../tables/generated/stream-log.ts";
import type { SluiceSpec } from "../../tables/spec.ts";
import { connectionErrorText } from "../../wire/connection-error.ts";
import type { RecordContext } from "./record-context.ts";
import type { LogSink } from "./sink.ts";

/** pino's levels that sluice uses; `notice` is its own, between info and warn. */
const NOTICE_VALUE = 35;
type JsonLevel = "info" | "warn";
type Line = { level: JsonLevel; fields: Fields; text: string };

/** Prints records as JSON lines to one sink. */
export class JsonLog {
  private readonly sink: LogSink;
  private readonly clock: Clock;
  private readonly level: SluiceSpec["logLevel"];
  private logger: Logger<"notice"> | undefined;
  private waiting: Line[] | undefined;
  /** pino could not be loaded, or the end came first. */
  private isWithoutPino = false;
  /** Lines lost while pino was loaded. */
  dropped = 0;

  constructor(sink: LogSink, clock: Clock, level: SluiceSpec["logLevel"]) {
    this.sink = sink;
    this.clock = clock;
    this.level = level;
  }

  /** One ended stream, or a connection that did not become one. */
  stream(context: RecordContext, uniqueId: string | undefined): void {
    const id = uniqueId === undefined ? {} : { uniqueId };
    if (context.kind() === LOG_KIND_SESSION_ERROR) {
      const error = connectionErrorText(context.errorCode());
      const fields = { ...whoOf(context), ...id, error };
      this.put({ level: "warn", fields, text: "connection refused" });
      return;
    }
    const fields = { ...whoOf(context), ...whatOf(context), ...id };
    const isError = (context.word(STREAM_LOG_FLAGS) & LOG_FLAG_ERROR) !== 0;
    if (isError) this.put({ level: "warn", fields, text: "stream failed" });
    else {
      const text = context.isPartial() ? "stream connected" : "stream ended";
      this.put({ level: "info", fields, text });
    }
  }

  private put(line: Line): void {
    if (this.logger !== undefined) {
      this.logger[line.level](line.fields, line.text);
      return;
    }
    if (this.isWithoutPino) {
      this.writePlain(line);
      return;
    }
    if (this.waiting === undefined) {
      this.waiting = [];
      void this.load();
    }
    if (this.waiting.length < JSON_LINES_WAITING_MAX) this.waiting.push(line);
    else this.dropped++;
  }

  /** The end: what still waits for pino is printed without it. */
  close(): void {
    if (this.logger === undefined) this.goWithoutPino();
  }

  private goWithoutPino(): void {
    this.isWithoutPino = true;
    for (const line of this.waiting ?? []) this.writePlain(line);
    this.waiting = undefined;
  }

  /** The same shape as pino's. */
  private writePlain({ level, fields, text }: Line): void {
    if (level === "info" && this.level !== "info" && this.level !== "debug") return;
    const time = new Date(Math.floor(this.clock.epochMicros() / 1000)).toISOString();
    this.sink.write(JSON.stringify({ level, time, pid: process.pid, ...fields, msg: text }));
  }

  private async load(): Promise<void> {
    const logger = await this.makeLogger().catch(() => undefined);
    if (this.isWithoutPino) return;
    if (logger === undefined) this.goWithoutPino();
    else {
      for (const line of this.waiting ?? []) logger[line.level](line.fields, line.text);
      this.waiting = undefined;
      this.logger = logger;
    }
    this.sink.flush();
  }

  private async makeLogger(): Promise<Logger<"notice">> {
    const { pino } = await import("pino");
    const { clock, sink, level } = this;
    return pino(
      {
        level: level === "warning" ? "warn" : level,
        customLevels: { notice: NOTICE_VALUE },
        base: { pid: process.pid },
        timestamp: () =>
          `,"time":"${new Date(Math.floor(clock.epochMicros() / 1000)).toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
      },
      // pino ends lines itself; the sink adds its own end.
      { write: (text: string) => sink.write(text.slice(0, -1)) },
    );
  }
}

type Fields = Record<string, string | number | boolean | null>;

function whoOf(context: RecordContext): Fields {
  return {
    frontend: context.text("fe_name") ?? null,
    listener: context.text("so_name") ?? null,
    client: endpoint(context, "client"),
    ...tlsFields(context),
  };
}

/** Of clients with TLS only. */
function tlsFields(context: RecordContext): Fields {
  if (!context.isFrontTls()) return {};
  return {
    tls: context.text("ssl_fc_protocol") ?? null,
    sni: context.text("ssl_fc_sni") ?? null,
    alpn: context.text("ssl_fc_alpn") ?? null,
  };
}

function whatOf(context: RecordContext): Fields {
  const number = (value: number | undefined): number => value ?? 0;
  return {
    backend: context.text("be_name") ?? null,
    server: context.text("srv_name") ?? null,
    bytesUp: number(context.integer("bytes_in")),
    bytesDown: number(context.integer("bytes_out")),
    waitMs: number(context.integer("req.timer.queue")),
    connectMs: number(context.integer("bc.timer.connect")),
    totalMs: number(context.integer("fc.timer.total")),
    termination: context.text("txn.sess_term_state") ?? "--",
    retries: number(context.integer("txn.conn_retries")),
    redispatched: context.integer("txn.redispatched") === 1,
    connections: number(context.integer("act_conn")),
  };
}

const address = new IpAddress();

function endpoint(context: RecordContext, field: AddressField): string | null {
  if (context.isUnix(field)) return "unix";
  if (!context.address(field, address)) return null;
  const host = formatIp(address);
  return address.family === 6
    ? `[${host}]:${context.port(field)}`
    : `${host}:${context.port(field)}`;
}
