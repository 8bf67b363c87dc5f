/**
 * The layouts of everything that threads share, as data: the one place where a field is declared.
 *
 * `scripts/generate` turns these into `src/tables/generated/*.ts` (offsets and accessors),
 * `native/generated/tables.h` (the same offsets for C) and `docs/tables.md`; a test regenerates all
 * three and requires no difference. Fields are grouped by who writes them; a group starts on its
 * own 64-byte line, so that two writers never share one.
 *
 * One list, and so over 600 lines: whoever looks for a field looks here.
 *
 * A record is addressed by its *row*: the offset of its first 32-bit word in the table. Row 0 is
 * never used, so 0 means "none" in every field that holds a row.
 */

/** Storage of a field: a 32-bit signed word, or a 64-bit float in two words, 8-byte aligned. */
export type FieldType = "i32" | "f64";

export type Field = {
  name: string;
  type: FieldType;
  /** Number of consecutive elements; 1 unless said. */
  count?: number;
  /** Unit or value set: "ms", "row of server", "STATE_*". */
  unit: string;
  /** One sentence: what it means, what is special. */
  note: string;
};

export type Group = {
  /** Thread or lock holder that writes every field of the group. */
  writer: string;
  /** Who reads and how: plain or atomic. */
  reader: string;
  hot: boolean;
  fields: Field[];
};

export type Layout = {
  /** Upper case prefix of the constants, lower case of the accessors. */
  name: string;
  title: string;
  groups: Group[];
};

const i32 = (name: string, unit: string, note: string, count = 1): Field => ({
  name,
  type: "i32",
  unit,
  note,
  ...(count === 1 ? {} : { count }),
});

const f64 = (name: string, unit: string, note: string, count = 1): Field => ({
  name,
  type: "f64",
  unit,
  note,
  ...(count === 1 ? {} : { count }),
});

/** Words of one cache line. */
export const LINE_WORDS = 16;

const PROXY: Layout = {
  name: "PROXY",
  title: "A frontend, a backend, or a listen section (both)",
  groups: [
    {
      writer: "control",
      reader: "all threads, plain; `state` and `generation` atomic",
      hot: true,
      fields: [
        i32("generation", "count", "Moves on when the row is freed: an old handle is detected."),
        i32("state", "PROXY_STATE_*", "Life of the proxy."),
        i32("flags", "PROXY_FLAG_* bits", "What the proxy is."),
        i32("id", "uuid", "Numeric id of the configuration."),
        i32("frontMaxconn", "connections", "Limit of the client side; 0 = none."),
        i32("rateLimit", "sessions per second", "`rate-limit sessions`; 0 = none."),
        i32("fullconn", "connections", "Load at which dynamic limits reach `maxconn`."),
        i32("algorithm", "ALGORITHM_*", "How the backend chooses a server."),
        i32("redispatch", "retries", "`option redispatch`; 0 = off."),
        i32("retries", "count", "Connection attempts after the first."),
        i32("references", "count", "Holders that control knows of: deleted servers and the like."),
        i32("watched", "0 or 1", "Somebody waits for its streams to end: ring control then."),
      ],
    },
    {
      writer: "holder of `lock`",
      reader: "holder of `lock`; `serversUp*` plain by anyone",
      hot: true,
      fields: [
        i32(
          "lock",
          "worker number + 1, 0 = free",
          "Guards this group, the balancing fields of its" +
            " servers, and both kinds of queue of the backend.",
        ),
        i32("heapBase", "word in the arena", "Servers that can be chosen: three heaps of entries."),
        i32("heapCount", "entries", "Length of each heap, by HEAP_*.", 3),
        i32("heapCapacity", "entries", "Room of each heap, for all servers of the backend."),
        i32("ringBase", "word in the arena", "Hash ring or map: (hash, row) pairs or rows."),
        i32("ringCount", "entries", "Length of the ring or map."),
        i32("ringCapacity", "entries", "Room at `ringBase`."),
        i32("serversBase", "word in the arena", "Rows of all servers in configuration order."),
        i32("serverCount", "rows", "All servers of the backend."),
        i32("serversCapacity", "rows", "Room at `serversBase`."),
        i32("activeUp", "servers", "Usable active (non-backup) servers."),
        i32("backupUp", "servers", "Usable backup servers."),
        i32("onBackup", "0 or 1", "Backup servers carry the traffic."),
        i32("firstBackup", "row of server", "First usable backup server in configuration order."),
        i32("queueHead", "queue entry", "Oldest stream waiting for any server of the backend."),
        i32("queueTail", "queue entry", "Youngest such stream."),
        i32("queueLength", "streams", "Waiting on the backend itself."),
        i32("queueTotal", "streams", "Waiting on the backend and on all of its servers."),
        f64("totalWeight", "scaled weight", "Sum of `tierWeight` over all servers."),
        f64("virtualTime", "picks", "Clock of round robin."),
        f64("sequence", "count", "Tie-breaker: moves on with each insertion and each queue entry."),
        i32("served", "streams", "Sum of `served` over all servers."),
        i32("lockBreaks", "count", "Times the lock was taken from a dead worker."),
        i32("queueMax", "streams", "Longest queue seen."),
        f64("round", "count", "Rounds of round robin begun."),
        f64("roundStart", "picks", "Clock at which the round began."),
        f64("roundWeight", "scaled weight", "`totalWeight` at that moment: length of the round."),
        i32("cursor", "index", "Next entry of the map or ring for streams without a hash."),
        i32("grantEntry", "queue entry", "Grant being made: redone if its maker dies; 0 = none."),
        i32("grantShare", "streams", "The share of the stream's worker after that grant."),
        i32("draws", "count", "`random(n)`."),
        i32("hashType", "HASH_TYPE_*", "Map or ring."),
        i32("hashFunction", "HASH_FUNCTION_*", "What `balance hash` hashes with."),
        i32("avalanche", "0 or 1", "Hashes are mixed once more."),
        i32("balanceFactor", "percent", "`hash-balance-factor`; 0 = off."),
        i32("decayMs", "ms", "peak-ewma: a measured time counts for 1/e after so long."),
      ],
    },
    {
      writer: "workers, atomic add",
      reader: "all threads, atomic",
      hot: true,
      fields: [
        i32("frontCurrent", "sessions", "Client connections of the frontend now."),
        i32("frontFull", "0 or 1", "Some worker has stopped accepting at the limit."),
        i32("backCurrent", "streams", "Streams that have chosen this backend and are not over."),
        i32("frontCurrentMax", "sessions", "Highest `frontCurrent`."),
        i32("backCurrentMax", "streams", "Highest `backCurrent`."),
        i32("quicFront", "connections", "QUIC connections of clients that are not released yet."),
        i32("quicBack", "connections", "QUIC connections to servers that are not released yet."),
      ],
    },
    {
      writer: "workers, atomic; the second in progress and its start",
      reader: "all threads",
      hot: true,
      fields: [
        i32("rateSecond", "s of the monotonic clock", "Second that `rateCount` counts."),
        i32("rateCount", "sessions", "Sessions accepted in that second."),
        i32("ratePrevious", "sessions", "Sessions of the second before."),
        i32("rateMax", "sessions per second", "Highest count of one second."),
        i32("backRateSecond", "s of the monotonic clock", "The same of the server side."),
        i32("backRateCount", "streams", "Streams that came in that second."),
        i32("backRatePrevious", "streams", "Streams of the second before."),
        i32("backRateMax", "streams per second", "Highest count of one second."),
      ],
    },
  ],
};

