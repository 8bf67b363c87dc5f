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
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ngtcp2/ngtcp2_crypto_ossl.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls-base.h"

#if OPENSSL_VERSION_NUMBER < 0x30500000L
#error "OpenSSL 3.5 or newer is needed"
#endif

/* The cheapest strong cipher first: every packet pays for it. */
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* OpenSSL's name, HMAC key and AES key of tickets. */
#define TICKET_KEY_BYTES 80
/* A session of the library that is kept: certificate, ticket, secrets. */
#define SESSION_BYTES_MAX 16384
#define PARAMETERS_BYTES_MAX 512

struct certificate {
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) *chain;
};

struct sq_tls_context {
	atomic_int holders;
	int is_server;
	SSL_CTX *ssl;
	struct certificate *certificates;
	int certificate_count;
	struct sq_names names;
	uint8_t *alpn;
	int alpn_bytes;
	int verify;
	int is_strict;
	int is_early;
	int has_authorities;
	int is_sealed;
	/* Of certificates and authorities: sessions verified against others are not resumed. */
	uint8_t digest[SQ_DIGEST_BYTES];
	uint8_t sealed_digest[SQ_DIGEST_BYTES];
};

struct sq_tls {
	ngtcp2_crypto_conn_ref ref; /* first: what OpenSSL's callbacks get */
	ngtcp2_crypto_conn_ref *caller_ref;
	struct sq_tls_context *context;
	SSL *ssl;
	ngtcp2_crypto_ossl_ctx *native;
	int alert;
	char failure[256];
	char sni[SQ_NAME_MAX + 1];
	/* Client: what the session was or will be verified against. */
	uint8_t binding[SQ_DIGEST_BYTES];
	uint8_t *session; /* that has come, until it is fetched */
	int session_bytes;
	uint8_t early_parameters[PARAMETERS_BYTES_MAX]; /* of the ticket that was given */
	int early_parameters_bytes;
};

static X509_STORE *system_store;
static pthread_mutex_t system_lock = PTHREAD_MUTEX_INITIALIZER;

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

static int fail(const char *what)
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

static int use_certificate(SSL *ssl, const struct certificate *certificate)
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
		fail("no TLS context");
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

static void free_certificate(struct certificate *certificate)
{
	X509_free(certificate->leaf);
	EVP_PKEY_free(certificate->key);
	OSSL_STACK_OF_X509_free(certificate->chain);
	memset(certificate, 0, sizeof(*certificate));
}

void sq_tls_context_drop(struct sq_tls_context *context)
{
	int i;

	if (!context || atomic_fetch_sub(&context->holders, 1) != 1)
		return;
	for (i = 0; i < context->certificate_count; i++)
		free_certificate(&context->certificates[i]);
	free(context->certificates);
	sq_names_free(&context->names);
	free(context->alpn);
	SSL_CTX_free(context->ssl);
	free(context);
}

/* ---- certificates ---- */

/* For keys behind a pass phrase: nobody is asked. */
static int no_phrase(char *out, int room, int is_writing, void *arg)
{
	(void)out;
	(void)room;
	(void)is_writing;
	(void)arg;
	return -1;
}

/* 1: the PEM reader stopped because there is no more, not because something is broken. */
static int is_end_of_pem(void)
{
	unsigned long error = ERR_peek_last_error();
	int is_end = ERR_GET_LIB(error) == ERR_LIB_PEM &&
	             ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

	if (is_end)
		ERR_clear_error();
	return is_end;
}

/* The certificates of a PEM, in their order. NULL on error. */
static STACK_OF(X509) *read_certificates(const char *pem, int bytes)
{
	STACK_OF(X509) *list = sk_X509_new_null();
	BIO *bio = BIO_new_mem_buf(pem, bytes);
	X509 *one;

	ERR_clear_error();
	while (bio && list && (one = PEM_read_bio_X509_AUX(bio, NULL, no_phrase, NULL)) != NULL) {
		if (!sk_X509_push(list, one)) {
			X509_free(one);
			break;
		}
	}
	BIO_free(bio);
	if (!list || !is_end_of_pem()) {
		char what[64];

		snprintf(what, sizeof(what), "certificate %d in PEM is broken",
		         list ? sk_X509_num(list) + 1 : 1);
		fail(what);
	} else if (sk_X509_num(list) == 0) {
		fail("no certificate in PEM");
	} else {
		return list;
	}
	OSSL_STACK_OF_X509_free(list);
	return NULL;
}

