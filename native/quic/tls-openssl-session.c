/*
 * Sessions: their names, protocols and tickets, and what is known of them after the handshake. Part
 * of TLS over OpenSSL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "tls-openssl.h"

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
	return is_good ? 0 : sq_openssl_fail("the server's name cannot be used");
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
		return sq_openssl_fail("the list of protocols is broken");
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
		return sq_openssl_fail("no TLS session");
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

	if (sq_openssl_seal(context) != 0)
		return NULL;
	tls = calloc(1, sizeof(*tls));
	if (!tls)
		return NULL;
	sq_tls_context_hold(context);
	tls->context = context;
	tls->caller_ref = ref;
	if (begin(tls) != 0) {
		sq_openssl_fail("no TLS session");
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

static int add_value(char *out, int room, int at, const ASN1_STRING *value)
{
	unsigned char *text;
	int length = ASN1_STRING_to_UTF8(&text, value);

	if (length < 0)
		return at;
	at = sq_add_value(out, room, at, text, length);
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
		char key[96] = "";

		if (nid != NID_undef)
			snprintf(key, sizeof(key), "%s", OBJ_nid2sn(nid));
		else
			OBJ_obj2txt(key, sizeof(key), object, 1);
		at = sq_add_entry(out, room, at, key);
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
		/* OpenSSL looks into the session, which there may not be yet. */
		text = SSL_get_session(tls->ssl) ? SSL_get0_group_name(tls->ssl) : NULL;
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