const SERVER: Layout = {
  name: "SERVER",
  title: "A server of a backend",
  groups: [
    {
      writer: "control",
      reader: "all threads, plain; `state` and `generation` atomic",
      hot: true,
      fields: [
        i32("generation", "count", "Moves on when the row is freed: an old handle is detected."),
        i32("state", "SERVER_STATE_*", "Administrative state and health, merged: may it be used?"),
        i32("adminState", "SERVER_ADMIN_* bits", "Why it is in maintenance or drain."),
        i32("health", "0 .. rise+fall-1", "Check counter; at or above `rise` means up."),
        i32("weight", "0 .. 256", "Effective weight, before the slow start."),
        i32("configWeight", "0 .. 256", "Weight of the configuration."),
        i32("maxconn", "streams", "Limit; 0 = none."),
        i32("minconn", "streams", "Lower limit of the dynamic range; 0 = not dynamic."),
        i32("maxqueue", "streams", "Longest queue of its own; 0 = no limit."),
        i32("backendRow", "row of proxy", "The backend."),
        i32("id", "puid", "Numeric id in the backend."),
        i32("flags", "SERVER_FLAG_* bits", "Backup and the like."),
        i32("order", "index", "Place in the configuration."),
        i32("watched", "0 or 1", "Somebody waits for `served` to be 0: ring control then."),
      ],
    },
    {
      writer: "holder of the backend's lock",
      reader: "holder; `served` and `queueLength` plain by anyone",
      hot: true,
      fields: [
        i32("served", "streams", "Streams attached, over all workers."),
        i32("queueLength", "streams", "Waiting for this server in particular."),
        i32("queueHead", "queue entry", "Oldest of them."),
        i32("queueTail", "queue entry", "Youngest of them."),
        i32("heapIndex", "index + 1", "Place in its heap; 0 = in none."),
        i32("heapKind", "HEAP_*", "Which heap; valid while `heapIndex` is not 0."),
        i32("servedMax", "streams", "Highest `served`."),
        i32("queueMax", "streams", "Longest queue seen."),
        i32("lastPickedMs", "ms, wraps", "Monotonic time of the last choice."),
        i32("tierWeight", "1/16 of weight", "While it may be chosen; 0 = takes no new traffic."),
        i32("usable", "0 or 1", "Up and of weight: counted in `activeUp` or `backupUp`."),
        i32("remainder", "scaled weight", "Round robin: fraction of `position`."),
        i32("throttle", "percent", "Slow start: part of weight and limit in force; 0 = all."),
        i32("cumulativeWeight", "scaled weight", "Sum of `tierWeight` of the servers before it."),
        f64("position", "picks", "Round robin: when it is due next."),
        f64("lastPick", "count", "`sequence` of the backend at its last choice."),
        f64("picks", "count", "Times chosen by the algorithm (`lbtot`)."),
      ],
    },
    {
      writer: "workers, atomic add",
      reader: "control",
      hot: false,
      fields: [
        i32("connectFailures", "attempts", "Connection attempts that failed; wraps."),
        i32("rateSecond", "s of the monotonic clock", "Second that `rateCount` counts."),
        i32("rateCount", "streams", "Streams given to the server in that second."),
        i32("ratePrevious", "streams", "Streams of the second before."),
        i32("rateMax", "streams per second", "Highest count of one second."),
        i32("quicOpen", "connections", "QUIC connections to it that live, over all workers."),
        i32("quicIdle", "connections", "Those of them without a stream."),
        i32("brokenEarly", "streams", "Broken off by the server before its first byte; wraps."),
        i32("errorsInRow", "attempts", "`observe layer4`: failed since the last that succeeded."),
        i32("errorReports", "count", "Times that they reached `error-limit` (`hanafail`); wraps."),
      ],
    },
    {
      writer: "workers, plain: of two at the same moment one is lost",
      reader: "all threads, plain",
      hot: true,
      fields: [
        f64("peakMs", "ms", "Peak-EWMA of connect time, as of `peakAtMs`; 0 = not measured yet."),
        i32("peakAtMs", "ms, wraps", "Monotonic time of its last sample."),
      ],
    },
    {
      writer: "workers, atomic add",
      reader: "control",
      hot: false,
      fields: [
        i32(
          "firstByte",
          "streams, wrap",
          "Times to first byte by length: each bucket ends at √2 times the one before.",
          32,
        ),
      ],
    },
    {
      writer: "the thread of checks",
      reader: "control, plain",
      hot: false,
      fields: [
        i32("checkRunning", "0 or 1", "A check is under way."),
        i32("checkCode", "CHECK_CODE_*", "Result of the last one; 0 = not checked."),
        i32("checkNumber", "code", "What the protocol said (`check_code`); -1 = nothing."),
        i32("checkDurationMs", "ms", "How long it took."),
        i32("checkPasses", "count", "Checks that passed; wraps."),
        i32("checkFailures", "count", "Checks that failed while up (`chkfail`); wraps."),
        i32("checkAtMs", "ms, wraps", "Monotonic time of its end."),
        i32("agentRunning", "0 or 1", "The agent is being asked."),
        i32("agentCode", "CHECK_CODE_*", "Result of the last answer; 0 = no agent."),
        i32("agentNumber", "code", "What it said (`agent_code`); -1 = nothing."),
        i32("agentDurationMs", "ms", "How long it took."),
        i32("agentAtMs", "ms, wraps", "Monotonic time of its end."),
      ],
    },
  ],
};

