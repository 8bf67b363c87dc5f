/**
 * Giving up rights once everything is bound, in HAProxy's order: chroot, groups, group, user. The
 * system's wrappers change all threads of the process at once, so workers are covered.
 */
import type { GlobalSpec } from "../../tables/spec.ts";

/** The calls, handed in. Each throws when the system refuses. */
export type PrivilegeCalls = {
  chroot(path: string): void;
  chdir(path: string): void;
  setgroups(groups: number[]): void;
  setgid(gid: number): void;
  setuid(uid: number): void;
  isRoot(): boolean;
};

/** A refusal that ends the start; the message is HAProxy's. */
export class PrivilegeError extends Error {}

/** Drops what the configuration asks to drop. @returns warnings. @throws PrivilegeError */
export function dropPrivileges(global: GlobalSpec, calls: PrivilegeCalls): string[] {
  const warnings: string[] = [];
  const wasRoot = calls.isRoot();
  if (global.chroot !== undefined) {
    const path = global.chroot;
    attempt(`Cannot chroot(${path}).`, () => {
      calls.chroot(path);
      calls.chdir("/");
    });
  }
  const { uid, gid } = global;
  if (gid !== undefined && gid > 0) {
    try {
      if (wasRoot) calls.setgroups([]);
    } catch {
      warnings.push(
        "Failed to drop supplementary groups. Using 'gid'/'group' without 'uid'/'user' is " +
          "generally useless.",
      );
    }
    attempt(`Cannot set gid ${gid}.`, () => calls.setgid(gid));
  }
  if (uid !== undefined && uid > 0) attempt(`Cannot set uid ${uid}.`, () => calls.setuid(uid));
  return warnings;
}

function attempt(sentence: string, call: () => void): void {
  try {
    call();
  } catch {
    throw new PrivilegeError(sentence);
  }
}
