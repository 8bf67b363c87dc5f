/* Numbers, texts and addresses of connections, and what the module is. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

int sq_version_text(char *out, int room)
{
	const ngtcp2_info *library = ngtcp2_version(0);

	if (sq_tls_start() != 0)
		return snprintf(out, (size_t)room, "ngtcp2 %s", library->version_str);
	return snprintf(out, (size_t)room, "ngtcp2 %s, %s", library->version_str, sq_tls_version());
}

int sq_error_text(char *out, int room)
{
	return snprintf(out, (size_t)room, "%s", sq_tls_error());
}

/* ---- numbers ---- */

/* What the library has counted. The closing period's packets are counted by ourselves, on top. */
void sq_connection_count(struct sq_connection *connection)
{
	uint64_t *counts = connection->counts;
	ngtcp2_conn_info info;

	if (!sq_connection_is_live(connection) || !connection->conn)
		return;
	ngtcp2_conn_get_conn_info2(connection->conn, &info);
	counts[SQ_N_PACKETS_SENT] = info.pkt_sent;
	counts[SQ_N_PACKETS_RECEIVED] = info.pkt_recv;
	counts[SQ_N_PACKETS_LOST] = info.pkt_lost;
	counts[SQ_N_PACKETS_DROPPED] = info.pkt_discarded;
	counts[SQ_N_BYTES_SENT] = info.bytes_sent;
	counts[SQ_N_BYTES_RECEIVED] = info.bytes_recv;
	counts[SQ_N_BYTES_LOST] = info.bytes_lost;
	/* ngtcp2 does not tell what it sends again: it is what was in the packets that were lost. */
	counts[SQ_N_STREAM_BYTES_RESENT] = info.bytes_lost;
}

static void fill_now(struct sq_connection *connection, double *out)
{
	struct sq_engine *engine = connection->engine;
	uint64_t now = engine->now;
	uint64_t unsent = 0;
	ngtcp2_conn_info info;
	struct sq_link *link;

	ngtcp2_conn_get_conn_info2(connection->conn, &info);
	for (link = connection->streams.next; link != &connection->streams; link = link->next) {
		const struct sq_outgoing *queue =
			&sq_container(link, struct sq_stream, all)->out;

		unsent += queue->end - queue->acked;
	}
	/* Before the first measurement: the largest number there is, and a guess, which is no fact. */
	if (info.min_rtt == UINT64_MAX)
		info.latest_rtt = info.min_rtt = info.smoothed_rtt = info.rttvar = 0;
	out[SQ_N_RTT_LATEST_MICROS] = (double)info.latest_rtt / 1000;
	out[SQ_N_RTT_MIN_MICROS] = (double)info.min_rtt / 1000;
	out[SQ_N_RTT_SMOOTH_MICROS] = (double)info.smoothed_rtt / 1000;
	out[SQ_N_RTT_VARIANCE_MICROS] = (double)info.rttvar / 1000;
	out[SQ_N_CWND] = (double)info.cwnd;
	out[SQ_N_SSTHRESH] = info.ssthresh == UINT64_MAX ? 0 : (double)info.ssthresh;
	out[SQ_N_IN_FLIGHT] = (double)info.bytes_in_flight;
	out[SQ_N_STREAMS_NOW] = connection->stream_count;
	out[SQ_N_AGE_MILLIS] = (double)((now - connection->started) / MILLIS);
	out[SQ_N_IDLE_MILLIS] = (double)((now - connection->heard) / MILLIS);
	out[SQ_N_UNREAD] = (double)connection->unread;
	out[SQ_N_UNSENT] = (double)unsent;
	out[SQ_N_STATE] = connection->state;
}

int sq_conn_deltas(struct sq_engine *engine, uint32_t handle, double *out)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);

	if (!connection)
		return SQ_GONE;
	sq_connection_count(connection);
	fill_now(connection, out);
	for (int i = 0; i < SQ_N_COUNTS; i++) {
		out[i] = (double)(connection->counts[i] - connection->told[i]);
		connection->told[i] = connection->counts[i];
	}
	return 0;
}

int sq_conn_now(struct sq_engine *engine, uint32_t handle, double *out)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);

	if (!connection)
		return SQ_GONE;
	sq_connection_count(connection);
	fill_now(connection, out);
	for (int i = 0; i < SQ_N_COUNTS; i++)
		out[i] = (double)connection->counts[i];
	return 0;
}

/* ---- texts ---- */

struct text {
	char bytes[1024];
	int length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	va_list arguments;
	int left = (int)sizeof(text->bytes) - text->length;
	int written;

	va_start(arguments, format);
	written = vsnprintf(text->bytes + text->length, (size_t)left, format, arguments);
	va_end(arguments);
	text->length += written < left ? written : left - 1;
}

static void add_hexadecimal(struct text *text, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		add(text, "%02x", bytes[i]);
}

