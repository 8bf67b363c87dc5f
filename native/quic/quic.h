/*
 * The QUIC transport of sluice: what JavaScript calls, and what it is told.
 *
 * One engine belongs to one thread (a worker, or control for its checks). C holds packets,
 * connections, streams, timers and the bytes in flight; whoever calls holds policy. Nothing here
 * calls back: what happened is read as events, in batches, after a pump. An event about a stream
 * comes at most once of each kind in a batch, so a peer cannot make a batch longer than it has
 * streams.
 *
 *   loop: UDP descriptor readable, timer or mail ──▶ sq_pump ──▶ sq_events (until short) ──▶ calls
 *   end of the loop's turn ──▶ sq_flush (sends what the calls queued, sets the timer) ──▶ sq_events
 *
 * Handles of connections and streams carry a generation: one that is over is detected, never
 * followed (SQ_GONE). Results are >= 0, or a negative SQ_* or -errno. Codes of applications are
 * 62 bits, in two words: lo, hi. All memory that a peer can cause is bounded by the settings of a
 * profile and by the arena.
 */
#ifndef SLUICE_QUIC_H
#define SLUICE_QUIC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define SQ_EXPORT __attribute__((visibility("default")))

/* Version of this interface; src/conduit/quic/native-quic.ts refuses another. */
#define SQ_INTERFACE 2

/* Results below zero that are no errno: beyond the largest errno. */
#define SQ_GONE (-5001)      /* the handle names nothing that lives */
#define SQ_NO_CREDIT (-5002) /* the peer allows no more streams now: SQ_EV_CREDIT tells */
#define SQ_CLOSED (-5003)    /* this direction is over */
#define SQ_FULL (-5004)      /* a bound of ours is reached */
#define SQ_TLS (-5005)       /* see sq_error_text */
#define SQ_TOO_LONG (-5006)  /* a datagram that the path or the peer does not take */

/* One event is 8 words. */
#define SQ_EVENT_WORDS 8
struct sq_event {
	uint32_t type;       /* SQ_EV_* */
	uint32_t connection; /* handle */
	uint32_t stream;     /* handle, 0 = none */
	uint32_t a;
	uint32_t lo, hi;     /* a 62-bit code or number */
	uint32_t b, c;
};

enum {
	/* A client has finished its handshake with an endpoint that listens (with accepted early data:
	 * has begun it). a = endpoint, b = 1 if it is early. */
	SQ_EV_ACCEPTED = 1,
	/* Our handshake with a server is complete. b = 1: resumed. */
	SQ_EV_CONNECTED,
	/* The peer has opened a stream. lo, hi = its identifier; a = SQ_STREAM_* bits. */
	SQ_EV_STREAM,
	/* Bytes or the end of a stream can be had: sq_stream_peek. */
	SQ_EV_DATA,
	/* RESET_STREAM: the peer's direction is over without its end. lo, hi = code. Bytes that came
	 * before and were not consumed are gone. */
	SQ_EV_RESET,
	/* STOP_SENDING: the peer takes no more of ours. lo, hi = code. (The library has answered with
	 * RESET_STREAM of that code.) */
	SQ_EV_STOP,
	/* A write that was not taken whole can go on. */
	SQ_EV_WRITABLE,
	/* More streams may be opened: a = 1 bidirectional, 2 unidirectional, 3 both. */
	SQ_EV_CREDIT,
	/* Datagrams wait: sq_datagram_peek. */
	SQ_EV_DATAGRAM,
	/* The connection is over: its streams are dead, no event about them follows. a = SQ_CAUSE_*,
	 * lo, hi = code, b = 1 if the handshake had been completed, c = length of the reason text
	 * (SQ_TEXT_REASON). Comes also after our own sq_conn_close, with SQ_CAUSE_LOCAL. */
	SQ_EV_CLOSED,
	/* Its last packets are out: sq_conn_deltas a last time, then sq_conn_free. */
	SQ_EV_RELEASED,
	/* The client's address has changed and was validated. */
	SQ_EV_MIGRATED,
	/* A session ticket for this server was received: sq_conn_ticket. */
	SQ_EV_TICKET,
	/* An endpoint of ours met an error that lasts (no memory, the descriptor is broken). a =
	 * endpoint, b = errno. At most once a second. */
	SQ_EV_TROUBLE,
};

