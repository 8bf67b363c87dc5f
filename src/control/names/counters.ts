/** What is counted of each name server: `show resolvers`, `show stat domain resolvers`. */

/** Counters of a name server (management manual 9.3), in the order in which they are shown. */
export type NameCounters = {
  sent: number;
  sendErrors: number;
  valid: number;
  update: number;
  alias: number;
  aliasErrors: number;
  empty: number;
  nx: number;
  timeout: number;
  refused: number;
  other: number;
  invalid: number;
  tooBig: number;
  truncated: number;
  outdated: number;
};

/** HAProxy's names: in `show resolvers`, and in the statistics where they differ. */
export const COUNTER_NAMES: readonly (readonly [keyof NameCounters, string, column?: string])[] = [
  ["sent", "sent"],
  ["sendErrors", "snd_error", "send_error"],
  ["valid", "valid"],
  ["update", "update"],
  ["alias", "cname"],
  ["aliasErrors", "cname_error"],
  ["empty", "any_err"],
  ["nx", "nx"],
  ["timeout", "timeout"],
  ["refused", "refused"],
  ["other", "other"],
  ["invalid", "invalid"],
  ["tooBig", "too_big"],
  ["truncated", "truncated"],
  ["outdated", "outdated"],
];

/** All at 0. */
export function newCounters(): NameCounters {
  return {
    sent: 0,
    sendErrors: 0,
    valid: 0,
    update: 0,
    alias: 0,
    aliasErrors: 0,
    empty: 0,
    nx: 0,
    timeout: 0,
    refused: 0,
    other: 0,
    invalid: 0,
    tooBig: 0,
    truncated: 0,
    outdated: 0,
  };
}
