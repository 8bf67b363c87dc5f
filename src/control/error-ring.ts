/**
 * The last connections of each frontend that ended before they were a stream: bad, late or missing
 * PROXY headers, with who, where and why, for `show errors`. Main thread.
 */
import { formatIp, IpAddress } from "../base/address.ts";
import { ERROR_RING_ENTRIES } from "../base/limits.ts";
import { connectionErrorText } from "../wire/connection-error.ts";
import type { RecordContext } from "./logs/record-context.ts";
import type { ListenerObject, ProxyObject } from "./model.ts";

/** One of them. */
export type ProtocolError = {
  /** Number in the order in which they came, from 0. */
  number: number;
  epochMicros: number;
  listener: ListenerObject | undefined;
  /** `address:port`, `unix:ID`, or `-`. */
  client: string;
  reason: string;
};

const scratch = new IpAddress();

/** Rings by frontend: one that is gone takes its own along. */
export class ErrorRing {
  readonly #rings = new WeakMap<ProxyObject, ProtocolError[]>();
  /** Errors ever seen. */
  count = 0;

  /** Enters what a log record of kind SESSION_ERROR tells. */
  add(context: RecordContext, epochMicros: number): void {
    const { frontend, listener } = context;
    if (frontend === undefined) return;
    const ring = this.#rings.get(frontend) ?? [];
    this.#rings.set(frontend, ring);
    ring.push({
      number: this.count++,
      epochMicros,
      listener,
      client: clientOf(context),
      reason: connectionErrorText(context.errorCode()),
    });
    if (ring.length > ERROR_RING_ENTRIES) ring.shift();
  }

  /** Those of a frontend, the oldest first. */
  of(frontend: ProxyObject): readonly ProtocolError[] {
    return this.#rings.get(frontend) ?? [];
  }
}

function clientOf(context: RecordContext): string {
  const port = context.port("client");
  if (context.isUnix("client")) return `unix:${port}`;
  if (!context.address("client", scratch)) return "-";
  const text = formatIp(scratch);
  return text.includes(":") ? `[${text}]:${port}` : `${text}:${port}`;
}