#define SQ_STREAM_UNI 1   /* unidirectional */
#define SQ_STREAM_EARLY 2 /* opened by early data, before the handshake was done */

/* Why a connection is over. */
enum {
	SQ_CAUSE_LOCAL = 1,     /* sq_conn_close */
	SQ_CAUSE_APPLICATION,   /* the peer closed with an application code */
	SQ_CAUSE_TRANSPORT,     /* the peer closed with a transport code; 0x1xx is a TLS alert */
	SQ_CAUSE_IDLE,          /* silent too long */
	SQ_CAUSE_HANDSHAKE,     /* not established in time */
	SQ_CAUSE_RESET,         /* stateless reset: the peer does not know it any more */
	SQ_CAUSE_REFUSED,       /* nobody listens there, or no route: code = errno */
	SQ_CAUSE_PROTOCOL,      /* we ended it: the peer broke the protocol, or TLS failed; code =
	                         * transport code as sent, 0x1xx is a TLS alert */
	SQ_CAUSE_VERSION,       /* no version in common */
	SQ_CAUSE_INTERNAL,      /* an error inside the library: that connection only */
};

/* Settings of a profile: sq_profile_set. Bytes, milliseconds, counts; 0 or 1. */
enum {
	SQ_SET_IDLE_MS,             /* max_idle_timeout; 0 = none */
	SQ_SET_HANDSHAKE_MS,
	SQ_SET_KEEP_ALIVE_MS,       /* pings on a silent connection; to a client only while it has
	                             * streams; 0 = none */
	SQ_SET_STREAMS_BIDI,        /* that the peer may have open at a time */
	SQ_SET_STREAMS_UNI,
	SQ_SET_STREAM_WINDOW,       /* unread bytes of a stream that a peer may cause */
	SQ_SET_CONNECTION_WINDOW,   /* of all streams of a connection */
	SQ_SET_SEND_BUFFER,         /* bytes that a stream may hold until acknowledged */
	SQ_SET_CONGESTION,          /* 0 cubic, 1 newreno, 2 bbr */
	SQ_SET_CWND_MAX,            /* bytes; 0 = none */
	SQ_SET_DATAGRAM_MAX,        /* max_datagram_frame_size offered; 0 = no datagrams */
	SQ_SET_DATAGRAM_QUEUE,      /* datagrams that wait in each direction; beyond: the oldest goes */
	SQ_SET_UDP_PAYLOAD_MAX,     /* largest packet sent; 0 = found out (path MTU) */
	SQ_SET_EARLY,               /* 0-RTT */
	SQ_SET_RETRY,               /* server: 0 never, 1 always, 2 from `SQ_SET_RETRY_FROM` on */
	SQ_SET_RETRY_FROM,          /* server: handshakes under way */
	SQ_SET_HALF_OPEN_MAX,       /* server: handshakes under way; beyond: Initials are dropped */
	SQ_SET_CONNECTIONS_MAX,     /* server: connections of the endpoint; beyond: refused */
	SQ_SET_VERIFY,              /* 0 none, 1 optional (server), 2 required */
	SQ_SET_MIGRATION,           /* server: 1 = clients may change their address */
	SQ_SET_STRICT_SNI,          /* server: a name without certificate is refused */
	SQ_SET_REJECT_LOW_PORTS,    /* server: drops Initials from ports below 1024 */
	SQ_SET_GSO,                 /* 0 = one datagram a call */
	SQ_SET_SHARED,              /* 1 = the streams have different owners: what one of them does not
	                             * read must not keep the others from receiving, so that only
	                             * SQ_SET_STREAM_WINDOW bounds what is unread */
	SQ_SET_COUNT
};

/* Numbers of a connection (sq_conn_deltas, sq_conn_now) and of an endpoint (sq_endpoint_deltas),
 * as doubles. The first block counts and only grows; deltas give its growth since the last call.
 * The second is of the moment; deltas give it as it is. */
