/*
 * Types of the QUIC transport's core and what its files offer one another.
 *
 *   engine.c      engine, timers, the turn (pump, flush);  events.c  what is told
 *   arena.c       chunks of bytes, and the two queues made of them
 *   scarcity.c    whose unread bytes are given up when hardly a chunk is left
 *   endpoint.c    UDP sockets;  datagram-io.c  what goes through them
 *   packets.c     packets of no connection: negotiation, Retry, resets, who is let in
 *   routing.c     connection IDs: whose packet is it, and how it gets there;  steer.c  the kernel's part
 *   connection.c  life of a connection;  ends.c  how it ends;  callbacks.c  what ngtcp2 tells;
 *   write.c       what a connection sends;  slots.c  handles;  keys.c  connections by their IDs
 *   stream.c      streams;  datagram.c  datagrams;  facts.c  numbers and texts;  profile.c  settings
 *
 * All of an engine belongs to one thread, but the register of engines and their mailboxes
 * (routing.c), which a mutex guards.
 */
#ifndef SLUICE_QUIC_INTERNAL_H
#define SLUICE_QUIC_INTERNAL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "quic.h"
#include "tls.h"

/* Connection IDs of ours: worker, generation, process (2 bytes), random. */
#define CID_BYTES 12
#define CHUNK_BYTES 32768
#define SEGMENT_BYTES (16 << 20)
#define CHUNKS_PER_SEGMENT (SEGMENT_BYTES / CHUNK_BYTES)
/* Largest datagram, and what one turn takes and gives. */
#define UDP_BYTES_MAX 65536
#define RECEIVE_BATCH 8
#define SEND_BATCH 64
#define SEND_BUFFER_BYTES (256 << 10)
/* Segments of one send: the kernel's UDP_MAX_SEGMENTS of old. */
#define SEGMENTS_MAX 64
#define AGGREGATE_BYTES_MAX 65000
#define NEVER UINT64_MAX
#define MILLIS 1000000ull

#define sq_container(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* ---- lists: doubly linked, with a head; a link that is in no list points to itself ---- */

struct sq_link {
	struct sq_link *next, *before;
};

static inline void sq_link_clear(struct sq_link *link)
{
	link->next = link->before = link;
}

static inline int sq_link_is_empty(const struct sq_link *link)
{
	return link->next == link;
}

static inline void sq_link_remove(struct sq_link *link)
{
	link->before->next = link->next;
	link->next->before = link->before;
	sq_link_clear(link);
}

/* At the end; nothing if it is in a list already. */
static inline void sq_link_append(struct sq_link *head, struct sq_link *link)
{
	if (!sq_link_is_empty(link))
		return;
	link->before = head->before;
	link->next = head;
	head->before->next = link;
	head->before = link;
}

/* ---- arena: chunks by number, 0 = none ---- */

struct sq_chunk {
	uint32_t next;
	uint32_t start, end; /* the bytes that are in it */
};

struct sq_arena {
	uint8_t **segments;
	struct sq_chunk *chunks;
	uint32_t max;     /* chunks that may be */
	uint32_t made;    /* numbers given so far */
	uint32_t used;
	uint32_t first_free;
};

uint32_t sq_chunk_take(struct sq_arena *arena);
void sq_chunk_give(struct sq_arena *arena, uint32_t chunk);
static inline struct sq_chunk *sq_chunk(struct sq_arena *arena, uint32_t chunk)
{
	return &arena->chunks[chunk];
}
static inline uint8_t *sq_chunk_bytes_of(struct sq_arena *arena, uint32_t chunk)
{
	return arena->segments[chunk / CHUNKS_PER_SEGMENT] +
	       (size_t)(chunk % CHUNKS_PER_SEGMENT) * CHUNK_BYTES;
}

/* Bytes or records first in, first out. */
struct sq_fifo {
	uint32_t head, tail;
	uint32_t count;  /* chunks */
	uint32_t *total; /* what its owner's queues have together, or NULL */
};

