/**
 * Structured log lines by pino: what sluice prints of its streams when no `log` line says
 * otherwise. One JSON object a line; names of fields are stable. Control thread.
 */
import pino from "pino";

import { formatIp, IpAddress } from "../../base/address.ts";
import type { Clock } from "../../base/clock.ts";
import type { AddressField } from "../../expr/keyword.ts";
import { LOG_FLAG_ERROR, LOG_KIND_SESSION_ERROR } from "../../tables/generated/enums.ts";
import { STREAM_LOG_FLAGS } from "../../tables/generated/stream-log.ts";
import type { SluiceSpec } from "../../tables/spec.ts";
import { connectionErrorText } from "../../wire/connection-error.ts";
import type { RecordContext } from "./record-context.ts";
import type { LogSink } from "./sink.ts";

/** pino's levels that sluice uses; `notice` is its own, between info and warn. */
const NOTICE_VALUE = 35;

export class JsonLog {
  private readonly logger: pino.Logger<"notice">;

  constructor(sink: LogSink, clock: Clock, level: SluiceSpec["logLevel"]) {
    const isoTime = (): string =>
      `,"time":"${new Date(Math.floor(clock.epochMicros() / 1000)).toISOString()}"`;
    this.logger = pino(
      {
        level: level === "warning" ? "warn" : level,
        customLevels: { notice: NOTICE_VALUE },
        base: { pid: process.pid },
        timestamp: isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      // pino ends lines itself; the sink adds its own end.
      { write: (line: string) => sink.write(line.slice(0, -1)) },
    );
  }

  /** One ended stream, or a connection that did not become one. */
  stream(context: RecordContext, uniqueId: string | undefined): void {
    const isError = (context.word(STREAM_LOG_FLAGS) & LOG_FLAG_ERROR) !== 0;
    const id = uniqueId === undefined ? {} : { uniqueId };
    if (context.kind() === LOG_KIND_SESSION_ERROR) {
      const error = connectionErrorText(context.errorCode());
      this.logger.warn({ ...whoOf(context), ...id, error }, "connection refused");
      return;
    }
    const fields = { ...whoOf(context), ...whatOf(context), ...id };
    if (isError) this.logger.warn(fields, "stream failed");
    else this.logger.info(fields, context.isPartial() ? "stream connected" : "stream ended");
  }
}

type Fields = Record<string, string | number | boolean | null>;

function whoOf(context: RecordContext): Fields {
  return {
    frontend: context.text("fe_name") ?? null,
    listener: context.text("so_name") ?? null,
    client: endpoint(context, "client"),
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
