/**
 * Rare events: counted over all seeds. A full run fails if one of them never happened, because then
 * nothing was learnt about it.
 */

/** Name and meaning of each event that a full run must have seen. */
export const MARKS = {
  "stream ended in order": "both directions ended, --",
  "half-close under pressure": "an end waited behind bytes that the other side did not take",
  "half-close, other side went on": "bytes came after the other direction had ended",
  "client aborted in data": "CD",
  "server aborted in data": "SD",
  "abort before a server": "CD without a server",
  "client left while queued": "CQ, abortonclose or a stream that was broken off",
  "client left while connecting": "CC, likewise",
  "client timeout": "cD",
  "server timeout": "sD",
  "queue timeout": "sQ",
  "queue full": "SQ",
  "no server": "SC without an attempt",
  "connection refused": "SC after an attempt",
  "connect timeout": "sC",
  "no resource": "RC",
  "no room for the header": "RD, before the first byte",
  "no queue entry": "RQ",
  "bad PROXY header": "PR",
  "shut down by control": "K, D or U",
  "shut down before a server": "… while it waited or connected",
  "shut down by id": "one stream, by the name that a description gave",
  "stale id": "… which had ended by then, perhaps with its worker",
  "shut down over several turns": "other events came in between",
  "workers were asked": "their streams were described",
  "retry on the same server": "an attempt was repeated",
  redispatch: "a stream went to another server",
  "grant to another worker": "a slot was handed to a stream of another worker",
  "grant at once": "a slot was handed to a stream of the same worker",
  "grant racing a timeout": "the queue's timer fired when the slot had been granted",
  "grant racing an abort": "a client left when a slot had been granted",
  "stale grant": "a note about a grant came too late",
  "parked accept": "a client was accepted at a limit and waited",
  "parked client aborted": "… and left before there was room",
  "paused listener resumed": "room came back",
  "rate limit reached": "accepting waited for the next second",
  "no descriptor": "the worker found none, and stopped accepting for a while",
  "accept failed": "the listening socket could not be opened again at once",
  "stalled in a grace period": "a worker went on late, and what was removed waited for it",
  "worker lost": "a worker died between two events",
  "worker lost inside": "a worker died in the middle of an event",
  "worker lost with the lock": "what the lock guards was rebuilt",
  "worker lost with waiters": "its queue entries were dropped",
  "worker lost with slots": "its slots went to others",
  "worker came back": "a new thread took the number",
  "thread interrupted": "another worker ran in the middle of an event",
  "server went down with waiters": "they were moved",
  "slow start ended": "a server came up, step by step",
  "connection errors reported": "`observe layer4` reached its limit",
  "time to first byte measured": "of a backend with `outlier-ejection`",
  "server ejected": "it did worse than its peers",
  "server back from ejection": "its time was over",
  "server needed back": "others went away while it was out",
  "server removed": "its row was freed after the grace period",
  "server added": "while streams ran",
  "backend added": "while streams ran",
  "backend removed": "its row was freed after those of its servers",
  "backend held by what is under way": "streams, or deleted servers that were not purged",
  "soft stop with streams": "listeners closed, streams ended by themselves",
  "dynamic limit": "a limit between minconn and maxconn was in force",
  "write found the connection gone": "a reset that a write met first",
  "PROXY header sent": "a server read a header with the client's address",
  "no credit for a stream": "a server allowed no more streams on a connection",
  "connection shared by streams": "a second stream went over a connection to a server",
  "QUIC stream parked": "a client's stream was accepted at a limit and waited",
  "unsent stream went elsewhere": "its connection died before anything of it had gone out",
  "client connection died with streams": "all of them were told, each as an abort",
  "server connection died with streams": "… and of a server's",
  "server connection died in its handshake": "who waited for it was told why",
  "worker lost with QUIC connections": "control counted and released them",
  "backend kept for its QUIC": "its removal was refused",
  "PROXY header received": "a header came in pieces before the payload",
} as const;

export type Mark = keyof typeof MARKS;

/** Counts of one run or of many. */
export class Marks {
  readonly counts = new Map<Mark, number>();

  hit(mark: Mark): void {
    this.counts.set(mark, (this.counts.get(mark) ?? 0) + 1);
  }

  add(other: Marks): void {
    for (const [mark, count] of other.counts) {
      this.counts.set(mark, (this.counts.get(mark) ?? 0) + count);
    }
  }

  /** Events that never happened. */
  missing(): Mark[] {
    return (Object.keys(MARKS) as Mark[]).filter((mark) => !this.counts.has(mark));
  }
}
