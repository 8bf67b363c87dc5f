/**
 * Giving up rights once everything is bound, in HAProxy's order: chroot, groups, group, user. The
 * system's wrappers change all threads of the process at once, so workers are covered.
 */
import { errorText, SluiceError } from "../../base/errors.ts";
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

/** Drops what the configuration asks to drop. @returns warnings. @throws SluiceError */
export function dropPrivileges(global: GlobalSpec, calls: PrivilegeCalls): string[] {
  const warnings: string[] = [];
  const wasRoot = calls.isRoot();
  if (global.chroot !== undefined) {
    const path = global.chroot;
    attempt(new SluiceError("SLC_CHROOT", { path }), () => {
      calls.chroot(path);
      calls.chdir("/");
    });
  }
  const { uid, gid } = global;
  if (gid !== undefined && gid > 0) {
    try {
      if (wasRoot) calls.setgroups([]);
    } catch {
      warnings.push(errorText("SLC_GROUPS_KEPT", {}));
    }
    attempt(new SluiceError("SLC_SET_GROUP", { gid }), () => calls.setgid(gid));
  }
  if (uid !== undefined && uid > 0)
    attempt(new SluiceError("SLC_SET_USER", { uid }), () => calls.setuid(uid));
  return warnings;
}

function attempt(refusal: SluiceError, call: () => void): void {
  try {
    call();
  } catch {
    throw refusal;
  }
}