static EVP_PKEY *read_key(const char *pem, int bytes)
{
	BIO *bio = BIO_new_mem_buf(pem, bytes);
	EVP_PKEY *key;
	unsigned long error;

	ERR_clear_error();
	key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL) : NULL;
	BIO_free(bio);
	if (key) {
		ERR_clear_error();
		return key;
	}
	error = ERR_peek_error();
	if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_BAD_PASSWORD_READ)
		fail("the key is protected by a pass phrase");
	else if (is_end_of_pem() || !error)
		fail("no private key in PEM");
	else
		fail("the private key in PEM is broken");
	return NULL;
}

static int add_text(struct sq_names *names, const ASN1_STRING *text, int certificate)
{
	return sq_names_add(names, (const char *)ASN1_STRING_get0_data(text),
	                    ASN1_STRING_length(text), certificate);
}

/* Names as haproxy takes them: of the alternative names those of DNS, and the common name. */
static int add_names(struct sq_names *names, X509 *leaf, int certificate)
{
	GENERAL_NAMES *others = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	X509_NAME *subject = X509_get_subject_name(leaf);
	int result = 0;
	int i;

	for (i = 0; others && i < sk_GENERAL_NAME_num(others); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(others, i);

		if (name->type == GEN_DNS)
			result |= add_text(names, name->d.dNSName, certificate);
	}
	GENERAL_NAMES_free(others);
	for (i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
		result |= add_text(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)),
		                   certificate);
	ERR_clear_error();
	return result;
}

static int add_certificate(struct sq_tls_context *context, struct certificate *certificate)
{
	size_t count = (size_t)context->certificate_count;
	struct certificate *grown;

	if (X509_check_private_key(certificate->leaf, certificate->key) != 1) {
		ERR_clear_error();
		sq_tls_set_error("the key does not belong to the certificate");
		return SQ_TLS;
	}
	if (!context->is_server &&
	    SSL_CTX_use_cert_and_key(context->ssl, certificate->leaf, certificate->key,
	                             certificate->chain, 1) != 1)
		return fail("the certificate cannot be used");
	grown = realloc(context->certificates, (count + 1) * sizeof(*grown));
	if (!grown)
		return fail("no memory");
	context->certificates = grown;
	if (add_names(&context->names, certificate->leaf, (int)count) != 0)
		return fail("no memory");
	grown[count] = *certificate;
	memset(certificate, 0, sizeof(*certificate));
	context->certificate_count++;
	return 0;
}

int sq_tls_context_certificate(struct sq_tls_context *context, const char *chain, int chain_bytes,
                               const char *key, int key_bytes)
{
	struct certificate certificate = { 0 };
	int result = SQ_TLS;

	certificate.chain = read_certificates(chain, chain_bytes);
	if (!certificate.chain)
		return SQ_TLS;
	certificate.leaf = sk_X509_shift(certificate.chain);
	/* Without a key of its own: it stands beside the certificate, as in haproxy's files. */
	certificate.key = key_bytes > 0 ? read_key(key, key_bytes) : read_key(chain, chain_bytes);
	if (certificate.key)
		result = add_certificate(context, &certificate);
	free_certificate(&certificate);
	context->is_sealed = 0;
	if (result == 0)
		sq_digest_add(context->digest, chain, chain_bytes);
	return result;
}

/* The system's authorities, read once: later the process may have changed its root. */
static X509_STORE *load_system(void)
{
	X509_STORE *store = X509_STORE_new();
	int i;

	if (!store)
		return NULL;
	/* The library's own folders, and SSL_CERT_FILE and SSL_CERT_DIR of the environment. */
	X509_STORE_set_default_paths(store);
	for (i = 0; sq_authority_files[i]; i++)
		if (X509_STORE_load_file(store, sq_authority_files[i]) == 1)
			break;
	ERR_clear_error();
	return store;
}