static void add_parameters(struct text *text, const ngtcp2_transport_params *from)
{
	if (!from)
		return;
	add(text, "max_idle_timeout=%llu", (unsigned long long)(from->max_idle_timeout / MILLIS));
	add(text, " max_udp_payload_size=%llu", (unsigned long long)from->max_udp_payload_size);
	add(text, " initial_max_data=%llu", (unsigned long long)from->initial_max_data);
	add(text, " initial_max_stream_data_bidi_local=%llu",
	    (unsigned long long)from->initial_max_stream_data_bidi_local);
	add(text, " initial_max_stream_data_bidi_remote=%llu",
	    (unsigned long long)from->initial_max_stream_data_bidi_remote);
	add(text, " initial_max_stream_data_uni=%llu",
	    (unsigned long long)from->initial_max_stream_data_uni);
	add(text, " initial_max_streams_bidi=%llu",
	    (unsigned long long)from->initial_max_streams_bidi);
	add(text, " initial_max_streams_uni=%llu",
	    (unsigned long long)from->initial_max_streams_uni);
	add(text, " ack_delay_exponent=%llu", (unsigned long long)from->ack_delay_exponent);
	add(text, " max_ack_delay=%llu", (unsigned long long)(from->max_ack_delay / MILLIS));
	add(text, " disable_active_migration=%d", from->disable_active_migration);
	add(text, " active_connection_id_limit=%llu",
	    (unsigned long long)from->active_connection_id_limit);
	add(text, " max_datagram_frame_size=%llu",
	    (unsigned long long)from->max_datagram_frame_size);
}

static void make_text(struct sq_connection *connection, int which, struct text *text)
{
	const ngtcp2_cid *cid;
	ngtcp2_cid own[16];

	switch (which) {
	case SQ_TEXT_REASON:
		memcpy(text->bytes, connection->reason, (size_t)connection->reason_bytes);
		text->length = connection->reason_bytes;
		return;
	case SQ_TEXT_FAILURE:
		add(text, "%s", connection->failure);
		return;
	case SQ_TEXT_SCID:
		if (ngtcp2_conn_get_scid2(connection->conn, NULL) <= 16 &&
		    ngtcp2_conn_get_scid2(connection->conn, own) > 0)
			add_hexadecimal(text, own[0].data, own[0].datalen);
		return;
	case SQ_TEXT_DCID:
		cid = ngtcp2_conn_get_dcid2(connection->conn);
		add_hexadecimal(text, cid->data, cid->datalen);
		return;
	case SQ_TEXT_PARAMETERS:
		add_parameters(text, ngtcp2_conn_get_remote_transport_params2(connection->conn));
		return;
	case SQ_TEXT_LOCAL_PARAMETERS:
		add_parameters(text, ngtcp2_conn_get_local_transport_params2(connection->conn));
		return;
	default:
		text->length = sq_tls_text(connection->tls, which, text->bytes,
		                           (int)sizeof(text->bytes));
		if (text->length > (int)sizeof(text->bytes))
			text->length = (int)sizeof(text->bytes);
		if (text->length < 0)
			text->length = 0;
	}
}

int sq_conn_text(struct sq_engine *engine, uint32_t handle, int which, char *out, int room)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);
	struct text text;

	if (!connection)
		return SQ_GONE;
	if (which < 0 || which >= SQ_TEXT_COUNT)
		return 0;
	text.length = 0;
	make_text(connection, which, &text);
	memcpy(out, text.bytes, (size_t)(text.length < room ? text.length : room));
	return text.length;
}

/* ---- the rest ---- */

int sq_conn_address(struct sq_engine *engine, uint32_t handle, int peer, struct sockaddr *out,
                    int room)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);
	const struct sockaddr *address;
	socklen_t length;

	if (!connection)
		return SQ_GONE;
	if (peer)
		address = ngtcp2_conn_get_path2(connection->conn)->remote.addr;
	else if (connection->has_seen_local)
		address = (const struct sockaddr *)&connection->seen_local;
	else
		address = ngtcp2_conn_get_path2(connection->conn)->local.addr;
	length = sq_address_bytes(address);
	if ((socklen_t)room < length)
		return SQ_TOO_LONG;
	memcpy(out, address, length);
	return (int)length;
}

int sq_conn_flags(struct sq_engine *engine, uint32_t handle)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);
	int is_established;

	if (!connection)
		return SQ_GONE;
	is_established = connection->state == SQ_STATE_ESTABLISHED;
	return (is_established ? 1 : 0) | (connection->is_server ? 2 : 0) |
	       sq_tls_flags(connection->tls) |
	       (is_established && !connection->is_server && !connection->is_confirmed ? 64 : 0);
}

int sq_conns(struct sq_engine *engine, int from, uint32_t *out, int room)
{
	uint32_t slot = from > 0 ? (uint32_t)from : 0;
	int count = 0;

	for (; slot < engine->connections.room && count < room; slot++) {
		const struct sq_connection *connection = engine->connections.items[slot];

		if (connection)
			out[count++] = connection->handle;
	}
	engine->io[0] = slot < engine->connections.room ? slot : 0;
	return count;
}

int sq_conn_endpoint(struct sq_engine *engine, uint32_t handle)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);

	return connection ? connection->endpoint->index : SQ_GONE;
}

int sq_conn_set_tag(struct sq_engine *engine, uint32_t handle, double tag)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);

	if (!connection)
		return SQ_GONE;
	connection->tag = tag;
	return 0;
}

double sq_conn_tag(struct sq_engine *engine, uint32_t handle)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);

	return connection ? connection->tag : SQ_GONE;
}
