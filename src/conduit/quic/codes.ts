/**
 * Application codes for aborts that came without one: from TCP, from a connection that died, or of
 * our own. QUIC has no code of its own for that, so the application's "I had to give up" is used
 * where its protocol is known.
 *
 * | protocol (ALPN) | towards a client | towards a server | in order |
 * |---|---|---|---|
 * | h3 (RFC 9114 section 8.1) | H3_INTERNAL_ERROR 0x102 | H3_REQUEST_CANCELLED 0x10c | 0x100 |
 * | doq (RFC 9250 section 4.3) | DOQ_INTERNAL_ERROR 0x1 | DOQ_REQUEST_CANCELLED 0x3 | 0x0 |
 * | any other | 0x1 | 0x1 | 0x0 |
 */

type Codes = { front: bigint; back: bigint; clean: bigint };

const HTTP3: Codes = { front: 0x102n, back: 0x10cn, clean: 0x100n };
const DOQ: Codes = { front: 0x1n, back: 0x3n, clean: 0x0n };
const OTHER: Codes = { front: 0x1n, back: 0x1n, clean: 0x0n };

function codesOf(alpn: string): Codes {
  if (alpn === "h3" || alpn.startsWith("h3-")) return HTTP3;
  return alpn === "doq" || alpn.startsWith("doq-") ? DOQ : OTHER;
}

/**
 * Code of an abort that has none.
 * @param alpn protocol of the connection that is told
 * @param isFront towards a client
 */
export function abortCodeFor(alpn: string, isFront: boolean): bigint {
  const codes = codesOf(alpn);
  return isFront ? codes.front : codes.back;
}

/** Code of an end in order: of a connection that is closed, or of a direction nobody reads. */
export function cleanCodeFor(alpn: string): bigint {
  return codesOf(alpn).clean;
}
