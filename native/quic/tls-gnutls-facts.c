/*
 * What is known of a session: flags, alerts, texts. Part of TLS over GnuTLS.
 */
#include <stdio.h>
#include <string.h>

#include "tls-gnutls.h"

int sq_tls_alert(struct sq_tls *tls)
{
	return ngtcp2_conn_get_tls_alert(sq_gnutls_conn(&tls->ref));
}

static int has_peer_certificate(struct sq_tls *tls)
{
	unsigned int count = 0;

	return gnutls_certificate_get_peers(tls->session, &count) && count > 0;
}

int sq_tls_flags(struct sq_tls *tls)
{
	int is_resumed = gnutls_session_is_resumed(tls->session);
	int has_certificate = has_peer_certificate(tls);
	int flags = is_resumed ? 4 : 0;

	if (gnutls_session_get_flags(tls->session) & GNUTLS_SFLAGS_EARLY_DATA)
		flags |= 8;
	if (has_certificate)
		flags |= 16;
	/* What a ticket of ours brings was verified when it was given. */
	if (has_certificate && tls->context->verify && (tls->is_verified || is_resumed))
		flags |= 32;
	return flags;
}

int sq_tls_is_satisfied(struct sq_tls *tls)
{
	int flags;

	if (!tls->context->is_server || !tls->context->verify)
		return 1;
	flags = sq_tls_flags(tls);
	if (tls->context->verify == 2)
		return (flags & 32) != 0;
	/* Optional: what was shown is verified, and it is known that nothing more comes. */
	return (flags & 4) || (flags & 16 ? (flags & 32) != 0 : ngtcp2_conn_get_handshake_completed(sq_gnutls_conn(&tls->ref)));
}

/* ---- texts ---- */

static const char *cipher_name(gnutls_session_t session)
{
	switch (gnutls_cipher_get(session)) {
	case GNUTLS_CIPHER_AES_128_GCM:
		return "TLS_AES_128_GCM_SHA256";
	case GNUTLS_CIPHER_AES_256_GCM:
		return "TLS_AES_256_GCM_SHA384";
	case GNUTLS_CIPHER_CHACHA20_POLY1305:
		return "TLS_CHACHA20_POLY1305_SHA256";
	default:
		return NULL;
	}
}

/* The names that OpenSSL has for them, and haproxy with it. */
static const char *signature_name(int algorithm)
{
	switch (algorithm) {
	case GNUTLS_SIGN_RSA_SHA1:
		return "RSA-SHA1";
	case GNUTLS_SIGN_RSA_SHA256:
		return "RSA-SHA256";
	case GNUTLS_SIGN_RSA_SHA384:
		return "RSA-SHA384";
	case GNUTLS_SIGN_RSA_SHA512:
		return "RSA-SHA512";
	case GNUTLS_SIGN_RSA_PSS_SHA256:
	case GNUTLS_SIGN_RSA_PSS_SHA384:
	case GNUTLS_SIGN_RSA_PSS_SHA512:
		return "RSASSA-PSS";
	case GNUTLS_SIGN_ECDSA_SHA256:
		return "ecdsa-with-SHA256";
	case GNUTLS_SIGN_ECDSA_SHA384:
		return "ecdsa-with-SHA384";
	case GNUTLS_SIGN_ECDSA_SHA512:
		return "ecdsa-with-SHA512";
	case GNUTLS_SIGN_EDDSA_ED25519:
		return "ED25519";
	default:
		return NULL;
	}
}

/* The peer's certificate, to be freed; NULL = none. */
static gnutls_x509_crt_t peer_certificate(struct sq_tls *tls)
{
	unsigned int count = 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(tls->session, &count);
	gnutls_x509_crt_t certificate;

	if (!list || count == 0 || gnutls_x509_crt_init(&certificate) != 0)
		return NULL;
	if (gnutls_x509_crt_import(certificate, &list[0], GNUTLS_X509_FMT_DER) == 0)
		return certificate;
	gnutls_x509_crt_deinit(certificate);
	return NULL;
}