const LISTENER: Layout = {
  name: "LISTENER",
  title: "A bound address of a frontend",
  groups: [
    {
      writer: "control",
      reader: "all threads, plain",
      hot: true,
      fields: [
        i32("generation", "count", "Moves on when the row is freed."),
        i32("state", "LISTENER_STATE_*", "Life of the listener."),
        i32("proxyRow", "row of proxy", "The frontend."),
        i32("id", "puid", "Numeric id in the frontend."),
        i32("maxconn", "connections", "Limit of its own; 0 = the frontend's."),
      ],
    },
    {
      writer: "workers, atomic add",
      reader: "all threads, atomic",
      hot: true,
      fields: [
        i32("current", "sessions", "Client connections of this listener now."),
        i32("full", "0 or 1", "Some worker has stopped accepting at the limit."),
        i32("currentMax", "sessions", "Highest `current`."),
      ],
    },
  ],
};

const WORKER: Layout = {
  name: "WORKER",
  title: "A data-plane thread (index 0 is the control plane itself)",
  groups: [
    {
      writer: "control",
      reader: "all threads, atomic",
      hot: false,
      fields: [
        i32("state", "WORKER_STATE_*", "Life of the thread, as control sees it."),
        i32("generation", "count", "Moves on each time the thread is replaced."),
      ],
    },
    {
      writer: "this worker",
      reader: "control, atomic where a sequence, else plain",
      hot: true,
      fields: [
        i32("appliedSequence", "mutations", "All mutations up to this one are applied."),
        i32("streams", "streams", "Streams that live on the worker."),
        i32("heartbeat", "ticks", "Moves on with each turn of the worker's wheel."),
        i32("bellArmed", "0 or 1", "The worker sleeps: ring after writing to its inbox."),
        i32(
          "bellDescriptor",
          "descriptor, 0",
          "Rung by writing to it when the worker sleeps in it.",
        ),
        f64("loop", "address", "The worker's native loop, for whoever buries it; 0 = none."),
        f64("quicEngine", "address", "The worker's QUIC engine, for the same; 0 = none."),
        f64("cpuMicros", "µs", "CPU time of the thread, some times a second while it has streams."),
        f64("bytesOut", "bytes", "Sent to clients and servers, as they reach the counters."),
        f64("accepted", "connections", "Client connections that became streams."),
      ],
    },
    {
      writer: "any thread, under `inboxLock`",
      reader: "this worker",
      hot: true,
      fields: [
        i32("inboxLock", "worker number + 1", "Guards the producer side of the inbox."),
        i32("inboxHead", "entries, wraps", "Next entry to read (written by the worker)."),
        i32("inboxTail", "entries, wraps", "Next entry to write."),
        i32("bell", "count", "Futex word: moves on with each ring."),
        i32("mail", "count", "Messages sent to the thread: moves on with each."),
        i32("inboxOverflow", "count", "Notes that found the inbox full."),
      ],
    },
  ],
};

