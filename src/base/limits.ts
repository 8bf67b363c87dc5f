/**
 * Every maximum in one place. Shared tables reserve address space for these maxima at the start;
 * memory is used only for the records that are touched. `docs/limits.md` is made of the comments:
 * `@unit` is what is counted, `@change` the keyword that sets another value, where there is one.
 * `test/unit/base/limits.test.ts` holds the relations between them.
 */

/**
 * Threads of the data plane: each has counters for all rows, and a number in locks.
 * @unit threads
 * @change nbthread, up to this
 */
export const WORKERS_MAX = 128;
/**
 * Rows of the proxy table.
 * @unit rows
 */
export const PROXIES_MAX = 131_072;
/**
 * Rows of the listener table.
 * @unit rows
 */
export const LISTENERS_MAX = 131_072;
/**
 * Rows of the server table.
 * @unit rows
 */
export const SERVERS_MAX = 1_048_576;
/**
 * Streams that may wait in queues at the same time, over all workers.
 * @unit streams
 */
export const QUEUE_ENTRIES_MAX = 1_048_576;
/**
 * Room for heaps, rings and maps of all backends.
 * @unit 32-bit words
 */
export const ARENA_WORDS_MAX = 67_108_864;
/**
 * Entries of a worker's inbox, a power of two: bounds grants and wake-ups in flight.
 * @unit entries
 */
export const INBOX_ENTRIES = 65_536;
/**
 * Size of an inbox entry: kind and three operands.
 * @unit 32-bit words
 */
export const INBOX_ENTRY_WORDS = 4;
/**
 * Records of a worker's log ring, a power of two; more are dropped and counted.
 * @unit records
 */
export const LOG_RING_RECORDS = 8_192;

/**
 * Largest weight of a server (HAProxy manual 5.2, `weight`).
 * @unit weight
 */
export const WEIGHT_MAX = 256;
/**
 * Nodes on the consistent ring for one unit of weight.
 * @unit nodes
 */
export const RING_NODES_PER_WEIGHT = 16;
/**
 * Entries of one backend's map or ring: beyond, weights lose precision.
 * @unit entries
 */
export const TABLE_ENTRIES_MAX = 4_194_304;
/**
 * Draws of `random(n)` and `peak-ewma(n)`: with more, the choice is leastconn's in all but name.
 * @unit draws
 * @change balance random(<n>) or peak-ewma(<n>), up to this
 */
export const DRAWS_MAX = 256;
/**
 * Shortest time between two comparisons of a backend's servers (`outlier-ejection interval`).
 * @unit ms
 */
export const OUTLIER_INTERVAL_MS_MIN = 100;
/**
 * Highest `outlier-ejection samples`.
 * @unit attempts
 */
export const OUTLIER_SAMPLES_MAX = 1_000_000;
/**
 * Least by which a server's time to first byte must exceed that of the others for it to be ejected,
 * whatever the percentage: below it, differences are noise of our own loop.
 * @unit ms
 */
export const OUTLIER_LATENCY_MS_MIN = 5;
/**
 * Intervals over which a server's connections are collected until there are enough of them to judge
 * it by (`outlier-ejection samples`): one that balancing avoids has few.
 * @unit intervals
 */
export const OUTLIER_SPANS_MAX = 6;
/**
 * Servers of a backend with `outlier-ejection` that are looked at in a turn of control's loop.
 * @unit servers
 */
export const OUTLIER_SERVERS_A_TURN = 256;
/**
 * Most times that `outlier-ejection eject` is multiplied for a server that is ejected again and
 * again.
 * @unit times
 */
export const OUTLIER_TIMES_MAX = 10;

/**
 * Descriptors kept for control connections, checks, logs and the runtime.
 * @unit descriptors
 */
export const DESCRIPTORS_RESERVED = 100;
/**
 * Checks that may be under way at a time although no descriptor was set aside for them: those of
 * servers that come at run time. Others that are due wait.
 * @unit checks
 */
export const CHECKS_AT_ONCE_MIN = 256;
/**
 * They are no more than one for so many descriptors of the process.
 * @unit descriptors
 */