static int use_system(struct sq_tls_context *context)
{
	STACK_OF(X509_OBJECT) *known;
	int count;

	pthread_mutex_lock(&system_lock);
	if (!system_store)
		system_store = load_system();
	pthread_mutex_unlock(&system_lock);
	if (!system_store)
		return fail("no memory");
	known = X509_STORE_get1_objects(system_store);
	count = known ? sk_X509_OBJECT_num(known) : 0;
	sk_X509_OBJECT_pop_free(known, X509_OBJECT_free);
	if (count == 0) {
		sq_tls_set_error("the system has no trusted authorities: install ca-certificates, or "
		                 "name a file of your own");
		return SQ_TLS;
	}
	SSL_CTX_set1_cert_store(context->ssl, system_store);
	context->has_authorities = 1;
	return 0;
}

int sq_tls_context_authorities(struct sq_tls_context *context, const char *pem, int bytes)
{
	STACK_OF(X509) *list;
	X509_STORE *store;
	int i;
	int is_full = 0;

	context->is_sealed = 0;
	if (bytes <= 0)
		return use_system(context);
	list = read_certificates(pem, bytes);
	if (!list)
		return SQ_TLS;
	store = SSL_CTX_get_cert_store(context->ssl);
	for (i = 0; i < sk_X509_num(list); i++) {
		X509 *one = sk_X509_value(list, i);

		is_full |= X509_STORE_add_cert(store, one) != 1;
		/* A server tells its clients whose certificates it takes. */
		if (context->is_server)
			is_full |= SSL_CTX_add_client_CA(context->ssl, one) != 1;
	}
	OSSL_STACK_OF_X509_free(list);
	if (is_full)
		return fail("an authority cannot be used");
	ERR_clear_error();
	context->has_authorities = 1;
	sq_digest_add(context->digest, pem, bytes);
	return 0;
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
			return fail("no memory");
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
static int seal(struct sq_tls_context *context)
{
	int mode = SSL_VERIFY_NONE;
	uint8_t verify = (uint8_t)context->verify;

	if (context->is_sealed)
		return 0;
	if (context->verify && !context->is_server && !context->has_authorities &&
	    use_system(context) != 0)
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

/* ---- sessions ---- */

/*
 * Called whenever TLS turns to QUIC. What other connections of the thread left in the queue of
 * errors would be taken for this one's, so it goes; but not what this one is about to report.
 */
static ngtcp2_conn *find_conn(ngtcp2_crypto_conn_ref *ref)
{
	struct sq_tls *tls = (struct sq_tls *)ref;

	if (strcmp(SSL_state_string(tls->ssl), "SSLERR") != 0)
		ERR_clear_error();
	return tls->caller_ref->get_conn(tls->caller_ref);
}

/* Verification of the server's name, and what it is verified against. */
static int set_names(struct sq_tls *tls, const char *sni, int sni_bytes, const char *verify_name,
                     int verify_name_bytes)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
	char name[SQ_NAME_MAX + 1];
	int is_good = 1;

	if (sq_copy_name(tls->sni, sni, sni_bytes) < 0 ||
	    sq_copy_name(name, verify_name, verify_name_bytes) < 0) {
		sq_tls_set_error("the server's name is too long");
		return SQ_TLS;
	}
	if (!name[0])
		memcpy(name, tls->sni, sizeof(name));
	if (name[0] && sq_is_address(name))
		is_good = X509_VERIFY_PARAM_set1_ip_asc(param, name);
	else if (name[0])
		is_good = X509_VERIFY_PARAM_set1_host(param, name, 0);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* An address is no name of a host (RFC 6066, section 3). */
	if (is_good && tls->sni[0] && !sq_is_address(tls->sni))
		is_good = (int)SSL_set_tlsext_host_name(tls->ssl, tls->sni);
	sq_digest_add(tls->binding, tls->sni, (int)strlen(tls->sni));
	sq_digest_add(tls->binding, name, (int)strlen(name));
	return is_good ? 0 : fail("the server's name cannot be used");
}

static int set_protocols(struct sq_tls *tls, const uint8_t *alpn, int alpn_bytes)
{
	if (alpn_bytes <= 0) {
		alpn = tls->context->alpn;
		alpn_bytes = tls->context->alpn_bytes;
	}
	sq_digest_add(tls->binding, alpn, alpn_bytes);
	if (alpn_bytes > 0 && (!sq_alpn_is_valid(alpn, alpn_bytes) ||
	                       SSL_set_alpn_protos(tls->ssl, alpn, (unsigned)alpn_bytes) != 0))
		return fail("the list of protocols is broken");
	return 0;
}

/* A ticket that is not of use is no error: the handshake is a full one. */
static void offer_ticket(struct sq_tls *tls, const uint8_t *bytes, int length)
{
	struct sq_ticket ticket;
	SSL_SESSION *session;

	if (!bytes || !sq_ticket_read(bytes, length, tls->binding, &ticket))
		return;
	session = d2i_SSL_SESSION(NULL, &ticket.session, ticket.session_bytes);
	if (session && SSL_SESSION_is_resumable(session) && SSL_set_session(tls->ssl, session) == 1 &&
	    ticket.parameters_bytes <= PARAMETERS_BYTES_MAX &&
	    SSL_SESSION_get_max_early_data(session) == UINT32_MAX) {
		memcpy(tls->early_parameters, ticket.parameters, (size_t)ticket.parameters_bytes);
		tls->early_parameters_bytes = ticket.parameters_bytes;
	}
	SSL_SESSION_free(session);
	ERR_clear_error();
}

static int begin(struct sq_tls *tls)
{
	struct sq_tls_context *context = tls->context;

	tls->ssl = SSL_new(context->ssl);
	if (!tls->ssl || ngtcp2_crypto_ossl_ctx_new(&tls->native, tls->ssl) != 0)
		return fail("no TLS session");
	tls->ref.get_conn = find_conn;
	SSL_set_app_data(tls->ssl, &tls->ref);
	memcpy(tls->binding, context->sealed_digest, sizeof(tls->binding));
	if (!context->is_server) {
		SSL_set_connect_state(tls->ssl);
		return ngtcp2_crypto_ossl_configure_client_session(tls->ssl);
	}
	SSL_set_accept_state(tls->ssl);
	if (ngtcp2_crypto_ossl_configure_server_session(tls->ssl) != 0)
		return SQ_TLS;
	SSL_set_quic_tls_early_data_enabled(tls->ssl, context->is_early);
	return 0;
}

struct sq_tls *sq_tls_new(struct sq_tls_context *context, ngtcp2_crypto_conn_ref *ref,
                          const char *sni, int sni_bytes, const char *verify_name,
                          int verify_name_bytes, const uint8_t *alpn, int alpn_bytes,
                          const uint8_t *ticket, int ticket_bytes)
{
	struct sq_tls *tls;

	if (seal(context) != 0)
		return NULL;
	tls = calloc(1, sizeof(*tls));
	if (!tls)
		return NULL;
	sq_tls_context_hold(context);
	tls->context = context;
	tls->caller_ref = ref;
	if (begin(tls) != 0) {
		fail("no TLS session");
		sq_tls_free(tls);
		return NULL;
	}
	if (context->is_server)
		return tls;
	if (set_names(tls, sni, sni_bytes, verify_name, verify_name_bytes) != 0 ||
	    set_protocols(tls, alpn, alpn_bytes) != 0) {
		sq_tls_free(tls);
		return NULL;
	}
	offer_ticket(tls, ticket, ticket_bytes);
	return tls;
}

void *sq_tls_native(struct sq_tls *tls)
{
	return tls->native;
}

void sq_tls_free(struct sq_tls *tls)
{
	if (!tls)
		return;
	if (tls->ssl) {
		SSL_set_app_data(tls->ssl, NULL);
		SSL_free(tls->ssl);
	}
	if (tls->native)
		ngtcp2_crypto_ossl_ctx_del(tls->native);
	free(tls->session);
	sq_tls_context_drop(tls->context);
	free(tls);
}

/* ---- facts ---- */

/* The server's certificate, ours or the peer's; NULL = none known. */
static X509 *server_certificate(struct sq_tls *tls)
{
	struct sq_tls_context *context = tls->context;
	const struct sq_name *found;
	X509 *own;

	if (!context->is_server)
		return SSL_get0_peer_certificate(tls->ssl);
	own = SSL_get_certificate(tls->ssl);
	if (own || context->certificate_count == 0)
		return own;
	/* Resumed: none was shown. The one that the name would get. */
	if (sq_names_find(&context->names, tls->sni, &found) > 0)
		return context->certificates[found[0].certificate].leaf;
	return context->certificates[0].leaf;
}

static int put_key(struct sq_tls *tls, char *out, int room)
{
	X509 *certificate = server_certificate(tls);
	EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;
	char text[64];

	if (!key)
		return 0;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		snprintf(text, sizeof(text), "RSA%d", EVP_PKEY_get_bits(key));
		break;
	case EVP_PKEY_EC:
		snprintf(text, sizeof(text), "EC%d", EVP_PKEY_get_bits(key));
		break;
	default: {
		const char *name = EVP_PKEY_get0_type_name(key);

		snprintf(text, sizeof(text), "%s", name ? name : "");
	}
	}
	return sq_put_text(out, room, text, (int)strlen(text));
}

