/**
 * Looks up host names at the start, all at once and under one deadline, so that a start never
 * hangs on DNS. The lookup itself is handed in (the system's, `getaddrinfo`).
 */
import { formatIp, IpAddress, parseIp } from "../base/address.ts";

/** Addresses of a name in the order of preference; rejects or is empty when there are none. */
export type LookupAddress = (name: string, family: 0 | 4 | 6) => Promise<readonly string[]>;

/** One found address. */
export type ResolvedAddress = { family: 4 | 6; host: string };

/** How long all lookups of a start may take together, in milliseconds. */
export const RESOLVE_DEADLINE_MS = 5_000;

/** Found addresses by `family name`. */
export type Resolved = ReadonlyMap<string, ResolvedAddress>;

/** Key of a lookup in `Resolved`. */
export function lookupKey(name: string, family: 0 | 4 | 6): string {
  return `${family} ${name.toLowerCase()}`;
}

/**
 * Looks up all names in parallel. Names without an answer at the deadline are left out.
 * @param deadline starts the time and resolves when it is over; not called without names
 */
export async function resolveNames(
  names: Iterable<{ name: string; family: 0 | 4 | 6 }>,
  lookup: LookupAddress,
  deadline: () => Promise<void>,
): Promise<Resolved> {
  const found = new Map<string, ResolvedAddress>();
  const pending = new Map<string, Promise<void>>();
  for (const { name, family } of names) {
    const key = lookupKey(name, family);
    if (pending.has(key)) continue;
    pending.set(
      key,
      lookup(name, family).then(
        (addresses) => {
          const address = firstOf(addresses, family);
          if (address !== undefined) found.set(key, address);
        },
        () => undefined,
      ),
    );
  }
  if (pending.size > 0) await Promise.race([Promise.all(pending.values()), deadline()]);
  // A copy: answers after the deadline must not change what was decided.
  return new Map(found);
}

function firstOf(addresses: readonly string[], family: 0 | 4 | 6): ResolvedAddress | undefined {
  for (const text of addresses) {
    const ip = new IpAddress();
    if (!parseIp(text, ip) || ip.family === 0) continue;
    if (family === 0 || ip.family === family) return { family: ip.family, host: formatIp(ip) };
  }
  return undefined;
}
