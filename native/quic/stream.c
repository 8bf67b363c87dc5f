/*
 * Streams. What was received waits in chunks until it is consumed, and only then may the peer send
 * as many bytes more; what is to be sent waits in chunks until it is acknowledged. A stream's memory
 * goes when the library and the caller know it no more.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct sq_stream *sq_stream_get(struct sq_engine *engine, uint32_t handle)
{
	return sq_slots_get(&engine->streams, handle);
}

struct sq_stream *sq_stream_new(struct sq_connection *connection, int64_t id, int is_local)
{
	struct sq_engine *engine = connection->engine;
	struct sq_stream *stream = engine->spare_streams;

	if (stream)
		engine->spare_streams = (struct sq_stream *)(void *)stream->all.next;
	else if (!(stream = malloc(sizeof(*stream))))
		return NULL;
	memset(stream, 0, sizeof(*stream));
	stream->handle = sq_slots_add(&engine->streams, stream);
	if (!stream->handle) {
		free(stream);
		return NULL;
	}
	stream->connection = connection;
	stream->received.total = &connection->received_chunks;
	stream->id = id;
	stream->is_local = (uint8_t)is_local;
	stream->is_uni = (id & 2) != 0;
	stream->is_wide = stream->is_local;
	stream->is_receive_over = stream->is_uni && is_local;
	stream->is_send_over = stream->is_uni && !is_local;
	sq_link_clear(&stream->all);
	sq_link_clear(&stream->sending);
	sq_link_clear(&stream->telling);
	sq_link_clear(&stream->starved);
	sq_link_append(&connection->streams, &stream->all);
	connection->stream_count++;
	return stream;
}

/* At once, whoever knows it. */
void sq_stream_free(struct sq_stream *stream)
{
	struct sq_connection *connection = stream->connection;
	struct sq_engine *engine = connection->engine;

	sq_link_remove(&stream->all);
	sq_link_remove(&stream->sending);
	sq_link_remove(&stream->telling);
	sq_link_remove(&stream->starved);
	sq_fifo_clear(&engine->arena, &stream->received);
	sq_outgoing_clear(&engine->arena, &stream->out);
	connection->unread -= stream->unread;
	connection->stream_count--;
	sq_slots_remove(&engine->streams, stream->handle);
	stream->all.next = (struct sq_link *)(void *)engine->spare_streams;
	engine->spare_streams = stream;
}

void sq_stream_destroy_spares(struct sq_engine *engine)
{
	while (engine->spare_streams) {
		struct sq_stream *stream = engine->spare_streams;

		engine->spare_streams = (struct sq_stream *)(void *)stream->all.next;
		free(stream);
	}
}

/*
 * The peer may open another stream in place of one that the caller knows no more and that is over,
 * or nearly so: everything has come, and our end has been sent. It does not wait for that to be
 * acknowledged, which takes the peer up to 25 ms; how many such streams there are is bounded by what
 * may be under way.
 */
void sq_stream_replace(struct sq_stream *stream)
{
	struct sq_connection *connection = stream->connection;

	if (stream->is_local || stream->is_replaced || !stream->is_released ||
	    !(stream->is_library_done || (stream->is_finished && stream->has_end)))
		return;
	stream->is_replaced = 1;
	if (stream->is_uni)
		connection->uni_due++;
	else
		connection->bidi_due++;
	sq_connection_want_write(connection);
}

/* Both sides know it no more. */
static void free_if_done(struct sq_stream *stream)
{
	sq_stream_replace(stream);
	if (stream->is_library_done && stream->is_released)
		sq_stream_free(stream);
}

void sq_stream_library_done(struct sq_stream *stream)
{
	stream->is_library_done = 1;
	sq_link_remove(&stream->sending);
	sq_outgoing_clear(&stream->connection->engine->arena, &stream->out);
	free_if_done(stream);
}

