/*
 * Life of a connection:
 *
 *   handshake ─▶ established ─▶ closing   (we ended it: the last packet is repeated when asked) ─▶ over
 *        └───────────┴────────▶ draining  (the peer did: nothing is sent)                      ─▶ over
 *
 * SQ_EV_CLOSED is told when it leaves the first two, SQ_EV_RELEASED when it is over; the memory goes
 * with sq_conn_free. An error of the library ends the connection that it was met at, nothing else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "tls-base.h"

/* Connections of an endpoint that are in their closing period; beyond, it is left out. */
#define CLOSING_MAX 4096
#define TICKET_MAX 8192

struct sq_connection *sq_connection_get(struct sq_engine *engine, uint32_t handle)
{
	return sq_slots_get(&engine->connections, handle);
}

static ngtcp2_conn *conn_of_ref(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct sq_connection *)ref->user_data)->conn;
}

/* Room for one timer more. */
static int heap_has_room(struct sq_engine *engine)
{
	int room = engine->heap_room ? engine->heap_room * 2 : 64;
	struct sq_connection **grown;

	if ((uint32_t)engine->heap_room > engine->connections.count)
		return 1;
	grown = realloc(engine->heap, (size_t)room * sizeof(*grown));
	if (!grown)
		return 0;
	engine->heap = grown;
	engine->heap_room = room;
	return 1;
}

struct sq_connection *sq_connection_new(struct sq_engine *engine, struct sq_endpoint *endpoint,
                                        struct sq_profile *profile, int is_server)
{
	struct sq_connection *connection;

	if (!heap_has_room(engine) || !(connection = calloc(1, sizeof(*connection))))
		return NULL;
	connection->handle = sq_slots_add(&engine->connections, connection);
	if (!connection->handle) {
		free(connection);
		return NULL;
	}
	connection->ref.get_conn = conn_of_ref;
	connection->ref.user_data = connection;
	connection->engine = engine;
	connection->endpoint = endpoint;
	connection->profile = sq_profile_hold(profile);
	connection->is_server = (uint8_t)is_server;
	connection->heap_index = -1;
	connection->expiry = NEVER;
	connection->started = connection->heard = engine->now;
	sq_link_clear(&connection->writing);
	sq_link_clear(&connection->telling);
	sq_link_clear(&connection->dying);
	sq_link_clear(&connection->streams);
	sq_link_clear(&connection->sending);
	sq_link_clear(&connection->blocked);
	sq_link_clear(&connection->stream_telling);
	endpoint->connections++;
	endpoint->live++;
	connection->is_live = 1;
	if (is_server) {
		endpoint->half_open++;
		connection->is_half_open = 1;
	}
	return connection;
}

void sq_connection_destroy(struct sq_connection *connection)
{
	struct sq_engine *engine = connection->engine;

	sq_connection_kill_streams(connection);
	sq_keys_remove_all(&engine->keys, connection);
	sq_timer_set(engine, connection, NEVER);
	sq_link_remove(&connection->writing);
	sq_link_remove(&connection->telling);
	sq_link_remove(&connection->dying);
	connection->endpoint->connections--;
	connection->endpoint->live -= connection->is_live;
	connection->endpoint->half_open -= connection->is_half_open;
	if (connection->tls)
		sq_tls_free(connection->tls);
	ngtcp2_conn_del(connection->conn);
	sq_profile_free(connection->profile);
	sq_slots_remove(&engine->connections, connection->handle);
	free(connection->last_packet);
	free(connection->ticket);
	free(connection);
}

/* ---- settings ---- */

static void make_settings(const struct sq_connection *connection, ngtcp2_settings *settings)
{
	const double *set = connection->profile->settings;
	static const ngtcp2_cc_algo algorithms[] = { NGTCP2_CC_ALGO_CUBIC, NGTCP2_CC_ALGO_RENO,
		                                     NGTCP2_CC_ALGO_BBR };
	int which = (int)set[SQ_SET_CONGESTION];

	ngtcp2_settings_default(settings);
	settings->initial_ts = connection->engine->now;
	settings->rand_ctx.native_handle = connection->engine;
	settings->cc_algo = algorithms[which >= 0 && which <= 2 ? which : 0];
	if (set[SQ_SET_HANDSHAKE_MS] > 0)
		settings->handshake_timeout = (uint64_t)set[SQ_SET_HANDSHAKE_MS] * MILLIS;
	if (set[SQ_SET_UDP_PAYLOAD_MAX] > 0) {
		double most = set[SQ_SET_UDP_PAYLOAD_MAX];

		settings->max_tx_udp_payload_size =
			most < 1200 ? 1200 : most > 65000 ? 65000 : (size_t)most;
		/* A size that was asked for is not looked for. */
		settings->no_pmtud = 1;
		settings->no_tx_udp_payload_size_shaping = 1;
	}
}

