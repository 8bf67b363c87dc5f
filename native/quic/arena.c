/*
 * Chunks of bytes that JavaScript can see, and the queues made of them.
 *
 * Segments are mapped one after the other, when they are needed, and stay: a chunk that was given
 * back is the next to be taken, so that few pages are touched. The arena is bounded: what needs a
 * chunk and gets none says so to whoever asked.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

uint32_t sq_chunk_take(struct sq_arena *arena)
{
	uint32_t chunk = arena->first_free;

	if (chunk) {
		arena->first_free = arena->chunks[chunk].next;
	} else {
		uint32_t segment;

		if (arena->used >= arena->max)
			return 0;
		/* Number 0 means none: the first chunk of the first segment is never given. */
		chunk = arena->made ? arena->made : 1;
		segment = chunk / CHUNKS_PER_SEGMENT;
		if (!arena->segments[segment]) {
			void *bytes = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE,
			                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

			if (bytes == MAP_FAILED)
				return 0;
			arena->segments[segment] = bytes;
		}
		arena->made = chunk + 1;
	}
	arena->used++;
	arena->chunks[chunk] = (struct sq_chunk){ 0 };
	return chunk;
}

void sq_chunk_give(struct sq_arena *arena, uint32_t chunk)
{
	arena->chunks[chunk].next = arena->first_free;
	arena->first_free = chunk;
	arena->used--;
}

/* The last chunk, or a new one behind it when `least` bytes do not fit; 0 = there is none. */
static uint32_t fifo_room(struct sq_arena *arena, struct sq_fifo *fifo, size_t least)
{
	uint32_t chunk = fifo->tail;

	if (chunk && CHUNK_BYTES - sq_chunk(arena, chunk)->end >= least)
		return chunk;
	chunk = sq_chunk_take(arena);
	if (!chunk)
		return 0;
	if (fifo->tail)
		sq_chunk(arena, fifo->tail)->next = chunk;
	else
		fifo->head = chunk;
	fifo->tail = chunk;
	fifo->count++;
	if (fifo->total)
		++*fifo->total;
	return chunk;
}

int sq_fifo_append(struct sq_arena *arena, struct sq_fifo *fifo, const uint8_t *bytes,
                   size_t length)
{
	while (length > 0) {
		uint32_t number = fifo_room(arena, fifo, 1);
		struct sq_chunk *chunk;
		size_t count;

		if (!number)
			return -1;
		chunk = sq_chunk(arena, number);
		count = CHUNK_BYTES - chunk->end;
		if (count > length)
			count = length;
		memcpy(sq_chunk_bytes_of(arena, number) + chunk->end, bytes, count);
		chunk->end += (uint32_t)count;
		bytes += count;
		length -= count;
	}
	return 0;
}

static void fifo_drop_head(struct sq_arena *arena, struct sq_fifo *fifo)
{
	uint32_t chunk = fifo->head;

	fifo->head = sq_chunk(arena, chunk)->next;
	if (!fifo->head)
		fifo->tail = 0;
	fifo->count--;
	if (fifo->total)
		--*fifo->total;
	sq_chunk_give(arena, chunk);
}

void sq_fifo_drop(struct sq_arena *arena, struct sq_fifo *fifo, size_t length)
{
	while (length > 0 && fifo->head) {
		struct sq_chunk *chunk = sq_chunk(arena, fifo->head);
		size_t count = chunk->end - chunk->start;

		if (count > length) {
			chunk->start += (uint32_t)length;
			return;
		}
		length -= count;
		fifo_drop_head(arena, fifo);
	}
}

void sq_fifo_clear(struct sq_arena *arena, struct sq_fifo *fifo)
{
	while (fifo->head)
		fifo_drop_head(arena, fifo);
}

/* A record is its length in 8 bytes, then its bytes, to the next multiple of 8. */
static size_t record_bytes(size_t length)
{
	return 8 + ((length + 7) & ~(size_t)7);
}

int sq_fifo_append_record(struct sq_arena *arena, struct sq_fifo *fifo, const uint8_t *bytes,
                          size_t length)
{
	uint32_t number;
	uint8_t *out;
	uint64_t head = length;

	if (record_bytes(length) > CHUNK_BYTES)
		return -1;
	number = fifo_room(arena, fifo, record_bytes(length));
	if (!number)
		return -1;
	out = sq_chunk_bytes_of(arena, number) + sq_chunk(arena, number)->end;
	memcpy(out, &head, 8);
	if (length > 0) /* an empty datagram has no address */
		memcpy(out + 8, bytes, length);
	sq_chunk(arena, number)->end += (uint32_t)record_bytes(length);
	return 0;
}