/* 0 or -1: the arena is exhausted (part of the bytes may be in). */
int sq_fifo_append(struct sq_arena *arena, struct sq_fifo *fifo, const uint8_t *bytes,
                   size_t length);
void sq_fifo_drop(struct sq_arena *arena, struct sq_fifo *fifo, size_t length);
void sq_fifo_clear(struct sq_arena *arena, struct sq_fifo *fifo);
/* Records of at most CHUNK_BYTES - 8, each in one piece. */
int sq_fifo_append_record(struct sq_arena *arena, struct sq_fifo *fifo, const uint8_t *bytes,
                          size_t length);
/* Length, -1 = none; *bytes is where. */
int sq_fifo_record(struct sq_arena *arena, struct sq_fifo *fifo, uint8_t **bytes);
void sq_fifo_drop_record(struct sq_arena *arena, struct sq_fifo *fifo);

/*
 * What a stream sends, until it is acknowledged. Chunks are full but the last, so that offsets
 * tell chunks:
 *
 *   base        acked        sent                   end
 *    │ head chunk │            │ cursor chunk … tail │
 */
struct sq_outgoing {
	uint32_t head, tail, cursor;
	uint64_t base;        /* offset of the first byte of the head chunk */
	uint64_t cursor_base; /* and of the cursor's */
	uint64_t acked, sent, end;
};

/* Bytes taken: fewer when the arena has no chunk. */
size_t sq_outgoing_append(struct sq_arena *arena, struct sq_outgoing *out, const uint8_t *bytes,
                          size_t length);
/* Up to two pieces from `sent` on; their count. */
int sq_outgoing_pieces(struct sq_arena *arena, struct sq_outgoing *out, ngtcp2_vec *pieces);
void sq_outgoing_sent(struct sq_arena *arena, struct sq_outgoing *out, uint64_t count);
void sq_outgoing_acked(struct sq_arena *arena, struct sq_outgoing *out, uint64_t offset);
/* Everything goes; nothing can be sent again. */
void sq_outgoing_clear(struct sq_arena *arena, struct sq_outgoing *out);
/* Back to the first byte; only while nothing is acknowledged. */
void sq_outgoing_rewind(struct sq_outgoing *out);

/* ---- handles ---- */

struct sq_slots {
	void **items;
	uint16_t *generations;
	uint32_t *next_free;
	uint32_t room, count;
	uint32_t first_free, last_free; /* a queue, so that generations last; slot + 1 */
};

uint32_t sq_slots_add(struct sq_slots *slots, void *item); /* handle, 0 = no memory or full */
void sq_slots_remove(struct sq_slots *slots, uint32_t handle);
void *sq_slots_get(const struct sq_slots *slots, uint32_t handle);
void sq_slots_free(struct sq_slots *slots);

/* ---- profile ---- */

struct sq_profile {
	int references;
	int is_server;
	double settings[SQ_SET_COUNT];
	struct sq_tls_context *tls;
};

struct sq_profile *sq_profile_hold(struct sq_profile *profile);
/*
 * Window of a stream that the peer opened and nobody has read from yet. All of them together leave
 * half of the connection's window to those that are read: else streams that wait for others to end
 * (for a slot of a server, for its stream limit) could keep these from ever ending.
 */
uint64_t sq_profile_first_window(const struct sq_profile *profile);

/* ---- endpoint ---- */

struct sq_endpoint {
	struct sq_engine *engine;
	struct sq_profile *profile; /* of a server; else NULL */
	int index;
	int fd;
	int family;
	int is_wildcard;       /* bound to no address: packets carry their own */
	int is_accepting;
	int has_gso;
	struct sockaddr_storage local;
	socklen_t local_bytes;
	uint32_t connections;  /* all that it has */
	uint32_t live;         /* … that are not over */
	uint32_t half_open;
	/* Sends that the socket did not take: records of struct pending_send. */
	struct sq_pending *pending, *pending_last;
	size_t pending_bytes;
	uint64_t told_trouble;
	int trouble;           /* errno to tell, 0 = none */
	uint64_t counts[SQ_N_COUNTS], told[SQ_N_COUNTS];
};

