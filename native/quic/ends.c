/*
 * How connections end: by us, by the peer, by an error of either, by silence. Whoever is told of it
 * first, each end goes through sq_connection_end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "tls-base.h"

/* Connections of an endpoint that are in their closing period; beyond, it is left out. */
#define CLOSING_MAX 4096

void sq_connection_fail(struct sq_connection *connection, const char *text)
{
	if (!connection->failure[0] && text)
		snprintf(connection->failure, sizeof(connection->failure), "%s", text);
}

void sq_connection_over(struct sq_connection *connection)
{
	struct sq_engine *engine = connection->engine;

	if (connection->state == SQ_STATE_OVER)
		return;
	sq_connection_count(connection);
	connection->state = SQ_STATE_OVER;
	sq_timer_set(engine, connection, NEVER);
	sq_keys_remove_all(&engine->keys, connection);
	sq_link_remove(&connection->writing);
	free(connection->last_packet);
	connection->last_packet = NULL;
	sq_tell(connection, SQ_TOLD_RELEASED);
}

/* Writes the packet that ends it to `out`, and keeps it; its length, 0 = there is none. */
static size_t write_close(struct sq_connection *connection, const ngtcp2_ccerr *error,
                          uint8_t *out)
{
	struct sq_engine *engine = connection->engine;
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_ssize length;

	ngtcp2_path_storage_zero(&path);
	length = ngtcp2_conn_write_connection_close(connection->conn, &path.path, &info, out, 1200,
	                                            error, engine->now);
	if (length <= 0)
		return 0;
	sq_send_add(engine, connection->endpoint, connection->handle, path.path.remote.addr,
	            path.path.remote.addrlen, path.path.local.addr, (size_t)length, 0, info.ecn);
	connection->last_packet = malloc((size_t)length);
	if (connection->last_packet) {
		memcpy(connection->last_packet, out, (size_t)length);
		connection->last_packet_bytes = (uint32_t)length;
		connection->answer_at = 1;
	}
	return (size_t)length;
}

void sq_connection_end(struct sq_connection *connection, int cause, uint64_t code,
                       const ngtcp2_ccerr *error)
{
	struct sq_engine *engine = connection->engine;
	struct sq_endpoint *endpoint = connection->endpoint;
	uint64_t rest = 3 * ngtcp2_conn_get_pto2(connection->conn);
	uint8_t *out = NULL;
	int is_closing = 0;

	if (!sq_connection_is_live(connection))
		return;
	/* Before anything changes: sending what was there may end this very connection. */
	if (error)
		out = sq_send_room(engine, endpoint);
	if (!sq_connection_is_live(connection))
		return;
	connection->was_established = connection->state == SQ_STATE_ESTABLISHED;
	if (!connection->was_established)
		connection->counts[SQ_N_HANDSHAKES_FAILED] = 1;
	connection->cause = (uint8_t)cause;
	connection->code = code;
	endpoint->live -= connection->is_live;
	endpoint->half_open -= connection->is_half_open;
	connection->is_live = connection->is_half_open = 0;
	sq_tell(connection, SQ_TOLD_CLOSED);
	if (out)
		is_closing = write_close(connection, error, out) > 0;
	/* The last that the library counts; what comes in the closing period is added to it. */
	sq_connection_count(connection);
	sq_link_remove(&connection->writing);
	connection->state = is_closing ? SQ_STATE_CLOSING : SQ_STATE_DRAINING;
	if ((is_closing || cause == SQ_CAUSE_APPLICATION || cause == SQ_CAUSE_TRANSPORT) &&
	    endpoint->connections - endpoint->live <= CLOSING_MAX)
		sq_timer_set(engine, connection, engine->now + rest);
	else
		sq_connection_over(connection);
}

static void keep_reason(struct sq_connection *connection, const ngtcp2_ccerr *error)
{
	size_t length = error->reasonlen < REASON_MAX ? error->reasonlen : REASON_MAX;

	if (length > 0)
		memcpy(connection->reason, error->reason, length);
	connection->reason_bytes = (int)length;
}

static void end_as_peer_did(struct sq_connection *connection)
{
	const ngtcp2_ccerr *error = ngtcp2_conn_get_ccerr2(connection->conn);

	if (connection->got_reset) {
		connection->counts[SQ_N_RESETS_RECEIVED]++;
		sq_connection_end(connection, SQ_CAUSE_RESET, 0, NULL);
		return;
	}
	keep_reason(connection, error);
	if (error->type != NGTCP2_CCERR_TYPE_APPLICATION && error->error_code >> 8 == 1)
		sq_connection_fail(connection, sq_alert_name(error->error_code & 0xff));
	sq_connection_end(connection,
	                  error->type == NGTCP2_CCERR_TYPE_APPLICATION ? SQ_CAUSE_APPLICATION
	                                                               : SQ_CAUSE_TRANSPORT,
	                  error->error_code, NULL);
}

