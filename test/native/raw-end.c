/*
 * One end of a QUIC connection without the module's core: see raw-end.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "raw-end.h"

#define CLIENT_WINDOW 65536
#define STREAMS 10

const char *pem_folder;
int failures;

static struct end *writing;

static ngtcp2_path path_of(struct end *end)
{
	ngtcp2_path path = {
		.local = { (ngtcp2_sockaddr *)&end->local, sizeof(end->local) },
		.remote = { (ngtcp2_sockaddr *)&end->remote, sizeof(end->remote) },
	};

	return path;
}

/* ---- callbacks ---- */

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct end *)ref->user_data)->conn;
}

static void random_bytes(uint8_t *out, size_t length, const ngtcp2_rand_ctx *context)
{
	(void)context;
	if (getrandom(out, length, 0) != (ssize_t)length)
		abort();
}

static int new_connection_id(ngtcp2_conn *conn, ngtcp2_cid *cid,
                             ngtcp2_stateless_reset_token *token, size_t length, void *data)
{
	(void)conn;
	(void)data;
	random_bytes(cid->data, length, NULL);
	cid->datalen = length;
	random_bytes(token->data, sizeof(token->data), NULL);
	return 0;
}

static int handshake_completed(ngtcp2_conn *conn, void *data)
{
	struct end *end = data;

	end->is_done = 1;
	if (!ngtcp2_conn_is_server(conn) && end->early_bytes && !(sq_tls_flags(end->tls) & 8))
		ngtcp2_conn_tls_early_data_rejected(conn);
	return 0;
}

static int early_data_rejected(ngtcp2_conn *conn, void *data)
{
	(void)conn;
	((struct end *)data)->early_rejected = 1;
	return 0;
}

static int stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t stream, uint64_t offset,
                       const uint8_t *bytes, size_t length, void *data, void *stream_data)
{
	struct end *end = data;

	(void)conn;
	(void)stream;
	(void)offset;
	(void)bytes;
	(void)stream_data;
	end->bytes += (int)length;
	if (flags & NGTCP2_STREAM_DATA_FLAG_0RTT)
		end->early_bytes += (int)length;
	return 0;
}

static int encrypt(uint8_t *out, const ngtcp2_crypto_aead *aead,
                   const ngtcp2_crypto_aead_ctx *context, const uint8_t *frames, size_t length,
                   const uint8_t *nonce, size_t nonce_length, const uint8_t *head,
                   size_t head_length)
{
	/* Called while its end writes. In place: nothing of the frames is used again. */
	if (writing && writing->mutate)
		writing->mutate((uint8_t *)(uintptr_t)frames, length, head);
	return ngtcp2_crypto_encrypt_cb(out, aead, context, frames, length, nonce, nonce_length,
	                                head, head_length);
}

static const ngtcp2_callbacks callbacks = {
	.client_initial = ngtcp2_crypto_client_initial_cb,
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
	.handshake_completed = handshake_completed,
	.encrypt = encrypt,
	.decrypt = ngtcp2_crypto_decrypt_cb,
	.hp_mask = ngtcp2_crypto_hp_mask_cb,
	.recv_stream_data = stream_data,
	.recv_retry = ngtcp2_crypto_recv_retry_cb,
	.rand = random_bytes,
	.get_new_connection_id2 = new_connection_id,
	.update_key = ngtcp2_crypto_update_key_cb,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.get_path_challenge_data2 = ngtcp2_crypto_get_path_challenge_data2_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
	.tls_early_data_rejected = early_data_rejected,
};

/* ---- beginning and end ---- */

static void own_parameters(const struct end *end, ngtcp2_transport_params *parameters,
                           uint64_t window)
{
	ngtcp2_transport_params_default(parameters);
	parameters->max_idle_timeout = end->idle;
	parameters->initial_max_data = window;
	parameters->initial_max_stream_data_bidi_local = window;
	parameters->initial_max_stream_data_bidi_remote = window;
	parameters->initial_max_streams_bidi = STREAMS;
	parameters->initial_max_streams_uni = STREAMS;
	parameters->initial_max_stream_data_uni = window;
	parameters->max_datagram_frame_size = 1200;
}

static int attach(struct end *end, struct sq_tls_context *context, const struct wish *wish)
{
	static const struct wish none;

	if (!wish)
		wish = &none;
	end->tls = sq_tls_new(context, &end->ref, wish->sni, wish->sni ? (int)strlen(wish->sni) : 0,
	                      wish->verify_name,
	                      wish->verify_name ? (int)strlen(wish->verify_name) : 0,
	                      (const uint8_t *)wish->alpn, wish->alpn ? (int)strlen(wish->alpn) : 0,
	                      wish->ticket, wish->ticket_bytes);
	if (end->tls)
		ngtcp2_conn_set_tls_native_handle(end->conn, sq_tls_native(end->tls));
	return end->tls != NULL;
}

int end_connect(struct end *end, struct sq_tls_context *context, const struct wish *wish,
                uint64_t now)
{
	ngtcp2_cid source = { .datalen = 8 }, target = { .datalen = 18 };
	ngtcp2_transport_params parameters;
	ngtcp2_path path = path_of(end);
	ngtcp2_settings settings;

	end->ref.get_conn = get_conn;
	end->ref.user_data = end;
	ngtcp2_settings_default(&settings);
	settings.initial_ts = now;
	own_parameters(end, &parameters, CLIENT_WINDOW);
	random_bytes(source.data, source.datalen, NULL);
	random_bytes(target.data, target.datalen, NULL);
	if (ngtcp2_conn_client_new(&end->conn, &target, &source, &path, NGTCP2_PROTO_VER_V1,
	                           &callbacks, &settings, &parameters, NULL, end) != 0)
		abort();
	return attach(end, context, wish);
}

