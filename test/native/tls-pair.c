/*
 * A client and a server of ngtcp2 in memory: see tls-pair.h.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tls-pair.h"

#define MILLISECOND NGTCP2_MILLISECONDS
#define ROUNDS 60

const char *pem_folder;
int failures;

static struct sockaddr_in addresses[2] = {
	{ .sin_family = AF_INET, .sin_port = 1 },
	{ .sin_family = AF_INET, .sin_port = 2 },
};

static ngtcp2_path path_of(int is_server)
{
	ngtcp2_path path = {
		.local = { (ngtcp2_sockaddr *)&addresses[is_server], sizeof(addresses[0]) },
		.remote = { (ngtcp2_sockaddr *)&addresses[!is_server], sizeof(addresses[0]) },
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

static const ngtcp2_callbacks callbacks = {
	.client_initial = ngtcp2_crypto_client_initial_cb,
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
	.handshake_completed = handshake_completed,
	.encrypt = ngtcp2_crypto_encrypt_cb,
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

/* ---- ends ---- */

static void own_parameters(ngtcp2_transport_params *parameters, uint64_t window)
{
	ngtcp2_transport_params_default(parameters);
	parameters->initial_max_data = window;
	parameters->initial_max_stream_data_bidi_local = window;
	parameters->initial_max_stream_data_bidi_remote = window;
	parameters->initial_max_streams_bidi = 10;
}

static void attach(struct end *end, struct sq_tls_context *context, const struct wish *wish)
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
}

static void prepare(struct pair *pair, struct end *end)
{
	(void)pair;
	end->ref.get_conn = get_conn;
	end->ref.user_data = end;
}

static void send_early(struct pair *pair, const char *text)
{
	struct packet *packet = &pair->first[0];
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_ssize taken;
	int64_t stream;
	ngtcp2_ssize length;

	if (!sq_tls_use_ticket(pair->client.tls, pair->client.conn) ||
	    ngtcp2_conn_open_bidi_stream(pair->client.conn, &stream, NULL) != 0)
		return;
	ngtcp2_path_storage_zero(&path);
	length = ngtcp2_conn_write_stream(pair->client.conn, &path.path, &info, packet->bytes,
	                                  PACKET_BYTES, &taken, 0, stream, (const uint8_t *)text,
	                                  strlen(text), pair->now);
	if (length > 0) {
		packet->length = (int)length;
		pair->first_count = 1;
	}
	/* The first packet may have no room for it beside the hello. */
	while (taken < 0 && length > 0 && pair->first_count < 4) {
		packet = &pair->first[pair->first_count];
		length = ngtcp2_conn_write_stream(pair->client.conn, &path.path, &info,
		                                  packet->bytes, PACKET_BYTES, &taken, 0, stream,
		                                  (const uint8_t *)text, strlen(text), pair->now);
		packet->length = (int)length;
		pair->first_count += length > 0;
	}
	if (taken > 0)
		pair->client.early_bytes = (int)taken;
}

int pair_start(struct pair *pair, struct sq_tls_context *client, struct sq_tls_context *server,
               const struct wish *wish)
{
	ngtcp2_cid source = { .datalen = 8 }, target = { .datalen = 18 };
	ngtcp2_transport_params parameters;
	ngtcp2_path path = path_of(0);
	ngtcp2_settings settings;
	uint64_t window = pair->window;

	memset(pair, 0, sizeof(*pair));
	pair->window = window ? window : 65536;
	pair->now = NGTCP2_SECONDS;
	pair->server_context = server;
	prepare(pair, &pair->client);
	prepare(pair, &pair->server);
	ngtcp2_settings_default(&settings);
	settings.initial_ts = pair->now;
	own_parameters(&parameters, 65536);
	random_bytes(source.data, source.datalen, NULL);
	random_bytes(target.data, target.datalen, NULL);
	if (ngtcp2_conn_client_new(&pair->client.conn, &target, &source, &path,
	                           NGTCP2_PROTO_VER_V1, &callbacks, &settings, &parameters, NULL,
	                           &pair->client) != 0)
		abort();
	attach(&pair->client, client, wish);
	if (!pair->client.tls)
		return 0;
	if (wish && wish->early)
		send_early(pair, wish->early);
	return 1;
}

static int accept_first(struct pair *pair, const struct packet *packet)
{
	ngtcp2_cid source = { .datalen = 8 };
	ngtcp2_transport_params parameters;
	ngtcp2_path path = path_of(1);
	ngtcp2_settings settings;
	ngtcp2_pkt_hd header;

	if (ngtcp2_accept(&header, packet->bytes, (size_t)packet->length) != 0)
		return -1;
	ngtcp2_settings_default(&settings);
	settings.initial_ts = pair->now;
	own_parameters(&parameters, pair->window);
	parameters.original_dcid = header.dcid;
	parameters.original_dcid_present = 1;
	random_bytes(source.data, source.datalen, NULL);
	if (ngtcp2_conn_server_new(&pair->server.conn, &header.scid, &source, &path,
	                           header.version, &callbacks, &settings, &parameters, NULL,
	                           &pair->server) != 0)
		abort();
	attach(&pair->server, pair->server_context, NULL);
	if (!pair->server.tls)
		abort();
	return 0;
}

