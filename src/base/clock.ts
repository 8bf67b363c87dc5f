/**
 * Time, handed in everywhere else: production uses `systemClock`, the simulator its own.
 */

/** Sources of time. All cheap; none allocates. */
export type Clock = {
  /** Monotonic milliseconds since an arbitrary start, fractional. */
  nowMs(): number;
  /** Microseconds since the Unix epoch. */
  epochMicros(): number;
};

/** A callback that runs again and again until stopped. */
export type Ticker = { stop(): void };

const epochOffsetMs = Date.now() - performance.now();

/** Added to this thread's time, so that all threads count from the same moment. */
let shiftMs = 0;

/** When this thread began to count, ms since the epoch: what `alignClock` of others is given. */
export function clockOriginMs(): number {
  return performance.timeOrigin;
}

/**
 * Makes the monotonic time of this thread that of another: the runtime lets each thread count from
 * its own start, and seconds in shared memory must mean the same to all. First thing of a thread.
 */
export function alignClock(originMs: number): void {
  shiftMs = performance.timeOrigin - originMs;
}

/** The machine's clocks. The epoch time follows the monotonic one between corrections. */
export const systemClock: Clock = {
  nowMs: () => performance.now() + shiftMs,
  epochMicros: () => Math.round((performance.now() + currentOffset()) * 1000),
};

let offsetMs = epochOffsetMs;
let offsetCheckedAt = 0;

/** Follows steps of the wall clock, looked at once a second at most. */
function currentOffset(): number {
  const now = performance.now();
  if (now - offsetCheckedAt > 1000) {
    offsetCheckedAt = now;
    const fresh = Date.now() - now;
    if (Math.abs(fresh - offsetMs) > 5) offsetMs = fresh;
  }
  return offsetMs;
}

/** Calls `run` once after `delayMs` unless stopped before. */
export function startTimer(delayMs: number, run: () => void): Ticker {
  const timer = setTimeout(run, delayMs);
  return { stop: () => clearTimeout(timer) };
}

/** Resolves after `delayMs`. Cold paths only. */
export function sleepMs(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Calls `run` in the next turn of the event loop, after sockets have been looked at. */
export function onNextTurn(run: () => void): void {
  setImmediate(run);
}
