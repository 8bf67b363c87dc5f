/*
 * TLS over GnuTLS >= 3.7 and ngtcp2's crypto library for it: contexts, certificates, authorities.
 * See tls.h. For systems without a new OpenSSL; the library is the system's, linked dynamically.
 *
 * Early data on a server: GnuTLS gives the register each hello with early data, and refuses tickets
 * that are older than the register. Tickets are sealed with a key that the limits of the transport
 * are part of, so a ticket from before they changed is a full handshake.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls-gnutls.h"

/* The cheapest strong cipher first: every packet pays for it. */
#define PRIORITY                                                                                 \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305" \
	":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1"           \
	":%DISABLE_TLS13_COMPAT_MODE"
/* Longer than what sq_replay_is_new remembers would let a hello in twice. */
#define REPLAY_WINDOW_MS 10000

gnutls_anti_replay_t sq_gnutls_replay;

/* ---- process ---- */

static int start_result;

static int meet(void *data, time_t expires, const gnutls_datum_t *key, const gnutls_datum_t *value)
{
	(void)data;
	(void)expires;
	(void)value;
	return sq_replay_is_new(key->data, (int)key->size) ? 0 : GNUTLS_E_DB_ENTRY_EXISTS;
}

static void start_once(void)
{
	if (gnutls_global_init() != 0 || sq_process_name_start() != 0 ||
	    gnutls_anti_replay_init(&sq_gnutls_replay) != 0) {
		start_result = SQ_TLS;
		return;
	}
	gnutls_anti_replay_set_add_function(sq_gnutls_replay, meet);
	gnutls_anti_replay_set_window(sq_gnutls_replay, REPLAY_WINDOW_MS);
}

int sq_tls_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start_once);
	if (start_result)
		sq_tls_set_error("GnuTLS does not start");
	return start_result;
}

void *sq_tls_sha256(void)
{
	return (void *)(intptr_t)GNUTLS_MAC_SHA256;
}

const char *sq_tls_version(void)
{
	static char text[64];

	if (!text[0])
		snprintf(text, sizeof(text), "GnuTLS %s", gnutls_check_version(NULL));
	return text;
}

static int fail(const char *what, int reason)
{
	if (reason < 0)
		sq_tls_set_error("%s: %s", what, gnutls_strerror(reason));
	else
		sq_tls_set_error("%s", what);
	return SQ_TLS;
}

/* ---- context ---- */

struct sq_tls_context *sq_tls_context_new(int is_server)
{
	struct sq_tls_context *context;
	int result;

	if (sq_tls_start() != 0)
		return NULL;
	context = calloc(1, sizeof(*context));
	if (!context)
		return NULL;
	atomic_init(&context->holders, 1);
	context->is_server = is_server;
	result = gnutls_priority_init(&context->priority, PRIORITY, NULL);
	if (result == 0)
		result = gnutls_certificate_allocate_credentials(&context->credentials);
	/* Until a secret is given: one that nobody else has. */
	if (result == 0)
		result = gnutls_rnd(GNUTLS_RND_KEY, context->secret, sizeof(context->secret));
	if (result != 0) {
		fail("no TLS context", result);
		sq_tls_context_drop(context);
		return NULL;
	}
	gnutls_certificate_set_retrieve_function2(context->credentials, sq_gnutls_retrieve);
	return context;
}

void sq_tls_context_hold(struct sq_tls_context *context)
{
	atomic_fetch_add(&context->holders, 1);
}

static void free_certificate(struct sq_certificate *certificate)
{
	unsigned int i;

	for (i = 0; i < certificate->chain_length; i++)
		gnutls_pcert_deinit(&certificate->chain[i]);
	if (certificate->leaf)
		gnutls_x509_crt_deinit(certificate->leaf);
	if (certificate->key)
		gnutls_privkey_deinit(certificate->key);
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
	if (context->credentials)
		gnutls_certificate_free_credentials(context->credentials);
	if (context->priority)
		gnutls_priority_deinit(context->priority);
	gnutls_memset(context->secret, 0, sizeof(context->secret));
	free(context);
}

void sq_gnutls_seal(struct sq_tls_context *context, uint8_t *digest)
{
	uint8_t verify = (uint8_t)context->verify;

	memcpy(digest, context->digest, SQ_DIGEST_BYTES);
	sq_digest_add(digest, &verify, 1);
}

/* ---- PEM ---- */

/* The next block of PEM whose label ends with `label`; NULL = none. `length` up to its end, or to
 * the end of the text if it has none. */
