/** Sections that answer about this process itself, as read so far: statistics, monitor, metrics. */
import type { Condition } from "../tables/expression.ts";
import type { PageRuleSpec, StatsPageSpec } from "../tables/spec.ts";

/** `stats …` lines; undefined texts of `show-node` and `show-desc` are the process's. */
export type StatsDraft = Omit<StatsPageSpec, "showNode" | "showDescription"> & {
  /** A realm was named: it goes with `users`, not with `rules`. */
  hasRealm: boolean;
  node: { shown: boolean; text?: string };
  description: { shown: boolean; text?: string };
};

/** What of a section is about pages and is not inherited. */
export type PageDraft = {
  /** The section has `stats` lines of its own: those of its defaults do not count then. */
  hasOwnStats: boolean;
  rules: PageRuleSpec[];
  monitorFail: Condition[];
};

/** Statistics as the first `stats` line of a section finds them (manual 4.2, `stats enable`). */
export function newStatsDraft(): StatsDraft {
  return {
    uri: "/haproxy?stats",
    realm: "HAProxy Statistics",
    hasRealm: false,
    users: [],
    refreshSeconds: 0,
    scopes: [],
    showVersion: false,
    showLegends: false,
    node: { shown: false },
    description: { shown: false },
    rules: [],
    admin: [],
  };
}

/** A section without any rule. */
export function newPageDraft(): PageDraft {
  return { hasOwnStats: false, rules: [], monitorFail: [] };
}

/** A copy that can be changed. */
export function cloneStatsDraft(stats: StatsDraft): StatsDraft {
  const { users, scopes, rules, admin } = stats;
  return {
    ...stats,
    users: [...users],
    scopes: [...scopes],
    rules: [...rules],
    admin: [...admin],
  };
}