const PROCESS: Layout = {
  name: "PROCESS",
  title: "The process as a whole (one record)",
  groups: [
    {
      writer: "control",
      reader: "all threads, plain",
      hot: true,
      fields: [
        i32("maxconn", "connections", "Limit of the process."),
        i32("workerCount", "threads", "Data-plane threads."),
        i32("stopping", "0 or 1", "Soft stop under way."),
        i32("bufsize", "bytes", "`tune.bufsize`."),
        i32("publishedSequence", "mutations", "Last mutation sent."),
        i32("maxconnrate", "connections per second", "`maxconnrate`; 0 = none."),
        i32("maxsessrate", "sessions per second", "`maxsessrate`; 0 = none."),
        i32("graceWanted", "0 or 1", "Control waits for workers to apply: ring it after a batch."),
      ],
    },
    {
      writer: "workers, atomic add",
      reader: "all threads, atomic",
      hot: true,
      fields: [
        i32("current", "connections", "Client connections of the process now."),
        i32("full", "0 or 1", "Some worker has stopped accepting at the limit."),
        i32("currentMax", "connections", "Highest `current`."),
        i32("uniqueCounter", "count", "Streams ever begun, wraps (`%rt`)."),
      ],
    },
    {
      writer: "workers, atomic",
      reader: "all threads",
      hot: true,
      fields: [
        i32("connSecond", "s of the monotonic clock", "Second that `connCount` counts."),
        i32("connCount", "connections", "Connections accepted in that second."),
        i32("connPrevious", "connections", "Connections of the second before."),
        i32("connMax", "connections per second", "Highest count of one second."),
        i32("maxconnReached", "count", "Times that the process came to its limit; wraps."),
      ],
    },
    {
      writer: "holder of `queueLock`",
      reader: "holder",
      hot: true,
      fields: [
        i32("queueLock", "worker number + 1", "Guards the free list of queue entries."),
        i32("queueFree", "queue entry", "First free entry."),
        i32("queueUsed", "entries", "Entries ever touched: the rest of the table is fresh."),
      ],
    },
  ],
};

const QUEUE: Layout = {
  name: "QUEUE",
  title: "A stream that waits for a slot",
  groups: [
    {
      writer: "holder of the backend's lock",
      reader: "holder",
      hot: true,
      fields: [
        i32("next", "queue entry", "Younger neighbour, or next free entry."),
        i32("previous", "queue entry", "Older neighbour."),
        i32("worker", "worker number", "Owner of the stream."),
        i32("stream", "slot", "Stream of that worker."),
        i32("streamGeneration", "count", "Its generation: a late grant is detected."),
        i32("serverRow", "row of server", "Server waited for; 0 = any of the backend."),
        i32("backendRow", "row of proxy", "The backend."),
        i32("state", "QUEUE_STATE_*", "free, waiting, granted."),
        f64("sequence", "count", "Order of arrival over all queues of the backend."),
        i32("grantedServer", "row of server", "Slot handed over; valid in state granted."),
        i32("pendingAhead", "streams", "Streams that waited before it, when it came."),
        i32("generation", "count", "Moves on when the entry is freed."),
        i32("hash", "unsigned", "Hash of the stream; valid with QUEUE_FLAG_HASHED."),
        i32("flags", "QUEUE_FLAG_* bits", "How the stream came to wait."),
      ],
    },
  ],
};

/** Counters that a worker adds to and everybody sums: one table per worker and kind. */
const COUNTERS_FRONT: Layout = {
  name: "FRONT_COUNT",
  title: "Counters of a frontend or listener, one row per worker",
  groups: [
    {
      writer: "the worker that owns the shard, plain",
      reader: "control, plain; sums over workers",
      hot: true,
      fields: [
        f64("connections", "connections", "Accepted."),
        f64("sessions", "sessions", "Accepted and past the connection rules (`stot`)."),
        f64("bytesIn", "bytes", "Received from clients."),
        f64("bytesOut", "bytes", "Sent to clients."),
        f64("errorsRequest", "streams", "Ended by the client before a server was asked (`ereq`)."),
        f64("proxyHeaderErrors", "connections", "Bad or missing PROXY headers."),
        f64("current", "connections", "Connections of this worker now: given back if it dies."),
      ],
    },
  ],
};