enum {
	SQ_N_PACKETS_SENT,
	SQ_N_PACKETS_RECEIVED,
	SQ_N_PACKETS_LOST,
	SQ_N_PACKETS_DROPPED,      /* received and thrown away */
	SQ_N_BYTES_SENT,           /* UDP payload */
	SQ_N_BYTES_RECEIVED,
	SQ_N_BYTES_LOST,
	SQ_N_STREAM_BYTES_RESENT,  /* as good as known: what was in packets that were lost */
	SQ_N_HANDSHAKES_DONE,      /* 0 or 1 */
	SQ_N_HANDSHAKES_FAILED,    /* 0 or 1 */
	SQ_N_RETRIES_SENT,         /* endpoint */
	SQ_N_RETRIES_VALID,        /* a token of ours came back and was right */
	SQ_N_RETRIES_INVALID,      /* endpoint: a token that is wrong or too old */
	SQ_N_RESETS_SENT,          /* endpoint: stateless resets */
	SQ_N_RESETS_RECEIVED,
	SQ_N_VERSION_NEGOTIATIONS, /* endpoint: sent */
	SQ_N_INITIALS_DROPPED,     /* endpoint: at SQ_SET_HALF_OPEN_MAX, or not accepting */
	SQ_N_REFUSED,              /* endpoint: at SQ_SET_CONNECTIONS_MAX */
	SQ_N_MALFORMED,            /* endpoint: datagrams that are no QUIC packets of ours */
	SQ_N_FORWARDED,            /* endpoint: packets handed to their owner */
	SQ_N_SEND_BLOCKED,         /* endpoint: the socket took no more */
	SQ_N_STREAMS_BIDI_LOCAL,   /* opened by us */
	SQ_N_STREAMS_BIDI_REMOTE,  /* opened by the peer */
	SQ_N_STREAMS_UNI_LOCAL,
	SQ_N_STREAMS_UNI_REMOTE,
	SQ_N_STREAM_RESETS_SENT,
	SQ_N_STREAM_RESETS_RECEIVED,
	SQ_N_STOPS_SENT,
	SQ_N_STOPS_RECEIVED,
	SQ_N_BLOCKED_CONNECTION,   /* times that the peer's connection window stopped us */
	SQ_N_BLOCKED_STREAM,       /* times that a stream's window stopped us */
	SQ_N_BLOCKED_STREAMS,      /* times that the peer's stream limit stopped us */
	SQ_N_DATAGRAMS_SENT,
	SQ_N_DATAGRAMS_RECEIVED,
	SQ_N_DATAGRAMS_DROPPED,    /* too long, or the queue was full */
	SQ_N_EARLY_ACCEPTED,       /* 0 or 1 */
	SQ_N_EARLY_REJECTED,       /* 0 or 1 */
	SQ_N_RESUMED,              /* 0 or 1 */
	SQ_N_MIGRATIONS,
	SQ_N_GLITCHES,             /* 0 or 1: ended for too many small offences of the peer */
	SQ_N_COUNTS,               /* length of the first block */

	SQ_N_RTT_LATEST_MICROS = SQ_N_COUNTS,
	SQ_N_RTT_MIN_MICROS,
	SQ_N_RTT_SMOOTH_MICROS,
	SQ_N_RTT_VARIANCE_MICROS,
	SQ_N_CWND,                 /* bytes */
	SQ_N_SSTHRESH,
	SQ_N_IN_FLIGHT,            /* bytes */
	SQ_N_STREAMS_NOW,
	SQ_N_AGE_MILLIS,
	SQ_N_IDLE_MILLIS,          /* since a packet of the peer */
	SQ_N_UNREAD,               /* bytes that wait for the reader */
	SQ_N_UNSENT,               /* bytes that wait to be sent or acknowledged */
	SQ_N_STATE,                /* 0 handshake, 1 established, 2 closing, 3 draining, 4 over */
	SQ_N_COUNT
};

/* Texts of a connection: sq_conn_text. */
enum {
	SQ_TEXT_SNI,         /* the name that was asked for */
	SQ_TEXT_ALPN,
	SQ_TEXT_CIPHER,      /* TLS_AES_128_GCM_SHA256… */
	SQ_TEXT_SUBJECT,     /* of the peer's certificate, /CN=… as haproxy writes it */
	SQ_TEXT_COMMON_NAME,
	SQ_TEXT_REASON,      /* of the peer's close */
	SQ_TEXT_FAILURE,     /* why TLS or the library ended it, for people */
	SQ_TEXT_SCID,        /* hexadecimal */
	SQ_TEXT_DCID,
	SQ_TEXT_PARAMETERS,  /* the peer's transport parameters, `name=value` separated by spaces */
	SQ_TEXT_LOCAL_PARAMETERS,
	SQ_TEXT_GROUP,       /* key exchange: X25519MLKEM768… */
	SQ_TEXT_KEY,         /* kind of our own or the peer's key: RSA2048, EC256 … (as PROXY v2 has it) */
	SQ_TEXT_SIGNATURE,   /* algorithm of the certificate's signature */
	SQ_TEXT_COUNT
};