static int put_signature(struct sq_tls *tls, char *out, int room)
{
	X509 *certificate = server_certificate(tls);
	const char *name = certificate ? OBJ_nid2sn(X509_get_signature_nid(certificate)) : NULL;

	return name ? sq_put_text(out, room, name, (int)strlen(name)) : 0;
}

/* Adds a value in UTF-8, without bytes that would break a line or a quoted field. */
static int add_value(char *out, int room, int at, const ASN1_STRING *value)
{
	unsigned char *text;
	int length = ASN1_STRING_to_UTF8(&text, value);
	char escaped[5];
	int i;

	for (i = 0; i < length; i++) {
		int left = room > at ? room - at : 0;

		if (text[i] >= 0x20 && text[i] != 0x7f && text[i] != '"') {
			at += sq_put_text(out + (left ? at : 0), left, (char *)&text[i], 1);
			continue;
		}
		snprintf(escaped, sizeof(escaped), "\\x%02X", text[i]);
		at += sq_put_text(out + (left ? at : 0), left, escaped, 4);
	}
	if (length >= 0)
		OPENSSL_free(text);
	return at;
}

/* /C=FR/O=Example/CN=someone */
static int put_subject(struct sq_tls *tls, char *out, int room)
{
	X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
	X509_NAME *name = certificate ? X509_get_subject_name(certificate) : NULL;
	int at = 0;
	int i;

	for (i = 0; name && i < X509_NAME_entry_count(name); i++) {
		X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(entry);
		int nid = OBJ_obj2nid(object);
		char key[96];
		int length;
		int left = room > at ? room - at : 0;

		key[0] = '/';
		if (nid != NID_undef)
			length = snprintf(key + 1, sizeof(key) - 2, "%s", OBJ_nid2sn(nid));
		else
			length = OBJ_obj2txt(key + 1, sizeof(key) - 2, object, 1);
		if (length < 0)
			length = 0;
		if (length > (int)sizeof(key) - 3)
			length = (int)sizeof(key) - 3;
		key[1 + length] = '=';
		at += sq_put_text(out + (left ? at : 0), left, key, length + 2);
		at = add_value(out, room, at, X509_NAME_ENTRY_get_data(entry));
	}
	ERR_clear_error();
	return at;
}