export const CHECKS_AT_ONCE_SHARE = 16;
/**
 * Visitors of one address of a statistics page at a time: more are turned away. Each takes three
 * descriptors.
 * @unit connections
 * @change maxconn of the section or of the bind line, up to this
 */
export const PAGE_CONNECTIONS_MAX = 100;
/**
 * A limit of descriptors that is as good as none (`fd-hard-limit` of HAProxy).
 * @unit descriptors
 */
export const DESCRIPTORS_MAX = 1_048_576;
/**
 * `tune.bufsize` when nothing is said: the most that one read can be, and so the most that a stream
 * holds for a side that takes nothing. HAProxy has 16,384; with this, relaying a gigabyte costs
 * four fifths of the CPU, and memory is held by stalled streams only.
 * @unit bytes
 * @change tune.bufsize
 */
export const BUFSIZE_DEFAULT = 262_144;
/**
 * Attempts to bind while an old process may still give the address back, one each 10 ms.
 * @unit attempts
 */
export const BIND_ATTEMPTS_MAX = 200;

/**
 * Memory of a worker for bytes of QUIC streams and datagrams that are on their way, in pieces of 32
 * KiB. When it is used up, writers wait, and streams that hold most of what nobody reads are broken
 * off.
 * @unit pieces
 */
export const QUIC_CHUNKS_MAX = 32_768;

/**
 * UDP sockets of QUIC that a worker has: one for each listener, and one for each backend and source
 * address that connections are made from. More listeners cannot be opened, and streams to more
 * backends fail for want of a socket.
 * @unit sockets
 */
export const QUIC_ENDPOINTS_MAX = 8192;

/**
 * Streams that a worker keeps for a listener at a limit. TCP clients wait in the system's backlog;
 * clients of QUIC whose connections live go on opening streams: those beyond are broken off.
 * @unit streams
 * @change maxconn
 */
export const PARKED_MAX = 4096;

/**
 * A PROXY header with all its fields; a longer one is refused.
 * @unit bytes
 */
export const PROXY_HEADER_BYTES_MAX = 16_384;

/**
 * Lines that one log destination holds back while it takes none (in UTF-16 units, near enough);
 * more are dropped and counted. One line always fits.
 * @unit bytes
 */
export const LOG_QUEUE_BYTES_MAX = 1_048_576;
/**
 * JSON log lines that may wait to be written; more are dropped and counted.
 * @unit lines
 */
export const JSON_LINES_WAITING_MAX = 10_000;
/**
 * Largest `len` of a log target (HAProxy manual 4.2, `log`).
 * @unit bytes
 * @change log … len, up to this
 */
export const LOG_LINE_BYTES_MAX = 65_535;

/**
 * Words on a line of the configuration, as in HAProxy.
 * @unit words
 */
export const LINE_WORDS_MAX = 64;
/**
 * Largest configuration file.
 * @unit characters
 */
export const FILE_LENGTH_MAX = 268_435_456;

/**
 * A file with certificates, keys or authorities. They are read at run time too, by the thread that
 * everything else waits for.
 * @unit bytes
 */
export const PEM_BYTES_MAX = 1_048_576;
/**
 * Deepest nesting of `.if`.
 * @unit levels
 */
export const IF_NESTING_MAX = 1_024;
/**
 * Deepest nesting of parentheses in a condition.
 * @unit levels
 */
export const CONDITION_DEPTH_MAX = 32;
/**
 * Servers that one `server-template` makes.
 * @unit servers
 */
export const TEMPLATE_SERVERS_MAX = 100_000;
/**
 * Longest `guid`.
 * @unit characters
 */
export const GUID_LENGTH_MAX = 127;

/**
 * Slots of streams that a worker looks at for one question of control: bounds how long a question
 * keeps it from its traffic.
 * @unit slots
 */
export const ASK_SLOTS_MAX = 8_192;
/**
 * Streams that a worker describes in one answer.
 * @unit streams
 */
export const ASK_STREAMS_MAX = 128;
/**
 * Streams that a worker shuts down on request before it looks at its sockets again.
 * @unit streams
 */
export const SHUTDOWN_STREAMS_PER_TURN = 64;
/**
 * Entries of the GUID index, of which five in eight may be taken: every proxy, listener and server.
 * @unit entries
 */
