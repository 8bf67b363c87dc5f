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
#include <stdlib.h>
#include <string.h>

#include "internal.h"

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
	sq_memory_note(engine);
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
	sq_memory_note(engine);
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

/* ---- after its end ---- */

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