struct sq_pending {
	struct sq_pending *next;
	struct sockaddr_storage remote, local;
	socklen_t remote_bytes;
	uint16_t segment;
	uint8_t ecn;
	uint8_t tries; /* that ended with ENOBUFS */
	uint32_t connection;
	uint32_t length;
	uint8_t bytes[];
};

/* A datagram that has come. */
struct sq_packet {
	const struct sockaddr *local;
	socklen_t local_bytes;
	const struct sockaddr *remote;
	socklen_t remote_bytes;
	const uint8_t *bytes;
	size_t length;
	uint8_t ecn;
	uint8_t is_forwarded;
};

/* What an engine is about to send, in one buffer. */
struct sq_sending {
	const struct sq_endpoint *endpoint;
	int count;
	size_t used;
	struct {
		struct sockaddr_storage remote, local;
		socklen_t remote_bytes;
		uint32_t connection;
		size_t offset, length;
		uint16_t segment;
		uint8_t ecn;
	} parts[SEND_BATCH];
	uint8_t *buffer;
};

/* ---- connection IDs and reset tokens: one table ---- */

struct sq_key {
	uint8_t length; /* of an ID; SQ_TOKEN for a stateless reset token */
	uint8_t bytes[20];
};
#define SQ_TOKEN 0x90

struct sq_key_entry {
	struct sq_key_entry *next;      /* of the bucket */
	struct sq_key_entry *sibling;   /* of the connection */
	struct sq_connection *connection;
	struct sq_key key;
};

struct sq_keys {
	struct sq_key_entry **buckets;
	uint32_t bucket_count, count;
	uint64_t seed;
};

int sq_keys_add(struct sq_keys *keys, struct sq_connection *connection, const uint8_t *bytes,
                size_t length, int is_token);
void sq_keys_remove(struct sq_keys *keys, struct sq_connection *connection, const uint8_t *bytes,
                    size_t length, int is_token);
void sq_keys_remove_all(struct sq_keys *keys, struct sq_connection *connection);
struct sq_connection *sq_keys_find(const struct sq_keys *keys, const uint8_t *bytes, size_t length,
                                   int is_token);

/* ---- streams ---- */

enum {
	SQ_TOLD_STREAM = 1, /* bits of `events`: what waits to be told */
	SQ_TOLD_DATA = 2,
	SQ_TOLD_RESET = 4,
	SQ_TOLD_STOP = 8,
	SQ_TOLD_WRITABLE = 16,
};

struct sq_stream {
	struct sq_connection *connection;
	struct sq_link all;     /* of the connection */
	struct sq_link sending; /* its list of those with something to send, or that of the blocked */
	struct sq_link telling; /* its list of those with events */
	struct sq_link starved; /* the engine's: a write that waits for chunks */
	int64_t id;
	uint32_t handle;
	uint8_t events;
	uint8_t is_uni : 1, is_local : 1, is_early : 1;
	uint8_t is_library_done : 1;  /* ngtcp2 knows it no more */
	uint8_t is_released : 1;      /* the caller neither */
	uint8_t has_end : 1;          /* FIN received */
	uint8_t is_receive_over : 1;  /* end read, reset, or stopped by us */
	uint8_t is_finishing : 1;     /* FIN wanted */
	uint8_t is_finished : 1;      /* FIN handed to the library */
	uint8_t is_send_over : 1;     /* reset by us, stopped by the peer */
	uint8_t is_blocked : 1;       /* by the stream's window */
	uint8_t wants_writable : 1;
	uint8_t is_opening : 1;       /* its first frame is due, if empty */
	uint8_t is_replaced : 1;      /* the peer may open another instead */
	uint8_t is_wide : 1;          /* it is read: the peer has been given the whole window */
	struct sq_fifo received;
	uint64_t unread;
	struct sq_outgoing out;
	uint64_t reset_code, stop_code;
};