void sq_stream_want_send(struct sq_stream *stream)
{
	if (stream->is_send_over || stream->is_library_done || stream->is_blocked)
		return;
	sq_link_append(&stream->connection->sending, &stream->sending);
	sq_connection_want_write(stream->connection);
}

/* ---- receiving ---- */

/* Are the connection's streams those of different owners? Then its own window is never the bound. */
static int is_shared(const struct sq_connection *connection)
{
	return connection->profile->settings[SQ_SET_SHARED] != 0;
}

/* The peer may send as many bytes more. */
static void give_credit(struct sq_stream *stream, uint64_t count)
{
	struct sq_connection *connection = stream->connection;

	if (count == 0 || !sq_connection_is_live(connection))
		return;
	if (!stream->is_library_done && !stream->is_receive_over && !stream->has_end)
		ngtcp2_conn_extend_max_stream_offset(connection->conn, stream->id, count);
	if (!is_shared(connection))
		ngtcp2_conn_extend_max_offset(connection->conn, count);
	sq_connection_want_write(connection);
}

/* Somebody reads: from now on the whole window counts. */
static void widen(struct sq_stream *stream)
{
	struct sq_connection *connection = stream->connection;
	uint64_t window = (uint64_t)connection->profile->settings[SQ_SET_STREAM_WINDOW];

	if (stream->is_wide)
		return;
	stream->is_wide = 1;
	if (stream->is_library_done || stream->is_receive_over || stream->has_end ||
	    !sq_connection_is_live(connection))
		return;
	ngtcp2_conn_extend_max_stream_offset(connection->conn, stream->id,
	                                     window - sq_profile_first_window(connection->profile));
	sq_connection_want_write(connection);
}

/* What is unread is thrown away; the stream's window stays shut, the connection's opens. */
static void drop_unread(struct sq_stream *stream)
{
	uint64_t unread = stream->unread;

	stream->is_receive_over = 1;
	stream->unread = 0;
	stream->connection->unread -= unread;
	sq_fifo_clear(&stream->connection->engine->arena, &stream->received);
	give_credit(stream, unread);
}

int sq_stream_received(struct sq_stream *stream, const uint8_t *bytes, size_t length, int is_end)
{
	struct sq_connection *connection = stream->connection;

	if (is_end)
		stream->has_end = 1;
	if (is_shared(connection) && length > 0)
		ngtcp2_conn_extend_max_offset(connection->conn, length);
	if (stream->is_receive_over)
		return 0;
	if (stream->is_released) {
		give_credit(stream, length);
		return 0;
	}
	sq_arena_relieve(connection->engine);
	/* This very stream may have been given up for it. */
	if (stream->is_receive_over) {
		give_credit(stream, length);
		return 0;
	}
	if (sq_fifo_append(&connection->engine->arena, &stream->received, bytes, length) != 0) {
		connection->is_out_of_chunks = 1;
		return -1;
	}
	stream->unread += length;
	connection->unread += length;
	sq_tell_stream(stream, SQ_TOLD_DATA);
	return 0;
}

void sq_stream_reset_received(struct sq_stream *stream, uint64_t code)
{
	stream->connection->counts[SQ_N_STREAM_RESETS_RECEIVED]++;
	stream->reset_code = code;
	/* After our own STOP_SENDING, and after the end was read, it says nothing new. */
	if (!stream->is_receive_over)
		sq_tell_stream(stream, SQ_TOLD_RESET);
	stream->events &= (uint8_t)~SQ_TOLD_DATA;
	drop_unread(stream);
}

void sq_stream_evict(struct sq_stream *stream)
{
	struct sq_connection *connection = stream->connection;

	stream->reset_code = 0;
	sq_tell_stream(stream, SQ_TOLD_RESET);
	stream->events &= (uint8_t)~SQ_TOLD_DATA;
	drop_unread(stream);
	if (stream->is_library_done || stream->has_end || !sq_connection_is_live(connection))
		return;
	connection->counts[SQ_N_STOPS_SENT]++;
	/* A stream that the library has given up meanwhile needs none. */
	if (ngtcp2_conn_shutdown_stream_read(connection->conn, 0, stream->id, 0) == 0)
		sq_connection_want_write(connection);
}

