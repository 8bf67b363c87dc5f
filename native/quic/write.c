/*
 * What a connection sends: one quantum a turn, as pacing allows, packed into trains. Its streams
 * take turns packet by packet; small leftovers share a packet.
 */
#include "internal.h"

/* What timers are worth: RFC 9002, 6.1.2. */
#define TIMER_NANOS (1 * MILLIS)

/* A stream's next bytes for the packet that is being written. */
static ngtcp2_ssize write_stream(struct sq_connection *connection, struct sq_stream *stream,
                                 ngtcp2_path *path, ngtcp2_pkt_info *info, uint8_t *out,
                                 size_t room, uint64_t now)
{
	struct sq_arena *arena = &connection->engine->arena;
	uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
	ngtcp2_vec pieces[2];
	int count = sq_outgoing_pieces(arena, &stream->out, pieces);
	uint64_t offered = 0;
	ngtcp2_ssize taken = -1, length;

	/* A first frame that is empty needs no credit of the connection. */
	if (stream->is_opening && ngtcp2_conn_get_max_data_left2(connection->conn) == 0)
		count = 0;
	for (int i = 0; i < count; i++)
		offered += pieces[i].len;
	if (offered == 0 && !stream->is_opening && (!stream->is_finishing || stream->is_finished)) {
		sq_link_remove(&stream->sending);
		return NGTCP2_ERR_WRITE_MORE;
	}
	if (stream->is_finishing && stream->out.sent + offered == stream->out.end)
		flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
	length = ngtcp2_conn_writev_stream(connection->conn, path, info, out, room, &taken, flags,
	                                   stream->id, pieces, (size_t)count, now);
	if (taken < 0)
		return length;
	stream->is_opening = 0;
	sq_outgoing_sent(arena, &stream->out, (uint64_t)taken);
	if ((flags & NGTCP2_WRITE_STREAM_FLAG_FIN) && (uint64_t)taken == offered)
		stream->is_finished = 1;
	sq_stream_replace(stream);
	sq_link_remove(&stream->sending);
	/* The rest waits behind the other streams. */
	if (stream->out.sent < stream->out.end || (stream->is_finishing && !stream->is_finished))
		sq_link_append(&connection->sending, &stream->sending);
	return length;
}

/* The connection's window is used up: of this stream, only an end could be sent. */
static int is_held(struct sq_connection *connection, struct sq_stream *stream)
{
	if (ngtcp2_conn_get_max_data_left2(connection->conn) > 0 ||
	    stream->out.sent == stream->out.end || stream->is_opening)
		return 0;
	if (!connection->is_blocked)
		connection->counts[SQ_N_BLOCKED_CONNECTION]++;
	connection->is_blocked = 1;
	sq_link_remove(&stream->sending);
	sq_link_append(&connection->blocked, &stream->sending);
	return 1;
}

/* The stream cannot go on: by its own window, or at all. */
static void stop(struct sq_connection *connection, struct sq_stream *stream, ngtcp2_ssize why)
{
	sq_link_remove(&stream->sending);
	if (why != NGTCP2_ERR_STREAM_DATA_BLOCKED) {
		stream->is_send_over = 1;
		return;
	}
	if (!stream->is_blocked)
		connection->counts[SQ_N_BLOCKED_STREAM]++;
	stream->is_blocked = 1;
}

/* One packet, of datagrams and of as many streams as fit: ngtcp2_write_pkt. */
static ngtcp2_ssize write_packet(ngtcp2_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                 uint8_t *out, size_t room, ngtcp2_tstamp now, void *user)
{
	struct sq_connection *connection = user;
	ngtcp2_ssize length;
	int is_done = connection->datagrams_out_count == 0;

	while (!is_done) {
		length = sq_datagram_write(connection, path, info, out, room, now, &is_done);
		if (length != NGTCP2_ERR_WRITE_MORE && !(length == 0 && is_done))
			return length;
	}
	while (!sq_link_is_empty(&connection->sending)) {
		struct sq_stream *stream = sq_container(connection->sending.next, struct sq_stream,
		                                        sending);

		if (is_held(connection, stream))
			continue;
		length = write_stream(connection, stream, path, info, out, room, now);
		if (length == NGTCP2_ERR_WRITE_MORE)
			continue;
		if (length != NGTCP2_ERR_STREAM_DATA_BLOCKED &&
		    length != NGTCP2_ERR_STREAM_SHUT_WR && length != NGTCP2_ERR_STREAM_NOT_FOUND)
			return length;
		stop(connection, stream, length);
	}
	return ngtcp2_conn_writev_stream(conn, path, info, out, room, NULL,
	                                 NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, now);
}

/* Streams that the connection's window held go on when it has opened. */
static void unblock(struct sq_connection *connection)
{
	if (!connection->is_blocked || ngtcp2_conn_get_max_data_left2(connection->conn) == 0)
		return;
	connection->is_blocked = 0;
	while (!sq_link_is_empty(&connection->blocked)) {
		struct sq_link *link = connection->blocked.next;

		sq_link_remove(link);
		sq_link_append(&connection->sending, link);
	}
}

