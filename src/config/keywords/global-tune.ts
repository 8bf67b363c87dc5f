/** Tuning of what sluice does not have (HAProxy manual 3.2): all without effect, by name. */
import { undone } from "./build.ts";
import type { ShortRow } from "./build.ts";
import type { GlobalParser } from "./global.ts";
import type { Keyword } from "./keyword.ts";

const PROCESS: readonly ShortRow[] = [
  ["maxcompcpuusage", "<number>", "Compression of HTTP."],
  ["maxcomprate", "<number>", "Compression of HTTP."],
  ["maxpipes", "<number>", "Pipes for moving data inside the kernel."],
  ["maxsslconn", "<number>", "Most TLS connections."],
  ["maxsslrate", "<number>", "Most TLS handshakes a second."],
  ["maxzlibmem", "<number>", "Compression of HTTP."],
  ["no-memory-trimming", "", "Return of memory to the system."],
  ["noepoll", "", "Choice of the polling system."],
  ["noevports", "", "Choice of the polling system."],
  ["nogetaddrinfo", "", "Choice of the name look-up."],
  ["nokqueue", "", "Choice of the polling system."],
  ["noktls", "", "TLS in the kernel."],
  ["nopoll", "", "Choice of the polling system."],
  ["nosepoll", "", "Choice of the polling system."],
  ["nosplice", "", "Moving data inside the kernel."],
  ["profiling.memory", "{on|off}", "Profiling."],
  ["profiling.memory.on", "", "Profiling."],
  ["profiling.tasks", "{auto|on|off|…}", "Profiling."],
  ["ssl-engine", "<name> [algo <list>]", "TLS hardware."],
  ["ssl-mode-async", "", "TLS hardware."],
  ["tune.applet.zero-copy-forwarding", "{on|off}", "Copies inside the relay."],
  ["tune.buffers.limit", "<number>", "Most buffers of the process."],
  ["tune.buffers.reserve", "<number>", "Buffers kept in reserve."],
  ["tune.bufsize.large", "<size>", "Size of large buffers."],
  ["tune.bufsize.small", "<size>", "Size of small buffers."],
  ["tune.chksize", "<size>", "Old word about answers of checks: `tune.bufsize` counts."],
  ["tune.cli.max-payload-size", "<size>", "Largest payload of a runtime command."],
  ["tune.comp.maxlevel", "<number>", "Compression of HTTP."],
  ["tune.defaults.purge", "[…]", "Which defaults sections are kept."],
  ["tune.disable-fast-forward", "", "Shortcut of the relay."],
  ["tune.disable-zero-copy-forwarding", "", "Copies inside the relay."],
  ["tune.epoll.mask-events", "<event>[,…]", "The polling system."],
  ["tune.events.max-events-at-once", "<number>", "Events of Lua."],
  ["tune.fail-alloc", "<number>", "Stress tests of the program itself."],
  ["tune.fd.edge-triggered", "{on|off}", "The polling system."],
  ["tune.fd.tables", "{shared|per-thread-group}", "The table of descriptors."],
  ["tune.glitches.kill.cpu-usage", "<number>", "Peers that break the rules of HTTP."],
  ["tune.idle-pool.shared", "{full|on|off}", "Idle HTTP connections."],
  ["tune.idletimer", "<time>", "Detection of streams that only copy."],
  ["tune.listener.default-shards", "{by-process|by-thread|by-group}", "Sockets of a listener."],
  ["tune.listener.multi-queue", "{on|fair|off}", "Hand-over of new connections between threads."],
  ["tune.max-checks-per-thread", "<number>", "Checks at a time."],
  ["tune.max-rules-at-once", "<number>", "Rules in a row."],
  ["tune.maxpollevents", "<number>", "The polling system."],
  ["tune.maxrewrite", "<size>", "Room for changed headers."],
  ["tune.memory.hot-size", "<number>", "Caches of the allocator."],
  ["tune.notsent-lowat.client", "<size>", "Unsent bytes in the kernel."],
  ["tune.notsent-lowat.server", "<size>", "Unsent bytes in the kernel."],
  ["tune.pattern.cache-size", "<number>", "Cache of pattern look-ups."],
  ["tune.peers.max-updates-at-once", "<number>", "Messages between peers."],
  ["tune.pipesize", "<size>", "Pipes for moving data inside the kernel."],
  ["tune.pool-high-fd-ratio", "<number>", "Idle HTTP connections."],
  ["tune.pool-low-fd-ratio", "<number>", "Idle HTTP connections."],
  ["tune.pt.zero-copy-forwarding", "{on|off}", "Copies inside the relay."],
  ["tune.rcvbuf.backend", "<size>", "Receive buffer of UDP sockets."],
  ["tune.rcvbuf.frontend", "<size>", "Receive buffer of UDP sockets."],
  ["tune.recv_enough", "<size>", "Bytes after which reading pauses."],
  ["tune.renice.runtime", "<number>", "Priority of the process."],
  ["tune.renice.startup", "<number>", "Priority of the process."],
  ["tune.ring.queues", "<number>", "Queues of rings."],
  ["tune.runqueue-depth", "<number>", "Tasks in a row."],
  ["tune.sched.low-latency", "{on|off}", "Order of tasks."],
  ["tune.sndbuf.backend", "<size>", "Send buffer of UDP sockets."],
  ["tune.sndbuf.frontend", "<size>", "Send buffer of UDP sockets."],
  ["tune.stick-counters", "<number>", "Counters tracked by a stream."],
  ["tune.streams-elasticity", "<number>", "Streams of HTTP connections."],
  ["tune.takeover-other-tg-connections", "<value>", "Idle HTTP connections."],
  ["tune.vars.check-max-size", "<size>", "Memory of variables."],
  ["tune.vars.global-max-size", "<size>", "Memory of variables."],
  ["tune.vars.proc-max-size", "<size>", "Memory of variables."],
  ["tune.vars.reqres-max-size", "<size>", "Memory of variables."],
  ["tune.vars.sess-max-size", "<size>", "Memory of variables."],
  ["tune.vars.txn-max-size", "<size>", "Memory of variables."],
  ["tune.zlib.memlevel", "<number>", "Compression of HTTP."],
  ["tune.zlib.windowsize", "<number>", "Compression of HTTP."],
];