int sq_stream_peek(struct sq_engine *engine, uint32_t handle)
{
	struct sq_stream *stream = sq_stream_get(engine, handle);
	struct sq_chunk *chunk;
	uint32_t count;

	engine->io[SQ_IO_END] = 0;
	if (!stream)
		return SQ_GONE;
	if (stream->is_receive_over)
		return 0;
	if (!stream->received.head) {
		engine->io[SQ_IO_END] = stream->has_end;
		return 0;
	}
	chunk = sq_chunk(&engine->arena, stream->received.head);
	count = chunk->end - chunk->start;
	engine->io[SQ_IO_SEGMENT] = stream->received.head / CHUNKS_PER_SEGMENT;
	engine->io[SQ_IO_OFFSET] =
		stream->received.head % CHUNKS_PER_SEGMENT * CHUNK_BYTES + chunk->start;
	engine->io[SQ_IO_END] = stream->has_end && count == stream->unread;
	return (int)count;
}

int sq_stream_consume(struct sq_engine *engine, uint32_t handle, int count)
{
	struct sq_stream *stream = sq_stream_get(engine, handle);
	uint64_t most;

	if (!stream)
		return SQ_GONE;
	most = stream->unread;
	if (count <= 0 || most == 0)
		return 0;
	if ((uint64_t)count < most)
		most = (uint64_t)count;
	sq_fifo_drop(&engine->arena, &stream->received, (size_t)most);
	stream->unread -= most;
	stream->connection->unread -= most;
	widen(stream);
	give_credit(stream, most);
	return 0;
}

int sq_stream_stop(struct sq_engine *engine, uint32_t handle, uint32_t lo, uint32_t hi)
{
	struct sq_stream *stream = sq_stream_get(engine, handle);
	struct sq_connection *connection;
	int is_over;

	if (!stream)
		return SQ_GONE;
	connection = stream->connection;
	is_over = stream->is_receive_over;
	stream->events &= (uint8_t)~(SQ_TOLD_DATA | SQ_TOLD_RESET);
	drop_unread(stream);
	if (is_over || stream->is_library_done || stream->has_end ||
	    !sq_connection_is_live(connection))
		return 0;
	connection->counts[SQ_N_STOPS_SENT]++;
	sq_connection_result(connection, ngtcp2_conn_shutdown_stream_read(
						 connection->conn, 0, stream->id,
						 lo | (uint64_t)hi << 32));
	sq_connection_want_write(connection);
	return 0;
}

/* ---- sending ---- */

double sq_stream_open(struct sq_engine *engine, uint32_t handle, int is_uni)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);
	struct sq_stream *stream;
	int64_t id;
	int result;

	if (!connection || !sq_connection_is_live(connection))
		return SQ_GONE;
	stream = sq_stream_new(connection, is_uni ? 2 : 0, 1);
	if (!stream)
		return SQ_FULL;
	result = is_uni ? ngtcp2_conn_open_uni_stream(connection->conn, &id, stream)
	                : ngtcp2_conn_open_bidi_stream(connection->conn, &id, stream);
	if (result != 0) {
		sq_stream_free(stream);
		if (result != NGTCP2_ERR_STREAM_ID_BLOCKED)
			return SQ_FULL;
		connection->counts[SQ_N_BLOCKED_STREAMS]++;
		return SQ_NO_CREDIT;
	}
	stream->id = id;
	connection->counts[is_uni ? SQ_N_STREAMS_UNI_LOCAL : SQ_N_STREAMS_BIDI_LOCAL]++;
	/* The peer learns of it even if we have nothing to say first. */
	stream->is_opening = 1;
	sq_stream_want_send(stream);
	return stream->handle;
}

