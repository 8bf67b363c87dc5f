/**
 * Which servers carry the traffic: the active ones, or, when none of them is usable, the first
 * usable backup server, or all with `option allbackups` (manual 4.2).
 *
 * Control plane only: it alone changes what this depends on, so all is read without the lock.
 */
import {
  ALGORITHM_HASH,
  ALGORITHM_SOURCE,
  ALGORITHM_STATIC_RR,
  HASH_TYPE_MAP,
  PROXY_FLAG_ALL_BACKUPS,
  SERVER_FLAG_BACKUP,
  SERVER_FLAG_EJECTED,
  SERVER_FLAG_NEW,
  SERVER_STATE_UP,
} from "../tables/generated/enums.ts";
import {
  PROXY_ACTIVE_UP,
  PROXY_ALGORITHM,
  PROXY_BACKUP_UP,
  PROXY_FIRST_BACKUP,
  PROXY_FLAGS,
  PROXY_HASH_TYPE,
  PROXY_SERVER_COUNT,
  PROXY_SERVERS_BASE,
} from "../tables/generated/proxy.ts";
import {
  SERVER_BACKEND_ROW,
  SERVER_FLAGS,
  SERVER_STATE,
  SERVER_THROTTLE,
  SERVER_USABLE,
  SERVER_WEIGHT,
} from "../tables/generated/server.ts";
import type { Lb } from "./lb.ts";
import { scaleWeight } from "./weight.ts";

/** Usable servers of a backend. */
export type Tier = {
  activeUp: number;
  backupUp: number;
  /** Row of the first usable backup server, 0 = none. */
  firstBackup: number;
  onBackup: boolean;
  allBackups: boolean;
};

/** Whether the server may take new traffic, if it is in the tier. */
export function isUsable(lb: Lb, serverRow: number): boolean {
  return (
    lb.servers[serverRow + SERVER_STATE] === SERVER_STATE_UP &&
    lb.servers[serverRow + SERVER_WEIGHT]! > 0 &&
    (lb.servers[serverRow + SERVER_FLAGS]! & SERVER_FLAG_NEW) === 0 &&
    (lb.servers[serverRow + SERVER_FLAGS]! & SERVER_FLAG_EJECTED) === 0
  );
}

/** Rows of the backend's servers in configuration order. */
export function serverRows(lb: Lb, backendRow: number): Int32Array {
  const base = lb.proxies[backendRow + PROXY_SERVERS_BASE]!;
  return lb.arena.subarray(base, base + lb.proxies[backendRow + PROXY_SERVER_COUNT]!);
}

/**
 * The tier as the SERVER rows want it now, told from what is in force.
 * @param onlyRow the one server whose row may have changed; 0 = any. O(1), or O(n).
 */
export function planTier(lb: Lb, backendRow: number, onlyRow: number): Tier {
  const flags = lb.proxies[backendRow + PROXY_FLAGS]!;
  const tier: Tier = {
    activeUp: onlyRow === 0 ? 0 : lb.proxies[backendRow + PROXY_ACTIVE_UP]!,
    backupUp: onlyRow === 0 ? 0 : lb.proxies[backendRow + PROXY_BACKUP_UP]!,
    firstBackup: lb.proxies[backendRow + PROXY_FIRST_BACKUP]!,
    onBackup: false,
    allBackups: (flags & PROXY_FLAG_ALL_BACKUPS) !== 0,
  };
  if (onlyRow !== 0) {
    const change = (isUsable(lb, onlyRow) ? 1 : 0) - lb.servers[onlyRow + SERVER_USABLE]!;
    if (isBackup(lb, onlyRow)) tier.backupUp += change;
    else tier.activeUp += change;
    if (change !== 0 && isBackup(lb, onlyRow)) tier.firstBackup = findFirstBackup(lb, backendRow);
  } else {
    for (const row of serverRows(lb, backendRow)) {
      if (!isUsable(lb, row)) continue;
      if (isBackup(lb, row)) tier.backupUp++;
      else tier.activeUp++;
    }
    tier.firstBackup = findFirstBackup(lb, backendRow);
  }
  tier.onBackup = tier.activeUp === 0 && tier.backupUp > 0;
  return tier;
}

/** Whether the server may be chosen in the tier. */
export function isInTier(lb: Lb, serverRow: number, tier: Tier): boolean {
  if (!isUsable(lb, serverRow)) return false;
  if (!isBackup(lb, serverRow)) return !tier.onBackup;
  return tier.onBackup && (tier.allBackups || serverRow === tier.firstBackup);
}

/** Scaled weight that the server has in the tier; 0 = takes no new traffic. */
export function tierWeightOf(lb: Lb, serverRow: number, tier: Tier): number {
  return isInTier(lb, serverRow, tier) ? weightInForce(lb, serverRow) : 0;
}

/** Scaled weight of a server, slow start included, whether or not it may be chosen. */
export function weightInForce(lb: Pick<Lb, "servers" | "proxies">, serverRow: number): number {
  const weight = lb.servers[serverRow + SERVER_WEIGHT]!;
  const isFixed = hasFixedWeights(lb, lb.servers[serverRow + SERVER_BACKEND_ROW]!);
  return scaleWeight(weight, isFixed ? 0 : lb.servers[serverRow + SERVER_THROTTLE]!);
}

/** Does the algorithm walk or index a map? Its weights do not move (manual 5.2, `slowstart`). */
export function hasFixedWeights(lb: Pick<Lb, "proxies">, backendRow: number): boolean {
  switch (lb.proxies[backendRow + PROXY_ALGORITHM]) {
    case ALGORITHM_STATIC_RR:
      return true;
    case ALGORITHM_SOURCE:
    case ALGORITHM_HASH:
      return lb.proxies[backendRow + PROXY_HASH_TYPE] === HASH_TYPE_MAP;
    default:
      return false;
  }
}

function isBackup(lb: Lb, serverRow: number): boolean {
  return (lb.servers[serverRow + SERVER_FLAGS]! & SERVER_FLAG_BACKUP) !== 0;
}

function findFirstBackup(lb: Lb, backendRow: number): number {
  for (const row of serverRows(lb, backendRow)) {
    if (isBackup(lb, row) && isUsable(lb, row)) return row;
  }
  return 0;
}
