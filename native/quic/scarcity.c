/*
 * When hardly a chunk is left: whose unread bytes are given up.
 *
 * Bytes that are here cannot be refused, and who sent too much may be anybody's neighbour. So not
 * who needs the next chunk pays, but those that hold most: of the connections, by powers of two from
 * the largest on, each time the streams down to half of its largest. Looking costs a walk over the
 * connections for each such power that is among them, and is repaid by a part of the arena, whether
 * one connection held it or thousands.
 */
#include <errno.h>

#include "internal.h"

/* Fewer chunks than this are "hardly a chunk": what one packet may need, and some. */
#define CHUNKS_LEAST 8
/* Part of the arena that is freed at a time, where so much is held. */
#define RELIEF_PART 64

/* 0 = none, 1 = one chunk, 2 = two or three, 3 = four to seven, … */
static int class_of(const struct sq_connection *connection)
{
	uint32_t chunks = connection && sq_connection_is_live(connection)
	                          ? connection->received_chunks
	                          : 0;

	return chunks ? 32 - __builtin_clz(chunks) : 0;
}

/* Chunks of its largest stream. */
static uint32_t most_of(const struct sq_connection *connection)
{
	uint32_t most = 0;

	for (struct sq_link *link = connection->streams.next; link != &connection->streams;
	     link = link->next) {
		const struct sq_stream *stream = sq_container(link, struct sq_stream, all);

		if (stream->received.count > most)
			most = stream->received.count;
	}
	return most;
}

/* Gives up its largest streams until `used` chunks are left in use, or it has left its class. */
static void relieve(struct sq_arena *arena, struct sq_connection *victim, uint32_t used)
{
	int class = class_of(victim);

	victim->endpoint->trouble = ENOMEM;
	while (arena->used > used && class_of(victim) == class) {
		uint32_t most = most_of(victim);

		for (struct sq_link *link = victim->streams.next, *next;
		     link != &victim->streams && arena->used > used; link = next) {
			struct sq_stream *stream = sq_container(link, struct sq_stream, all);

			next = link->next;
			if (stream->received.count > 0 && 2 * stream->received.count >= most)
				sq_stream_evict(stream);
		}
	}
}

void sq_arena_relieve(struct sq_engine *engine)
{
	struct sq_arena *arena = &engine->arena;
	void **connections = engine->connections.items;
	uint32_t room = engine->connections.room;
	uint32_t wanted = arena->max / RELIEF_PART;
	uint64_t classes = 0;

	if (arena->used + CHUNKS_LEAST <= arena->max)
		return;
	if (wanted < CHUNKS_LEAST)
		wanted = CHUNKS_LEAST;
	for (uint32_t slot = 0; slot < room; slot++)
		classes |= 1ull << class_of(connections[slot]);
	for (int class = 32; class > 0; class--) {
		if (!(classes & 1ull << class))
			continue;
		for (uint32_t slot = 0; slot < room; slot++) {
			if (arena->used + wanted <= arena->max)
				return;
			if (class_of(connections[slot]) != class)
				continue;
			relieve(arena, connections[slot], arena->max - wanted);
			classes |= 1ull << class_of(connections[slot]);
		}
	}
}
