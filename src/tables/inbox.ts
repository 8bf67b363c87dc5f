/**
 * Notes from any thread to one worker: small fixed records in a shared ring, many writers under a
 * lock word, one reader. The reader sleeps on a futex word (`bell`) through Atomics.waitAsync, so a
 * ring wakes its event loop without a message object.
 *
 *   inbox table:  [ kind a b c ][ kind a b c ] …   INBOX_ENTRIES records
 *   worker row:   inboxHead (reader) · inboxTail (writers) · bell · bellArmed
 *
 * A full inbox loses notes, but not what they stand for: its last entry says that some are missing
 * (NOTE_LOST), and the worker looks for itself: a grant stands in its queue entry, room in a limit.
 */
import { INBOX_ENTRIES, INBOX_ENTRY_WORDS } from "../base/limits.ts";
import { giveLock, takeLock } from "../base/lock.ts";
import {
  WORKER_BELL,
  WORKER_BELL_ARMED,
  WORKER_BELL_DESCRIPTOR,
  WORKER_INBOX_HEAD,
  WORKER_INBOX_LOCK,
  WORKER_INBOX_OVERFLOW,
  WORKER_INBOX_TAIL,
  WORKER_MAIL,
  WORKER_STRIDE,
} from "./generated/worker.ts";
import { isThreadDead } from "./tables.ts";
import type { Tables } from "./tables.ts";

/** A queue entry holds a slot now: a = queue entry row, b = stream slot, c = stream generation. */
export const NOTE_GRANT = 1;
/** A limit has room again: a = row of the proxy, b = row of the listener, 0 0 = the process. */
export const NOTE_RESUME = 2;
/** A worker found no free descriptor: the others look for themselves. */
export const NOTE_STARVED = 3;
/** The inbox was full, notes are missing: look for grants and for room. Never posted by hand. */
export const NOTE_LOST = 4;

/** Number of the control plane: it has a bell, but no inbox. */
export const CONTROL_THREAD = 0;

const MASK = INBOX_ENTRIES - 1;

/**
 * Appends a note to the inbox of `worker` and wakes it.
 * @param self number of the calling thread (0 = control)
 * @returns false when the inbox is full
 */
export function postNote(
  tables: Tables,
  self: number,
  worker: number,
  kind: number,
  a: number,
  b: number,
  c: number,
): boolean {
  const words = tables.workers.words;
  const row = worker * WORKER_STRIDE;
  const inbox = tables.perWorker[worker - 1]!.inbox.words;
  takeLock(words, row + WORKER_INBOX_LOCK, self, (thread) => isThreadDead(words, thread));
  const tail = words[row + WORKER_INBOX_TAIL]!;
  const head = Atomics.load(words, row + WORKER_INBOX_HEAD);
  const used = (tail - head) | 0;
  const hasRoom = used < INBOX_ENTRIES - 1;
  if (used < INBOX_ENTRIES) {
    const at = (tail & MASK) * INBOX_ENTRY_WORDS;
    inbox[at] = hasRoom ? kind : NOTE_LOST;
    inbox[at + 1] = a;
    inbox[at + 2] = b;
    inbox[at + 3] = c;
    Atomics.store(words, row + WORKER_INBOX_TAIL, (tail + 1) | 0);
  }
  if (!hasRoom) words[row + WORKER_INBOX_OVERFLOW] = words[row + WORKER_INBOX_OVERFLOW]! + 1;
  giveLock(words, row + WORKER_INBOX_LOCK);
  ringBell(tables, worker);
  return hasRoom;
}

/** Rings the descriptor that a worker sleeps on; set once a thread that has the native module. */
let ringDescriptor: (fd: number) => void = () => {};

/** Sets how to wake a worker that sleeps in a loop of its own. */
export function setDescriptorRinger(ring: (fd: number) => void): void {
  ringDescriptor = ring;
}

/** A message was posted to the thread of `worker`: it is to look at its mail. */
export function ringMail(tables: Tables, worker: number): void {
  Atomics.add(tables.workers.words, worker * WORKER_STRIDE + WORKER_MAIL, 1);
  ringBell(tables, worker);
}

/**
 * Wakes `worker` if it sleeps. The worker reads the bell, arms it, looks into its inbox and sleeps
 * on the value that it read. So it is disarmed first and rung then: whoever falls asleep disarmed
 * has read the bell before that ring, and either does not sleep on it or is woken by it.
 */
export function ringBell(tables: Tables, worker: number): void {
  const words = tables.workers.words;
  const row = worker * WORKER_STRIDE;
  const isArmed = Atomics.exchange(words, row + WORKER_BELL_ARMED, 0) === 1;
  Atomics.add(words, row + WORKER_BELL, 1);
  if (isArmed) {
    const fd = words[row + WORKER_BELL_DESCRIPTOR]!;
    if (fd > 0) ringDescriptor(fd);
    else Atomics.notify(words, row + WORKER_BELL);
  }
}

/** Takes the producer side of an inbox, from a dead thread if it must, and gives it back. */
export function freeInbox(tables: Tables, self: number, worker: number): void {
  const words = tables.workers.words;
  const lock = worker * WORKER_STRIDE + WORKER_INBOX_LOCK;
  takeLock(words, lock, self, (thread) => isThreadDead(words, thread));
  giveLock(words, lock);
}

/**
 * Reads all notes that have arrived, oldest first. Only the worker itself calls it.
 * @returns how many there were
 */
export function drainInbox(
  tables: Tables,
  worker: number,
  handle: (kind: number, a: number, b: number, c: number) => void,
): number {
  const words = tables.workers.words;
  const row = worker * WORKER_STRIDE;
  const inbox = tables.perWorker[worker - 1]!.inbox.words;
  let head = words[row + WORKER_INBOX_HEAD]!;
  let count = 0;
  while (head !== Atomics.load(words, row + WORKER_INBOX_TAIL) && count < INBOX_ENTRIES) {
    const at = (head & MASK) * INBOX_ENTRY_WORDS;
    const kind = inbox[at]!;
    const a = inbox[at + 1]!;
    const b = inbox[at + 2]!;
    const c = inbox[at + 3]!;
    head = (head + 1) | 0;
    // Given back before the note is acted on: its handling may post to this very inbox.
    Atomics.store(words, row + WORKER_INBOX_HEAD, head);
    handle(kind, a, b, c);
    count++;
  }
  return count;
}
