/**
 * A request to a page, freed of the HTTP server that took it.
 */
import type { Address } from "../tables/spec.ts";

/** Who sent it and where it arrived. */
export type Visitor = {
  /** Client's address in text; "" of a unix socket. */
  readonly address: string;
  readonly port: number;
  /** Our end of the connection. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly bind: Address;
};

/** One request. */
export type PageRequest = {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  readonly visitor: Visitor;
  /** Value of a header, in any case; undefined = none. */
  header(name: string): string | undefined;
  /** The body as text; undefined = longer than `limit` bytes. */
  body(limit: number): Promise<string | undefined>;
  /** Aborted when the client has gone. */
  readonly gone: AbortSignal;
};

/** The path of a target: up to `?`. */
export function pathOf(target: string): string {
  const end = target.indexOf("?");
  return end < 0 ? target : target.slice(0, end);
}

/** Path and query of an absolute URL as the HTTP server gives it; what is none stays as it is. */
export function targetOf(url: string): string {
  const start = /^[a-z]+:\/\/[^/?#]*/i.exec(url);
  if (start === null) return url;
  const rest = url.slice(start[0].length);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** Wraps a request of Bun's server. */
export function wrapRequest(request: Request, visitor: Visitor): PageRequest {
  return {
    method: request.method,
    target: targetOf(request.url),
    visitor,
    gone: request.signal,
    header: (name) => request.headers.get(name) ?? undefined,
    body: (limit) => readBody(request, limit),
  };
}

async function readBody(request: Request, limit: number): Promise<string | undefined> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > limit) return undefined;
  if (request.body === null) return "";
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