/* ---- connections ---- */

enum {
	SQ_STATE_HANDSHAKE,
	SQ_STATE_ESTABLISHED,
	SQ_STATE_CLOSING,
	SQ_STATE_DRAINING,
	SQ_STATE_OVER,
};

enum {
	SQ_TOLD_ACCEPTED = 1,
	SQ_TOLD_CONNECTED = 2,
	SQ_TOLD_CREDIT_BIDI = 4,
	SQ_TOLD_CREDIT_UNI = 8,
	SQ_TOLD_DATAGRAM = 16,
	SQ_TOLD_MIGRATED = 32,
	SQ_TOLD_TICKET = 64,
	SQ_TOLD_CLOSED = 128,
	SQ_TOLD_RELEASED = 256,
};

#define REASON_MAX 256
#define FAILURE_MAX 256

struct sq_connection {
	ngtcp2_crypto_conn_ref ref;
	struct sq_engine *engine;
	struct sq_endpoint *endpoint;
	struct sq_profile *profile;
	ngtcp2_conn *conn;
	struct sq_tls *tls;
	uint32_t handle;
	uint16_t events;
	uint8_t state;
	uint8_t cause;
	uint8_t is_server : 1;
	uint8_t is_half_open : 1;
	uint8_t is_live : 1;          /* counted as such by the endpoint */
	uint8_t was_established : 1;
	uint8_t is_confirmed : 1;
	uint8_t has_answered : 1;     /* a packet was written since the handshake was complete */
	uint8_t is_accepted : 1;      /* SQ_EV_ACCEPTED has been or will be told */
	uint8_t is_early : 1;         /* … with early data */
	uint8_t tried_early : 1;
	uint8_t got_reset : 1;
	uint8_t got_ticket_bytes : 1; /* CRYPTO after the handshake */
	uint8_t lost_early : 1;       /* early data was refused: streams are to be opened anew */
	uint8_t is_blocked : 1;       /* by the connection's window */
	uint8_t is_out_of_chunks : 1;
	uint8_t has_seen_local : 1;
	uint8_t is_first : 1;         /* of a server, while it reads its first packet */
	uint8_t is_silent : 1;        /* goes without a trace: nobody was told of it */
	uint64_t code;
	uint64_t expiry;
	int heap_index;               /* -1: none */
	struct sq_link writing, telling, dying;
	struct sq_link streams, sending, blocked, stream_telling;
	struct sq_key_entry *keys;
	uint32_t stream_count;
	uint32_t received_chunks;     /* that hold what its streams have not read */
	uint32_t bidi_due, uni_due;   /* streams more that the peer may open, not told yet */
	uint64_t unread;
	struct sq_fifo datagrams_in, datagrams_out;
	uint32_t datagrams_in_count, datagrams_out_count;
	int datagram_tries;
	uint64_t started, heard;
	double tag;
	uint64_t counts[SQ_N_COUNTS], told[SQ_N_COUNTS];
	struct sockaddr_storage seen_local;
	/* The closing period. */
	uint8_t *last_packet;
	uint32_t last_packet_bytes;
	uint32_t heard_since, answer_at;
	uint8_t *ticket;
	int ticket_bytes;
	int reason_bytes;
	char reason[REASON_MAX];
	char failure[FAILURE_MAX];
};

/* ---- engine ---- */

/* A packet from another engine of the process. */
struct sq_mail {
	struct sq_mail *next;
	struct sockaddr_storage local, remote;
	socklen_t local_bytes, remote_bytes;
	uint8_t ecn;
	uint32_t length;
	uint8_t bytes[];
};