/* Packets that may be sent now, by the bound of the profile on what is under way. */
static size_t packets_allowed(const struct sq_connection *connection, size_t payload)
{
	double most = connection->profile->settings[SQ_SET_CWND_MAX];
	ngtcp2_conn_info info;

	if (connection->profile->settings[SQ_SET_GSO] == 0 || !connection->endpoint->has_gso)
		return 1;
	if (most <= 0)
		return SEGMENTS_MAX;
	ngtcp2_conn_get_conn_info2(connection->conn, &info);
	if ((double)info.bytes_in_flight >= most)
		return 0;
	most = (most - (double)info.bytes_in_flight) / (double)payload + 1;
	return most < SEGMENTS_MAX ? (size_t)most : SEGMENTS_MAX;
}

/* Only acknowledgements and what the library has to say. */
static ngtcp2_ssize write_bare(ngtcp2_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info,
                               uint8_t *out, size_t room, ngtcp2_tstamp now, void *user)
{
	(void)user;
	return ngtcp2_conn_writev_stream(conn, path, info, out, room, NULL,
	                                 NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, now);
}

/* Tells the library how many streams more the peer may open. */
static void allow_streams(struct sq_connection *connection)
{
	if (connection->bidi_due)
		ngtcp2_conn_extend_max_streams_bidi(connection->conn, connection->bidi_due);
	if (connection->uni_due)
		ngtcp2_conn_extend_max_streams_uni(connection->conn, connection->uni_due);
	connection->bidi_due = connection->uni_due = 0;
}

/* One train: its length, 0 = nothing to send now; negative: the connection failed. */
static ngtcp2_ssize write_train(struct sq_connection *connection, uint8_t *out, size_t room)
{
	struct sq_engine *engine = connection->engine;
	size_t payload = ngtcp2_conn_get_path_max_tx_udp_payload_size2(connection->conn);
	size_t packets = packets_allowed(connection, payload);
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	size_t segment = 0;
	ngtcp2_ssize length;

	ngtcp2_path_storage_zero(&path);
	if (sq_is_injected(engine, 2))
		return NGTCP2_ERR_NOMEM;
	length = ngtcp2_conn_write_aggregate_pkt2(connection->conn, &path.path, &info, out,
	                                          room > payload ? room : payload, &segment,
	                                          packets ? write_packet : write_bare,
	                                          packets ? packets : 1, engine->now);
	if (length >= 0)
		connection->has_answered = connection->was_established;
	if (length > 0)
		sq_send_add(engine, connection->endpoint, connection->handle,
		            path.path.remote.addr, path.path.remote.addrlen, path.path.local.addr,
		            (size_t)length, segment, info.ecn);
	return length;
}

/*
 * Sets the timer. 1: it is due already, and there is something to send. Where there is nothing, a
 * timer of less than TIMER_NANOS is the pacer's, after each acknowledgement that went out, and
 * setting it would cost more than all else; any other may come so late.
 */
static int set_timer(struct sq_connection *connection)
{
	struct sq_engine *engine = connection->engine;
	uint64_t expiry = ngtcp2_conn_get_expiry2(connection->conn);
	uint64_t soonest = sq_clock(engine) + TIMER_NANOS;

	if (sq_link_is_empty(&connection->sending) && connection->datagrams_out_count == 0) {
		if (expiry < soonest)
			expiry = soonest;
	} else if (expiry <= engine->now) {
		sq_connection_result(connection,
		                     ngtcp2_conn_handle_expiry(connection->conn, engine->now));
		return sq_connection_is_live(connection);
	}
	sq_timer_set(engine, connection, expiry);
	return 0;
}

/*
 * Asks a silent peer for signs of life. Not a client that has no stream: nobody else limits its time,
 * and it would stay for ever. A connection to a server is its pool's, or its session's.
 */
static void keep_alive(struct sq_connection *connection)
{
	double after = connection->profile->settings[SQ_SET_KEEP_ALIVE_MS];
	int is_wanted = after > 0 && (!connection->is_server || connection->stream_count > 0);

	ngtcp2_conn_set_keep_alive_timeout(connection->conn,
	                                   is_wanted ? (uint64_t)after * MILLIS : UINT64_MAX);
}

int sq_connection_write(struct sq_connection *connection)
{
	struct sq_engine *engine = connection->engine;
	size_t quantum, sent = 0;
	int has_more = 0;

	if (!sq_connection_is_live(connection))
		return 0;
	/* Pacing may have allowed more since the last quantum was begun. */
	sq_clock(engine);
	unblock(connection);
	allow_streams(connection);
	keep_alive(connection);
	quantum = ngtcp2_conn_get_send_quantum2(connection->conn);
	if (quantum > AGGREGATE_BYTES_MAX)
		quantum = AGGREGATE_BYTES_MAX;
	while (sent < quantum) {
		uint8_t *out = sq_send_room(engine, connection->endpoint);
		ngtcp2_ssize length;

		/* Sending what was there may have shown that nobody listens. */
		if (!sq_connection_is_live(connection))
			return 0;
		if (!out) {
			has_more = 1;
			break;
		}
		length = write_train(connection, out, quantum - sent);
		if (length < 0) {
			sq_connection_result(connection, (int)length);
			return 0;
		}
		if (length == 0)
			break;
		sent += (size_t)length;
		has_more = sent >= quantum;
	}
	ngtcp2_conn_update_pkt_tx_time(connection->conn, engine->now);
	return set_timer(connection) || has_more || connection->bidi_due > 0;
}
