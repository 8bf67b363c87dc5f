/**
 * The lock of a backend: taken before anything of its heaps and queues is touched, given back
 * before anybody is told. Held for a microsecond or two.
 *
 * @hot
 */
import { giveLock, LOCK_BROKEN, takeLock } from "../base/lock.ts";
import { PROXY_LOCK } from "../tables/generated/proxy.ts";
import { NOTE_GRANT, postNote } from "../tables/inbox.ts";
import { NOTE_WORDS } from "./lb.ts";
import type { Lb } from "./lb.ts";
import { recoverBackend } from "./recover.ts";

/** Takes the backend's lock; what a lost holder left half done is put right first. */
export function lockBackend(lb: Lb, backendRow: number): void {
  const taken = takeLock(lb.proxies, backendRow + PROXY_LOCK, lb.self, lb.isDead);
  if (taken === LOCK_BROKEN) recoverBackend(lb, backendRow);
}

/**
 * Gives the lock back, then tells the workers of streams that were granted a slot meanwhile.
 * @param keepsOwn whether a grant for this very thread is returned instead of posted
 * @returns queue entry of such a grant, 0 when there is none
 */
export function unlockBackend(lb: Lb, backendRow: number, keepsOwn: boolean): number {
  giveLock(lb.proxies, backendRow + PROXY_LOCK);
  if (lb.noteCount === 0) return 0;
  return postGrants(lb, keepsOwn);
}

function postGrants(lb: Lb, keepsOwn: boolean): number {
  let kept = 0;
  const count = lb.noteCount;
  lb.noteCount = 0;
  for (let i = 0; i < count; i++) {
    const at = i * NOTE_WORDS;
    const worker = lb.notes[at]!;
    const entry = lb.notes[at + 1]!;
    if (keepsOwn && kept === 0 && worker === lb.self) {
      kept = entry;
      continue;
    }
    const slot = lb.notes[at + 2]!;
    const generation = lb.notes[at + 3]!;
    if (!postNote(lb.tables, lb.self, worker, NOTE_GRANT, entry, slot, generation)) {
      lb.lostNotes++;
    }
  }
  return kept;
}

/**
 * Gives back the locks that this thread holds after a failure that it survives: others would wait
 * for them for ever. O(backends).
 * @cold
 */
export function freeOwnLocks(lb: Lb): void {
  for (const backendRow of lb.backends) {
    if (Atomics.load(lb.proxies, backendRow + PROXY_LOCK) !== lb.self + 1) continue;
    lockBackend(lb, backendRow);
    unlockBackend(lb, backendRow, false);
  }
}