struct sq_engine;
struct sq_profile;

/* What the module is: SQ_INTERFACE. */
SQ_EXPORT int sq_interface(void);
/* "ngtcp2 1.24.0, OpenSSL 3.5.7". Returns the length of the text. */
SQ_EXPORT int sq_version_text(char *out, int room);
/* The last error of this thread in words (TLS, PEM). Returns the length. */
SQ_EXPORT int sq_error_text(char *out, int room);

/* ---- profiles: settings and TLS of a listener or of the way to a server. Any thread makes one for
 * itself; connections hold what they use of it. ---- */

SQ_EXPORT struct sq_profile *sq_profile_new(int is_server);
SQ_EXPORT void sq_profile_free(struct sq_profile *profile);
SQ_EXPORT int sq_profile_set(struct sq_profile *profile, int setting, double value);
/* PEM: certificate with its chain, and key. A server may have several: the names in them decide, the
 * first is the default. SQ_TLS on error. */
SQ_EXPORT int sq_profile_certificate(struct sq_profile *profile, const char *chain, int chain_bytes,
                                     const char *key, int key_bytes);
/* PEM of trusted authorities; NULL, 0 = the system's. */
SQ_EXPORT int sq_profile_authorities(struct sq_profile *profile, const char *pem, int bytes);
/* Protocols by preference, in wire form (length byte, name, …). A client offers them. */
SQ_EXPORT int sq_profile_alpn(struct sq_profile *profile, const uint8_t *wire, int bytes);

/* ---- engine ---- */

/*
 * worker: 1 … 254, of this process (0: control). generation: 0 … 255, tells the engines of one
 * worker number apart. secret: SQ_SECRET_BYTES, the same for all workers of a process (and of its
 * successors): 32 bytes for tokens, tickets and packets between processes, which other hosts may
 * share; 32 for stateless resets, which must be those of no other host: a packet that strayed to
 * it would be answered with what ends the connection (RFC 9000, 21.11). events: room for event_count events. io:
 * SQ_IO_WORDS words that calls fill. chunks_max: bound of the arena, in chunks of sq_chunk_bytes.
 */
#define SQ_SECRET_BYTES 64
SQ_EXPORT struct sq_engine *sq_engine_new(int worker, int generation, const uint8_t *secret,
                                          uint32_t *events, int event_count, uint32_t *io,
                                          int chunks_max);
/* Frees everything at once; nothing is sent. Any thread, if the engine's own has ended. */
SQ_EXPORT void sq_engine_destroy(struct sq_engine *engine);
/* Descriptors to watch besides the endpoints': readable = sq_pump(engine, -1). */
SQ_EXPORT int sq_engine_timer_fd(struct sq_engine *engine);
SQ_EXPORT int sq_engine_mail_fd(struct sq_engine *engine);
/* The arena: segments of sq_segment_bytes, mapped one after the other. Address as a number, 0 =
 * there is no such segment. */
SQ_EXPORT int sq_segment_bytes(void);
SQ_EXPORT int sq_chunk_bytes(void);
SQ_EXPORT double sq_segment(struct sq_engine *engine, int segment);
/* Chunks in use, for tests and `show`. */
SQ_EXPORT int sq_chunks_used(struct sq_engine *engine);

/* Reads what an endpoint has (-1: none, timers and mail only), a bounded amount; runs timers that are
 * due. io[SQ_IO_MORE] = 1: there is more to read. */
SQ_EXPORT int sq_pump(struct sq_engine *engine, int endpoint);
/* Sends what is queued and sets the timer. */
SQ_EXPORT int sq_flush(struct sq_engine *engine);
/* Fills the events. Returns how many; less than the room = that was all. */
SQ_EXPORT int sq_events(struct sq_engine *engine);

/* Words of io. */
enum {
	SQ_IO_SEGMENT, /* peek: segment of the bytes */
	SQ_IO_OFFSET,  /* peek: offset in the segment */
	SQ_IO_END,     /* peek: 1 = no byte comes behind these */
	SQ_IO_MORE,    /* pump */
	SQ_IO_WORDS = 16
};

