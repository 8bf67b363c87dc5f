/*
 * The engine: what one thread has of QUIC. Its turn is sq_pump (read, timers), sq_events, and
 * sq_flush (write, set the timer); everything else is in the other files.
 *
 * A turn is bounded: a pump reads RECEIVE_BATCH datagrams of the kernel (each up to 64 KiB of
 * packets), a flush gives each connection one quantum after the other in a circle,
 * TURN_QUANTA in all. What is left rings the engine's own bell, so that others get their turn first.
 */
#define _GNU_SOURCE
#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "tls-base.h"

/* Quanta that all connections together may send in one flush. */
#define TURN_QUANTA 16
/* A socket that takes no more is tried again after this, should nothing else come first. */
#define RETRY_NANOS (1 * MILLIS)

/* ---- clock, random numbers, timers ---- */

/* Never goes back. */
uint64_t sq_clock(struct sq_engine *engine)
{
	struct timespec time;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &time);
	now = (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
	if (now > engine->now)
		engine->now = now;
	return engine->now;
}

void sq_random(struct sq_engine *engine, void *out, size_t length)
{
	uint8_t *bytes = out;

	while (length > 0) {
		size_t count = length;

		if (engine->random_left == 0) {
			/* Up to 256 bytes, getrandom neither fails nor gives less. */
			if (getrandom(engine->random, sizeof(engine->random), 0) < 0)
				abort();
			engine->random_left = sizeof(engine->random);
		}
		if (count > (size_t)engine->random_left)
			count = (size_t)engine->random_left;
		engine->random_left -= (int)count;
		memcpy(bytes, engine->random + engine->random_left, count);
		memset(engine->random + engine->random_left, 0, count);
		bytes += count;
		length -= count;
	}
}

static void heap_put(struct sq_engine *engine, int index, struct sq_connection *connection)
{
	engine->heap[index] = connection;
	connection->heap_index = index;
}

static void heap_settle(struct sq_engine *engine, int index, struct sq_connection *connection)
{
	while (index > 0) {
		int up = (index - 1) / 2;

		if (engine->heap[up]->expiry <= connection->expiry)
			break;
		heap_put(engine, index, engine->heap[up]);
		index = up;
	}
	for (;;) {
		int down = index * 2 + 1;

		if (down >= engine->heap_count)
			break;
		if (down + 1 < engine->heap_count &&
		    engine->heap[down + 1]->expiry < engine->heap[down]->expiry)
			down++;
		if (engine->heap[down]->expiry >= connection->expiry)
			break;
		heap_put(engine, index, engine->heap[down]);
		index = down;
	}
	heap_put(engine, index, connection);
}

/* When sq_connection_expire is to be called; NEVER: not at all. Room was made by the connection. */
void sq_timer_set(struct sq_engine *engine, struct sq_connection *connection, uint64_t expiry)
{
	int index = connection->heap_index;

	if (expiry == NEVER) {
		struct sq_connection *last;

		connection->expiry = NEVER;
		if (index < 0)
			return;
		connection->heap_index = -1;
		last = engine->heap[--engine->heap_count];
		if (last != connection)
			heap_settle(engine, index, last);
		return;
	}
	if (index >= 0 && expiry == connection->expiry)
		return;
	connection->expiry = expiry;
	heap_settle(engine, index >= 0 ? index : engine->heap_count++, connection);
}

/* Makes the timer fire at `at` or before. A timer that is due earlier stays: firing once for
 * nothing is cheaper than being set with every packet. */
