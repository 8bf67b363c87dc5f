/**
 * How one frontend logs: its formats, compiled, and its `log` lines. Made when the first record of
 * a frontend comes, and again when its spec has been replaced. Control thread.
 * Source: manual 8.2.
 */
import { compileLogFormat, type LogFormatFunction } from "../../expr/evaluate.ts";
import { parseLogFormat, TCP_LOG_FORMAT } from "../../expr/parse.ts";
import type { LogFormat, SampleExpression } from "../../tables/expression.ts";
import { LOG_FLAG_ERROR, LOG_KIND_SESSION_ERROR } from "../../tables/generated/enums.ts";
import { STREAM_LOG_FLAGS } from "../../tables/generated/stream-log.ts";
import type { LogLevel, ProxySpec } from "../../tables/spec.ts";
import { connectionErrorText } from "../../wire/connection-error.ts";
import { LEVEL_ERR, LEVEL_INFO } from "../../wire/syslog.ts";
import type { RecordContext } from "./record-context.ts";
import type { TargetWriter } from "./target.ts";

const NOTHING: LogFormatFunction = () => "";

function compileText(text: string): LogFormatFunction {
  const parsed = parseLogFormat(text);
  return parsed.ok ? compileLogFormat(parsed.value) : NOTHING;
}

let tcpLine: LogFormatFunction | undefined;

/** A record as `option tcplog` prints it. */
export function formatTcpLine(context: RecordContext): string {
  tcpLine ??= compileText(TCP_LOG_FORMAT);
  return tcpLine(context);
}

/** Without any log option: manual 8.2.1. */
function formatConnect(context: RecordContext): string {
  const name = context.text("fe_name") ?? "-";
  if (context.isUnix("client")) return `Connect to unix:${context.port("client")} (${name}/TCP)`;
  return connectFrom(context);
}

const connectFrom = compileText("Connect from %ci:%cp to %fi:%fp (%f/TCP)");
const sessionStart = compileText("%ci:%cp [%t] %f");

/** A connection that failed before its stream began: manual 8.2.5. */
export function formatSessionError(context: RecordContext): string {
  const bind = context.listener?.spec.name ?? String(context.listener?.spec.id ?? 0);
  return `${sessionStart(context)}/${bind}: ${connectionErrorText(context.errorCode())}`;
}

/** The formats and targets of one frontend. */
export class ProxyLog {
  readonly spec: ProxySpec;
  readonly targets: readonly TargetWriter[];
  private readonly line: (context: RecordContext) => string;
  private readonly errorLine: ((context: RecordContext) => string) | undefined;
  private readonly uniqueId: LogFormatFunction | undefined;
  private readonly needsUniqueId: boolean;
  private lines = 0;

  constructor(spec: ProxySpec, targets: readonly TargetWriter[]) {
    this.spec = spec;
    this.targets = targets;
    const { logFormat, errorLogFormat, uniqueIdFormat } = spec;
    this.line = lineOf(spec);
    this.errorLine = errorLogFormat === undefined ? undefined : compileLogFormat(errorLogFormat);
    this.uniqueId = uniqueIdFormat === undefined ? undefined : compileLogFormat(uniqueIdFormat);
    this.needsUniqueId = usesUniqueId(logFormat) || usesUniqueId(errorLogFormat);
  }

  /** The unique id of the record's stream, made as its worker made it. */
  makeUniqueId(context: RecordContext): string | undefined {
    return this.uniqueId?.(context);
  }

  /** The line of a record. */
  format(context: RecordContext): string {
    if (this.needsUniqueId) context.uniqueId = this.makeUniqueId(context);
    context.setLines(this.lines++);
    const isSessionError = context.kind() === LOG_KIND_SESSION_ERROR;
    if (!isSessionError) return this.line(context);
    return this.errorLine === undefined ? formatSessionError(context) : this.errorLine(context);
  }

  /** `option log-separate-errors` raises what did not end well. */
  level(context: RecordContext): LogLevel {
    const isError =
      context.kind() === LOG_KIND_SESSION_ERROR ||
      (context.word(STREAM_LOG_FLAGS) & LOG_FLAG_ERROR) !== 0;
    return isError && this.spec.options.logSeparateErrors ? LEVEL_ERR : LEVEL_INFO;
  }
}

function lineOf(spec: ProxySpec): (context: RecordContext) => string {
  if (spec.logFormat !== undefined) return compileLogFormat(spec.logFormat);
  return spec.logFormatKind === "tcplog" ? formatTcpLine : formatConnect;
}

function usesUniqueId(format: LogFormat | undefined): boolean {
  const isUniqueId = (sample: SampleExpression): boolean => sample.fetch.name === "unique-id";
  return (
    format?.parts.some(
      (part) =>
        (part.kind === "alias" && part.name === "ID") ||
        (part.kind === "sample" && isUniqueId(part.sample)),
    ) ?? false
  );
}