static void make_parameters(const struct sq_connection *connection,
                            ngtcp2_transport_params *parameters)
{
	const double *set = connection->profile->settings;
	uint64_t first_window = sq_profile_first_window(connection->profile);

	ngtcp2_transport_params_default(parameters);
	parameters->initial_max_stream_data_bidi_local = (uint64_t)set[SQ_SET_STREAM_WINDOW];
	parameters->initial_max_stream_data_bidi_remote = first_window;
	parameters->initial_max_stream_data_uni = first_window;
	parameters->initial_max_data = (uint64_t)set[SQ_SET_CONNECTION_WINDOW];
	parameters->initial_max_streams_bidi = (uint64_t)set[SQ_SET_STREAMS_BIDI];
	parameters->initial_max_streams_uni = (uint64_t)set[SQ_SET_STREAMS_UNI];
	parameters->max_idle_timeout = (uint64_t)set[SQ_SET_IDLE_MS] * MILLIS;
	parameters->max_datagram_frame_size = (uint64_t)set[SQ_SET_DATAGRAM_MAX];
	/* A datagram lies in one chunk. */
	if (parameters->max_datagram_frame_size > CHUNK_BYTES - 16)
		parameters->max_datagram_frame_size = CHUNK_BYTES - 16;
	parameters->active_connection_id_limit = 7;
	if (connection->is_server && set[SQ_SET_MIGRATION] == 0)
		parameters->disable_active_migration = 1;
}

static void make_path(ngtcp2_path *path, const struct sockaddr *local, socklen_t local_bytes,
                      const struct sockaddr *remote, socklen_t remote_bytes)
{
	*path = (ngtcp2_path){
		.local = { (struct sockaddr *)(uintptr_t)local, local_bytes },
		.remote = { (struct sockaddr *)(uintptr_t)remote, remote_bytes },
	};
}

/* ---- beginnings ---- */

static int start_tls(struct sq_connection *connection, struct sq_tls *tls)
{
	if (!tls)
		return -1;
	connection->tls = tls;
	ngtcp2_conn_set_tls_native_handle(connection->conn, sq_tls_native(tls));
	if (connection->profile->settings[SQ_SET_KEEP_ALIVE_MS] > 0)
		ngtcp2_conn_set_keep_alive_timeout(
			connection->conn,
			(uint64_t)connection->profile->settings[SQ_SET_KEEP_ALIVE_MS] * MILLIS);
	return 0;
}

struct sq_connection *sq_connection_accept(struct sq_engine *engine, struct sq_endpoint *endpoint,
                                           const struct sq_packet *packet,
                                           const ngtcp2_pkt_hd *head, const ngtcp2_cid *original)
{
	struct sq_connection *connection =
		sq_connection_new(engine, endpoint, endpoint->profile, 1);
	ngtcp2_settings settings;
	ngtcp2_transport_params parameters;
	ngtcp2_path path;
	ngtcp2_cid cid;

	if (!connection)
		return NULL;
	connection->is_first = 1;
	make_settings(connection, &settings);
	make_parameters(connection, &parameters);
	make_path(&path, packet->local, packet->local_bytes, packet->remote, packet->remote_bytes);
	parameters.original_dcid_present = 1;
	parameters.original_dcid = original ? *original : head->dcid;
	if (original) {
		parameters.retry_scid_present = 1;
		parameters.retry_scid = head->dcid;
		settings.token = head->token;
		settings.tokenlen = head->tokenlen;
		settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
		connection->counts[SQ_N_RETRIES_VALID] = 1;
	}
	sq_cid_make(engine, &cid);
	parameters.stateless_reset_token_present = 1;
	if (ngtcp2_crypto_generate_stateless_reset_token(parameters.stateless_reset_token,
	                                                 engine->reset_key,
	                                                 sizeof(engine->reset_key), &cid) != 0 ||
	    ngtcp2_conn_server_new(&connection->conn, &head->scid, &cid, &path, head->version,
	                           &sq_server_callbacks, &settings, &parameters, &engine->mem,
	                           connection) != 0 ||
	    sq_keys_add(&engine->keys, connection, cid.data, cid.datalen, 0) != 0 ||
	    sq_keys_add(&engine->keys, connection, head->dcid.data, head->dcid.datalen, 0) != 0 ||
	    start_tls(connection, sq_tls_new(connection->profile->tls, &connection->ref, NULL, 0,
	                                     NULL, 0, NULL, 0, NULL, 0)) != 0) {
		sq_connection_destroy(connection);
		return NULL;
	}
	return connection;
}