void sq_wake(struct sq_engine *engine, uint64_t at)
{
	struct itimerspec timer = { 0 };

	if (at >= engine->timer_at)
		return;
	engine->timer_at = at;
	timer.it_value.tv_sec = (time_t)(at / 1000000000ull);
	timer.it_value.tv_nsec = (long)(at % 1000000000ull);
	if (at == 0)
		timer.it_value.tv_nsec = 1;
	timerfd_settime(engine->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

int sq_is_injected(struct sq_engine *engine, int kind)
{
	if (engine->inject[kind] == 0)
		return 0;
	engine->inject[kind]--;
	return 1;
}

void sq_inject(struct sq_engine *engine, int kind, int count)
{
	if (kind >= 1 && kind <= 4)
		engine->inject[kind] = count;
}

/* ---- memory of ngtcp2 ---- */

static void *library_malloc(size_t size, void *user)
{
	return sq_is_injected(user, 1) ? NULL : malloc(size);
}

static void library_free(void *pointer, void *user)
{
	(void)user;
	free(pointer);
}

static void *library_calloc(size_t count, size_t size, void *user)
{
	return sq_is_injected(user, 1) ? NULL : calloc(count, size);
}

static void *library_realloc(void *pointer, size_t size, void *user)
{
	return sq_is_injected(user, 1) ? NULL : realloc(pointer, size);
}

/*
 * The C library keeps what was freed, 60 KiB for each connection, in pieces too small to be given
 * back by themselves. When three of four connections of a crowd have gone, and have stayed away for
 * a moment, the system gets it: a fraction of a millisecond for each megabyte, so not often.
 */
#define CROWD_LEAST 1000
#define TRIM_DELAY (1000 * MILLIS)
#define TRIM_EVERY (10000 * MILLIS)

static int is_crowd_gone(const struct sq_engine *engine)
{
	return engine->most_connections >= CROWD_LEAST &&
	       engine->connections.count < engine->most_connections / 4;
}

void sq_memory_note(struct sq_engine *engine)
{
	if (engine->connections.count > engine->most_connections)
		engine->most_connections = engine->connections.count;
	if (engine->trim_at || !is_crowd_gone(engine))
		return;
	engine->trim_at = engine->now + TRIM_DELAY;
	if (engine->trimmed && engine->trim_at < engine->trimmed + TRIM_EVERY)
		engine->trim_at = engine->trimmed + TRIM_EVERY;
	sq_wake(engine, engine->trim_at);
}

static void give_memory_back(struct sq_engine *engine)
{
	engine->trim_at = 0;
	if (!is_crowd_gone(engine))
		return;
	engine->trimmed = engine->now;
	engine->most_connections = engine->connections.count;
	sq_stream_destroy_spares(engine);
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

/* ---- life ---- */

static int open_descriptors(struct sq_engine *engine)
{
	struct epoll_event event = { .events = EPOLLIN };

	engine->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	engine->bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	engine->mail_fd = epoll_create1(EPOLL_CLOEXEC);
	if (engine->timer_fd < 0 || engine->bell_fd < 0 || engine->mail_fd < 0)
		return -1;
	event.data.fd = engine->bell_fd;
	return epoll_ctl(engine->mail_fd, EPOLL_CTL_ADD, engine->bell_fd, &event);
}

static int make_memory(struct sq_engine *engine, int chunks_max)
{
	void *bytes;
	size_t segments;

	engine->arena.max = chunks_max > 8 ? (uint32_t)chunks_max : 8;
	segments = engine->arena.max / CHUNKS_PER_SEGMENT + 1;
	engine->arena.segments = calloc(segments, sizeof(*engine->arena.segments));
	engine->arena.chunks = calloc((size_t)engine->arena.max + 1, sizeof(*engine->arena.chunks));
	bytes = mmap(NULL, RECEIVE_BATCH * UDP_BYTES_MAX + SEND_BUFFER_BYTES, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!engine->arena.segments || !engine->arena.chunks || bytes == MAP_FAILED)
		return -1;
	engine->receive_buffer = bytes;
	engine->sending.buffer = engine->receive_buffer + RECEIVE_BATCH * UDP_BYTES_MAX;
	return 0;
}

struct sq_engine *sq_engine_new(int worker, int generation, const uint8_t *secret,
                                uint32_t *events, int event_count, uint32_t *io, int chunks_max)
{
	struct sq_engine *engine;

	if (worker < 0 || worker > 254 || event_count < 8 || sq_tls_start() != 0)
		return NULL;
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return NULL;
	engine->worker = worker;
	engine->generation = generation & 255;
	engine->events = (struct sq_event *)(void *)events;
	engine->event_room = event_count;
	engine->io = io;
	engine->mem = (ngtcp2_mem){ engine, library_malloc, library_free, library_calloc,
		                    library_realloc };
	engine->timer_at = NEVER;
	engine->timer_fd = engine->bell_fd = engine->mail_fd = engine->peer_fd = -1;
	sq_link_clear(&engine->writing);
	sq_link_clear(&engine->telling);
	sq_link_clear(&engine->dying);
	sq_link_clear(&engine->starved);
	sq_clock(engine);
	sq_random(engine, &engine->keys.seed, sizeof(engine->keys.seed));
	if (sq_derive(engine->reset_key, 32, secret + 32, "sluice stateless reset") != 0 ||
	    sq_derive(engine->retry_key, 32, secret, "sluice retry token") != 0 ||
	    sq_derive(engine->ticket_key, 32, secret, "sluice session ticket") != 0 ||
	    sq_derive(engine->mail_key, 32, secret, "sluice packet forwarding") != 0 ||
	    make_memory(engine, chunks_max) != 0 || open_descriptors(engine) != 0 ||
	    sq_routing_join(engine) != 0) {
		sq_engine_destroy(engine);
		return NULL;
	}
	return engine;
}

void sq_engine_destroy(struct sq_engine *engine)
{
	if (!engine)
		return;
	sq_routing_leave(engine);
	memset(engine->inject, 0, sizeof(engine->inject));
	for (uint32_t slot = 0; slot < engine->connections.room; slot++)
		if (engine->connections.items[slot])
			sq_connection_destroy(engine->connections.items[slot]);
	for (int i = 0; i < engine->endpoint_count; i++)
		if (engine->endpoints[i])
			sq_endpoint_free(engine->endpoints[i]);
	free(engine->endpoints);
	sq_stream_destroy_spares(engine);
	sq_slots_free(&engine->connections);
	sq_slots_free(&engine->streams);
	free(engine->keys.buckets);
	free(engine->heap);
	if (engine->arena.segments)
		for (uint32_t i = 0; i <= engine->arena.max / CHUNKS_PER_SEGMENT; i++)
			if (engine->arena.segments[i])
				munmap(engine->arena.segments[i], SEGMENT_BYTES);
	free(engine->arena.segments);
	free(engine->arena.chunks);
	if (engine->receive_buffer)
		munmap(engine->receive_buffer, RECEIVE_BATCH * UDP_BYTES_MAX + SEND_BUFFER_BYTES);
	if (engine->timer_fd >= 0)
		close(engine->timer_fd);
	if (engine->mail_fd >= 0)
		close(engine->mail_fd);
	if (engine->bell_fd >= 0)
		close(engine->bell_fd);
	free(engine);
}

int sq_interface(void)
{
	return SQ_INTERFACE;
}

int sq_engine_timer_fd(struct sq_engine *engine)
{
	return engine->timer_fd;
}

int sq_engine_mail_fd(struct sq_engine *engine)
{
	return engine->mail_fd;
}

int sq_segment_bytes(void)
{
	return SEGMENT_BYTES;
}

int sq_chunk_bytes(void)
{
	return CHUNK_BYTES;
}

double sq_segment(struct sq_engine *engine, int segment)
{
	if (segment < 0 || (uint32_t)segment > engine->arena.max / CHUNKS_PER_SEGMENT)
		return 0;
	return (double)(uintptr_t)engine->arena.segments[segment];
}

int sq_chunks_used(struct sq_engine *engine)
{
	return (int)engine->arena.used;
}

/* ---- the turn ---- */

static void run_timers(struct sq_engine *engine)
{
	uint64_t fired;

	/* Only whether it fired matters; that it did not is no error. */
	if (engine->now >= engine->timer_at) {
		if (read(engine->timer_fd, &fired, sizeof(fired)) < 0)
			fired = 0;
		engine->timer_at = NEVER;
	}
	if (engine->trim_at && engine->now >= engine->trim_at)
		give_memory_back(engine);
	/* An expiry that does not move on (it should not happen) must not hold the thread. */
	for (int most = engine->heap_count * 2; most > 0 && engine->heap_count > 0; most--) {
		struct sq_connection *first = engine->heap[0];

		if (first->expiry > engine->now)
			break;
		sq_connection_expire(first);
		if (first->heap_index == 0 && first->expiry <= engine->now)
			sq_timer_set(engine, first, engine->now + MILLIS);
	}
}

int sq_pump(struct sq_engine *engine, int endpoint_number)
{
	struct sq_endpoint *endpoint = sq_endpoint_get(engine, endpoint_number);

	sq_clock(engine);
	engine->io[SQ_IO_MORE] = 0;
	if (endpoint)
		sq_receive(engine, endpoint);
	else if (endpoint_number >= 0)
		return SQ_GONE;
	else if (sq_mail_read(engine))
		engine->io[SQ_IO_MORE] = 1;
	run_timers(engine);
	return 0;
}

static void wake_for_next(struct sq_engine *engine)
{
	uint64_t next = engine->heap_count > 0 ? engine->heap[0]->expiry : NEVER;
	uint64_t retry = engine->now + RETRY_NANOS;
	uint64_t one = 1;
	int is_waiting = 0;

	for (int i = 0; i < engine->endpoint_count; i++)
		if (engine->endpoints[i] && engine->endpoints[i]->pending)
			is_waiting = 1;
	if (is_waiting && retry < next)
		next = retry;
	if (engine->trim_at && engine->trim_at < next)
		next = engine->trim_at;
	sq_wake(engine, next);
	/* More is to be sent than a turn may: the next turn comes at once. Setting the timer would cost
	 * more than ringing. */
	if (!is_waiting && !sq_link_is_empty(&engine->writing) &&
	    write(engine->bell_fd, &one, sizeof(one)) < 0)
		sq_wake(engine, engine->now);
}

int sq_flush(struct sq_engine *engine)
{
	struct sq_link later;
	int quanta = TURN_QUANTA;

	sq_clock(engine);
	sq_link_clear(&later);
	for (int i = 0; i < engine->endpoint_count; i++)
		if (engine->endpoints[i] && engine->endpoints[i]->pending)
			sq_send_pending(engine, engine->endpoints[i]);
	/* Connections that send a packet or two count little: all of them have their turn. */
	while (!sq_link_is_empty(&engine->writing) && quanta > 0) {
		struct sq_link *link = engine->writing.next;
		struct sq_connection *connection =
			sq_container(link, struct sq_connection, writing);

		sq_link_remove(link);
		if (connection->endpoint->pending) {
			sq_link_append(&later, link);
			continue;
		}
		if (sq_connection_write(connection)) {
			sq_link_append(&engine->writing, link);
			quanta--;
		}
	}
	sq_send_all(engine);
	while (!sq_link_is_empty(&later)) {
		struct sq_link *link = later.next;

		sq_link_remove(link);
		sq_link_append(&engine->writing, link);
	}
	wake_for_next(engine);
	return 0;
}