int end_accept(struct end *end, struct sq_tls_context *context, const struct packet *packet,
               uint64_t window, uint64_t now)
{
	ngtcp2_cid source = { .datalen = 8 };
	ngtcp2_transport_params parameters;
	ngtcp2_path path = path_of(end);
	ngtcp2_settings settings;
	ngtcp2_pkt_hd header;

	if (ngtcp2_accept(&header, packet->bytes, (size_t)packet->length) != 0)
		return 0;
	end->ref.get_conn = get_conn;
	end->ref.user_data = end;
	ngtcp2_settings_default(&settings);
	settings.initial_ts = now;
	own_parameters(end, &parameters, window);
	parameters.original_dcid = header.dcid;
	parameters.original_dcid_present = 1;
	random_bytes(source.data, source.datalen, NULL);
	if (ngtcp2_conn_server_new(&end->conn, &header.scid, &source, &path, header.version,
	                           &callbacks, &settings, &parameters, NULL, end) != 0)
		abort();
	if (!attach(end, context, NULL))
		abort();
	return 1;
}

void end_free(struct end *end)
{
	if (end->conn)
		ngtcp2_conn_del(end->conn);
	sq_tls_free(end->tls);
	memset(end, 0, sizeof(*end));
}

/* ---- packets ---- */

static void write_close(struct end *end, int error, uint64_t now)
{
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_ccerr reason;
	ngtcp2_ssize length;

	ngtcp2_ccerr_default(&reason);
	if (error == NGTCP2_ERR_CRYPTO)
		ngtcp2_ccerr_set_tls_alert(&reason, ngtcp2_conn_get_tls_alert(end->conn), NULL, 0);
	else
		ngtcp2_ccerr_set_liberr(&reason, error, NULL, 0);
	end->is_dead = 1;
	end->own_code = reason.error_code;
	ngtcp2_path_storage_zero(&path);
	length = ngtcp2_conn_write_connection_close(end->conn, &path.path, &info,
	                                            end->closing.bytes, PACKET_BYTES, &reason, now);
	end->closing.length = length > 0 ? (int)length : 0;
}

void end_read(struct end *end, const struct packet *packet, uint64_t now)
{
	ngtcp2_path path = path_of(end);
	ngtcp2_pkt_info info = { 0 };
	int result;

	if (!end->conn || end->is_dead)
		return;
	result = ngtcp2_conn_read_pkt(end->conn, &path, &info, packet->bytes, (size_t)packet->length,
	                              now);
	if (result == NGTCP2_ERR_DRAINING) {
		end->is_dead = 1;
		end->peer_code = ngtcp2_conn_get_ccerr(end->conn)->error_code;
	} else if (result != 0) {
		write_close(end, result, now);
	}
}

int end_write_stream(struct end *end, struct packet *packet, int64_t *stream, const char *text,
                     int64_t *taken, uint64_t now)
{
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_ssize length;
	ngtcp2_ssize count = -1;

	*taken = -1;
	if (!end->conn || end->is_dead ||
	    (*stream < 0 && ngtcp2_conn_open_bidi_stream(end->conn, stream, NULL) != 0))
		return 0;
	ngtcp2_path_storage_zero(&path);
	writing = end;
	length = ngtcp2_conn_write_stream(end->conn, &path.path, &info, packet->bytes, PACKET_BYTES,
	                                  &count, 0, *stream, (const uint8_t *)text, strlen(text),
	                                  now);
	writing = NULL;
	*taken = count;
	packet->length = length > 0 ? (int)length : 0;
	return packet->length > 0;
}

int end_write(struct end *end, struct packet *packet, uint64_t now)
{
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_ssize length;

	if (!end->conn)
		return 0;
	if (!end->is_dead) {
		ngtcp2_path_storage_zero(&path);
		writing = end;
		length = ngtcp2_conn_write_pkt(end->conn, &path.path, &info, packet->bytes,
		                               PACKET_BYTES, now);
		writing = NULL;
		packet->length = (int)length;
		if (length > 0)
			return 1;
		if (length == 0)
			ngtcp2_conn_update_pkt_tx_time(end->conn, now);
		else
			write_close(end, (int)length, now);
	}
	if (end->closing.length == 0)
		return 0;
	*packet = end->closing;
	end->closing.length = 0;
	return 1;
}

void end_expire(struct end *end, uint64_t now)
{
	if (end->conn && !end->is_dead && ngtcp2_conn_get_expiry(end->conn) <= now &&
	    ngtcp2_conn_handle_expiry(end->conn, now) != 0)
		end->is_dead = 1;
}

const char *end_text(struct end *end, int which)
{
	static char text[1024];
	int length = sq_tls_text(end->tls, which, text, sizeof(text) - 1);

	text[length < (int)sizeof(text) ? length : (int)sizeof(text) - 1] = 0;
	return text;
}

/* ---- files and outcomes ---- */

const char *read_pem(const char *name, int *length)
{
	static char texts[16][16384];
	static int turn;
	char *text = texts[turn++ % 16];
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", pem_folder, name);
	file = fopen(path, "r");
	if (!file) {
		fprintf(stderr, "%s is missing\n", path);
		exit(2);
	}
	*length = (int)fread(text, 1, sizeof(texts[0]) - 1, file);
	text[*length] = 0;
	fclose(file);
	return text;
}

void expect(int is_true, const char *what, const char *file, int line)
{
	if (is_true)
		return;
	failures++;
	printf("%s:%d: not so: %s\n", file, line, what);
}

void expect_text(const char *got, const char *wanted, const char *file, int line)
{
	if (strcmp(got, wanted) == 0)
		return;
	failures++;
	printf("%s:%d: '%s' instead of '%s'\n", file, line, got, wanted);
}
