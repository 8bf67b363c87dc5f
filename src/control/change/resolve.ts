/** One look-up of a host name on an operator's request, within a time that ends. */
import { lookup } from "node:dns/promises";

import { startTimer } from "../../base/clock.ts";

/** Longest time that a look-up may take, ms. */
const LOOKUP_MS = 5000;

/**
 * The first address of a name, by the system's resolver.
 * @param family 0 = either
 * @returns the address as text; undefined = none was found in time
 */
export function resolveHost(name: string, family: 0 | 4 | 6): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = startTimer(LOOKUP_MS, () => resolve(undefined));
    const done = (address: string | undefined): void => {
      timer.stop();
      resolve(address);
    };
    lookup(name, { family }).then(
      ({ address }) => done(address),
      () => done(undefined),
    );
  });
}