static const char *find_block(const char *from, const char *end, const char *label, size_t *length)
{
	const char *begin = from;

	while ((begin = memmem(begin, (size_t)(end - begin), "-----BEGIN ", 11)) != NULL) {
		const char *name = begin + 11;
		const char *dashes = memmem(name, (size_t)(end - name), "-----", 5);
		size_t bytes = strlen(label);
		const char *stop;

		if (!dashes)
			return NULL;
		if ((size_t)(dashes - name) < bytes || memcmp(dashes - bytes, label, bytes) != 0) {
			begin = dashes;
			continue;
		}
		stop = memmem(dashes, (size_t)(end - dashes), "-----END ", 9);
		stop = stop ? memmem(stop + 9, (size_t)(end - stop - 9), "-----", 5) : NULL;
		*length = (size_t)((stop ? stop + 5 : end) - begin);
		return begin;
	}
	return NULL;
}

/* Calls `take` with each certificate of a PEM. 0 or SQ_TLS. */
static int each_certificate(const char *pem, int bytes,
                            int (*take)(void *data, gnutls_x509_crt_t certificate), void *data)
{
	const char *end = pem + (bytes > 0 ? bytes : 0);
	const char *at = pem;
	size_t length;
	int number = 0;

	while ((at = find_block(at, end, "CERTIFICATE", &length)) != NULL) {
		gnutls_datum_t block = { (unsigned char *)(uintptr_t)at, (unsigned int)length };
		gnutls_x509_crt_t certificate;
		int result = gnutls_x509_crt_init(&certificate);

		number++;
		if (result != 0)
			return fail("no memory", result);
		result = gnutls_x509_crt_import(certificate, &block, GNUTLS_X509_FMT_PEM);
		if (result != 0) {
			gnutls_x509_crt_deinit(certificate);
			sq_tls_set_error("certificate %d in PEM is broken: %s", number,
			                 gnutls_strerror(result));
			return SQ_TLS;
		}
		result = take(data, certificate);
		if (result != 0)
			return result;
		at += length;
	}
	return number ? 0 : fail("no certificate in PEM", 0);
}

static int take_chain(void *data, gnutls_x509_crt_t one)
{
	struct sq_certificate *certificate = data;
	gnutls_pcert_st *link = &certificate->chain[certificate->chain_length];
	int result;

	if (certificate->chain_length == CHAIN_MAX) {
		gnutls_x509_crt_deinit(one);
		return fail("too many certificates in a chain", 0);
	}
	result = gnutls_pcert_import_x509(link, one, 0);
	if (result != 0) {
		gnutls_x509_crt_deinit(one);
		return fail("the certificate cannot be used", result);
	}
	if (certificate->chain_length++ == 0)
		certificate->leaf = one;
	else
		gnutls_x509_crt_deinit(one);
	return 0;
}

static int read_key(struct sq_certificate *certificate, const char *pem, int bytes)
{
	size_t length;
	const char *at = find_block(pem, pem + bytes, "PRIVATE KEY", &length);
	gnutls_datum_t block = { (unsigned char *)(uintptr_t)at, (unsigned int)length };
	int result;

	if (!at)
		return fail("no private key in PEM", 0);
	result = gnutls_privkey_init(&certificate->key);
	if (result != 0)
		return fail("no memory", result);
	result = gnutls_privkey_import_x509_raw(certificate->key, &block, GNUTLS_X509_FMT_PEM, NULL,
	                                        GNUTLS_PKCS_PLAIN);
	if (result == 0)
		return 0;
	if (memmem(at, length, "ENCRYPTED", 9))
		return fail("the key is protected by a pass phrase", 0);
	return fail("the private key in PEM is broken", result);
}

/* 1: the key is the certificate's. */
static int is_pair(const struct sq_certificate *certificate)
{
	unsigned char ids[2][64];
	size_t lengths[2] = { sizeof(ids[0]), sizeof(ids[1]) };
	gnutls_pubkey_t own;
	int result = gnutls_pubkey_init(&own);

	if (result != 0)
		return 0;
	result = gnutls_pubkey_import_privkey(own, certificate->key, 0, 0);
	if (result == 0)
		result = gnutls_pubkey_get_key_id(own, 0, ids[0], &lengths[0]);
	if (result == 0)
		result = gnutls_x509_crt_get_key_id(certificate->leaf, 0, ids[1], &lengths[1]);
	gnutls_pubkey_deinit(own);
	return result == 0 && lengths[0] == lengths[1] && memcmp(ids[0], ids[1], lengths[0]) == 0;
}

