/** Whole sessions (`quic-map session`) go to QUIC servers only: who may take them, in one place. */
import type { Origin } from "../../tables/spec.ts";

/** What a server says of it. */
export type SessionServer = { isQuic: boolean; sendsProxy: boolean };

/**
 * Why a server cannot take the whole sessions of a listener; undefined = it can.
 * @param bind the listener: its address as written, and where that is
 */
export function wrongForSessions(
  { text, origin: { file, line } }: { text: string; origin: Origin },
  { isQuic, sendsProxy }: SessionServer,
): string | undefined {
  const what = `'bind ${text} … quic-map session' (${file}:${line})`;
  if (!isQuic) {
    return `${what} hands whole QUIC sessions to its backend: it needs a 'quic4@' address.`;
  }
  if (!sendsProxy) return undefined;
  return `${what} hands it whole QUIC sessions, where 'send-proxy' has no place.`;
}