/** Families of words about one thing: prefix, what it is about, the rest of each word. */
const FAMILIES: readonly (readonly [prefix: string, effect: string, words: string])[] = [
  [
    "tune.h1.",
    "HTTP/1.",
    "be.glitches-threshold fe.glitches-threshold zero-copy-fwd-recv zero-copy-fwd-send",
  ],
  [
    "tune.h2.",
    "HTTP/2.",
    "be.glitches-threshold be.initial-window-size be.max-concurrent-streams " +
      "be.max-frames-at-once be.rxbuf fe.glitches-threshold fe.initial-window-size " +
      "fe.max-concurrent-streams fe.max-frames-at-once fe.max-rst-at-once fe.max-total-streams " +
      "fe.rxbuf header-table-size initial-window-size log-errors max-concurrent-streams " +
      "max-frame-size zero-copy-fwd-send",
  ],
  ["tune.http.", "HTTP.", "cookielen logurilen maxhdr"],
  [
    "tune.lua.",
    "Lua.",
    "bool-sample-conversion burst-timeout forced-yield log.loggers log.stderr " +
      "maxmem openlibs service-timeout session-timeout task-timeout",
  ],
  [
    "tune.quic.be.",
    "QUIC towards servers.",
    "cc.cubic-min-losses cc.hystart cc.max-frame-loss cc.reorder-ratio sec.glitches-threshold " +
      "tx.pacing",
  ],
  [
    "tune.quic.fe.",
    "QUIC towards clients.",
    "cc.cubic-min-losses cc.hystart cc.max-frame-loss cc.reorder-ratio sec.glitches-threshold " +
      "sock-per-conn stream.max-total tx.pacing",
  ],
  [
    "tune.quic.",
    "QUIC.",
    "cc-hystart cc.cubic.min-losses disable-tx-pacing frontend.conn-tx-buffers.limit " +
      "frontend.glitches-threshold frontend.max-tx-mem max-frame-loss mem.tx-max reorder-ratio " +
      "socket-owner zero-copy-fwd-send",
  ],
  [
    "tune.ssl.",
    "TLS.",
    "cachesize capture-buffer-size capture-cipherlist-size certificate-compression " +
      "default-dh-param force-private-cache hard-maxrecord keylog keyupdate-rate-limit " +
      "lifetime maxrecord ocsp-update.maxdelay ocsp-update.mindelay ssl-ctx-cache-size",
  ],
];

function familyRows(): ShortRow[] {
  return FAMILIES.flatMap(([prefix, effect, words]) =>
    words
      .split(" ")
      .map((word): ShortRow => [`${prefix}${word}`, "<value>", `Tuning of ${effect}`]),
  );
}

/** The rows. */
export const GLOBAL_TUNE: readonly Keyword<GlobalParser>[] = undone<GlobalParser>(
  "inert",
  ["global"],
  "3.2",
  [...PROCESS, ...familyRows()],
);
