/*
 * What ngtcp2 tells while it reads, writes and keeps time. Nothing of it may call back into
 * ngtcp2's reading or writing, or free a connection: what follows is done after the call returns.
 */
#include "internal.h"

static int on_crypto(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset,
                     const uint8_t *data, size_t length, void *user)
{
	struct sq_connection *connection = user;

	if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT)
		connection->got_ticket_bytes = 1;
	return ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, length, user);
}

static void accept_connection(struct sq_connection *connection, int is_early)
{
	if (connection->is_accepted)
		return;
	connection->is_accepted = 1;
	connection->is_early = (uint8_t)is_early;
	sq_tell(connection, SQ_TOLD_ACCEPTED);
}

static void count_handshake(struct sq_connection *connection)
{
	int flags = sq_tls_flags(connection->tls);

	connection->counts[SQ_N_HANDSHAKES_DONE] = 1;
	if (flags & 4)
		connection->counts[SQ_N_RESUMED] = 1;
	if (flags & 8)
		connection->counts[SQ_N_EARLY_ACCEPTED] = 1;
	else if (connection->tried_early)
		connection->counts[SQ_N_EARLY_REJECTED] = 1;
}

static int on_handshake(ngtcp2_conn *conn, void *user)
{
	struct sq_connection *connection = user;

	/* A client that owes its certificate has no connection yet, and will have none. */
	if (connection->is_server && !sq_tls_is_satisfied(connection->tls)) {
		ngtcp2_conn_set_tls_alert(conn, 116);
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	connection->state = SQ_STATE_ESTABLISHED;
	connection->was_established = 1;
	connection->endpoint->half_open -= connection->is_half_open;
	connection->is_half_open = 0;
	count_handshake(connection);
	/* TLS knows, ngtcp2 does not: the server took the session, not the early data. */
	if (connection->counts[SQ_N_EARLY_REJECTED]) {
		int result = ngtcp2_conn_tls_early_data_rejected(conn);

		if (result != 0)
			return result;
	}
	if (connection->is_server)
		accept_connection(connection, 0);
	else
		sq_tell(connection, SQ_TOLD_CONNECTED);
	return 0;
}

static int on_confirmed(ngtcp2_conn *conn, void *user)
{
	struct sq_connection *connection = user;

	(void)conn;
	/* Before our Finished was written no server can know. ngtcp2 1.24 believes it, drops the
	 * handshake's keys, and falls over their absence at the next packet that it writes. */
	if (!connection->is_server && !connection->has_answered) {
		sq_connection_fail(connection, "HANDSHAKE_DONE before the handshake was done");
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	connection->is_confirmed = 1;
	return 0;
}

static int on_version_negotiation(ngtcp2_conn *conn, const ngtcp2_pkt_hd *head,
                                  const uint32_t *versions, size_t count, void *user)
{
	(void)conn;
	(void)head;
	(void)versions;
	(void)count;
	sq_connection_fail(user, "no version of QUIC in common");
	return 0;
}

static int on_stateless_reset(ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset2 *reset,
                              void *user)
{
	(void)conn;
	(void)reset;
	((struct sq_connection *)user)->got_reset = 1;
	return 0;
}

static int on_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *head, void *user)
{
	return ngtcp2_crypto_recv_retry_cb(conn, head, user);
}

static int on_early_rejected(ngtcp2_conn *conn, void *user)
{
	struct sq_connection *connection = user;
	struct sq_link *link;

	(void)conn;
	connection->lost_early = 1;
	/* ngtcp2 has forgotten them all. */
	for (link = connection->streams.next; link != &connection->streams; link = link->next)
		sq_container(link, struct sq_stream, all)->is_library_done = 1;
	return 0;
}

static void on_random(uint8_t *out, size_t length, const ngtcp2_rand_ctx *context)
{
	sq_random(context->native_handle, out, length);
}

/* ---- connection IDs ---- */

static int on_new_id(ngtcp2_conn *conn, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                     size_t length, void *user)
{
	struct sq_connection *connection = user;
	struct sq_engine *engine = connection->engine;

	(void)conn;
	(void)length;
	sq_cid_make(engine, cid);
	if (ngtcp2_crypto_generate_stateless_reset_token(token->data, engine->reset_key,
	                                                 sizeof(engine->reset_key), cid) != 0 ||
	    sq_keys_add(&engine->keys, connection, cid->data, cid->datalen, 0) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int on_old_id(ngtcp2_conn *conn, const ngtcp2_cid *cid, void *user)
{
	struct sq_connection *connection = user;

	(void)conn;
	sq_keys_remove(&connection->engine->keys, connection, cid->data, cid->datalen, 0);
	return 0;
}

/* The peer's ID comes into use or goes: so does its reset token. One that another connection has
 * already is left with that: a peer gains nothing by repeating itself. */
static int on_peer_id(ngtcp2_conn *conn, ngtcp2_connection_id_status_type type, uint64_t sequence,
                      const ngtcp2_cid *cid, const ngtcp2_stateless_reset_token *token, void *user)
{
	struct sq_connection *connection = user;
	struct sq_keys *keys = &connection->engine->keys;

	(void)conn;
	(void)sequence;
	(void)cid;
	if (!token)
		return 0;
	if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE)
		sq_keys_add(keys, connection, token->data, sizeof(token->data), 1);
	else
		sq_keys_remove(keys, connection, token->data, sizeof(token->data), 1);
	return 0;
}

static int on_path(ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path,
                   const ngtcp2_path *fallback, ngtcp2_path_validation_result result, void *user)
{
	struct sq_connection *connection = user;

	(void)conn;
	if (result != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS || !connection->is_server ||
	    !fallback || (flags & NGTCP2_PATH_VALIDATION_FLAG_PREFERRED_ADDR) ||
	    sq_address_is_same(path->remote.addr, fallback->remote.addr))
		return 0;
	connection->counts[SQ_N_MIGRATIONS]++;
	sq_tell(connection, SQ_TOLD_MIGRATED);
	return 0;
}

/* ---- streams ---- */

static int on_stream_open(ngtcp2_conn *conn, int64_t id, void *user)
{
	struct sq_connection *connection = user;
	int is_early = connection->state == SQ_STATE_HANDSHAKE;
	struct sq_stream *stream;

	/* Only early data comes before the handshake is done. */
	if (is_early && connection->is_server)
		accept_connection(connection, 1);
	stream = sq_stream_new(connection, id, 0);
	if (!stream)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	stream->is_early = (uint8_t)is_early;
	connection->counts[stream->is_uni ? SQ_N_STREAMS_UNI_REMOTE : SQ_N_STREAMS_BIDI_REMOTE]++;
	if (ngtcp2_conn_set_stream_user_data(conn, id, stream) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	sq_tell_stream(stream, SQ_TOLD_STREAM);
	return 0;
}

/* A stream that is opened by its own first frame has no user data in the call that follows. */
static struct sq_stream *stream_of(ngtcp2_conn *conn, int64_t id, void *stream)
{
	return stream ? stream : ngtcp2_conn_get_stream_user_data2(conn, id);
}

static int on_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t length, void *user, void *stream_user)
{
	struct sq_stream *stream = stream_of(conn, id, stream_user);

	(void)offset;
	(void)user;
	if (!stream)
		return 0;
	return sq_stream_received(stream, data, length,
	                          (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0) == 0
	               ? 0
	               : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int on_acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t length, void *user,
                    void *stream_user)
{
	(void)conn;
	(void)id;
	(void)user;
	if (stream_user)
		sq_stream_acked(stream_user, offset + length);
	return 0;
}

static int on_stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code,
                           void *user, void *stream_user)
{
	(void)conn;
	(void)flags;
	(void)id;
	(void)code;
	(void)user;
	if (stream_user)
		sq_stream_library_done(stream_user);
	return 0;
}

static int on_stream_reset(ngtcp2_conn *conn, int64_t id, uint64_t final_size, uint64_t code,
                           void *user, void *stream_user)
{
	struct sq_stream *stream = stream_of(conn, id, stream_user);

	(void)final_size;
	(void)user;
	if (stream)
		sq_stream_reset_received(stream, code);
	return 0;
}

static int on_stop_sending(ngtcp2_conn *conn, int64_t id, uint64_t code, void *user,
                           void *stream_user)
{
	struct sq_stream *stream = stream_of(conn, id, stream_user);

	(void)user;
	if (stream)
		sq_stream_stop_received(stream, code);
	return 0;
}

static int on_stream_credit(ngtcp2_conn *conn, int64_t id, uint64_t most, void *user,
                            void *stream_user)
{
	struct sq_stream *stream = stream_of(conn, id, stream_user);

	(void)user;
	(void)most;
	if (stream && stream->is_blocked) {
		stream->is_blocked = 0;
		sq_stream_want_send(stream);
	}
	return 0;
}

static int on_bidi_credit(ngtcp2_conn *conn, uint64_t most, void *user)
{
	(void)conn;
	(void)most;
	sq_tell(user, SQ_TOLD_CREDIT_BIDI);
	return 0;
}

static int on_uni_credit(ngtcp2_conn *conn, uint64_t most, void *user)
{
	(void)conn;
	(void)most;
	sq_tell(user, SQ_TOLD_CREDIT_UNI);
	return 0;
}

static int on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t length,
                       void *user)
{
	(void)conn;
	(void)flags;
	return sq_datagram_received(user, data, length) == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

#define COMMON_CALLBACKS                                                        \
	.recv_crypto_data = on_crypto, .handshake_completed = on_handshake,     \
	.encrypt = ngtcp2_crypto_encrypt_cb, .decrypt = ngtcp2_crypto_decrypt_cb, \
	.hp_mask = ngtcp2_crypto_hp_mask_cb, .recv_stream_data = on_stream_data, \
	.acked_stream_data_offset = on_acked, .stream_open = on_stream_open,    \
	.stream_close = on_stream_close, .recv_stateless_reset2 = on_stateless_reset, \
	.extend_max_local_streams_bidi = on_bidi_credit,                        \
	.extend_max_local_streams_uni = on_uni_credit, .rand = on_random,       \
	.get_new_connection_id2 = on_new_id, .remove_connection_id = on_old_id, \
	.update_key = ngtcp2_crypto_update_key_cb, .path_validation = on_path,  \
	.stream_reset = on_stream_reset, .extend_max_stream_data = on_stream_credit, \
	.dcid_status2 = on_peer_id, .handshake_confirmed = on_confirmed,        \
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,      \
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,  \
	.recv_datagram = on_datagram,                                           \
	.get_path_challenge_data2 = ngtcp2_crypto_get_path_challenge_data2_cb,  \
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,            \
	.recv_stop_sending = on_stop_sending

const ngtcp2_callbacks sq_client_callbacks = {
	COMMON_CALLBACKS,
	.client_initial = ngtcp2_crypto_client_initial_cb,
	.recv_version_negotiation = on_version_negotiation,
	.recv_retry = on_retry,
	.tls_early_data_rejected = on_early_rejected,
};

const ngtcp2_callbacks sq_server_callbacks = {
	COMMON_CALLBACKS,
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
};