static int put_common_name(struct sq_tls *tls, char *out, int room)
{
	X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
	X509_NAME *name = certificate ? X509_get_subject_name(certificate) : NULL;
	int at = name ? X509_NAME_get_index_by_NID(name, NID_commonName, -1) : -1;
	int length;

	if (at < 0)
		return 0;
	length = add_value(out, room, 0, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	ERR_clear_error();
	return length;
}

static int put_failure(struct sq_tls *tls, char *out, int room)
{
	char text[320];
	int length;

	if (!tls->alert)
		return 0;
	length = snprintf(text, sizeof(text), "%s%s%s", sq_alert_name(tls->alert),
	                  tls->failure[0] ? ": " : "", tls->failure);
	return sq_put_text(out, room, text, length);
}

int sq_tls_text(struct sq_tls *tls, int which, char *out, int room)
{
	const unsigned char *alpn;
	unsigned int alpn_bytes;
	const char *text = NULL;

	switch (which) {
	case SQ_TEXT_SNI:
		text = tls->sni;
		break;
	case SQ_TEXT_ALPN:
		SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_bytes);
		return sq_put_text(out, room, (const char *)alpn, (int)alpn_bytes);
	case SQ_TEXT_CIPHER:
		text = SSL_get_current_cipher(tls->ssl) ? SSL_get_cipher_name(tls->ssl) : NULL;
		break;
	case SQ_TEXT_SUBJECT:
		return put_subject(tls, out, room);
	case SQ_TEXT_COMMON_NAME:
		return put_common_name(tls, out, room);
	case SQ_TEXT_FAILURE:
		return put_failure(tls, out, room);
	case SQ_TEXT_GROUP:
		text = SSL_get0_group_name(tls->ssl);
		break;
	case SQ_TEXT_KEY:
		return put_key(tls, out, room);
	case SQ_TEXT_SIGNATURE:
		return put_signature(tls, out, room);
	}
	return text ? sq_put_text(out, room, text, (int)strlen(text)) : 0;
}

