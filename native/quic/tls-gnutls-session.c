/*
 * Sessions: what a server decides when it has read a hello, verification, and tickets.
 * Part of TLS over GnuTLS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls-gnutls.h"

#define PROTOCOLS_MAX 16
/* GnuTLS's master key of tickets. */
#define TICKET_KEY_BYTES 64
#define EXTENSION_ALPN 16
#define EXTENSION_SERVER_NAME 0

ngtcp2_conn *sq_gnutls_conn(ngtcp2_crypto_conn_ref *ref)
{
	struct sq_tls *tls = (struct sq_tls *)ref;

	return tls->caller_ref->get_conn(tls->caller_ref);
}

static struct sq_tls *tls_of(gnutls_session_t session)
{
	return gnutls_session_get_ptr(session);
}

/* ---- a server reads a hello ---- */

/* Takes the name and the protocols out of the extensions of a hello. */
static int read_extension(void *data, unsigned int id, const unsigned char *bytes,
                          unsigned int length)
{
	struct sq_tls *tls = data;

	/* Length of the list, kind 0, length of the name, name. */
	if (id == EXTENSION_SERVER_NAME && length > 5 && bytes[2] == 0) {
		unsigned int name_bytes = (unsigned int)bytes[3] << 8 | bytes[4];

		if (name_bytes <= length - 5)
			sq_copy_name(tls->sni, (const char *)bytes + 5, (int)name_bytes);
	}
	if (id == EXTENSION_ALPN && length > 2) {
		tls->offered = bytes + 2;
		tls->offered_bytes = (int)length - 2;
	}
	return 0;
}

static int set_protocols(struct sq_tls *tls, const uint8_t *wire, int bytes, int flags)
{
	gnutls_datum_t list[PROTOCOLS_MAX];
	unsigned int count = 0;
	int at;

	for (at = 0; at < bytes && count < PROTOCOLS_MAX; at += 1 + wire[at]) {
		list[count].data = (unsigned char *)(uintptr_t)(wire + at + 1);
		list[count++].size = wire[at];
	}
	return gnutls_alpn_set_protocols(tls->session, list, count, (unsigned int)flags);
}

/* Tickets under a key that configuration and limits are part of. */
static int enable_tickets(struct sq_tls *tls)
{
	uint8_t bytes[TICKET_KEY_BYTES];
	gnutls_datum_t key = { bytes, sizeof(bytes) };
	struct sq_early_limits limits;
	uint8_t secret[SQ_DIGEST_BYTES];
	uint8_t digest[SQ_DIGEST_BYTES];
	int result;

	sq_early_limits_of(&limits, sq_gnutls_conn(&tls->ref));
	memset(limits.process, 0, sizeof(limits.process));
	sq_gnutls_seal(tls->context, digest);
	memcpy(secret, tls->context->secret, sizeof(secret));
	sq_digest_add(secret, digest, sizeof(digest));
	sq_digest_add(secret, &limits, sizeof(limits));
	result = sq_derive(bytes, sizeof(bytes), secret, "session tickets, GnuTLS");
	if (result == 0)
		result = gnutls_session_ticket_enable_server(tls->session, &key);
	gnutls_memset(bytes, 0, sizeof(bytes));
	gnutls_memset(secret, 0, sizeof(secret));
	return result;
}