export const GUID_ENTRIES_MAX = 2_097_152;

/**
 * Line of commands of the runtime API, with what opens a payload and without the payload.
 * @unit bytes
 */
export const API_LINE_BYTES_MAX = 16_384;
/**
 * Payload behind `<<`: a transaction of some ten thousand changes.
 * @unit bytes
 */
export const API_PAYLOAD_BYTES_MAX = 4_194_304;
/**
 * Longest mark that ends a payload, as in HAProxy.
 * @unit characters
 */
export const API_PAYLOAD_PATTERN_MAX = 64;
/**
 * Words of a command of the runtime API, as in HAProxy.
 * @unit words
 */
export const API_WORDS_MAX = 64;
/**
 * Commands that a client of the runtime API may send ahead before it is not read any more.
 * @unit bytes
 */
export const API_INPUT_BYTES_MAX = 65_536;
/**
 * Longest wait of an answer of the runtime API for workers that have not applied its change.
 * @unit ms
 */
export const API_SETTLE_MS_MAX = 1_000;
/**
 * Answer that is gathered before it is written to a client of the runtime API.
 * @unit UTF-16 units
 */
export const API_WRITE_LENGTH = 32_768;
/**
 * Largest state file that is read: some kilobytes for each of a million servers.
 * @unit bytes
 */
export const STATE_FILE_BYTES_MAX = 4_294_967_296;

/**
 * Events that `show events` can look back on, and that a reader may lag behind.
 * @unit lines
 */
export const EVENT_RING_LINES = 1024;
/**
 * Protocol errors of one frontend that `show errors` remembers.
 * @unit connections
 */
export const ERROR_RING_ENTRIES = 16;

/**
 * Shortest time between two steps of a server's slow start; else a step is 1 % of it.
 * @unit ms
 */
export const SLOWSTART_STEP_MS = 50;

/**
 * Time for one mail to one mail server where `timeout mail` says nothing.
 * @unit ms
 */
export const TIME_MAIL_MS = 10_000;
/**
 * Mails that wait for one mail server; more are dropped and counted.
 * @unit mails
 */
export const MAIL_QUEUE_MAX = 256;
/**
 * Bytes that a mail server may say while one mail is delivered: a session is a dozen short lines.
 * @unit bytes
 */
export const MAIL_SESSION_BYTES_MAX = 32_768;
/**
 * Shortest time between two lines of the log about mails that one server did not take.
 * @unit ms
 */
export const MAIL_TELL_MS = 60_000;

/**
 * Bytes of an answer to a check that were read in one go beyond what is kept: they wait until room
 * is made, and nothing is read meanwhile. One read is at most 524,288.
 * @unit bytes
 */
export const CHECK_EXCESS_BYTES_MAX = 1_048_576;

/**
 * Questions for a name before it counts as not answered, where `resolve_retries` says nothing.
 * @unit questions
 * @change resolve_retries
 */
export const DNS_RETRIES = 3;
/**
 * Most that `resolve_retries` takes.
 * @unit questions
 */
export const DNS_RETRIES_MAX = 100;
/**
 * Largest answer that name servers are told to give, where nothing is said (RFC 1035).
 * @unit bytes
 * @change accepted_payload_size
 */
export const DNS_PAYLOAD_BYTES = 512;
/**
 * Least that `accepted_payload_size` takes (RFC 6891 section 6.2.3).
 * @unit bytes
 */
export const DNS_PAYLOAD_BYTES_MIN = 512;
/**
 * Most that `accepted_payload_size` takes: the longest message.
 * @unit bytes
 */
export const DNS_PAYLOAD_BYTES_MAX = 65_535;
/**
 * Time between two rounds of questions for a name.
 * @unit ms
 * @change timeout resolve
 */
export const DNS_RESOLVE_MS = 1_000;
/**
 * Time that a name server has for an answer before it is asked again.
 * @unit ms
 * @change timeout retry
 */
export const DNS_RETRY_MS = 1_000;
/**
 * How long the last good answer counts after failures.
 * @unit ms
 * @change hold
 */
export const DNS_HOLD_MS = 30_000;
/**
 * `hold valid`, which only `do-resolve` would look at.
 * @unit ms
 */