/* ---- endpoints ---- */

/* Options of a UDP socket. */
#define SQ_UDP_REUSEPORT 1
#define SQ_UDP_V6ONLY 2
#define SQ_UDP_DUAL 4        /* IPv6 and IPv4 */
#define SQ_UDP_TRANSPARENT 8

/* A bound UDP socket with what QUIC wants of it (packet info, GRO, errors, buffers). rcvbuf, sndbuf:
 * bytes, 0 = the module's choice. interface: zero-terminated or NULL. -errno on failure. */
SQ_EXPORT int sq_udp_socket(const struct sockaddr *address, int address_bytes, int options,
                            int rcvbuf, int sndbuf, const char *interface);
/* Makes the kernel choose among sockets of one port, bound in this order, by connection ID: `fds[i]`
 * gets the packets of worker `workers[i]`. One call after all are bound. -errno: the kernel cannot,
 * forwarding does it alone. */
SQ_EXPORT int sq_udp_steer(const int32_t *fds, const int32_t *workers, int count);

/* Serves a bound socket. The descriptor stays the caller's, and open as long as the endpoint.
 * Returns an endpoint (>= 0), or a negative result. */
SQ_EXPORT int sq_listen(struct sq_engine *engine, struct sq_profile *profile, int fd);
/* A socket of our own for connections to servers; local address may be NULL (any, of `family`). */
SQ_EXPORT int sq_client_endpoint(struct sq_engine *engine, int family,
                                 const struct sockaddr *local, int local_bytes,
                                 const char *interface);
SQ_EXPORT int sq_endpoint_fd(struct sq_engine *engine, int endpoint);
/* 0: new connections are not answered (they try again); those that exist go on. */
SQ_EXPORT int sq_endpoint_accept(struct sq_engine *engine, int endpoint, int is_accepting);
/* No connection of it may live. A client endpoint's descriptor is closed. */
SQ_EXPORT int sq_endpoint_close(struct sq_engine *engine, int endpoint);
/* SQ_N_COUNTS doubles: growth since the last call. */
SQ_EXPORT int sq_endpoint_deltas(struct sq_engine *engine, int endpoint, double *out);
/* Clients of it whose handshake is under way. */
SQ_EXPORT int sq_endpoint_half_open(struct sq_engine *engine, int endpoint);

/* ---- connections ---- */

/* Begins a connection over a client endpoint. sni, verify_name: no terminator; length 0 = none.
 * alpn: wire form, replaces the profile's if alpn_bytes > 0. ticket: of an earlier SQ_EV_TICKET, or
 * NULL. Returns a handle as a double (> 0), or a negative result. */
SQ_EXPORT double sq_connect(struct sq_engine *engine, struct sq_profile *profile, int endpoint,
                            const struct sockaddr *remote, int remote_bytes, const char *sni,
                            int sni_bytes, const char *verify_name, int verify_name_bytes,
                            const uint8_t *alpn, int alpn_bytes, const uint8_t *ticket,
                            int ticket_bytes);
/* Closes it: kind 0 = with an application code, 1 = with a transport code. Its streams are dead at
 * once; SQ_EV_CLOSED and SQ_EV_RELEASED follow. */
SQ_EXPORT int sq_conn_close(struct sq_engine *engine, uint32_t connection, int kind, uint32_t lo,
                            uint32_t hi, const char *reason, int reason_bytes);
/* After SQ_EV_RELEASED. */
SQ_EXPORT int sq_conn_free(struct sq_engine *engine, uint32_t connection);
/* SQ_N_COUNT doubles. */
SQ_EXPORT int sq_conn_deltas(struct sq_engine *engine, uint32_t connection, double *out);
SQ_EXPORT int sq_conn_now(struct sq_engine *engine, uint32_t connection, double *out);
/* Length of the text, which is cut to `room`. */
SQ_EXPORT int sq_conn_text(struct sq_engine *engine, uint32_t connection, int which, char *out,
                           int room);
/* sockaddr: peer = 1 the peer's, 0 ours. Returns its length. */
SQ_EXPORT int sq_conn_address(struct sq_engine *engine, uint32_t connection, int peer,
                              struct sockaddr *out, int room);
/* Bits: 1 established, 2 is server side, 4 resumed, 8 early data accepted, 16 the peer showed a
 * certificate, 32 and it was verified, 64 still in handshake confirmation. */