/* Key or signature of the server's certificate, ours or the peer's. */
static int put_certificate(struct sq_tls *tls, int which, char *out, int room)
{
	const struct sq_certificate *own = tls->context->is_server
	                                           ? sq_gnutls_choose(tls->context, tls->sni, NULL, 0)
	                                           : NULL;
	gnutls_x509_crt_t certificate = own ? own->leaf : NULL;
	const char *name;
	char text[64] = "";
	unsigned int bits = 0;
	int kind;

	if (!tls->context->is_server)
		certificate = peer_certificate(tls);
	if (!certificate)
		return 0;
	if (which == SQ_TEXT_SIGNATURE) {
		name = signature_name(gnutls_x509_crt_get_signature_algorithm(certificate));
		snprintf(text, sizeof(text), "%s", name ? name : "");
	} else {
		kind = gnutls_x509_crt_get_pk_algorithm(certificate, &bits);
		if (kind == GNUTLS_PK_RSA || kind == GNUTLS_PK_RSA_PSS)
			snprintf(text, sizeof(text), "RSA%u", bits);
		else if (kind == GNUTLS_PK_ECDSA)
			snprintf(text, sizeof(text), "EC%u", bits);
		else if (kind == GNUTLS_PK_EDDSA_ED25519)
			snprintf(text, sizeof(text), "ED25519");
	}
	if (!tls->context->is_server)
		gnutls_x509_crt_deinit(certificate);
	return sq_put_text(out, room, text, (int)strlen(text));
}

/* The entries of the subject, the whole or the first common name. */
static int put_subject(struct sq_tls *tls, int is_common_name, char *out, int room)
{
	gnutls_x509_crt_t certificate = peer_certificate(tls);
	gnutls_x509_ava_st entry;
	gnutls_x509_dn_t dn;
	int at = 0;
	int rdn, ava;

	if (!certificate)
		return 0;
	if (gnutls_x509_crt_get_subject(certificate, &dn) != 0) {
		gnutls_x509_crt_deinit(certificate);
		return 0;
	}
	for (rdn = 0, ava = 0;;) {
		if (gnutls_x509_dn_get_rdn_ava(dn, rdn, ava, &entry) != 0) {
			if (ava == 0)
				break;
			rdn++;
			ava = 0;
			continue;
		}
		ava++;
		if (is_common_name) {
			if (strcmp((char *)entry.oid.data, GNUTLS_OID_X520_COMMON_NAME) != 0)
				continue;
			at = sq_add_value(out, room, 0, entry.value.data, (int)entry.value.size);
			break;
		}
		at = sq_add_entry(out, room, at,
		                  gnutls_x509_dn_oid_name((char *)entry.oid.data,
		                                          GNUTLS_X509_DN_OID_RETURN_OID));
		at = sq_add_value(out, room, at, entry.value.data, (int)entry.value.size);
	}
	gnutls_x509_crt_deinit(certificate);
	return at;
}

static int put_failure(struct sq_tls *tls, char *out, int room)
{
	int alert = sq_tls_alert(tls);
	char text[320];
	int length;

	if (!alert)
		return 0;
	length = snprintf(text, sizeof(text), "%s%s%s", sq_alert_name(alert),
	                  tls->failure[0] ? ": " : "", tls->failure);
	return sq_put_text(out, room, text, length);
}

int sq_tls_text(struct sq_tls *tls, int which, char *out, int room)
{
	const char *text = NULL;
	gnutls_datum_t alpn;

	switch (which) {
	case SQ_TEXT_SNI:
		text = tls->sni;
		break;
	case SQ_TEXT_ALPN:
		if (gnutls_alpn_get_selected_protocol(tls->session, &alpn) != 0)
			return 0;
		return sq_put_text(out, room, (const char *)alpn.data, (int)alpn.size);
	case SQ_TEXT_CIPHER:
		text = cipher_name(tls->session);
		break;
	case SQ_TEXT_SUBJECT:
		return put_subject(tls, 0, out, room);
	case SQ_TEXT_COMMON_NAME:
		return put_subject(tls, 1, out, room);
	case SQ_TEXT_FAILURE:
		return put_failure(tls, out, room);
	case SQ_TEXT_GROUP:
		text = gnutls_group_get_name(gnutls_group_get(tls->session));
		break;
	case SQ_TEXT_KEY:
	case SQ_TEXT_SIGNATURE:
		return put_certificate(tls, which, out, room);
	}
	return text ? sq_put_text(out, room, text, (int)strlen(text)) : 0;
}
