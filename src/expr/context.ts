/**
 * What an evaluation may ask: the data plane answers for a living stream, the logs for a record.
 *
 * Plain methods that take a field's name or fill a caller's object, so that nothing is allocated.
 * "No value (yet)" is `undefined`, -1 or false, and makes "no sample", never an error.
 */
import type { IpAddress } from "../base/address.ts";
import type { CheckAnswer } from "./answer.ts";
import type { AddressField, IntegerField, ProxyField, ServerField, TextField } from "./keyword.ts";
import type { HttpRequest } from "./request.ts";

/** What samples are fetched from. */
export interface SampleContext {
  /** Fills `out` with an IP address. @returns false when there is none (unix sockets too) */
  address(field: AddressField, out: IpAddress): boolean;
  /** A port, -1 when there is none. */
  port(field: AddressField): number;
  text(field: TextField): string | undefined;
  /** A number, or a boolean as 0 or 1. Times in ms. */
  integer(field: IntegerField): number | undefined;
  /** A counter of a proxy. `name` "" = the current frontend or backend. */
  proxyInteger(field: ProxyField, name: string): number | undefined;
  /** A counter or state of a server. `backend` "" = the current one, `server` "" too. */
  serverInteger(field: ServerField, backend: string, server: string): number | undefined;
  environment(name: string): string | undefined;
  /** Microseconds since the epoch. */
  epochMicros(): number;
  /** When the client's connection was accepted, microseconds since the epoch; 0 = none. */
  acceptedMicros(): number;
  /** 32 random bits, unsigned. Not for secrets. */
  random32(): number;
  /** The HTTP request, where the evaluation is about one (statistics pages). */
  readonly request?: HttpRequest;
  /** The answer that a check looks at, where the evaluation is a check's. */
  readonly answer?: CheckAnswer;
}

/** What log formats need beyond samples. */
export interface LogContext extends SampleContext {
  /** True where the peer is a unix socket; `port` then gives the listener's id. */
  isUnix(field: AddressField): boolean;
  /** The line is made before the end (`option logasap`): totals get a `+`. */
  isPartial(): boolean;
  /** The frontend's connection is TLS: `%ft` ends in `~`. */
  isFrontTls(): boolean;
  /** `%lc`: lines that the frontend has logged before this one. */
  logCounter(): number;
  /** `%OG`: `sess_error`, `txn_accept`, `txn_connect`, `txn_close`, … (manual 8.2.6). */
  origin(): string;
}