static int start_client(struct sq_connection *connection, const struct sockaddr *remote,
                        int remote_bytes)
{
	struct sq_engine *engine = connection->engine;
	const struct sq_endpoint *endpoint = connection->endpoint;
	ngtcp2_settings settings;
	ngtcp2_transport_params parameters;
	ngtcp2_path path;
	ngtcp2_cid own, theirs;

	make_settings(connection, &settings);
	make_parameters(connection, &parameters);
	make_path(&path, (const struct sockaddr *)&endpoint->local, endpoint->local_bytes, remote,
	          (socklen_t)remote_bytes);
	sq_cid_make(engine, &own);
	theirs.datalen = 18;
	sq_random(engine, theirs.data, theirs.datalen);
	if (ngtcp2_conn_client_new(&connection->conn, &theirs, &own, &path, NGTCP2_PROTO_VER_V1,
	                           &sq_client_callbacks, &settings, &parameters, &engine->mem,
	                           connection) != 0)
		return -ENOMEM;
	return sq_keys_add(&engine->keys, connection, own.data, own.datalen, 0) == 0 ? 0 : -ENOMEM;
}

double sq_connect(struct sq_engine *engine, struct sq_profile *profile, int endpoint_number,
                  const struct sockaddr *remote, int remote_bytes, const char *sni, int sni_bytes,
                  const char *verify_name, int verify_name_bytes, const uint8_t *alpn,
                  int alpn_bytes, const uint8_t *ticket, int ticket_bytes)
{
	struct sq_endpoint *endpoint = sq_endpoint_get(engine, endpoint_number);
	struct sq_connection *connection;
	int err;

	if (!endpoint || endpoint->profile)
		return SQ_GONE;
	if (remote->sa_family != endpoint->family ||
	    (socklen_t)remote_bytes < sq_address_bytes(remote))
		return -EAFNOSUPPORT;
	sq_clock(engine);
	connection = sq_connection_new(engine, endpoint, profile, 0);
	if (!connection)
		return -ENOMEM;
	err = start_client(connection, remote, (int)sq_address_bytes(remote));
	if (err == 0 &&
	    start_tls(connection, sq_tls_new(profile->tls, &connection->ref, sni, sni_bytes,
	                                     verify_name, verify_name_bytes, alpn, alpn_bytes,
	                                     ticket_bytes > 0 ? ticket : NULL, ticket_bytes)) != 0)
		err = SQ_TLS;
	if (err != 0) {
		sq_connection_destroy(connection);
		return err;
	}
	if (ticket_bytes > 0 && profile->settings[SQ_SET_EARLY] != 0 &&
	    sq_tls_use_ticket(connection->tls, connection->conn) > 0)
		connection->tried_early = 1;
	sq_connection_want_write(connection);
	return connection->handle;
}

/* ---- reading, timers ---- */

void sq_connection_want_write(struct sq_connection *connection)
{
	if (sq_connection_is_live(connection))
		sq_link_append(&connection->engine->writing, &connection->writing);
}

/* Its last packet again, each time after twice as many packets as before. */
static void repeat_close(struct sq_connection *connection)
{
	const ngtcp2_path *path = ngtcp2_conn_get_path2(connection->conn);
	struct sq_engine *engine = connection->engine;
	uint8_t *out;

	if (!connection->last_packet || ++connection->heard_since < connection->answer_at)
		return;
	out = sq_send_room(engine, connection->endpoint);
	if (!out)
		return;
	connection->heard_since = 0;
	connection->answer_at *= 2;
	memcpy(out, connection->last_packet, connection->last_packet_bytes);
	connection->counts[SQ_N_PACKETS_SENT]++;
	connection->counts[SQ_N_BYTES_SENT] += connection->last_packet_bytes;
	sq_send_add(engine, connection->endpoint, connection->handle, path->remote.addr,
	            path->remote.addrlen, path->local.addr, connection->last_packet_bytes, 0, 0);
}