struct sq_engine {
	int worker, generation;
	uint8_t reset_key[32], retry_key[32], ticket_key[32], mail_key[32];
	struct sq_event *events;
	int event_room;
	uint32_t *io;
	uint64_t now;
	ngtcp2_mem mem;
	int inject[5];
	int timer_fd;
	uint64_t timer_at;  /* what it is set to */
	int mail_fd;        /* epoll over the two that follow */
	int bell_fd;        /* rung by engines of the process */
	int peer_fd;        /* packets from other processes */
	char peer_prefix[33]; /* of the names of all such sockets that share the secret */
	uint8_t peer_cookie[16]; /* at the head of such packets */
	struct sq_mail *mail, *mail_last;
	int mail_count;
	struct sq_arena arena;
	struct sq_slots connections, streams;
	struct sq_stream *spare_streams;
	uint32_t most_connections; /* since memory was given back */
	uint64_t trim_at;          /* when it is to be given back, 0 = no need */
	uint64_t trimmed;          /* when it was */
	struct sq_keys keys;
	struct sq_connection **heap;
	int heap_count, heap_room;
	struct sq_endpoint **endpoints;
	int endpoint_count;
	struct sq_link writing;  /* connections that want to send */
	struct sq_link telling;  /* connections with events */
	struct sq_link dying;    /* connections whose streams go at the next sq_events */
	struct sq_link starved;
	struct sq_sending sending;
	uint8_t *receive_buffer;
	uint8_t random[256];
	int random_left;
	uint64_t resets_at;      /* bucket of stateless resets */
	int resets_left;
};

/* engine.c */
uint64_t sq_clock(struct sq_engine *engine);
void sq_random(struct sq_engine *engine, void *out, size_t length);
void sq_timer_set(struct sq_engine *engine, struct sq_connection *connection, uint64_t expiry);
void sq_wake(struct sq_engine *engine, uint64_t at);
int sq_is_injected(struct sq_engine *engine, int kind);
/* Connections are more, or less. */
void sq_memory_note(struct sq_engine *engine);

/* events.c */
void sq_tell(struct sq_connection *connection, int events);
void sq_tell_stream(struct sq_stream *stream, int events);

/* endpoint.c, datagram-io.c */
struct sq_endpoint *sq_endpoint_get(struct sq_engine *engine, int endpoint);
/* Its memory and, of a client endpoint, its descriptor; what waits to be sent goes with it. */
void sq_endpoint_free(struct sq_endpoint *endpoint);
/* Endpoint for a packet to `local` that came by another way. */
struct sq_endpoint *sq_endpoint_for(struct sq_engine *engine, const struct sockaddr *local);
void sq_receive(struct sq_engine *engine, struct sq_endpoint *endpoint);
void sq_receive_errors(struct sq_engine *engine, struct sq_endpoint *endpoint);
/* Room for a datagram of UDP_BYTES_MAX in the buffer, after sending what is there if need be; NULL:
 * the socket takes no more. */
uint8_t *sq_send_room(struct sq_engine *engine, struct sq_endpoint *endpoint);
/* What was written to that room goes out with the next sq_send_all. segment = 0: one datagram. */
void sq_send_add(struct sq_engine *engine, struct sq_endpoint *endpoint, uint32_t connection,
                 const struct sockaddr *remote, socklen_t remote_bytes,
                 const struct sockaddr *local, size_t length, size_t segment, int ecn);
void sq_send_all(struct sq_engine *engine);
void sq_send_pending(struct sq_engine *engine, struct sq_endpoint *endpoint);
socklen_t sq_address_bytes(const struct sockaddr *address);
int sq_address_is_same(const struct sockaddr *a, const struct sockaddr *b);
int sq_address_port(const struct sockaddr *address);

/* packets.c */
void sq_packet_in(struct sq_engine *engine, struct sq_endpoint *endpoint,
                  const struct sq_packet *packet);