const COUNTERS_BACK: Layout = {
  name: "BACK_COUNT",
  title: "Counters of a backend or server, one row per worker",
  groups: [
    {
      writer: "the worker that owns the shard, plain",
      reader: "control, plain; sums over workers",
      hot: true,
      fields: [
        f64("sessions", "streams", "Streams that came here (`stot`)."),
        f64("bytesIn", "bytes", "Received from clients and sent on."),
        f64("bytesOut", "bytes", "Received from servers."),
        f64("connectAttempts", "connections", "Connections begun (`connect`)."),
        f64("errorsConnect", "streams", "Failed to connect (`econ`)."),
        f64("errorsResponse", "streams", "Server-side errors after the connection (`eresp`)."),
        f64("retries", "attempts", "Connection retries (`wretr`)."),
        f64("redispatches", "streams", "Sent to another server after failures (`wredis`)."),
        f64("clientAborts", "streams", "Data transfers ended by the client (`cli_abrt`)."),
        f64("serverAborts", "streams", "Data transfers ended by the server (`srv_abrt`)."),
        f64(
          "queueTimeSum",
          "ms",
          "Sum of queue times; each ended stream fades those before by 1/1024.",
        ),
        f64("connectTimeSum", "ms", "Sum of connect times, fading too."),
        f64("totalTimeSum", "ms", "Sum of total times, fading too."),
        f64("timedStreams", "streams", "Streams in the three sums, fading too."),
        f64("lastSession", "s since the epoch", "Start of the newest stream (`lastsess`)."),
        f64("queueTimeMax", "ms", "Longest queue time seen."),
        f64("connectTimeMax", "ms", "Longest connect time seen."),
        f64("totalTimeMax", "ms", "Longest total time seen."),
        f64("picks", "streams", "Chosen by the algorithm (`lbtot`)."),
        f64("current", "streams", "Streams of this worker in the backend now, for burials."),
      ],
    },
  ],
};

/** QUIC_NUMBERS of conduit/quic/transport.ts that count, in that order; a unit test compares. */
const QUIC_COUNTED: readonly Field[] = [
  f64("packetsSent", "packets", "Sent."),
  f64("packetsReceived", "packets", "Received and understood."),
  f64("packetsLost", "packets", "Sent and declared lost."),
  f64("packetsDropped", "packets", "Received and thrown away."),
  f64("bytesSent", "bytes", "Of UDP payload."),
  f64("bytesReceived", "bytes", "Of UDP payload."),
  f64("bytesLost", "bytes", "Of packets declared lost."),
  f64("streamBytesResent", "bytes", "Of streams, sent again."),
  f64("handshakesDone", "connections", "Handshakes completed."),
  f64("handshakesFailed", "connections", "Over before their handshake was complete."),
  f64("retriesSent", "packets", "Retry packets."),
  f64("retriesValid", "packets", "Tokens of ours that came back and were right."),
  f64("retriesInvalid", "packets", "Tokens that were wrong or too old."),
  f64("resetsSent", "packets", "Stateless resets sent."),
  f64("resetsReceived", "packets", "Stateless resets received."),
  f64("versionNegotiations", "packets", "Version Negotiation packets sent."),
  f64("initialsDropped", "packets", "Initials not answered: handshakes at the limit, or paused."),
  f64("refused", "connections", "Refused at the limit of connections."),
  f64("malformed", "datagrams", "Datagrams that are no packets of ours."),
  f64("forwarded", "packets", "Handed to the worker that owns the connection."),
  f64("sendBlocked", "count", "Times that the socket took no more."),
  f64("streamsBidiLocal", "streams", "Bidirectional, opened by us."),
  f64("streamsBidiRemote", "streams", "Bidirectional, opened by the peer."),
  f64("streamsUniLocal", "streams", "Unidirectional, opened by us."),
  f64("streamsUniRemote", "streams", "Unidirectional, opened by the peer."),
  f64("streamResetsSent", "streams", "RESET_STREAM sent."),
  f64("streamResetsReceived", "streams", "RESET_STREAM received."),
  f64("stopsSent", "streams", "STOP_SENDING sent."),
  f64("stopsReceived", "streams", "STOP_SENDING received."),
  f64("blockedConnection", "count", "Times that the peer's connection window stopped us."),
  f64("blockedStream", "count", "Times that a stream's window stopped us."),
  f64("blockedStreams", "count", "Times that the peer's limit of streams stopped us."),
  f64("datagramsSent", "datagrams", "DATAGRAM frames sent."),
  f64("datagramsReceived", "datagrams", "DATAGRAM frames received."),
  f64("datagramsDropped", "datagrams", "Too long, or the queue was full."),
  f64("earlyAccepted", "connections", "0-RTT used."),
  f64("earlyRejected", "connections", "0-RTT offered and refused."),
  f64("resumed", "connections", "TLS sessions resumed."),
  f64("migrations", "connections", "Changes of the peer's address that were validated."),
  f64("glitches", "count", "Small offences of peers."),
];

/** Codes of applications of which a row keeps a count each; those that come later share one. */
export const QUIC_CODES_KEPT = 8;

/** Transport errors that are told apart: 0x0 to 0x10, TLS alerts together, all others. */
export const QUIC_TRANSPORT_ERRORS = 19;