/* ---- the wire ---- */

static void write_close(struct pair *pair, struct end *end, int error, struct end *other);

static void deliver(struct pair *pair, struct end *to, struct end *from, const struct packet *packet)
{
	int is_server = to == &pair->server;
	ngtcp2_path path = path_of(is_server);
	ngtcp2_pkt_info info = { 0 };
	int result;

	if (is_server && !to->conn && accept_first(pair, packet) != 0)
		return;
	if (to->is_dead)
		return;
	result = ngtcp2_conn_read_pkt(to->conn, &path, &info, packet->bytes, (size_t)packet->length,
	                              pair->now);
	if (result == NGTCP2_ERR_DRAINING) {
		to->is_dead = 1;
		to->peer_code = ngtcp2_conn_get_ccerr(to->conn)->error_code;
	} else if (result != 0) {
		write_close(pair, to, result, from);
	}
}

static void write_close(struct pair *pair, struct end *end, int error, struct end *other)
{
	struct packet packet;
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
	length = ngtcp2_conn_write_connection_close(end->conn, &path.path, &info, packet.bytes,
	                                            PACKET_BYTES, &reason, pair->now);
	if (length <= 0 || !other->conn)
		return;
	packet.length = (int)length;
	deliver(pair, other, end, &packet);
}

/* 1: something was sent. */
static int flush(struct pair *pair, struct end *from, struct end *to)
{
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	struct packet packet;
	int sent = 0;

	if (!from->conn || from->is_dead)
		return 0;
	for (;;) {
		ngtcp2_ssize length;

		ngtcp2_path_storage_zero(&path);
		length = ngtcp2_conn_write_pkt(from->conn, &path.path, &info, packet.bytes,
		                               PACKET_BYTES, pair->now);
		if (length < 0) {
			write_close(pair, from, (int)length, to);
			return 1;
		}
		if (length == 0)
			break;
		sent = 1;
		packet.length = (int)length;
		if (from == &pair->client && !to->conn && pair->first_count < 4)
			pair->first[pair->first_count++] = packet;
		else
			deliver(pair, to, from, &packet);
		if (from->is_dead)
			break;
	}
	ngtcp2_conn_update_pkt_tx_time(from->conn, pair->now);
	return sent;
}

static void expire(struct pair *pair, struct end *end)
{
	if (end->conn && !end->is_dead && ngtcp2_conn_get_expiry(end->conn) <= pair->now)
		ngtcp2_conn_handle_expiry(end->conn, pair->now);
}

void pair_run(struct pair *pair)
{
	int round;
	int i;

	flush(pair, &pair->client, &pair->server);
	for (i = 0; i < pair->first_count; i++)
		deliver(pair, &pair->server, &pair->client, &pair->first[i]);
	for (round = 0; round < ROUNDS; round++) {
		pair->now += 5 * MILLISECOND;
		flush(pair, &pair->server, &pair->client);
		flush(pair, &pair->client, &pair->server);
		expire(pair, &pair->server);
		expire(pair, &pair->client);
	}
}

void pair_replay(struct pair *pair, struct sq_tls_context *server, const struct pair *from)
{
	int i;

	memset(pair, 0, sizeof(*pair));
	pair->window = from->window;
	pair->now = NGTCP2_SECONDS;
	pair->server_context = server;
	prepare(pair, &pair->server);
	for (i = 0; i < from->first_count; i++)
		deliver(pair, &pair->server, &pair->client, &from->first[i]);
}

void pair_send(struct pair *pair, const char *text)
{
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	struct packet packet;
	ngtcp2_ssize taken;
	int64_t stream;

	if (ngtcp2_conn_open_bidi_stream(pair->client.conn, &stream, NULL) != 0)
		return;
	ngtcp2_path_storage_zero(&path);
	packet.length = (int)ngtcp2_conn_write_stream(
		pair->client.conn, &path.path, &info, packet.bytes, PACKET_BYTES, &taken, 0, stream,
		(const uint8_t *)text, strlen(text), pair->now);
	if (packet.length > 0)
		deliver(pair, &pair->server, &pair->client, &packet);
}

static void free_end(struct end *end)
{
	if (end->conn)
		ngtcp2_conn_del(end->conn);
	sq_tls_free(end->tls);
}

void pair_free(struct pair *pair)
{
	free_end(&pair->client);
	free_end(&pair->server);
	memset(pair, 0, sizeof(*pair));
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
