/*
 * Inside of TLS over OpenSSL, for its files only: tls-openssl.c (contexts, what a server decides),
 * tls-openssl-pem.c (certificates, keys, authorities), tls-openssl-session.c (sessions and facts).
 */
#ifndef SLUICE_QUIC_TLS_OPENSSL_H
#define SLUICE_QUIC_TLS_OPENSSL_H

#include <stdatomic.h>

#include <ngtcp2/ngtcp2_crypto_ossl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tls-base.h"

#if OPENSSL_VERSION_NUMBER < 0x30500000L
#error "OpenSSL 3.5 or newer is needed"
#endif

#define PARAMETERS_BYTES_MAX 512

struct sq_certificate {
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) *chain;
};

struct sq_tls_context {
	atomic_int holders;
	int is_server;
	SSL_CTX *ssl;
	struct sq_certificate *certificates;
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

/* Keeps `what` with OpenSSL's reason as the error of this thread; SQ_TLS. */
int sq_openssl_fail(const char *what);
/* Before the first session after a change. 0 or SQ_TLS. */
int sq_openssl_seal(struct sq_tls_context *context);
void sq_openssl_free_certificate(struct sq_certificate *certificate);
/* The system's authorities become the context's. 0 or SQ_TLS. */
int sq_openssl_use_system(struct sq_tls_context *context);

#endif