static int add_names(struct sq_names *names, gnutls_x509_crt_t leaf, int certificate)
{
	char text[SQ_NAME_MAX + 1];
	size_t length;
	unsigned int i;
	int kind;
	int result = 0;

	for (i = 0;; i++) {
		length = sizeof(text);
		kind = gnutls_x509_crt_get_subject_alt_name(leaf, i, text, &length, NULL);
		if (kind == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue;
		if (kind < 0)
			break;
		if (kind == GNUTLS_SAN_DNSNAME)
			result |= sq_names_add(names, text, (int)length, certificate);
	}
	for (i = 0;; i++) {
		length = sizeof(text);
		kind = gnutls_x509_crt_get_dn_by_oid(leaf, GNUTLS_OID_X520_COMMON_NAME, i, 0, text,
		                                     &length);
		if (kind == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue;
		if (kind < 0)
			break;
		result |= sq_names_add(names, text, (int)length, certificate);
	}
	return result;
}

int sq_tls_context_certificate(struct sq_tls_context *context, const char *chain, int chain_bytes,
                               const char *key, int key_bytes)
{
	struct sq_certificate certificate = { 0 };
	struct sq_certificate *grown;
	size_t count = (size_t)context->certificate_count;
	int result = each_certificate(chain, chain_bytes, take_chain, &certificate);

	/* Without a key of its own: it stands beside the certificate, as in haproxy's files. */
	if (result == 0)
		result = key_bytes > 0 ? read_key(&certificate, key, key_bytes)
		                       : read_key(&certificate, chain, chain_bytes);
	if (result == 0 && !is_pair(&certificate))
		result = fail("the key does not belong to the certificate", 0);
	if (result != 0) {
		free_certificate(&certificate);
		return result;
	}
	certificate.kind =
		(gnutls_pk_algorithm_t)gnutls_x509_crt_get_pk_algorithm(certificate.leaf, NULL);
	grown = realloc(context->certificates, (count + 1) * sizeof(*grown));
	if (grown)
		context->certificates = grown;
	if (!grown || add_names(&context->names, certificate.leaf, (int)count) != 0) {
		free_certificate(&certificate);
		return fail("no memory", 0);
	}
	grown[count] = certificate;
	context->certificate_count++;
	sq_digest_add(context->digest, chain, chain_bytes);
	return 0;
}

const struct sq_certificate *sq_gnutls_choose(struct sq_tls_context *context, const char *name,
                                              const gnutls_pk_algorithm_t *kinds, int kind_count)
{
	const struct sq_name *found;
	int count = name && name[0] ? sq_names_find(&context->names, name, &found) : 0;
	int i, j;

	if (context->certificate_count == 0)
		return NULL;
	if (count == 0)
		return &context->certificates[0];
	for (i = 0; i < count; i++)
		for (j = 0; j < kind_count; j++)
			if (context->certificates[found[i].certificate].kind == kinds[j])
				return &context->certificates[found[i].certificate];
	return &context->certificates[found[0].certificate];
}

/* ---- authorities ---- */

int sq_gnutls_use_system(struct sq_tls_context *context)
{
	int count = gnutls_certificate_set_x509_system_trust(context->credentials);
	int i;

	for (i = 0; count <= 0 && sq_authority_files[i]; i++)
		count = gnutls_certificate_set_x509_trust_file(context->credentials,
		                                               sq_authority_files[i],
		                                               GNUTLS_X509_FMT_PEM);
	if (count <= 0) {
		sq_tls_set_error("the system has no trusted authorities: install ca-certificates, or "
		                 "name a file of your own");
		return SQ_TLS;
	}
	context->has_authorities = 1;
	return 0;
}

static int take_authority(void *data, gnutls_x509_crt_t authority)
{
	struct sq_tls_context *context = data;
	int count = gnutls_certificate_set_x509_trust(context->credentials, &authority, 1);

	gnutls_x509_crt_deinit(authority);
	return count == 1 ? 0 : fail("an authority cannot be used", count);
}

int sq_tls_context_authorities(struct sq_tls_context *context, const char *pem, int bytes)
{
	int result;

	if (bytes <= 0)
		return sq_gnutls_use_system(context);
	result = each_certificate(pem, bytes, take_authority, context);
	if (result != 0)
		return result;
	context->has_authorities = 1;
	sq_digest_add(context->digest, pem, bytes);
	return 0;
}

/* ---- settings ---- */

int sq_tls_context_alpn(struct sq_tls_context *context, const uint8_t *wire, int bytes)
{
	uint8_t *copy = NULL;

	if (bytes > 0) {
		if (!sq_alpn_is_valid(wire, bytes))
			return fail("the list of protocols is broken", 0);
		copy = malloc((size_t)bytes);
		if (!copy)
			return fail("no memory", 0);
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
}

void sq_tls_context_strict_sni(struct sq_tls_context *context, int is_strict)
{
	context->is_strict = is_strict;
}

void sq_tls_context_early(struct sq_tls_context *context, int is_allowed)
{
	context->is_early = is_allowed;
}

void sq_tls_context_secret(struct sq_tls_context *context, const uint8_t *secret)
{
	memcpy(context->secret, secret, sizeof(context->secret));
}