static int is_peer_verified(struct sq_tls *tls)
{
	return tls->context->verify && SSL_get0_peer_certificate(tls->ssl) &&
	       SSL_get_verify_result(tls->ssl) == X509_V_OK;
}

int sq_tls_flags(struct sq_tls *tls)
{
	int flags = 0;

	if (SSL_session_reused(tls->ssl))
		flags |= 4;
	if (SSL_get_early_data_status(tls->ssl) == SSL_EARLY_DATA_ACCEPTED)
		flags |= 8;
	if (SSL_get0_peer_certificate(tls->ssl))
		flags |= 16;
	if (is_peer_verified(tls))
		flags |= 32;
	return flags;
}

int sq_tls_is_satisfied(struct sq_tls *tls)
{
	if (!tls->context->is_server || !tls->context->verify)
		return 1;
	/* A resumed session brings what was verified; else the client's answer must be there. */
	if (!SSL_is_init_finished(tls->ssl) && !SSL_session_reused(tls->ssl))
		return 0;
	return tls->context->verify == 1 || is_peer_verified(tls);
}

int sq_tls_ticket(struct sq_tls *tls, ngtcp2_conn *conn, uint8_t *out, int room)
{
	uint8_t parameters[PARAMETERS_BYTES_MAX];
	struct sq_ticket ticket = { .parameters = parameters };
	ngtcp2_ssize bytes;
	int length = 0;

	if (!tls->session)
		return 0;
	bytes = ngtcp2_conn_encode_0rtt_transport_params(conn, parameters, sizeof(parameters));
	if (bytes >= 0) {
		ticket.parameters_bytes = (int)bytes;
		ticket.session = tls->session;
		ticket.session_bytes = tls->session_bytes;
		length = sq_ticket_write(out, room, tls->binding, &ticket);
	}
	free(tls->session);
	tls->session = NULL;
	return length;
}

int sq_tls_use_ticket(struct sq_tls *tls, ngtcp2_conn *conn)
{
	if (!tls->context->is_early || tls->early_parameters_bytes == 0 ||
	    ngtcp2_conn_decode_and_set_0rtt_transport_params(
		    conn, tls->early_parameters, (size_t)tls->early_parameters_bytes) != 0)
		return 0;
	return SSL_set_quic_tls_early_data_enabled(tls->ssl, 1) == 1;
}

int sq_tls_alert(struct sq_tls *tls)
{
	return tls->alert;
}