/* An error of ours or the peer's, which the peer is told. */
static void end_with_error(struct sq_connection *connection, int result)
{
	int is_internal = ngtcp2_err_is_fatal(result) || result == NGTCP2_ERR_INVALID_ARGUMENT ||
	                  result == NGTCP2_ERR_INVALID_STATE || result == NGTCP2_ERR_NOBUF ||
	                  result == NGTCP2_ERR_PKT_NUM_EXHAUSTED;
	ngtcp2_ccerr error;

	ngtcp2_ccerr_default(&error);
	if (result == NGTCP2_ERR_CRYPTO || ngtcp2_conn_get_tls_alert2(connection->conn)) {
		int alert = ngtcp2_conn_get_tls_alert2(connection->conn);
		char text[FAILURE_MAX];
		int length = sq_tls_text(connection->tls, SQ_TEXT_FAILURE, text, FAILURE_MAX - 1);

		is_internal = 0;
		if (!alert)
			alert = sq_tls_alert(connection->tls);
		if (length > 0) {
			text[length < FAILURE_MAX ? length : FAILURE_MAX - 1] = '\0';
			sq_connection_fail(connection, text);
		}
		ngtcp2_ccerr_set_tls_alert(&error, (uint8_t)alert, NULL, 0);
	} else {
		const char *text = ngtcp2_strerror(result);

		/* Where ngtcp2 reads, that is what it calls its limit of small offences. */
		if (result == NGTCP2_ERR_INTERNAL) {
			connection->counts[SQ_N_GLITCHES] = 1;
			text = "too many small offences of the peer";
		}
		sq_connection_fail(connection, connection->is_out_of_chunks
		                                       ? "no memory for what the peer sent"
		                                       : text);
		ngtcp2_ccerr_set_liberr(&error, result, NULL, 0);
	}
	sq_connection_end(connection, is_internal ? SQ_CAUSE_INTERNAL : SQ_CAUSE_PROTOCOL,
	                  error.error_code, &error);
}

void sq_connection_result(struct sq_connection *connection, int result)
{
	if (!sq_connection_is_live(connection))
		return;
	switch (result) {
	case 0:
		if (ngtcp2_conn_in_draining_period2(connection->conn))
			end_as_peer_did(connection);
		return;
	case NGTCP2_ERR_DRAINING:
		end_as_peer_did(connection);
		return;
	case NGTCP2_ERR_CLOSING:
		return;
	case NGTCP2_ERR_RETRY:
	case NGTCP2_ERR_DROP_CONN:
		/* Only a server's first packet: see packets.c. code 1 = a Retry is wanted. */
		if (connection->is_first) {
			connection->is_silent = 1;
			connection->code = result == NGTCP2_ERR_RETRY;
			return;
		}
		sq_connection_end(connection, SQ_CAUSE_HANDSHAKE, 0, NULL);
		return;
	case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
	case NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE:
		sq_connection_end(connection, SQ_CAUSE_VERSION, 0, NULL);
		return;
	case NGTCP2_ERR_IDLE_CLOSE:
		sq_connection_end(connection, SQ_CAUSE_IDLE, 0, NULL);
		return;
	case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
		sq_connection_end(connection, SQ_CAUSE_HANDSHAKE, 0, NULL);
		return;
	default:
		end_with_error(connection, result);
	}
}

void sq_connection_refused(struct sq_connection *connection, int error)
{
	sq_connection_end(connection, SQ_CAUSE_REFUSED, (uint64_t)error, NULL);
}

/* Streams of a connection that is over. */
void sq_connection_kill_streams(struct sq_connection *connection)
{
	struct sq_arena *arena = &connection->engine->arena;

	while (!sq_link_is_empty(&connection->streams))
		sq_stream_free(sq_container(connection->streams.next, struct sq_stream, all));
	sq_fifo_clear(arena, &connection->datagrams_in);
	sq_fifo_clear(arena, &connection->datagrams_out);
	connection->datagrams_in_count = connection->datagrams_out_count = 0;
}

int sq_conn_close(struct sq_engine *engine, uint32_t handle, int kind, uint32_t lo, uint32_t hi,
                  const char *reason, int reason_bytes)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);
	uint64_t code = lo | (uint64_t)hi << 32;
	ngtcp2_ccerr error;

	if (!connection || !sq_connection_is_live(connection))
		return SQ_GONE;
	sq_clock(engine);
	ngtcp2_ccerr_default(&error);
	if (reason_bytes > REASON_MAX)
		reason_bytes = REASON_MAX;
	if (kind == 0)
		ngtcp2_ccerr_set_application_error(&error, code, (const uint8_t *)reason,
		                                   (size_t)reason_bytes);
	else
		ngtcp2_ccerr_set_transport_error(&error, code, (const uint8_t *)reason,
		                                 (size_t)reason_bytes);
	/* What was written before goes first, as far as it may go now. */
	sq_link_remove(&connection->writing);
	sq_connection_write(connection);
	sq_connection_end(connection, SQ_CAUSE_LOCAL, code, &error);
	sq_connection_kill_streams(connection);
	return 0;
}
