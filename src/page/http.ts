/**
 * Bun's HTTP server for all pages: one, on loopback, behind the gates. It parses requests and
 * writes answers; what a page says is decided in `route.ts`. Main thread.
 */
import { describeError } from "../base/assert.ts";
import { shortAnswer } from "./answer.ts";
import type { Visitors } from "./gate.ts";
import { INNER_ADDRESS } from "./gate.ts";
import type { PageRequest } from "./request.ts";
import { wrapRequest } from "./request.ts";

/** Longest body that the server takes at all, bytes. */
const BODY_MAX = 1_048_576;
/** The gates end idle connections earlier; the most that Bun has, s. */
const IDLE_SECONDS = 255;

/** What is asked who a page is. */
export type Answerer = (owner: object, request: PageRequest) => Response | Promise<Response>;

/** A running server. */
export type PageServer = { readonly port: number; stop(): void };

/**
 * Starts it.
 * @param answer makes the answer; may throw
 * @param fault is told what went wrong in an answer
 */
export function startPageServer(
  visitors: Visitors,
  answer: Answerer,
  fault: (text: string) => void,
): PageServer {
  const server = Bun.serve({
    hostname: INNER_ADDRESS,
    port: 0,
    idleTimeout: IDLE_SECONDS,
    maxRequestBodySize: BODY_MAX,
    development: false,
    async fetch(request, self) {
      const from = self.requestIP(request);
      // Gates come from here; another address of the loopback net may have the port of a visitor.
      const found = from?.address === INNER_ADDRESS ? visitors.find(from.port) : undefined;
      // Somebody on this machine who did not come through a gate.
      if (found === undefined) return new Response(null, { status: 403 });
      const asked = wrapRequest(request, found.visitor);
      try {
        return await answer(found.owner, asked);
      } catch (error) {
        if (!asked.gone.aborted) fault(describeError(error));
        return shortAnswer(asked, 500);
      }
    },
    error: () => new Response(null, { status: 500 }),
  });
  return { port: server.port ?? 0, stop: () => void server.stop(true) };
}
