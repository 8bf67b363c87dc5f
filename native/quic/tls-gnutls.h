/*
 * Inside of TLS over GnuTLS, for its files only: tls-gnutls.c (contexts, certificates, authorities),
 * tls-gnutls-session.c (sessions), tls-gnutls-facts.c (what is known after the handshake).
 */
#ifndef SLUICE_QUIC_TLS_GNUTLS_H
#define SLUICE_QUIC_TLS_GNUTLS_H

#include <stdatomic.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "tls-base.h"

#define CHAIN_MAX 16
#define PARAMETERS_BYTES_MAX 512
/* A session of the library that is kept: certificate, ticket, secrets. */
#define SESSION_BYTES_MAX 16384

struct sq_certificate {
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned int chain_length;
	gnutls_x509_crt_t leaf;
	gnutls_privkey_t key;
	gnutls_pk_algorithm_t kind;
};

struct sq_tls_context {
	atomic_int holders;
	int is_server;
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	struct sq_certificate *certificates;
	int certificate_count;
	struct sq_names names;
	uint8_t *alpn;
	int alpn_bytes;
	int verify;
	int is_strict;
	int is_early;
	int has_authorities;
	/* Of certificates and authorities: sessions verified against others are not resumed. */
	uint8_t digest[SQ_DIGEST_BYTES];
	uint8_t secret[SQ_DIGEST_BYTES];
};

struct sq_tls {
	ngtcp2_crypto_conn_ref ref; /* first: what GnuTLS's callbacks get */
	ngtcp2_crypto_conn_ref *caller_ref;
	struct sq_tls_context *context;
	gnutls_session_t session;
	int is_verified;
	char failure[256];
	char sni[SQ_NAME_MAX + 1];
	char verify_name[SQ_NAME_MAX + 1];
	uint8_t address[16]; /* of verify_name, if it is one */
	uint8_t binding[SQ_DIGEST_BYTES];
	uint8_t *kept; /* session that has come, until it is fetched */
	int kept_bytes;
	uint8_t early_parameters[PARAMETERS_BYTES_MAX]; /* of the ticket that was given */
	int early_parameters_bytes;
	/* Server: the client's list of protocols, while its hello is read. */
	const uint8_t *offered;
	int offered_bytes;
};

/* One for the process: what has been met does not depend on the thread. */
extern gnutls_anti_replay_t sq_gnutls_replay;

/* The certificate for a name, NULL = none at all. `kinds`: keys that the peer can verify, or NULL. */
const struct sq_certificate *sq_gnutls_choose(struct sq_tls_context *context, const char *name,
                                              const gnutls_pk_algorithm_t *kinds, int kind_count);
/* What a context verifies and shows, in a digest. */
void sq_gnutls_seal(struct sq_tls_context *context, uint8_t *digest);
/* The system's authorities become the context's. 0 or SQ_TLS. */
int sq_gnutls_use_system(struct sq_tls_context *context);
/* The connection of a session; `ref` is a struct sq_tls. */
ngtcp2_conn *sq_gnutls_conn(ngtcp2_crypto_conn_ref *ref);
/* Callback of the credentials; of tls-gnutls-session.c. */
gnutls_certificate_retrieve_function2 sq_gnutls_retrieve;

#endif