static int meet_hello(gnutls_session_t session, unsigned int kind, unsigned int when,
                      unsigned int incoming, const gnutls_datum_t *message)
{
	struct sq_tls *tls = tls_of(session);
	struct sq_tls_context *context = tls->context;
	const struct sq_name *found;
	const uint8_t *chosen;
	int result;

	if (kind != GNUTLS_HANDSHAKE_CLIENT_HELLO || when != GNUTLS_HOOK_PRE || !incoming)
		return 0;
	tls->offered = NULL;
	result = gnutls_ext_raw_parse(tls, read_extension, message,
	                              GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
	if (result < 0)
		return result;
	chosen = tls->offered ? sq_alpn_choose(context->alpn, context->alpn_bytes, tls->offered,
	                                       tls->offered_bytes)
	                      : NULL;
	if (!chosen) {
		snprintf(tls->failure, sizeof(tls->failure), "no protocol in common");
		return GNUTLS_E_NO_APPLICATION_PROTOCOL;
	}
	if (context->is_strict &&
	    (!tls->sni[0] || sq_names_find(&context->names, tls->sni, &found) == 0)) {
		snprintf(tls->failure, sizeof(tls->failure), "no certificate for %s%.200s",
		         tls->sni[0] ? "the name " : "a client that names no server", tls->sni);
		return GNUTLS_E_UNRECOGNIZED_NAME;
	}
	result = set_protocols(tls, chosen, 1 + chosen[0], GNUTLS_ALPN_MANDATORY);
	return result ? result : enable_tickets(tls);
}

int sq_gnutls_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int count,
                       const gnutls_pk_algorithm_t *kinds, int kind_count, gnutls_pcert_st **chain,
                       unsigned int *chain_length, gnutls_privkey_t *key)
{
	struct sq_tls *tls = tls_of(session);
	const struct sq_certificate *certificate =
		sq_gnutls_choose(tls->context, tls->context->is_server ? tls->sni : NULL, kinds,
	                         kind_count);

	(void)authorities;
	(void)count;
	*chain_length = 0;
	if (!certificate)
		return 0;
	*chain = (gnutls_pcert_st *)(uintptr_t)certificate->chain;
	*chain_length = certificate->chain_length;
	*key = certificate->key;
	return 0;
}

/* ---- verification ---- */

static int verify_peer(gnutls_session_t session)
{
	struct sq_tls *tls = tls_of(session);
	gnutls_typed_vdata_st asked[2];
	unsigned int count = 0;
	unsigned int certificates;
	unsigned int status = 0;
	gnutls_datum_t text;
	int result;

	if (!gnutls_certificate_get_peers(session, &certificates) || certificates == 0)
		return 0; /* GnuTLS itself insists on one where it is required */
	asked[count].type = GNUTLS_DT_KEY_PURPOSE_OID;
	asked[count].size = 0;
	asked[count++].data = (void *)(uintptr_t)(tls->context->is_server ? GNUTLS_KP_TLS_WWW_CLIENT
	                                                                   : GNUTLS_KP_TLS_WWW_SERVER);
	if (tls->verify_name[0]) {
		asked[count].type = GNUTLS_DT_DNS_HOSTNAME;
		asked[count].size = 0;
		asked[count].data = (unsigned char *)tls->verify_name;
		if (sq_is_address(tls->verify_name)) {
			int is_v6 = sq_read_address(tls->verify_name, tls->address) == 16;

			asked[count].type = GNUTLS_DT_IP_ADDRESS;
			asked[count].size = is_v6 ? 16 : 4;
			asked[count].data = tls->address;
		}
		count++;
	}
	result = gnutls_certificate_verify_peers(session, asked, count, &status);
	if (result == 0 && status == 0) {
		tls->is_verified = 1;
		return 0;
	}
	if (result == 0 &&
	    gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) == 0) {
		snprintf(tls->failure, sizeof(tls->failure), "%s", text.data);
		gnutls_free(text.data);
	} else {
		snprintf(tls->failure, sizeof(tls->failure), "%s", gnutls_strerror(result));
	}
	return GNUTLS_E_CERTIFICATE_ERROR;
}

/* ---- sessions ---- */

