/* Datagrams (RFC 9221): two bounded queues; the oldest goes when one is full. */
#include <string.h>

#include "internal.h"

/* A packet's head and the frame's, at most: 1 + 20 + 4, 3, and 16 of the AEAD. */
#define OVERHEAD_BYTES 44
/* Packets that may go out without the datagram that is first in line. */
#define TRIES_MAX 4

static uint32_t queue_max(const struct sq_connection *connection)
{
	return (uint32_t)connection->profile->settings[SQ_SET_DATAGRAM_QUEUE];
}

int sq_datagram_received(struct sq_connection *connection, const uint8_t *bytes, size_t length)
{
	struct sq_arena *arena = &connection->engine->arena;

	connection->counts[SQ_N_DATAGRAMS_RECEIVED]++;
	if (queue_max(connection) == 0) {
		connection->counts[SQ_N_DATAGRAMS_DROPPED]++;
		return 0;
	}
	while (connection->datagrams_in_count >= queue_max(connection)) {
		sq_fifo_drop_record(arena, &connection->datagrams_in);
		connection->datagrams_in_count--;
		connection->counts[SQ_N_DATAGRAMS_DROPPED]++;
	}
	/* They may be lost: without memory they are. */
	if (sq_fifo_append_record(arena, &connection->datagrams_in, bytes, length) != 0) {
		connection->counts[SQ_N_DATAGRAMS_DROPPED]++;
		return 0;
	}
	connection->datagrams_in_count++;
	sq_tell(connection, SQ_TOLD_DATAGRAM);
	return 0;
}

int sq_datagram_peek(struct sq_engine *engine, uint32_t handle)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);
	struct sq_chunk *chunk;
	uint8_t *bytes;
	int length;

	if (!connection || connection->datagrams_in_count == 0)
		return -1;
	length = sq_fifo_record(&engine->arena, &connection->datagrams_in, &bytes);
	chunk = sq_chunk(&engine->arena, connection->datagrams_in.head);
	engine->io[SQ_IO_SEGMENT] = connection->datagrams_in.head / CHUNKS_PER_SEGMENT;
	engine->io[SQ_IO_OFFSET] =
		connection->datagrams_in.head % CHUNKS_PER_SEGMENT * CHUNK_BYTES + chunk->start + 8;
	engine->io[SQ_IO_END] = 0;
	return length;
}

int sq_datagram_drop(struct sq_engine *engine, uint32_t handle)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);

	if (!connection)
		return SQ_GONE;
	if (connection->datagrams_in_count > 0) {
		sq_fifo_drop_record(&engine->arena, &connection->datagrams_in);
		connection->datagrams_in_count--;
	}
	return 0;
}

static void drop_first_out(struct sq_connection *connection)
{
	sq_fifo_drop_record(&connection->engine->arena, &connection->datagrams_out);
	connection->datagrams_out_count--;
	connection->datagram_tries = 0;
}

static int is_too_long(const struct sq_connection *connection, size_t length)
{
	const ngtcp2_transport_params *theirs =
		ngtcp2_conn_get_remote_transport_params2(connection->conn);

	/* Before the handshake is done, only the path is known. */
	if (theirs && theirs->max_datagram_frame_size < length + 1 + (length > 63 ? 2 : 1))
		return 1;
	return length + OVERHEAD_BYTES >
	       ngtcp2_conn_get_path_max_tx_udp_payload_size2(connection->conn);
}

int sq_datagram_send(struct sq_engine *engine, uint32_t handle, const uint8_t *bytes, int offset,
                     int length)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);
	int result = 0;

	if (!connection || !sq_connection_is_live(connection))
		return SQ_GONE;
	if (length < 0 || is_too_long(connection, (size_t)length)) {
		connection->counts[SQ_N_DATAGRAMS_DROPPED]++;
		return SQ_TOO_LONG;
	}
	if (queue_max(connection) == 0)
		return SQ_FULL;
	while (connection->datagrams_out_count >= queue_max(connection)) {
		drop_first_out(connection);
		connection->counts[SQ_N_DATAGRAMS_DROPPED]++;
		result = SQ_FULL;
	}
	if (sq_fifo_append_record(&engine->arena, &connection->datagrams_out, bytes + offset,
	                          (size_t)length) != 0) {
		connection->counts[SQ_N_DATAGRAMS_DROPPED]++;
		return SQ_FULL;
	}
	connection->datagrams_out_count++;
	sq_connection_want_write(connection);
	return result;
}

ngtcp2_ssize sq_datagram_write(struct sq_connection *connection, ngtcp2_path *path,
                               ngtcp2_pkt_info *info, uint8_t *out, size_t room, uint64_t now,
                               int *is_done)
{
	ngtcp2_vec piece;
	uint8_t *bytes;
	int length = sq_fifo_record(&connection->engine->arena, &connection->datagrams_out, &bytes);
	int is_accepted = 0;
	ngtcp2_ssize written;

	*is_done = 1;
	if (length < 0)
		return NGTCP2_ERR_WRITE_MORE;
	piece.base = bytes;
	piece.len = (size_t)length;
	written = ngtcp2_conn_writev_datagram(connection->conn, path, info, out, room, &is_accepted,
	                                      NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &piece, 1, now);
	if (is_accepted) {
		drop_first_out(connection);
		connection->counts[SQ_N_DATAGRAMS_SENT]++;
		*is_done = connection->datagrams_out_count == 0;
		return written;
	}
	/* The handshake is not so far: they wait, streams go on. */
	if (written == NGTCP2_ERR_INVALID_STATE && connection->state == SQ_STATE_HANDSHAKE)
		return NGTCP2_ERR_WRITE_MORE;
	if (written == NGTCP2_ERR_INVALID_STATE || written == NGTCP2_ERR_INVALID_ARGUMENT ||
	    (written > 0 && ++connection->datagram_tries >= TRIES_MAX)) {
		drop_first_out(connection);
		connection->counts[SQ_N_DATAGRAMS_DROPPED]++;
		*is_done = connection->datagrams_out_count == 0;
		return written > 0 ? written : NGTCP2_ERR_WRITE_MORE;
	}
	return written;
}
