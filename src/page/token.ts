/**
 * Against forged requests: a page of another site can make a browser send an action here, with the
 * login that the browser keeps. So what a browser sends must hold a token that only a page of ours
 * has. Scripts have none, and cannot be tricked like that: they are told apart by what no browser
 * leaves out and no page can take away.
 *
 *   token = hours since the epoch / 12, HMAC-SHA-256 over them, the section, the login, the host
 *
 * The key is made at the start and never leaves the process; a token holds 12 to 24 hours.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

import type { Clock } from "../base/clock.ts";

const PERIOD_MICROS = 12 * 3600 * 1_000_000;
const KEY_BYTES = 32;

/** What a token is bound to. */
export type TokenUse = { section: string; user: string; host: string };

/** Makes and checks tokens. One a process. */
export class Tokens {
  readonly #key = randomBytes(KEY_BYTES);
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A token for the forms of a page. */
  make(use: TokenUse): string {
    return this.#sign(this.#period(), use).toString("base64url");
  }

  /** Whether a token was made here for this use, in this period or the last. */
  check(token: string, use: TokenUse): boolean {
    const given = Buffer.from(token, "base64url");
    const period = this.#period();
    // Both are compared, whatever the first says.
    const isNow = isSame(given, this.#sign(period, use));
    const isLast = isSame(given, this.#sign(period - 1, use));
    return isNow || isLast;
  }

  #period(): number {
    return Math.floor(this.#clock.epochMicros() / PERIOD_MICROS);
  }

  #sign(period: number, { section, user, host }: TokenUse): Buffer {
    const text = JSON.stringify([period, section, user, host]);
    return createHmac("sha256", this.#key).update(text).digest();
  }
}

function isSame(given: Buffer, own: Buffer): boolean {
  return given.length === own.length && timingSafeEqual(given, own);
}

/** Headers that decide whether a browser speaks. */
export type SenderHeaders = (name: string) => string | undefined;

/**
 * Whether a request may come from a browser. Browsers send `Origin` with what another site makes
 * them post, most send `Sec-Fetch-Site`, old ones `Referer`; every one calls itself Mozilla; and
 * no page can change or drop all of these. Curl and its like send none of them.
 */
export function mayBeBrowser(header: SenderHeaders): boolean {
  for (const name of ["origin", "referer", "sec-fetch-site", "sec-fetch-mode", "cookie"]) {
    if (header(name) !== undefined) return true;
  }
  return /mozilla|opera/i.test(header("user-agent") ?? "");
}