SQ_EXPORT int sq_conn_flags(struct sq_engine *engine, uint32_t connection);
/* The session ticket, to be kept by whoever connects. Returns its length. */
SQ_EXPORT int sq_conn_ticket(struct sq_engine *engine, uint32_t connection, uint8_t *out, int room);
/* Handles of connections that live, from slot `from` on, into out. Returns how many; the next
 * `from` is in io[0]. For burials, `show quic`, and counting. */
SQ_EXPORT int sq_conns(struct sq_engine *engine, int from, uint32_t *out, int room);
/* Endpoint of a connection. */
SQ_EXPORT int sq_conn_endpoint(struct sq_engine *engine, uint32_t connection);
/* A number of the caller's, kept with the connection (0 at first): who it counts for. */
SQ_EXPORT int sq_conn_set_tag(struct sq_engine *engine, uint32_t connection, double tag);
SQ_EXPORT double sq_conn_tag(struct sq_engine *engine, uint32_t connection);

/* ---- streams ---- */

/* Opens a stream. If nothing has been written to it by the next flush, an empty STREAM frame goes out,
 * so that the peer knows of it: where the server speaks first it would wait for ever otherwise.
 * Returns a handle as a double (> 0), SQ_NO_CREDIT, SQ_GONE. */
SQ_EXPORT double sq_stream_open(struct sq_engine *engine, uint32_t connection, int is_uni);
/* QUIC's identifier of the stream. */
SQ_EXPORT double sq_stream_id(struct sq_engine *engine, uint32_t stream);
/* First unread bytes: their count, place in io. 0 with io[SQ_IO_END] = 1: the end; 0: nothing yet. */
SQ_EXPORT int sq_stream_peek(struct sq_engine *engine, uint32_t stream);
/* The first `count` of them are done with: the peer may send as many more. */
SQ_EXPORT int sq_stream_consume(struct sq_engine *engine, uint32_t stream, int count);
/* Copies. Bytes taken, 0 … length; less: SQ_EV_WRITABLE follows. SQ_CLOSED, SQ_GONE. */
SQ_EXPORT int sq_stream_write(struct sq_engine *engine, uint32_t stream, const uint8_t *bytes,
                              int offset, int length);
/* FIN behind everything written. */
SQ_EXPORT int sq_stream_finish(struct sq_engine *engine, uint32_t stream);
/* RESET_STREAM: our direction ends without its end. What was not sent is dropped. */
SQ_EXPORT int sq_stream_reset(struct sq_engine *engine, uint32_t stream, uint32_t lo, uint32_t hi);
/* STOP_SENDING: we read no more. What is unread is dropped, its credit given back. */
SQ_EXPORT int sq_stream_stop(struct sq_engine *engine, uint32_t stream, uint32_t lo, uint32_t hi);
/* The caller knows it no more. What was written and finished is still delivered; what comes is
 * thrown away, with its credit. No event about it follows. */
SQ_EXPORT int sq_stream_release(struct sq_engine *engine, uint32_t stream);
/* Bytes written that have not gone out even once, and bytes that have: 1 = nothing has. */
SQ_EXPORT int sq_stream_is_unsent(struct sq_engine *engine, uint32_t stream);

/* ---- datagrams (RFC 9221) ---- */

/* The first that waits: its length, place in io; -1 = none. */
SQ_EXPORT int sq_datagram_peek(struct sq_engine *engine, uint32_t connection);
SQ_EXPORT int sq_datagram_drop(struct sq_engine *engine, uint32_t connection);
/* 0, or SQ_TOO_LONG, SQ_FULL (the oldest that waits has gone for it), SQ_GONE. */
SQ_EXPORT int sq_datagram_send(struct sq_engine *engine, uint32_t connection, const uint8_t *bytes,
                               int offset, int length);

/* ---- tests ---- */

/* The next `count` calls of the kind fail as the library would: 1 = allocate, 2 = write packet,
 * 3 = read packet, 4 = send. */
SQ_EXPORT void sq_inject(struct sq_engine *engine, int kind, int count);
/* Feeds a datagram as if it had come from `remote`; for fuzzing. */
SQ_EXPORT int sq_feed(struct sq_engine *engine, int endpoint, const struct sockaddr *remote,
                      int remote_bytes, const uint8_t *bytes, int length);

#endif
