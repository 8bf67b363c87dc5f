/* Profiles: the settings and the TLS context of a listener, or of the way to a server. */
#include <stdlib.h>

#include "internal.h"

struct sq_profile *sq_profile_new(int is_server)
{
	struct sq_profile *profile = calloc(1, sizeof(*profile));
	double *set;

	if (!profile)
		return NULL;
	if (sq_tls_start() != 0 || !(profile->tls = sq_tls_context_new(is_server))) {
		free(profile);
		return NULL;
	}
	profile->references = 1;
	profile->is_server = is_server;
	set = profile->settings;
	set[SQ_SET_IDLE_MS] = 30000;
	set[SQ_SET_HANDSHAKE_MS] = 10000;
	set[SQ_SET_STREAMS_BIDI] = 100;
	set[SQ_SET_STREAMS_UNI] = 100;
	set[SQ_SET_STREAM_WINDOW] = 256 << 10;
	set[SQ_SET_CONNECTION_WINDOW] = 1 << 20;
	set[SQ_SET_SEND_BUFFER] = 512 << 10;
	set[SQ_SET_DATAGRAM_QUEUE] = 128;
	set[SQ_SET_RETRY] = 2;
	set[SQ_SET_RETRY_FROM] = 100;
	set[SQ_SET_HALF_OPEN_MAX] = 10000;
	set[SQ_SET_CONNECTIONS_MAX] = 100000;
	set[SQ_SET_VERIFY] = is_server ? 0 : 2;
	set[SQ_SET_MIGRATION] = 1;
	set[SQ_SET_REJECT_LOW_PORTS] = 1;
	set[SQ_SET_GSO] = 1;
	sq_tls_context_verify(profile->tls, is_server ? 0 : 2);
	return profile;
}

struct sq_profile *sq_profile_hold(struct sq_profile *profile)
{
	profile->references++;
	return profile;
}

void sq_profile_free(struct sq_profile *profile)
{
	if (!profile || --profile->references > 0)
		return;
	sq_tls_context_drop(profile->tls);
	free(profile);
}

uint64_t sq_profile_first_window(const struct sq_profile *profile)
{
	const double *set = profile->settings;
	double streams = set[SQ_SET_STREAMS_BIDI] + set[SQ_SET_STREAMS_UNI];
	double share = set[SQ_SET_CONNECTION_WINDOW] / 2 / (streams > 1 ? streams : 1);

	if (share > set[SQ_SET_STREAM_WINDOW])
		share = set[SQ_SET_STREAM_WINDOW];
	return share > 1 ? (uint64_t)share : 1;
}

int sq_profile_set(struct sq_profile *profile, int setting, double value)
{
	if (setting < 0 || setting >= SQ_SET_COUNT || !(value >= 0))
		return SQ_GONE;
	profile->settings[setting] = value;
	if (setting == SQ_SET_VERIFY)
		sq_tls_context_verify(profile->tls, (int)value);
	else if (setting == SQ_SET_STRICT_SNI)
		sq_tls_context_strict_sni(profile->tls, (int)value);
	else if (setting == SQ_SET_EARLY)
		sq_tls_context_early(profile->tls, (int)value);
	return 0;
}

int sq_profile_certificate(struct sq_profile *profile, const char *chain, int chain_bytes,
                           const char *key, int key_bytes)
{
	return sq_tls_context_certificate(profile->tls, chain, chain_bytes, key, key_bytes);
}

int sq_profile_authorities(struct sq_profile *profile, const char *pem, int bytes)
{
	return sq_tls_context_authorities(profile->tls, pem, bytes);
}

int sq_profile_alpn(struct sq_profile *profile, const uint8_t *wire, int bytes)
{
	return sq_tls_context_alpn(profile->tls, wire, bytes);
}