double sq_stream_id(struct sq_engine *engine, uint32_t handle)
{
	struct sq_stream *stream = sq_stream_get(engine, handle);

	return stream ? (double)stream->id : SQ_GONE;
}

static uint64_t room_of(const struct sq_stream *stream)
{
	uint64_t most = (uint64_t)stream->connection->profile->settings[SQ_SET_SEND_BUFFER];
	uint64_t held = stream->out.end - stream->out.acked;

	return held < most ? most - held : 0;
}

int sq_stream_write(struct sq_engine *engine, uint32_t handle, const uint8_t *bytes, int offset,
                    int length)
{
	struct sq_stream *stream = sq_stream_get(engine, handle);
	size_t wanted = length > 0 ? (size_t)length : 0, taken;
	uint64_t room;

	if (!stream || !sq_connection_is_live(stream->connection))
		return SQ_GONE;
	if (stream->is_send_over || stream->is_finishing)
		return SQ_CLOSED;
	if (wanted == 0)
		return 0;
	room = room_of(stream);
	taken = sq_outgoing_append(&engine->arena, &stream->out, bytes + offset,
	                           wanted < room ? wanted : (size_t)room);
	if (taken < wanted) {
		stream->wants_writable = 1;
		/* No acknowledgement may come to tell that it can go on. */
		if (taken < room)
			sq_link_append(&engine->starved, &stream->starved);
	}
	if (taken > 0)
		sq_stream_want_send(stream);
	return (int)taken;
}

static void tell_writable(struct sq_stream *stream)
{
	stream->wants_writable = 0;
	sq_tell_stream(stream, SQ_TOLD_WRITABLE);
}

/* Streams that waited for chunks go on when a fair part of the arena is free again. */
void sq_starved_feed(struct sq_engine *engine)
{
	if (engine->arena.used > engine->arena.max / 2)
		return;
	while (!sq_link_is_empty(&engine->starved)) {
		struct sq_stream *stream =
			sq_container(engine->starved.next, struct sq_stream, starved);

		sq_link_remove(&stream->starved);
		if (stream->wants_writable)
			tell_writable(stream);
	}
}

void sq_stream_acked(struct sq_stream *stream, uint64_t offset)
{
	sq_outgoing_acked(&stream->connection->engine->arena, &stream->out, offset);
	/* Not for every packet: a quarter of the buffer at a time. */
	if (stream->wants_writable && sq_link_is_empty(&stream->starved) &&
	    room_of(stream) * 4 >=
		    (uint64_t)stream->connection->profile->settings[SQ_SET_SEND_BUFFER])
		tell_writable(stream);
}

int sq_stream_finish(struct sq_engine *engine, uint32_t handle)
{
	struct sq_stream *stream = sq_stream_get(engine, handle);

	if (!stream || !sq_connection_is_live(stream->connection))
		return SQ_GONE;
	if (stream->is_send_over)
		return SQ_CLOSED;
	if (stream->is_finishing)
		return 0;
	stream->is_finishing = 1;
	stream->wants_writable = 0;
	sq_stream_want_send(stream);
	/* An end alone needs no credit. */
	if (stream->is_blocked && stream->out.sent == stream->out.end) {
		stream->is_blocked = 0;
		sq_stream_want_send(stream);
	}
	return 0;
}

/* Nothing more is sent of what is queued, nor again of what was. */
static void end_sending(struct sq_stream *stream)
{
	stream->is_send_over = 1;
	stream->wants_writable = 0;
	stream->events &= (uint8_t)~SQ_TOLD_WRITABLE;
	sq_link_remove(&stream->sending);
	sq_link_remove(&stream->starved);
	sq_outgoing_clear(&stream->connection->engine->arena, &stream->out);
}