static int keep_ticket(gnutls_session_t session, unsigned int kind, unsigned int when,
                       unsigned int incoming, const gnutls_datum_t *message)
{
	struct sq_tls *tls = tls_of(session);
	gnutls_datum_t data;

	(void)message;
	if (kind != GNUTLS_HANDSHAKE_NEW_SESSION_TICKET || when != GNUTLS_HOOK_POST || !incoming ||
	    gnutls_session_get_data2(session, &data) != 0)
		return 0;
	free(tls->kept);
	tls->kept = data.size <= SESSION_BYTES_MAX ? malloc(data.size) : NULL;
	tls->kept_bytes = (int)data.size;
	if (tls->kept)
		memcpy(tls->kept, data.data, data.size);
	gnutls_free(data.data);
	return 0;
}

static int begin_server(struct sq_tls *tls)
{
	struct sq_tls_context *context = tls->context;

	gnutls_handshake_set_hook_function(tls->session, GNUTLS_HANDSHAKE_CLIENT_HELLO,
	                                   GNUTLS_HOOK_PRE, meet_hello);
	if (context->is_early) {
		gnutls_anti_replay_enable(tls->session, sq_gnutls_replay);
		gnutls_record_set_max_early_data_size(tls->session, UINT32_MAX);
	}
	if (context->verify) {
		gnutls_certificate_server_set_request(tls->session, context->verify == 2
		                                                            ? GNUTLS_CERT_REQUIRE
		                                                            : GNUTLS_CERT_REQUEST);
		gnutls_session_set_verify_function(tls->session, verify_peer);
	}
	return ngtcp2_crypto_gnutls_configure_server_session(tls->session);
}

static int begin_client(struct sq_tls *tls)
{
	gnutls_handshake_set_hook_function(tls->session, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET,
	                                   GNUTLS_HOOK_POST, keep_ticket);
	if (tls->context->verify)
		gnutls_session_set_verify_function(tls->session, verify_peer);
	return ngtcp2_crypto_gnutls_configure_client_session(tls->session);
}

static int begin(struct sq_tls *tls)
{
	struct sq_tls_context *context = tls->context;
	unsigned int flags = context->is_server ? GNUTLS_SERVER : GNUTLS_CLIENT;
	int result;

	flags |= GNUTLS_NO_END_OF_EARLY_DATA;
	if (context->is_early)
		flags |= GNUTLS_ENABLE_EARLY_DATA;
	if (gnutls_init(&tls->session, flags) != 0) {
		tls->session = NULL;
		return SQ_TLS;
	}
	tls->ref.get_conn = sq_gnutls_conn;
	gnutls_session_set_ptr(tls->session, &tls->ref);
	result = gnutls_priority_set(tls->session, context->priority);
	if (result == 0)
		result = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE,
		                                context->credentials);
	if (result != 0)
		return SQ_TLS;
	sq_gnutls_seal(context, tls->binding);
	return context->is_server ? begin_server(tls) : begin_client(tls);
}

static int set_names(struct sq_tls *tls, const char *sni, int sni_bytes, const char *verify_name,
                     int verify_name_bytes)
{
	if (sq_copy_name(tls->sni, sni, sni_bytes) < 0 ||
	    sq_copy_name(tls->verify_name, verify_name, verify_name_bytes) < 0) {
		sq_tls_set_error("the server's name is too long");
		return SQ_TLS;
	}
	if (!tls->verify_name[0])
		memcpy(tls->verify_name, tls->sni, sizeof(tls->sni));
	sq_digest_add(tls->binding, tls->sni, (int)strlen(tls->sni));
	sq_digest_add(tls->binding, tls->verify_name, (int)strlen(tls->verify_name));
	/* An address is no name of a host (RFC 6066, section 3). */
	if (tls->sni[0] && !sq_is_address(tls->sni) &&
	    gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, tls->sni, strlen(tls->sni)) != 0) {
		sq_tls_set_error("the server's name cannot be used");
		return SQ_TLS;
	}
	return 0;
}