const COUNTERS_QUIC: Layout = {
  name: "QUIC_COUNT",
  title: "QUIC of one side of a proxy, one row per worker",
  groups: [
    {
      writer: "the worker that owns the shard, plain; control once it is dead",
      reader: "control, plain; sums over workers",
      hot: false,
      fields: [
        ...QUIC_COUNTED,
        f64("used", "0 or 1", "Something was counted here."),
        f64("halfOpen", "connections", "Clients whose handshake is under way now."),
        f64("opened", "connections", "Begun, handshakes included."),
        f64("released", "connections", "Over, with all their packets counted."),
        f64("ended", "connections", "Ends by CAUSE_* of the transport.", 12),
        f64(
          "errorsReceived",
          "connections",
          "Closed by the peer, by transport error.",
          QUIC_TRANSPORT_ERRORS,
        ),
        f64(
          "errorsSent",
          "connections",
          "Closed by us for its faults, the same.",
          QUIC_TRANSPORT_ERRORS,
        ),
        f64("codesOther", "connections", "Closed by the peer with codes that have no place below."),
        f64(
          "codeCount",
          "connections",
          "Closed by the peer with a code; 0 = a free place.",
          QUIC_CODES_KEPT,
        ),
        i32("codeLow", "lower 32 bits", "That code.", QUIC_CODES_KEPT),
        i32("codeHigh", "upper 30 bits", "That code.", QUIC_CODES_KEPT),
        f64("rttSamples", "connections", "Released with a round-trip time: in the four below."),
        f64("rttSum", "µs", "Of smoothed round-trip times at the end."),
        f64("rttMin", "µs", "Shortest of them; 0 = none."),
        f64("rttMax", "µs", "Longest of them."),
        f64("cwndSamples", "connections", "Released with a congestion window: in the three below."),
        f64("cwndSum", "bytes", "Of congestion windows at the end."),
        f64("cwndMin", "bytes", "Smallest of them; 0 = none."),
        f64("cwndMax", "bytes", "Largest of them."),
      ],
    },
  ],
};

const GUID_HEAD: Layout = {
  name: "GUID_HEAD",
  title: "The GUID index as a whole, behind the words of its lock (one record)",
  groups: [
    {
      writer: "control, under the write lock",
      reader: "all threads, under the read lock",
      hot: true,
      fields: [
        i32("entriesBase", "word", "First entry of the half in use."),
        i32("capacity", "entries", "Entries of it, a power of two."),
        i32("count", "GUIDs", "Entries that are taken."),
        i32("textUsed", "bytes", "Text ever touched: the rest of the arena is fresh."),
        i32("freeShort", "byte of the text arena + 1", "First free cell for short GUIDs."),
        i32("freeLong", "byte of the text arena + 1", "First free cell for long ones."),
      ],
    },
  ],
};

const GUID: Layout = {
  name: "GUID",
  title: "A GUID: what it names, and where its text is",
  groups: [
    {
      writer: "control, under the write lock",
      reader: "all threads, under the read lock",
      hot: true,
      fields: [
        i32("hash", "number", "Of the text: where the search for it begins."),
        i32("kind", "GUID_KIND_*", "What it names; 0 = the entry is free."),
        i32("row", "row of proxy, listener or server", "The object."),
        i32("generation", "count", "Its generation."),
        i32("text", "byte of the text arena", "Where the text begins."),
        i32("length", "bytes", "Of the text."),
      ],
    },
  ],
};

const SHARE: Layout = {
  name: "SHARE",
  title: "What one worker holds of one server: given back if the worker dies",
  groups: [
    {
      writer: "the worker; `served` under the backend's lock",
      reader: "control, when it buries a worker",
      hot: true,
      fields: [
        i32("served", "streams", "Part of the server's `served` that is this worker's."),
        i32("quicOpen", "connections", "Part of the server's `quicOpen` that is this worker's."),
        i32("quicIdle", "connections", "The same of `quicIdle`."),
      ],
    },
  ],
};