/* routing.c */
enum {
	SQ_ROUTE_MINE,   /* of this engine, alive or not */
	SQ_ROUTE_TAKEN,  /* handed on, or dropped on the way */
	SQ_ROUTE_DEAD,   /* its owner is gone */
	SQ_ROUTE_FOREIGN /* no ID of ours */
};
int sq_routing_join(struct sq_engine *engine);
void sq_routing_leave(struct sq_engine *engine);
void sq_cid_make(struct sq_engine *engine, ngtcp2_cid *cid);
int sq_route(struct sq_engine *engine, const uint8_t *cid, const struct sq_packet *packet);
/* Packets that others handed over; 1: there may be more. */
int sq_mail_read(struct sq_engine *engine);
uint16_t sq_instance(void);

/* connection.c, ends.c */
struct sq_connection *sq_connection_get(struct sq_engine *engine, uint32_t handle);
struct sq_connection *sq_connection_new(struct sq_engine *engine, struct sq_endpoint *endpoint,
                                        struct sq_profile *profile, int is_server);
/* Server side; NULL: no memory. */
struct sq_connection *sq_connection_accept(struct sq_engine *engine, struct sq_endpoint *endpoint,
                                           const struct sq_packet *packet,
                                           const ngtcp2_pkt_hd *head, const ngtcp2_cid *original);
void sq_connection_read(struct sq_connection *connection, const struct sq_packet *packet);
void sq_connection_expire(struct sq_connection *connection);
/* What ngtcp2 answered. */
void sq_connection_result(struct sq_connection *connection, int result);
/* It is over; `error` is sent if not NULL. */
void sq_connection_end(struct sq_connection *connection, int cause, uint64_t code,
                       const ngtcp2_ccerr *error);
void sq_connection_fail(struct sq_connection *connection, const char *text);
void sq_connection_over(struct sq_connection *connection);
void sq_connection_kill_streams(struct sq_connection *connection);
void sq_connection_destroy(struct sq_connection *connection);
void sq_connection_want_write(struct sq_connection *connection);
void sq_connection_refused(struct sq_connection *connection, int error);
static inline int sq_connection_is_live(const struct sq_connection *connection)
{
	return connection->state <= SQ_STATE_ESTABLISHED;
}

/* callbacks.c */
extern const ngtcp2_callbacks sq_client_callbacks, sq_server_callbacks;
void sq_connection_after_read(struct sq_connection *connection);

/* write.c: 1 = it has more, and may send it. */
int sq_connection_write(struct sq_connection *connection);

/* stream.c */
struct sq_stream *sq_stream_get(struct sq_engine *engine, uint32_t handle);
struct sq_stream *sq_stream_new(struct sq_connection *connection, int64_t id, int is_local);
void sq_stream_want_send(struct sq_stream *stream);
int sq_stream_received(struct sq_stream *stream, const uint8_t *bytes, size_t length, int is_end);
void sq_stream_reset_received(struct sq_stream *stream, uint64_t code);
/* We give up what the peer sends: its owner is told of a reset with code 0. */
void sq_stream_evict(struct sq_stream *stream);
/* If hardly a chunk is left: gives up the streams that hold most of what nobody reads, many at a time. */
void sq_arena_relieve(struct sq_engine *engine);
void sq_stream_stop_received(struct sq_stream *stream, uint64_t code);
void sq_stream_acked(struct sq_stream *stream, uint64_t offset);
void sq_stream_replace(struct sq_stream *stream);
void sq_stream_library_done(struct sq_stream *stream);
void sq_stream_free(struct sq_stream *stream);
void sq_stream_destroy_spares(struct sq_engine *engine);
void sq_streams_reopen(struct sq_connection *connection);
void sq_starved_feed(struct sq_engine *engine);

/* datagram.c */
int sq_datagram_received(struct sq_connection *connection, const uint8_t *bytes, size_t length);
/* As ngtcp2_write_pkt; *is_done: all of them that wait have gone. */
ngtcp2_ssize sq_datagram_write(struct sq_connection *connection, ngtcp2_path *path,
                               ngtcp2_pkt_info *info, uint8_t *out, size_t room, uint64_t now,
                               int *is_done);

/* facts.c */
void sq_connection_count(struct sq_connection *connection);

#endif