/* ngtcp2 wants a client's packets from exactly the local address that it began with. */
static void path_of(struct sq_connection *connection, const struct sq_packet *packet,
                    ngtcp2_path *path)
{
	const struct sq_endpoint *endpoint = connection->endpoint;

	if (connection->is_server) {
		make_path(path, packet->local, packet->local_bytes, packet->remote,
		          packet->remote_bytes);
		return;
	}
	make_path(path, (const struct sockaddr *)&endpoint->local, endpoint->local_bytes,
	          packet->remote, packet->remote_bytes);
	if (!connection->has_seen_local) {
		connection->has_seen_local = 1;
		memcpy(&connection->seen_local, packet->local, packet->local_bytes);
	}
}

void sq_connection_read(struct sq_connection *connection, const struct sq_packet *packet)
{
	ngtcp2_pkt_info info = { .ecn = packet->ecn };
	ngtcp2_path path;
	int result;

	if (!sq_connection_is_live(connection)) {
		connection->counts[SQ_N_PACKETS_RECEIVED]++;
		connection->counts[SQ_N_BYTES_RECEIVED] += packet->length;
		if (connection->state == SQ_STATE_CLOSING)
			repeat_close(connection);
		return;
	}
	path_of(connection, packet, &path);
	connection->heard = connection->engine->now;
	result = sq_is_injected(connection->engine, 3)
	                 ? NGTCP2_ERR_CALLBACK_FAILURE
	                 : ngtcp2_conn_read_pkt(connection->conn, &path, &info, packet->bytes,
	                                        packet->length, connection->engine->now);
	sq_connection_result(connection, result);
	/* The library does not count the packet that ends it. */
	if (result == NGTCP2_ERR_DRAINING) {
		connection->counts[SQ_N_PACKETS_RECEIVED]++;
		connection->counts[SQ_N_BYTES_RECEIVED] += packet->length;
	}
	if (sq_connection_is_live(connection)) {
		sq_connection_after_read(connection);
		sq_connection_want_write(connection);
	}
}

void sq_connection_expire(struct sq_connection *connection)
{
	sq_timer_set(connection->engine, connection, NEVER);
	if (!sq_connection_is_live(connection)) {
		sq_connection_over(connection);
		return;
	}
	sq_connection_result(connection, ngtcp2_conn_handle_expiry(connection->conn,
	                                                           connection->engine->now));
	/* The next expiry is set when it has written. */
	sq_connection_want_write(connection);
}

/* ---- ends ---- */

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

/* Writes the packet that ends it, and keeps it; its length, 0 = there is none. */
static size_t write_close(struct sq_connection *connection, const ngtcp2_ccerr *error)
{
	struct sq_engine *engine = connection->engine;
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_ssize length;
	uint8_t *out = sq_send_room(engine, connection->endpoint);

	if (!out)
		return 0;
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
	int is_closing = 0;

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
	if (error)
		is_closing = write_close(connection, error) > 0;
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
	int is_internal = ngtcp2_err_is_fatal(result) || result == NGTCP2_ERR_INTERNAL ||
	                  result == NGTCP2_ERR_INVALID_ARGUMENT ||
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
		sq_connection_fail(connection, connection->is_out_of_chunks
		                                       ? "no memory for what the peer sent"
		                                       : ngtcp2_strerror(result));
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

int sq_conn_free(struct sq_engine *engine, uint32_t handle)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);

	if (!connection)
		return SQ_GONE;
	if (connection->state != SQ_STATE_OVER)
		return -EBUSY;
	sq_connection_destroy(connection);
	return 0;
}

int sq_conn_ticket(struct sq_engine *engine, uint32_t handle, uint8_t *out, int room)
{
	struct sq_connection *connection = sq_connection_get(engine, handle);

	if (!connection)
		return SQ_GONE;
	if (connection->ticket_bytes > room)
		return 0;
	if (connection->ticket_bytes > 0)
		memcpy(out, connection->ticket, (size_t)connection->ticket_bytes);
	return connection->ticket_bytes;
}

/* After each datagram: what TLS may have brought along. */
void sq_connection_after_read(struct sq_connection *connection)
{
	uint8_t ticket[TICKET_MAX];
	int length;

	if (connection->lost_early) {
		connection->lost_early = 0;
		sq_streams_reopen(connection);
	}
	if (!connection->got_ticket_bytes)
		return;
	connection->got_ticket_bytes = 0;
	length = sq_tls_ticket(connection->tls, connection->conn, ticket, sizeof(ticket));
	if (length <= 0 || length > TICKET_MAX)
		return;
	free(connection->ticket);
	connection->ticket = malloc((size_t)length);
	connection->ticket_bytes = connection->ticket ? length : 0;
	if (!connection->ticket)
		return;
	memcpy(connection->ticket, ticket, (size_t)length);
	sq_tell(connection, SQ_TOLD_TICKET);
}
