/*
 * TLS over OpenSSL >= 3.5 and ngtcp2's crypto library for it. See tls.h.
 *
 * Certificates are not in the SSL_CTX: a session takes those that its client's name asks for, of
 * each kind of key one, and OpenSSL chooses among them by what the client can verify. Nothing is
 * read from the system's openssl.cnf: the library is ours, and its settings are the profile's.
 *
 * Early data on a server: only with tickets that this process gave (a register of the hellos of
 * this process then knows every one that could come again), under limits no smaller than when the
 * ticket was given, once. OpenSSL's own protection is off: its tickets would be readable by one
 * worker only.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls-openssl.h"

/* The cheapest strong cipher first: every packet pays for it. */
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* OpenSSL's name, HMAC key and AES key of tickets. */
#define TICKET_KEY_BYTES 80
/* A session of the library that is kept: certificate, ticket, secrets. */
#define SESSION_BYTES_MAX 16384

/* ---- process ---- */

static int start_result;

static void start_once(void)
{
	/* No handlers at exit: other threads may still be at work. No configuration of the system. */
	uint64_t options = OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG;

	if (OPENSSL_init_ssl(options, NULL) != 1 || ngtcp2_crypto_ossl_init() != 0 ||
	    sq_process_name_start() != 0)
		start_result = SQ_TLS;
}

int sq_tls_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start_once);
	if (start_result)
		sq_tls_set_error("OpenSSL does not start");
	return start_result;
}

void *sq_tls_sha256(void)
{
	return (void *)EVP_sha256();
}

const char *sq_tls_version(void)
{
	static char text[64];

	if (!text[0])
		snprintf(text, sizeof(text), "OpenSSL %s", OpenSSL_version(OPENSSL_VERSION_STRING));
	return text;
}

int sq_openssl_fail(const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	if (reason)
		sq_tls_set_error("%s: %s", what, reason);
	else
		sq_tls_set_error("%s", what);
	ERR_clear_error();
	return SQ_TLS;
}

/* ---- context ---- */

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                       const unsigned char *in, unsigned int in_bytes, void *arg)
{
	struct sq_tls_context *context = arg;
	const uint8_t *chosen = sq_alpn_choose(context->alpn, context->alpn_bytes, in, (int)in_bytes);

	(void)ssl;
	if (!chosen)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen + 1;
	*out_bytes = chosen[0];
	return SSL_TLSEXT_ERR_OK;
}

/* Without a protocol there is no QUIC (RFC 9001, 8.1); OpenSSL would let it pass. */
static int demand_alpn(SSL *ssl, int *alert, void *arg)
{
	const unsigned char *extension;
	size_t bytes;

	(void)arg;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
	                              &extension, &bytes))
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

