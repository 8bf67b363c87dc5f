/*
 * TLS behind one header: OpenSSL >= 3.5 (tls-openssl.c) or GnuTLS (tls-gnutls.c), whichever
 * ngtcp2's crypto library was built with. The core includes nothing of either.
 *
 * A context is shared by the connections of a profile and counted; a session belongs to one
 * connection.
 */
#ifndef SLUICE_QUIC_TLS_H
#define SLUICE_QUIC_TLS_H

#include <stdint.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

struct sq_tls_context;
struct sq_tls;

/* Once a process, any thread first; 0 or SQ_TLS. */
int sq_tls_start(void);
/* "OpenSSL 3.5.7" */
const char *sq_tls_version(void);
/* Text of this thread's last error; "" = none. */
const char *sq_tls_error(void);
void sq_tls_set_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct sq_tls_context *sq_tls_context_new(int is_server);
void sq_tls_context_hold(struct sq_tls_context *context);
void sq_tls_context_drop(struct sq_tls_context *context);
/* 0 or SQ_TLS, with a text that says what is wrong (key does not belong to the certificate …). */
int sq_tls_context_certificate(struct sq_tls_context *context, const char *chain, int chain_bytes,
                               const char *key, int key_bytes);
/* NULL, 0 = the system's: SQ_TLS if it has none. One that is no root is trusted as well. */
int sq_tls_context_authorities(struct sq_tls_context *context, const char *pem, int bytes);
/* A server without a list takes what its client likes best; none gets in without a protocol. */
int sq_tls_context_alpn(struct sq_tls_context *context, const uint8_t *wire, int bytes);
/* 0 none, 1 optional, 2 required. */
void sq_tls_context_verify(struct sq_tls_context *context, int mode);
void sq_tls_context_strict_sni(struct sq_tls_context *context, int is_strict);
void sq_tls_context_early(struct sq_tls_context *context, int is_allowed);
/* 32 bytes: keys of session tickets are made from it, so that all workers read each other's. */
void sq_tls_context_secret(struct sq_tls_context *context, const uint8_t *secret);

/*
 * A session over `ref` (its get_conn finds the ngtcp2_conn). Client: sni, verify_name, alpn (wire
 * form; 0 = the context's), ticket as in sq_connect. NULL on failure. The caller then gives
 * sq_tls_native to ngtcp2_conn_set_tls_native_handle.
 */
struct sq_tls *sq_tls_new(struct sq_tls_context *context, ngtcp2_crypto_conn_ref *ref,
                          const char *sni, int sni_bytes, const char *verify_name,
                          int verify_name_bytes, const uint8_t *alpn, int alpn_bytes,
                          const uint8_t *ticket, int ticket_bytes);
void *sq_tls_native(struct sq_tls *tls);
void sq_tls_free(struct sq_tls *tls);

/* After the handshake. Lengths; texts are cut to room. `which` as SQ_TEXT_* (those that are TLS's). */
int sq_tls_text(struct sq_tls *tls, int which, char *out, int room);
/* Bits as sq_conn_flags: 4 resumed, 8 early accepted, 16 certificate, 32 verified. */
int sq_tls_flags(struct sq_tls *tls);
/* A server session must not be taken for established while the client owes its certificate:
 * 1 = everything that `verify` asks for is there. */
int sq_tls_is_satisfied(struct sq_tls *tls);
/* Client: a ticket (with the transport parameters that early data needs) has come since the last
 * call: its length into out, 0 = none. */
int sq_tls_ticket(struct sq_tls *tls, ngtcp2_conn *conn, uint8_t *out, int room);
/* Client: may early data be sent with the ticket that was given? The transport parameters kept in it
 * are applied to `conn`. */
int sq_tls_use_ticket(struct sq_tls *tls, ngtcp2_conn *conn);
/* TLS alert that ended the handshake, 0 = none; its text goes to SQ_TEXT_FAILURE. */
int sq_tls_alert(struct sq_tls *tls);

#endif