const STREAM_LOG: Layout = {
  name: "STREAM_LOG",
  title: "One ended (or, with logasap, connected) stream, from a worker to the log writers",
  groups: [
    {
      writer: "the worker that owns the ring",
      reader: "control, after the ring's tail has moved (atomic)",
      hot: true,
      fields: [
        i32("kind", "LOG_KIND_*", "What the record tells."),
        i32("frontRow", "row of proxy", "Frontend."),
        i32("frontGeneration", "count", "Its generation."),
        i32("listenerRow", "row of listener", "Listener."),
        i32("backRow", "row of proxy", "Backend; 0 = none was chosen."),
        i32("backGeneration", "count", "Its generation."),
        i32("serverRow", "row of server", "Server; 0 = none (`<NOSRV>`)."),
        i32("serverGeneration", "count", "Its generation."),
        f64("acceptedAtMicros", "µs since the epoch", "When the connection was accepted."),
        f64("bytesUp", "bytes", "From the client to the server."),
        f64("bytesDown", "bytes", "From the server to the client."),
        i32("waitMs", "ms, -1", "Time in queues (`%Tw`)."),
        i32("connectMs", "ms, -1", "Time to connect (`%Tc`)."),
        i32("totalMs", "ms", "From accept to the end (`%Tt`)."),
        i32("handshakeMs", "ms", "PROXY header and the like (`%Th`)."),
        i32("termination", "two ASCII bytes", "Session state at the end: cause << 8 | phase."),
        i32("flags", "LOG_FLAG_* bits", "Redispatched, logasap, error."),
        i32("retries", "attempts", "Connection retries (`%rc`)."),
        i32("processCurrent", "connections", "`%ac`."),
        i32("frontCurrent", "connections", "`%fc`."),
        i32("backCurrent", "connections", "`%bc`."),
        i32("serverCurrent", "connections", "`%sc`."),
        i32("serverQueue", "streams", "`%sq`."),
        i32("backQueue", "streams", "`%bq`."),
        i32("uniqueCounter", "count", "`%rt`."),
        i32("clientFamily", "4, 6, 1 = unix, 0 = none", "Family of the client's address."),
        i32("clientPort", "port", "`%cp`."),
        i32("clientAddress", "big-endian words", "IPv4 in the first word.", 4),
        i32("destinationFamily", "4, 6, 1, 0", "Address that the client reached."),
        i32("destinationPort", "port", "`%fp`."),
        i32("destinationAddress", "big-endian words", "`%fi`.", 4),
        i32("sourceFamily", "4, 6, 1, 0", "Our side of the connection to the server."),
        i32("sourcePort", "port", "`%bp`."),
        i32("sourceAddress", "big-endian words", "`%bi`.", 4),
        i32("serverFamily", "4, 6, 1, 0", "Server's address at the time."),
        i32("serverPort", "port", "`%sp`."),
        i32("serverAddress", "big-endian words", "`%si`.", 4),
        i32("worker", "worker number", "Owner of the stream."),
        i32("tlsFlags", "LOG_TLS_* bits", "TLS of the client's connection; 0 = none."),
        i32("tlsCipher", "IANA's number, 0", "Cipher suite (`%sslc`); 0 = not known."),
        i32("sniBytes", "bytes", "Length of the name that the client asked for."),
        i32("sni", "UTF-8, first byte lowest", "That name, cut to its room.", 16),
        i32("alpnBytes", "bytes", "Length of the protocol that was agreed upon."),
        i32("alpn", "UTF-8, first byte lowest", "That protocol, cut to its room.", 4),
        i32("commonNameBytes", "bytes", "Length of the name in the client's certificate."),
        i32("commonName", "UTF-8, first byte lowest", "That name, cut to its room.", 16),
      ],
    },
  ],
};

/** All layouts, in the order in which they are documented. */
export const LAYOUTS: readonly Layout[] = [
  PROCESS,
  WORKER,
  PROXY,
  LISTENER,
  SERVER,
  QUEUE,
  SHARE,
  COUNTERS_FRONT,
  COUNTERS_BACK,
  COUNTERS_QUIC,
  STREAM_LOG,
  GUID_HEAD,
  GUID,
];