void sq_stream_stop_received(struct sq_stream *stream, uint64_t code)
{
	stream->connection->counts[SQ_N_STOPS_RECEIVED]++;
	stream->stop_code = code;
	if (stream->is_send_over)
		return;
	/* The library answers with RESET_STREAM, unless all is acknowledged. */
	if (!stream->is_finished || stream->out.acked < stream->out.end)
		stream->connection->counts[SQ_N_STREAM_RESETS_SENT]++;
	end_sending(stream);
	sq_tell_stream(stream, SQ_TOLD_STOP);
}

static void reset_stream(struct sq_stream *stream, uint64_t code)
{
	struct sq_connection *connection = stream->connection;
	int result;

	end_sending(stream);
	if (stream->is_library_done || !sq_connection_is_live(connection))
		return;
	connection->counts[SQ_N_STREAM_RESETS_SENT]++;
	result = ngtcp2_conn_shutdown_stream_write(connection->conn, 0, stream->id, code);
	sq_connection_result(connection, result);
	sq_connection_want_write(connection);
}

int sq_stream_reset(struct sq_engine *engine, uint32_t handle, uint32_t lo, uint32_t hi)
{
	struct sq_stream *stream = sq_stream_get(engine, handle);

	if (!stream)
		return SQ_GONE;
	if (stream->is_send_over)
		return SQ_CLOSED;
	reset_stream(stream, lo | (uint64_t)hi << 32);
	return 0;
}

int sq_stream_release(struct sq_engine *engine, uint32_t handle)
{
	struct sq_stream *stream = sq_stream_get(engine, handle);

	if (!stream || stream->is_released)
		return SQ_GONE;
	/* Without an end the peer would wait for ever. */
	if (!stream->is_send_over && !stream->is_finishing)
		reset_stream(stream, 0);
	stream->is_released = 1;
	stream->events = 0;
	sq_link_remove(&stream->telling);
	if (stream->unread > 0) {
		uint64_t unread = stream->unread;

		stream->unread = 0;
		stream->connection->unread -= unread;
		sq_fifo_clear(&engine->arena, &stream->received);
		give_credit(stream, unread);
	}
	free_if_done(stream);
	return 0;
}

int sq_stream_is_unsent(struct sq_engine *engine, uint32_t handle)
{
	struct sq_stream *stream = sq_stream_get(engine, handle);

	if (!stream)
		return SQ_GONE;
	return stream->out.sent == 0 && !stream->is_finished;
}

/*
 * The server did not take our early data, and ngtcp2 has forgotten the streams. Nothing of them can
 * have been acknowledged: they are opened again, in the same order, and sent again from their first
 * byte. One that the server's new limits forbid ends as if the server had refused it.
 */
void sq_streams_reopen(struct sq_connection *connection)
{
	struct sq_link *link, *next;

	for (link = connection->streams.next; link != &connection->streams; link = next) {
		struct sq_stream *stream = sq_container(link, struct sq_stream, all);
		int64_t id;
		int result;

		next = link->next;
		if (!stream->is_library_done || !stream->is_local)
			continue;
		if (stream->is_send_over && stream->is_released) {
			sq_stream_free(stream);
			continue;
		}
		result = stream->is_uni
		                 ? ngtcp2_conn_open_uni_stream(connection->conn, &id, stream)
		                 : ngtcp2_conn_open_bidi_stream(connection->conn, &id, stream);
		if (result != 0) {
			sq_tell_stream(stream, SQ_TOLD_RESET | SQ_TOLD_STOP);
			stream->is_receive_over = 1;
			end_sending(stream);
			free_if_done(stream);
			continue;
		}
		stream->is_library_done = 0;
		stream->id = id;
		stream->is_blocked = stream->is_finished = 0;
		sq_outgoing_rewind(&stream->out);
		sq_link_remove(&stream->sending);
		stream->is_opening = 1;
		if (stream->is_send_over)
			reset_stream(stream, 0);
		else
			sq_stream_want_send(stream);
	}
}