int sq_fifo_record(struct sq_arena *arena, struct sq_fifo *fifo, uint8_t **bytes)
{
	uint8_t *record;
	uint64_t length;

	if (!fifo->head)
		return -1;
	record = sq_chunk_bytes_of(arena, fifo->head) + sq_chunk(arena, fifo->head)->start;
	memcpy(&length, record, 8);
	*bytes = record + 8;
	return (int)length;
}

void sq_fifo_drop_record(struct sq_arena *arena, struct sq_fifo *fifo)
{
	uint8_t *bytes;
	int length = sq_fifo_record(arena, fifo, &bytes);
	struct sq_chunk *chunk;

	if (length < 0)
		return;
	chunk = sq_chunk(arena, fifo->head);
	chunk->start += (uint32_t)record_bytes((size_t)length);
	if (chunk->start == chunk->end)
		fifo_drop_head(arena, fifo);
}

/* Chunks that senders leave to receivers: a peer's bytes cannot be refused once they are here. */
static int is_scarce(const struct sq_arena *arena)
{
	return arena->used >= arena->max - arena->max / 4;
}

size_t sq_outgoing_append(struct sq_arena *arena, struct sq_outgoing *out, const uint8_t *bytes,
                          size_t length)
{
	size_t taken = 0;

	while (taken < length) {
		size_t in_tail = (size_t)((out->end - out->base) % CHUNK_BYTES);
		size_t count = CHUNK_BYTES - in_tail;

		if (in_tail == 0 || !out->tail) {
			uint32_t chunk = is_scarce(arena) ? 0 : sq_chunk_take(arena);

			if (!chunk)
				break;
			if (out->tail) {
				sq_chunk(arena, out->tail)->next = chunk;
			} else {
				out->head = chunk;
				out->base = out->end;
			}
			out->tail = chunk;
			if (!out->cursor) {
				out->cursor = chunk;
				out->cursor_base = out->end;
			}
			in_tail = 0;
			count = CHUNK_BYTES;
		}
		if (count > length - taken)
			count = length - taken;
		memcpy(sq_chunk_bytes_of(arena, out->tail) + in_tail, bytes + taken, count);
		taken += count;
		out->end += count;
	}
	return taken;
}

int sq_outgoing_pieces(struct sq_arena *arena, struct sq_outgoing *out, ngtcp2_vec *pieces)
{
	uint64_t at = out->sent, base = out->cursor_base;
	uint32_t chunk = out->cursor;
	int count = 0;

	while (count < 2 && at < out->end) {
		uint64_t end = base + CHUNK_BYTES < out->end ? base + CHUNK_BYTES : out->end;

		pieces[count].base = sq_chunk_bytes_of(arena, chunk) + (at - base);
		pieces[count].len = (size_t)(end - at);
		count++;
		at = end;
		base += CHUNK_BYTES;
		chunk = sq_chunk(arena, chunk)->next;
	}
	return count;
}

void sq_outgoing_sent(struct sq_arena *arena, struct sq_outgoing *out, uint64_t count)
{
	out->sent += count;
	while (out->cursor && out->sent >= out->cursor_base + CHUNK_BYTES) {
		out->cursor = sq_chunk(arena, out->cursor)->next;
		out->cursor_base += CHUNK_BYTES;
	}
}

void sq_outgoing_acked(struct sq_arena *arena, struct sq_outgoing *out, uint64_t offset)
{
	if (offset <= out->acked || offset > out->sent)
		return;
	out->acked = offset;
	while (out->head && (out->acked >= out->base + CHUNK_BYTES || out->acked == out->end)) {
		uint32_t chunk = out->head;

		out->head = sq_chunk(arena, chunk)->next;
		if (out->cursor == chunk)
			out->cursor = 0;
		sq_chunk_give(arena, chunk);
		out->base += CHUNK_BYTES;
	}
	if (!out->head) {
		out->tail = out->cursor = 0;
		out->base = out->cursor_base = out->end;
	}
}

void sq_outgoing_clear(struct sq_arena *arena, struct sq_outgoing *out)
{
	while (out->head) {
		uint32_t chunk = out->head;

		out->head = sq_chunk(arena, chunk)->next;
		sq_chunk_give(arena, chunk);
	}
	out->tail = out->cursor = 0;
	out->acked = out->sent = out->base = out->cursor_base = out->end;
}

void sq_outgoing_rewind(struct sq_outgoing *out)
{
	out->sent = out->acked;
	out->cursor = out->head;
	out->cursor_base = out->base;
}