static int offer_protocols(struct sq_tls *tls, const uint8_t *alpn, int alpn_bytes)
{
	if (alpn_bytes <= 0) {
		alpn = tls->context->alpn;
		alpn_bytes = tls->context->alpn_bytes;
	}
	sq_digest_add(tls->binding, alpn, alpn_bytes);
	if (alpn_bytes > 0 && (!sq_alpn_is_valid(alpn, alpn_bytes) ||
	                       set_protocols(tls, alpn, alpn_bytes, GNUTLS_ALPN_MANDATORY) != 0)) {
		sq_tls_set_error("the list of protocols is broken");
		return SQ_TLS;
	}
	return 0;
}

/* A ticket that is not of use is no error: the handshake is a full one. */
static void offer_ticket(struct sq_tls *tls, const uint8_t *bytes, int length)
{
	struct sq_ticket ticket;

	if (!bytes || !sq_ticket_read(bytes, length, tls->binding, &ticket) ||
	    gnutls_session_set_data(tls->session, ticket.session, (size_t)ticket.session_bytes) != 0)
		return;
	if (ticket.parameters_bytes > PARAMETERS_BYTES_MAX ||
	    gnutls_record_get_max_early_data_size(tls->session) == 0)
		return;
	memcpy(tls->early_parameters, ticket.parameters, (size_t)ticket.parameters_bytes);
	tls->early_parameters_bytes = ticket.parameters_bytes;
}

struct sq_tls *sq_tls_new(struct sq_tls_context *context, ngtcp2_crypto_conn_ref *ref,
                          const char *sni, int sni_bytes, const char *verify_name,
                          int verify_name_bytes, const uint8_t *alpn, int alpn_bytes,
                          const uint8_t *ticket, int ticket_bytes)
{
	struct sq_tls *tls;

	if (context->verify && !context->is_server && !context->has_authorities &&
	    sq_gnutls_use_system(context) != 0)
		return NULL;
	tls = calloc(1, sizeof(*tls));
	if (!tls)
		return NULL;
	sq_tls_context_hold(context);
	tls->context = context;
	tls->caller_ref = ref;
	if (begin(tls) != 0) {
		sq_tls_set_error("no TLS session");
		sq_tls_free(tls);
		return NULL;
	}
	if (context->is_server)
		return tls;
	if (set_names(tls, sni, sni_bytes, verify_name, verify_name_bytes) != 0 ||
	    offer_protocols(tls, alpn, alpn_bytes) != 0) {
		sq_tls_free(tls);
		return NULL;
	}
	offer_ticket(tls, ticket, ticket_bytes);
	return tls;
}

void *sq_tls_native(struct sq_tls *tls)
{
	return tls->session;
}

void sq_tls_free(struct sq_tls *tls)
{
	if (!tls)
		return;
	if (tls->session)
		gnutls_deinit(tls->session);
	free(tls->kept);
	sq_tls_context_drop(tls->context);
	free(tls);
}

int sq_tls_ticket(struct sq_tls *tls, ngtcp2_conn *conn, uint8_t *out, int room)
{
	uint8_t parameters[PARAMETERS_BYTES_MAX];
	struct sq_ticket ticket = { .parameters = parameters };
	ngtcp2_ssize bytes;
	int length = 0;

	if (!tls->kept)
		return 0;
	bytes = ngtcp2_conn_encode_0rtt_transport_params(conn, parameters, sizeof(parameters));
	if (bytes >= 0) {
		ticket.parameters_bytes = (int)bytes;
		ticket.session = tls->kept;
		ticket.session_bytes = tls->kept_bytes;
		length = sq_ticket_write(out, room, tls->binding, &ticket);
	}
	free(tls->kept);
	tls->kept = NULL;
	return length;
}

int sq_tls_use_ticket(struct sq_tls *tls, ngtcp2_conn *conn)
{
	return tls->context->is_early && tls->early_parameters_bytes > 0 &&
	       ngtcp2_conn_decode_and_set_0rtt_transport_params(
		       conn, tls->early_parameters, (size_t)tls->early_parameters_bytes) == 0;
}
