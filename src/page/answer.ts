/**
 * Answers of the pages: headers that all have, HAProxy's short bodies, streamed and packed texts.
 */
import { gzipSync } from "node:zlib";

import type { PageRequest } from "./request.ts";

/** Texts shorter than this are not worth packing, bytes. */
const PACK_MIN = 2048;
const PACK_LEVEL = 1;

/** What HAProxy says with each status: title and sentence. */
const SHORT: Readonly<Record<number, readonly [string, string]>> = {
  200: ["200 OK", "Service ready."],
  400: ["400 Bad request", "Your browser sent an invalid request."],
  401: ["401 Unauthorized", "You need a valid user and password to access this content."],
  403: ["403 Forbidden", "Request forbidden by administrative rules."],
  404: ["404 Not Found", "The resource could not be found."],
  405: [
    "405 Method Not Allowed",
    "A request was made of a resource using a request method not supported by that resource",
  ],
  408: ["408 Request Time-out", "Your browser didn't send a complete request in time."],
  413: ["413 Payload Too Large", "The request entity exceeds the maximum allowed."],
  429: ["429 Too Many Requests", "You have sent too many requests in a given amount of time."],
  500: ["500 Internal Server Error", "An internal server error occurred."],
  501: [
    "501 Not Implemented",
    "The server does not support the functionality required to fulfill the request.",
  ],
  502: ["502 Bad Gateway", "The server returned an invalid or incomplete response."],
  503: ["503 Service Unavailable", "No server is available to handle this request."],
  504: ["504 Gateway Time-out", "The server didn't respond in time."],
};

/** Headers that every answer has: nothing is kept, nothing is guessed, nobody frames it. */
const COMMON: Readonly<Record<string, string>> = {
  "cache-control": "no-cache, no-store",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** A short answer in HAProxy's words. */
export function shortAnswer(
  request: PageRequest,
  status: number,
  headers: Record<string, string> = {},
): Response {
  const [title, sentence] = SHORT[status] ?? [String(status), ""];
  const body = `<html><body><h1>${title}</h1>\n${sentence}\n</body></html>\n`;
  return whole(request, status, "text/html", body, headers);
}

/** A body that is there at once. */
export function whole(
  request: PageRequest,
  status: number,
  type: string,
  body: string,
  headers: Record<string, string> = {},
): Response {
  const all = { ...COMMON, "content-type": type, ...headers };
  return new Response(request.method === "HEAD" ? null : body, { status, headers: all });
}

/** The same, packed if it is long and the asker can unpack. Never for what holds a secret. */
export function packed(
  request: PageRequest,
  type: string,
  body: string,
  headers: Record<string, string> = {},
): Response {
  if (body.length < PACK_MIN || !takesGzip(request)) {
    return whole(request, 200, type, body, { vary: "accept-encoding", ...headers });
  }
  const all = {
    ...COMMON,
    "content-type": type,
    "content-encoding": "gzip",
    vary: "accept-encoding",
    ...headers,
  };
  const bytes = request.method === "HEAD" ? null : gzipSync(body, { level: PACK_LEVEL });
  return new Response(bytes, { headers: all });
}

/** Whether the asker names gzip without refusing it. */
export function takesGzip(request: PageRequest): boolean {
  const accepted = request.header("accept-encoding") ?? "";
  return accepted.split(",").some((part) => {
    const [name = "", ...parameters] = part.split(";").map((word) => word.trim().toLowerCase());
    const isRefused = parameters.some((word) => /^q=0(?:\.0*)?$/.test(word));
    return name === "gzip" && !isRefused;
  });
}

/** A body made as the reader takes it; ends when the reader goes. */
export function streamed(
  request: PageRequest,
  type: string,
  pieces: Iterable<string> | AsyncIterable<string>,
  headers: Record<string, string> = {},
): Response {
  const all = { ...COMMON, "content-type": type, ...headers };
  if (request.method === "HEAD") return new Response(null, { headers: all });
  return new Response(streamOf(pieces), { headers: all });
}

/** Pieces are gathered so that not every row is a chunk, characters. */
const GATHER = 16_384;

function streamOf(
  pieces: Iterable<string> | AsyncIterable<string>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const iterator =
    Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
  return new ReadableStream({
    async pull(controller) {
      let text = "";
      while (text.length < GATHER) {
        const next = await iterator.next();
        if (next.done === true) {
          if (text !== "") controller.enqueue(encoder.encode(text));
          controller.close();
          return;
        }
        text += next.value;
      }
      controller.enqueue(encoder.encode(text));
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