export const DNS_HOLD_VALID_MS = 10_000;
/**
 * Networks of one `resolve-net`, as in HAProxy.
 * @unit networks
 */
export const DNS_NETS_MAX = 5;
/**
 * Longest label of a name (RFC 1035 section 2.3.4).
 * @unit bytes
 */
export const DNS_LABEL_BYTES_MAX = 63;
/**
 * Longest name, with the lengths of its labels (RFC 1035 section 2.3.4).
 * @unit bytes
 */
export const DNS_NAME_BYTES_MAX = 254;
/**
 * Most of the system's list of name servers that is read.
 * @unit bytes
 */
export const RESOLV_CONF_BYTES_MAX = 65_536;
/**
 * Records of one answer that are looked at; what comes after them is not.
 * @unit records
 */
export const DNS_RECORDS_MAX = 4_096;
/**
 * Compression pointers that are followed in one name of an answer.
 * @unit pointers
 */
export const DNS_POINTERS_MAX = 16;
/**
 * Aliases (CNAME) that are followed from a name to its addresses.
 * @unit records
 */
export const DNS_ALIASES_MAX = 16;
/**
 * Records that are kept of a name, the obsolete ones that are still held among them.
 * @unit records
 */
export const DNS_RECORDS_KEPT_MAX = 8_192;
/**
 * Names of one section that are asked for at a time; others wait.
 * @unit names
 */
export const DNS_ACTIVE_MAX = 512;
/**
 * Questions on one TCP connection at a time (HAProxy manual 5.3.2).
 * @unit questions
 */
export const DNS_PIPELINE_MAX = 4;
/**
 * TCP connections to one name server where `maxconn` says nothing.
 * @unit connections
 * @change maxconn of a nameserver line
 */
export const DNS_CONNECTIONS_MAX = 8;
/**
 * Silence after which a TCP connection to a name server is closed.
 * @unit ms
 */
export const DNS_IDLE_MS = 5_000;
/**
 * A TCP connection to a name server that has answered nothing for so long since it was asked is
 * given up with the next question that goes unanswered.
 * @unit ms
 */
export const DNS_SILENT_MS = 1_000;
/**
 * Questions of one TCP connection that were given up and may still be answered; then another one.
 * @unit questions
 */
export const DNS_LATE_MAX = 256;
/**
 * Messages on one TCP connection that answer no question: then it is closed.
 * @unit messages
 */
export const DNS_UNASKED_MAX = 16;
/**
 * Messages to one UDP port that answer no question, or one that was given up: then it is closed.
 * @unit messages
 */
export const DNS_PORT_UNASKED_MAX = 128;
/**
 * Questions from one UDP port: then another, that nobody can have guessed.
 * @unit questions
 */
export const DNS_PORT_QUESTIONS_MAX = 64;
/**
 * Work on names and their servers in one turn of control, before others have theirs.
 * @unit ms
 */
export const DNS_TURN_MS = 2;
/**
 * Shortest time between two rounds of questions for a name, whatever `timeout resolve` says.
 * @unit ms
 */
export const DNS_RESOLVE_MS_MIN = 10;
/**
 * Programs of `external-check` that run at a time; the next waits within its own time.
 * @unit programs
 */
export const EXTERNAL_CHECKS_MAX = 256;
/**
 * Bytes of a server's answer to a check that are kept: HAProxy's default of `tune.bufsize`, which
 * is less than streams have here.
 * @unit bytes
 * @change tune.bufsize
 */
export const CHECK_ANSWER_BYTES_DEFAULT = 16_384;

/**
 * Steps of a regular expression of `tcp-check expect` and `http-check expect`, repetitions written
 * out: each byte of an answer costs at most that many.
 * @unit steps
 */
export const REGEX_STATES_MAX = 2_000;
/**
 * Longest timer of a name: one that is due later is looked at before.
 * @unit ms
 */
export const DNS_TIMER_MS_MAX = 10_000;
/**
 * How long it counts whether IPv6 leads anywhere (`dns-accept-family auto`).
 * @unit ms
 */
export const DNS_IPV6_LOOK_MS = 30_000;