static int check_name(SSL *ssl, int *alert, void *arg)
{
	struct sq_tls_context *context = arg;
	struct sq_tls *tls = SSL_get_app_data(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct sq_name *found;

	if (name && tls)
		snprintf(tls->sni, sizeof(tls->sni), "%s", name);
	if (!context->is_strict)
		return SSL_TLSEXT_ERR_OK;
	if (name && sq_names_find(&context->names, name, &found) > 0)
		return SSL_TLSEXT_ERR_OK;
	if (tls)
		snprintf(tls->failure, sizeof(tls->failure), "no certificate for %s%.200s",
		         name ? "the name " : "a client that names no server", name ? name : "");
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int use_certificate(SSL *ssl, const struct sq_certificate *certificate)
{
	return SSL_use_cert_and_key(ssl, certificate->leaf, certificate->key, certificate->chain, 1);
}

/* Gives a server's session the certificates of its name: the last of a kind of key stays. */
static int choose_certificates(SSL *ssl, void *arg)
{
	struct sq_tls_context *context = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct sq_name *found;
	int count = name ? sq_names_find(&context->names, name, &found) : 0;

	if (context->certificate_count == 0)
		return 0;
	if (count == 0)
		return use_certificate(ssl, &context->certificates[0]);
	while (count-- > 0)
		if (!use_certificate(ssl, &context->certificates[found[count].certificate]))
			return 0;
	return 1;
}

/* What the ticket that is about to be given allows. */
static int fill_ticket(SSL *ssl, void *arg)
{
	struct sq_tls *tls = SSL_get_app_data(ssl);
	struct sq_early_limits limits;

	(void)arg;
	if (!tls)
		return 0;
	sq_early_limits_of(&limits, tls->ref.get_conn(&tls->ref));
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &limits, sizeof(limits));
}

static const struct sq_early_limits *limits_of_ticket(SSL_SESSION *session)
{
	void *data;
	size_t bytes;

	if (!session || !SSL_SESSION_get0_ticket_appdata(session, &data, &bytes) ||
	    bytes != sizeof(struct sq_early_limits))
		return NULL;
	return data;
}

static SSL_TICKET_RETURN accept_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                       size_t name_bytes, SSL_TICKET_STATUS status, void *arg)
{
	struct sq_tls *tls = SSL_get_app_data(ssl);
	struct sq_early_limits then, now;
	const struct sq_early_limits *limits;

	(void)name;
	(void)name_bytes;
	(void)arg;
	if (!tls || (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	limits = limits_of_ticket(session);
	if (!limits)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	memcpy(&then, limits, sizeof(then));
	sq_early_limits_of(&now, tls->ref.get_conn(&tls->ref));
	/* A ticket belongs to its version of QUIC (RFC 9369, section 5). */
	return then.version == now.version ? SSL_TICKET_RETURN_USE_RENEW
	                                   : SSL_TICKET_RETURN_IGNORE_RENEW;
}

static int allow_early(SSL *ssl, void *arg)
{
	struct sq_tls_context *context = arg;
	struct sq_tls *tls = SSL_get_app_data(ssl);
	const struct sq_early_limits *limits = limits_of_ticket(SSL_get_session(ssl));
	struct sq_early_limits then, now;
	uint8_t random[SSL3_RANDOM_SIZE];

	if (!context->is_early || !tls || !limits)
		return 0;
	memcpy(&then, limits, sizeof(then));
	sq_early_limits_of(&now, tls->ref.get_conn(&tls->ref));
	if (!sq_early_limits_hold(&then, &now))
		return 0;
	/* The hello is bound to its ticket by now: nobody can send it with another random. */
	if (SSL_get_client_random(ssl, random, sizeof(random)) != sizeof(random))
		return 0;
	return sq_replay_is_new(random, sizeof(random));
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct sq_tls *tls = SSL_get_app_data(ssl);
	uint8_t *at;
	int bytes;

	if (!tls || !SSL_SESSION_is_resumable(session))
		return 0;
	bytes = i2d_SSL_SESSION(session, NULL);
	if (bytes <= 0 || bytes > SESSION_BYTES_MAX)
		return 0;
	free(tls->session);
	tls->session_bytes = 0;
	tls->session = malloc((size_t)bytes);
	if (!tls->session)
		return 0;
	at = tls->session;
	tls->session_bytes = i2d_SSL_SESSION(session, &at);
	return 0;
}

/* Writes down why, as long as OpenSSL knows it. */
static void note_alert(const SSL *ssl, int where, int value)
{
	struct sq_tls *tls = SSL_get_app_data(ssl);
	long verified = SSL_get_verify_result(ssl);
	const char *reason;

	if (!tls || !(where & SSL_CB_ALERT) || !(where & SSL_CB_WRITE))
		return;
	tls->alert = value & 0xff;
	if (tls->failure[0])
		return;
	if (verified != X509_V_OK && tls->context->verify)
		reason = X509_verify_cert_error_string(verified);
	else
		reason = ERR_reason_error_string(ERR_peek_last_error());
	snprintf(tls->failure, sizeof(tls->failure), "%s", reason ? reason : "");
}

static void set_up(struct sq_tls_context *context)
{
	SSL_CTX *ssl = context->ssl;

	SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(ssl, CIPHERS);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_clear_options(ssl, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
	SSL_CTX_set_options(ssl, SSL_OP_NO_ANTI_REPLAY | SSL_OP_NO_TX_CERTIFICATE_COMPRESSION |
	                                 SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
	SSL_CTX_set_info_callback(ssl, note_alert);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
	if (!context->is_server) {
		SSL_CTX_set_session_cache_mode(ssl,
		                               SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ssl, keep_session);
		return;
	}
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ssl, 1);
	SSL_CTX_set_client_hello_cb(ssl, demand_alpn, NULL);
	SSL_CTX_set_alpn_select_cb(ssl, select_alpn, context);
	SSL_CTX_set_tlsext_servername_callback(ssl, check_name);
	SSL_CTX_set_tlsext_servername_arg(ssl, context);
	SSL_CTX_set_cert_cb(ssl, choose_certificates, context);
	SSL_CTX_set_session_ticket_cb(ssl, fill_ticket, accept_ticket, context);
	SSL_CTX_set_allow_early_data_cb(ssl, allow_early, context);
}

struct sq_tls_context *sq_tls_context_new(int is_server)
{
	struct sq_tls_context *context;

	if (sq_tls_start() != 0)
		return NULL;
	context = calloc(1, sizeof(*context));
	if (!context)
		return NULL;
	context->is_server = is_server;
	context->ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	if (!context->ssl) {
		sq_openssl_fail("no TLS context");
		free(context);
		return NULL;
	}
	atomic_init(&context->holders, 1);
	set_up(context);
	return context;
}

void sq_tls_context_hold(struct sq_tls_context *context)
{
	atomic_fetch_add(&context->holders, 1);
}

void sq_tls_context_drop(struct sq_tls_context *context)
{
	int i;

	if (!context || atomic_fetch_sub(&context->holders, 1) != 1)
		return;
	for (i = 0; i < context->certificate_count; i++)
		sq_openssl_free_certificate(&context->certificates[i]);
	free(context->certificates);
	sq_names_free(&context->names);
	free(context->alpn);
	SSL_CTX_free(context->ssl);
	free(context);
}

/* ---- settings ---- */

int sq_tls_context_alpn(struct sq_tls_context *context, const uint8_t *wire, int bytes)
{
	uint8_t *copy = NULL;

	if (bytes > 0) {
		if (!sq_alpn_is_valid(wire, bytes)) {
			sq_tls_set_error("the list of protocols is broken");
			return SQ_TLS;
		}
		copy = malloc((size_t)bytes);
		if (!copy)
			return sq_openssl_fail("no memory");
		memcpy(copy, wire, (size_t)bytes);
	}
	free(context->alpn);
	context->alpn = copy;
	context->alpn_bytes = bytes > 0 ? bytes : 0;
	return 0;
}

void sq_tls_context_verify(struct sq_tls_context *context, int mode)
{
	context->verify = mode;
	context->is_sealed = 0;
}

void sq_tls_context_strict_sni(struct sq_tls_context *context, int is_strict)
{
	context->is_strict = is_strict;
}

void sq_tls_context_early(struct sq_tls_context *context, int is_allowed)
{
	context->is_early = is_allowed;
	context->is_sealed = 0;
}

void sq_tls_context_secret(struct sq_tls_context *context, const uint8_t *secret)
{
	uint8_t keys[TICKET_KEY_BYTES];

	if (sq_derive(keys, sizeof(keys), secret, "session tickets, OpenSSL") == 0)
		SSL_CTX_set_tlsext_ticket_keys(context->ssl, keys, sizeof(keys));
	OPENSSL_cleanse(keys, sizeof(keys));
}

/* Before the first session after a change. */
int sq_openssl_seal(struct sq_tls_context *context)
{
	int mode = SSL_VERIFY_NONE;
	uint8_t verify = (uint8_t)context->verify;

	if (context->is_sealed)
		return 0;
	if (context->verify && !context->is_server && !context->has_authorities &&
	    sq_openssl_use_system(context) != 0)
		return SQ_TLS;
	if (context->verify)
		mode = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
	if (context->verify == 2)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(context->ssl, mode, NULL);
	memcpy(context->sealed_digest, context->digest, sizeof(context->digest));
	sq_digest_add(context->sealed_digest, &verify, 1);
	if (context->is_server) {
		SSL_CTX_set_session_id_context(context->ssl, context->sealed_digest, SQ_DIGEST_BYTES);
		SSL_CTX_set_max_early_data(context->ssl, context->is_early ? UINT32_MAX : 0);
	}
	context->is_sealed = 1;
	return 0;
}
