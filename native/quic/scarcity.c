/*
 * When hardly a chunk is left: whose unread bytes are given up.
 *
 * Bytes that are here cannot be refused, and who sent too much may be anybody's neighbour. So not
 * who needs the next chunk pays, but the streams that hold most: of the connection that holds most,
 * down to half of its largest. Looking costs a walk over all streams, and is repaid by many chunks.
 */
#include <errno.h>

#include "internal.h"

/* Fewer chunks than this are "hardly a chunk": what one packet may need, and some. */
#define CHUNKS_LEAST 8
/* Part of the arena that is freed at a time, where so much is held. */
#define RELIEF_PART 64

static uint32_t chunks_of(struct sq_arena *arena, const struct sq_stream *stream)
{
	uint32_t count = 0;

	for (uint32_t chunk = stream->received.head; chunk; chunk = sq_chunk(arena, chunk)->next)
		count++;
	return count;
}

/* Chunks that its streams hold unread; the most that one of them does. */
static uint32_t chunks_of_all(struct sq_arena *arena, struct sq_connection *connection,
                              uint32_t *most)
{
	uint32_t sum = 0;

	*most = 0;
	for (struct sq_link *link = connection->streams.next; link != &connection->streams;
	     link = link->next) {
		uint32_t count = chunks_of(arena, sq_container(link, struct sq_stream, all));

		sum += count;
		if (count > *most)
			*most = count;
	}
	return sum;
}

static struct sq_connection *largest(struct sq_engine *engine, uint32_t *most)
{
	struct sq_connection *found = NULL;
	uint32_t found_sum = 0;

	for (uint32_t slot = 0; slot < engine->connections.room; slot++) {
		struct sq_connection *connection = engine->connections.items[slot];
		uint32_t sum, of_one;

		if (!connection || !sq_connection_is_live(connection) || connection->unread == 0)
			continue;
		sum = chunks_of_all(&engine->arena, connection, &of_one);
		if (sum <= found_sum)
			continue;
		found = connection;
		found_sum = sum;
		*most = of_one;
	}
	return found;
}

void sq_arena_relieve(struct sq_engine *engine)
{
	struct sq_arena *arena = &engine->arena;
	struct sq_connection *victim;
	uint32_t most, wanted = arena->max / RELIEF_PART;

	if (arena->used + CHUNKS_LEAST <= arena->max)
		return;
	victim = largest(engine, &most);
	if (!victim)
		return;
	if (wanted < CHUNKS_LEAST)
		wanted = CHUNKS_LEAST;
	for (struct sq_link *link = victim->streams.next, *next;
	     link != &victim->streams && arena->used + wanted > arena->max; link = next) {
		struct sq_stream *stream = sq_container(link, struct sq_stream, all);

		next = link->next;
		if (2 * chunks_of(arena, stream) >= most)
			sq_stream_evict(stream);
	}
	victim->endpoint->trouble = ENOMEM;
}