/** Named values of state and flag fields: generated into constants and decoders. */
export const ENUMS: readonly {
  name: string;
  flags: boolean;
  values: readonly (readonly [string, number, string])[];
}[] = [
  {
    name: "PROXY_STATE",
    flags: false,
    values: [
      ["FREE", 0, "the row is not in use"],
      ["READY", 1, "serves"],
      ["PAUSED", 2, "keeps its sockets, accepts nothing"],
      ["STOPPED", 3, "sockets closed, streams end by themselves"],
      ["DISABLED", 4, "`disabled` in the configuration"],
    ],
  },
  {
    name: "PROXY_FLAG",
    flags: true,
    values: [
      ["FRONT", 1, "has a client side"],
      ["BACK", 2, "has a server side"],
      ["PUBLISHED", 4, "rules that name the backend use it"],
      ["ALL_BACKUPS", 8, "option allbackups"],
      ["DYNAMIC", 16, "added at run time"],
      ["QUIC_USED", 32, "a QUIC server is or was in it: never removed"],
    ],
  },
  {
    name: "ALGORITHM",
    flags: false,
    values: [
      ["ROUNDROBIN", 1, "dynamic round robin"],
      ["STATIC_RR", 2, "round robin over a fixed map"],
      ["LEASTCONN", 3, "fewest streams for the weight"],
      ["FIRST", 4, "lowest id with a free slot"],
      ["SOURCE", 5, "hash of the client's address"],
      ["RANDOM", 6, "best of n random draws"],
      ["HASH", 7, "hash of a sample"],
      ["PEAK_EWMA", 8, "better of n draws by measured connect time and load"],
    ],
  },
  {
    name: "CHECK_CODE",
    flags: false,
    values: [
      ["UNK", 0, "nothing is known"],
      ["INI", 1, "no check has ended yet"],
      ["HANA", 2, "real traffic was judged"],
      ["SOCKERR", 3, "a fault of our own"],
      ["L4OK", 4, "the connection opened"],
      ["L4TOUT", 5, "no connection in time"],
      ["L4CON", 6, "no connection"],
      ["L6OK", 7, "the handshake ended well"],
      ["L6TOUT", 8, "it did not end in time"],
      ["L6RSP", 9, "it failed"],
      ["L7OK", 10, "the answer was right"],
      ["L7OKC", 11, "right, and no new traffic wanted"],
      ["L7TOUT", 12, "no answer in time"],
      ["L7RSP", 13, "no answer of the protocol"],
      ["L7STS", 14, "an answer that says no"],
      ["PROCERR", 15, "the program failed"],
      ["PROCTOUT", 16, "it did not end in time"],
      ["PROCOK", 17, "the program said yes"],
      ["CHECKED", 18, "an agent's answer without a word about health"],
    ],
  },
  {
    name: "SERVER_STATE",
    flags: false,
    values: [
      ["FREE", 0, "the row is not in use"],
      ["UP", 1, "usable"],
      ["DRAIN", 2, "serves what it has, takes persistent traffic only"],
      ["DOWN", 3, "health checks say no"],
      ["MAINT", 4, "in maintenance"],
    ],
  },
  {
    name: "SERVER_ADMIN",
    flags: true,
    values: [
      ["FORCED_MAINT", 1, "set by an operator"],
      ["INHERITED_MAINT", 2, "by the tracked server"],
      ["CONFIG_MAINT", 4, "`disabled` in the configuration"],
      ["FORCED_DRAIN", 8, "set by an operator"],
      ["INHERITED_DRAIN", 16, "by the tracked server"],
      ["RESOLUTION_MAINT", 32, "its name has no address"],
    ],
  },
  {
    name: "SERVER_FLAG",
    flags: true,
    values: [
      ["BACKUP", 1, "used when no active server is"],
      ["CHECKED", 2, "has a health check"],
      ["DYNAMIC", 4, "added at run time"],
      ["NEW", 8, "some worker may not know it yet: it is not chosen"],
      ["DOWN", 16, "out of order, whatever its administrative state: checks, or an operator"],
      ["STOPPING", 32, "up, but wants no new streams: `set server … health stopping`"],
      ["CHECKS_OFF", 64, "its health check is suspended: `disable health`"],
      ["EJECTED", 128, "out for doing worse than its peers (`outlier-ejection`): not chosen"],
      ["AGENT_OFF", 256, "its agent is not asked: `disable agent`"],
    ],
  },
  {
    name: "LISTENER_STATE",
    flags: false,
    values: [
      ["FREE", 0, "the row is not in use"],
      ["READY", 1, "accepts"],
      ["PAUSED", 2, "keeps its sockets, accepts nothing: `disable frontend`"],
      ["CLOSED", 3, "its sockets are closed; the row is freed when its streams have ended"],
    ],
  },
  {
    name: "WORKER_STATE",
    flags: false,
    values: [
      ["FREE", 0, "no thread"],
      ["STARTING", 1, "thread made, not yet ready"],
      ["RUNNING", 2, "serves"],
      ["DEAD", 3, "gone; being buried"],
    ],
  },
  {
    name: "QUEUE_STATE",
    flags: false,
    values: [
      ["FREE", 0, "not in use"],
      ["WAITING", 1, "in a queue"],
      ["GRANTED", 2, "holds a slot, its owner has been told"],
    ],
  },
  {
    name: "QUEUE_FLAG",
    flags: true,
    values: [
      ["HASHED", 1, "`hash` tells the server"],
      ["FORCED", 2, "the caller named the server"],
      ["MOVED", 4, "its server went away while it waited"],
    ],
  },
  {
    name: "HASH_TYPE",
    flags: false,
    values: [
      ["MAP", 0, "map-based"],
      ["RING", 1, "consistent"],
    ],
  },
  {
    name: "HASH_FUNCTION",
    flags: false,
    values: [
      ["SDBM", 0, "sdbm"],
      ["DJB2", 1, "djb2"],
      ["WT6", 2, "wt6"],
      ["CRC32", 3, "crc32"],
      ["NONE", 4, "the key is a number already"],
    ],
  },
  {
    name: "HEAP",
    flags: false,
    values: [
      ["READY", 0, "can be chosen; round robin: has a position in this round"],
      ["FRESH", 1, "round robin: not yet chosen in its round"],
      ["ASLEEP", 2, "full; its dynamic limit grows with the load"],
    ],
  },
  {
    name: "GUID_KIND",
    flags: false,
    values: [
      ["NONE", 0, "free"],
      ["PROXY", 1, "a frontend, backend or listen section"],
      ["LISTENER", 2, "a bound address"],
      ["SERVER", 3, "a server"],
    ],
  },
  {
    name: "LOG_KIND",
    flags: false,
    values: [
      ["STREAM_END", 1, "a stream is over"],
      ["STREAM_CONNECTED", 2, "logasap: a stream reached its server"],
      ["SESSION_ERROR", 3, "a connection ended before it was a stream (PROXY header)"],
    ],
  },
  {
    name: "LOG_FLAG",
    flags: true,
    values: [
      ["REDISPATCHED", 1, "`+` before the retries"],
      ["ASAP", 2, "`+` before times and bytes"],
      ["ERROR", 4, "for error-log-format and log-separate-errors"],
    ],
  },
  {
    name: "LOG_TLS",
    flags: true,
    values: [
      ["ON", 1, "the client's connection is TLS"],
      ["RESUMED", 2, "by a session ticket"],
      ["EARLY", 4, "early data were taken (0-RTT)"],
      ["UNFINISHED", 8, "the handshake was not complete"],
      ["CERTIFICATE", 16, "the client showed a certificate"],
      ["VERIFIED", 32, "and it was verified"],
      ["SNI_CUT", 64, "the name is longer than its room"],
      ["ALPN_CUT", 128, "so is the protocol"],
      ["NAME_CUT", 256, "so is the name in the certificate"],
    ],
  },
];
