/**
 * What native/loop.c tells a thread: its events, words in a row, and bits of epoll(7). Shared by
 * whoever reads them; the same numbers stand there.
 *
 *   [ kind ][ descriptor ][ generation ][ bits, or errno ]
 *
 * @hot
 */

/** Words of an event. */
export const EVENT_WORDS = 4;
/** Most events of one poll. */
export const EVENTS_MAX = 1024;

/** There is something to read, or room to write. */
export const EPOLLIN = 0x001;
export const EPOLLOUT = 0x004;
/** It has failed, or both sides are closed. */
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
/** The peer has closed its side. */
export const EPOLLRDHUP = 0x2000;

/** Whoever is told that a descriptor is ready. */
export interface ReadyHandler {
  /** Given by the loop when it began to watch: tells a descriptor from an older one. */
  generation: number;
  /** @param bits EPOLL* */
  ready(bits: number): void;
}

/**
 * Tells the handler of a socket's event. The descriptor may have been closed, and given out anew,
 * earlier in the batch: then nobody is told. @param at of the event, in words
 */
export function tellReady(
  handlers: readonly (ReadyHandler | undefined)[],
  events: Int32Array,
  at: number,
): void {
  const handler = handlers[events[at + 1]!];
  if (handler !== undefined && handler.generation === events[at + 2]!) {
    handler.ready(events[at + 3]!);
  }
}
