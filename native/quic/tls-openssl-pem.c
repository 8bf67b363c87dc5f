/*
 * Certificates, keys and authorities from PEM, with errors that people can act on. Part of TLS over
 * OpenSSL.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tls-openssl.h"

static X509_STORE *system_store;
static pthread_mutex_t system_lock = PTHREAD_MUTEX_INITIALIZER;

void sq_openssl_free_certificate(struct sq_certificate *certificate)
{
	X509_free(certificate->leaf);
	EVP_PKEY_free(certificate->key);
	OSSL_STACK_OF_X509_free(certificate->chain);
	memset(certificate, 0, sizeof(*certificate));
}

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
		sq_openssl_fail(what);
	} else if (sk_X509_num(list) == 0) {
		sq_openssl_fail("no certificate in PEM");
	} else {
		return list;
	}
	OSSL_STACK_OF_X509_free(list);
	return NULL;
}

/* 1: a text that begins with one of PEM's names of keys is in there. */
static int has_key(const char *pem, int bytes)
{
	static const char mark[] = "PRIVATE KEY-----";

	return memmem(pem, (size_t)bytes, mark, sizeof(mark) - 1) != NULL;
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
	error = ERR_peek_last_error();
	if (!has_key(pem, bytes)) {
		ERR_clear_error();
		sq_openssl_fail("no private key in PEM");
	} else if (ERR_GET_LIB(error) == ERR_LIB_PEM &&
	           ERR_GET_REASON(error) == PEM_R_BAD_PASSWORD_READ) {
		ERR_clear_error();
		sq_openssl_fail("the key is protected by a pass phrase");
	} else {
		sq_openssl_fail("the private key in PEM is broken");
	}
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

static int add_certificate(struct sq_tls_context *context, struct sq_certificate *certificate)
{
	size_t count = (size_t)context->certificate_count;
	struct sq_certificate *grown;

	if (X509_check_private_key(certificate->leaf, certificate->key) != 1) {
		ERR_clear_error();
		sq_tls_set_error("the key does not belong to the certificate");
		return SQ_TLS;
	}
	if (!context->is_server &&
	    SSL_CTX_use_cert_and_key(context->ssl, certificate->leaf, certificate->key,
	                             certificate->chain, 1) != 1)
		return sq_openssl_fail("the certificate cannot be used");
	grown = realloc(context->certificates, (count + 1) * sizeof(*grown));
	if (!grown)
		return sq_openssl_fail("no memory");
	context->certificates = grown;
	if (add_names(&context->names, certificate->leaf, (int)count) != 0)
		return sq_openssl_fail("no memory");
	grown[count] = *certificate;
	memset(certificate, 0, sizeof(*certificate));
	context->certificate_count++;
	return 0;
}

int sq_tls_context_certificate(struct sq_tls_context *context, const char *chain, int chain_bytes,
                               const char *key, int key_bytes)
{
	struct sq_certificate certificate = { 0 };
	int result = SQ_TLS;

	certificate.chain = read_certificates(chain, chain_bytes);
	if (!certificate.chain)
		return SQ_TLS;
	certificate.leaf = sk_X509_shift(certificate.chain);
	/* Without a key of its own: it stands beside the certificate, as in haproxy's files. */
	certificate.key = key_bytes > 0 ? read_key(key, key_bytes) : read_key(chain, chain_bytes);
	if (certificate.key)
		result = add_certificate(context, &certificate);
	sq_openssl_free_certificate(&certificate);
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

int sq_openssl_use_system(struct sq_tls_context *context)
{
	STACK_OF(X509_OBJECT) *known;
	int count;

	pthread_mutex_lock(&system_lock);
	if (!system_store)
		system_store = load_system();
	pthread_mutex_unlock(&system_lock);
	if (!system_store)
		return sq_openssl_fail("no memory");
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
		return sq_openssl_use_system(context);
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
		return sq_openssl_fail("an authority cannot be used");
	ERR_clear_error();
	context->has_authorities = 1;
	sq_digest_add(context->digest, pem, bytes);
	return 0;
}
