/*
 * Packets that belong to no connection: who is let in, and what is answered without keeping
 * anything (version negotiation, Retry, refusals, stateless resets).
 *
 *   a client's first packet ─▶ accepting? ─▶ port ─▶ token? ─▶ connections ─▶ half open ─▶ Retry? ─▶ in
 */
#include <string.h>
#include <time.h>

#include "internal.h"

#define RETRY_SECONDS 10
/* What clocks of hosts that share the secret may differ by. */
#define SKEW_SECONDS 5
/* Stateless resets per second, so that two that know each other no more cannot play ping-pong. */
#define RESETS_PER_SECOND 1000
/* A reset is shorter than what it answers, and not shorter than this (RFC 9000, 10.3). */
#define RESET_BYTES_MIN 21
#define RESET_BYTES_MAX 43

static double setting(const struct sq_endpoint *endpoint, int which)
{
	return endpoint->profile->settings[which];
}

/* Sends `length` bytes that were written to sq_send_room back to where the packet came from. */
static void answer(struct sq_engine *engine, struct sq_endpoint *endpoint,
                   const struct sq_packet *packet, ngtcp2_ssize length)
{
	if (length > 0)
		sq_send_add(engine, endpoint, 0, packet->remote, packet->remote_bytes,
		            packet->local, (size_t)length, 0, 0);
}

static void negotiate_version(struct sq_engine *engine, struct sq_endpoint *endpoint,
                              const struct sq_packet *packet, const ngtcp2_version_cid *ids)
{
	uint32_t versions[2] = { NGTCP2_PROTO_VER_V1, NGTCP2_PROTO_VER_V2 };
	uint8_t random;
	uint8_t *out = sq_send_room(engine, endpoint);

	if (!out || ids->dcidlen > 255 || ids->scidlen > 255)
		return;
	sq_random(engine, &random, 1);
	endpoint->counts[SQ_N_VERSION_NEGOTIATIONS]++;
	answer(engine, endpoint, packet,
	       ngtcp2_pkt_write_version_negotiation(out, 1200, random, ids->scid, ids->scidlen,
	                                            ids->dcid, ids->dcidlen, versions, 2));
}

static void reset_statelessly(struct sq_engine *engine, struct sq_endpoint *endpoint,
                              const struct sq_packet *packet, const uint8_t *id)
{
	ngtcp2_stateless_reset_token token;
	ngtcp2_cid cid;
	uint8_t random[RESET_BYTES_MAX];
	size_t length = packet->length - 1;
	uint8_t *out;

	if (packet->length <= RESET_BYTES_MIN)
		return;
	if (engine->now >= engine->resets_at + 1000 * MILLIS) {
		engine->resets_at = engine->now;
		engine->resets_left = RESETS_PER_SECOND;
	}
	if (engine->resets_left <= 0)
		return;
	if (length > RESET_BYTES_MAX)
		length = RESET_BYTES_MAX;
	ngtcp2_cid_init(&cid, id, CID_BYTES);
	if (ngtcp2_crypto_generate_stateless_reset_token(token.data, engine->reset_key,
	                                                 sizeof(engine->reset_key), &cid) != 0)
		return;
	out = sq_send_room(engine, endpoint);
	if (!out)
		return;
	engine->resets_left--;
	sq_random(engine, random, sizeof(random));
	endpoint->counts[SQ_N_RESETS_SENT]++;
	answer(engine, endpoint, packet,
	       ngtcp2_pkt_write_stateless_reset2(out, length, &token, random,
	                                         length - NGTCP2_STATELESS_RESET_TOKENLEN));
}

static void refuse(struct sq_engine *engine, struct sq_endpoint *endpoint,
                   const struct sq_packet *packet, const ngtcp2_pkt_hd *head, uint64_t code)
{
	uint8_t *out = sq_send_room(engine, endpoint);

	if (out)
		answer(engine, endpoint, packet,
		       ngtcp2_crypto_write_connection_close(out, 1200, head->version, &head->scid,
		                                            &head->dcid, code, NULL, 0));
}

/* The time of day, which the hosts that share the key of tokens have in common. */
static uint64_t time_of_day(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static void retry(struct sq_engine *engine, struct sq_endpoint *endpoint,
                  const struct sq_packet *packet, const ngtcp2_pkt_hd *head)
{
	uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2];
	ngtcp2_cid id;
	ngtcp2_ssize length;
	uint8_t *out = sq_send_room(engine, endpoint);

	if (!out)
		return;
	sq_cid_make(engine, &id);
	length = ngtcp2_crypto_generate_retry_token2(
		token, engine->retry_key, sizeof(engine->retry_key), head->version, packet->remote,
		packet->remote_bytes, &id, &head->dcid, time_of_day());
	if (length < 0)
		return;
	endpoint->counts[SQ_N_RETRIES_SENT]++;
	answer(engine, endpoint, packet,
	       ngtcp2_crypto_write_retry(out, 1200, head->version, &head->scid, &id, &head->dcid,
	                                 token, (size_t)length));
}

/* Is the token right, and younger than `age` milliseconds at `now`? */
static int is_younger(struct sq_engine *engine, const struct sq_packet *packet,
                      const ngtcp2_pkt_hd *head, ngtcp2_cid *original, uint64_t age, uint64_t now)
{
	return ngtcp2_crypto_verify_retry_token2(original, head->token, head->tokenlen,
	                                         engine->retry_key, sizeof(engine->retry_key),
	                                         head->version, packet->remote,
	                                         packet->remote_bytes, &head->dcid, age * MILLIS,
	                                         now) == 0;
}

/* 1: the token is ours and right, *original is the ID that the client chose first; 0: there is none
 * of ours; -1: it is wrong, too old, or of a time to come. */
static int check_token(struct sq_engine *engine, const struct sq_packet *packet,
                       const ngtcp2_pkt_hd *head, ngtcp2_cid *original)
{
	uint64_t now = time_of_day();

	if (head->tokenlen == 0 || head->token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2)
		return 0;
	if (!is_younger(engine, packet, head, original, RETRY_SECONDS * 1000, now) ||
	    is_younger(engine, packet, head, original, 0, now + SKEW_SECONDS * 1000 * MILLIS))
		return -1;
	return 1;
}

static int wants_retry(const struct sq_endpoint *endpoint)
{
	int mode = (int)setting(endpoint, SQ_SET_RETRY);

	return mode == 1 ||
	       (mode == 2 && endpoint->half_open >= setting(endpoint, SQ_SET_RETRY_FROM));
}

static void admit(struct sq_engine *engine, struct sq_endpoint *endpoint,
                  const struct sq_packet *packet)
{
	struct sq_connection *connection;
	ngtcp2_pkt_hd head;
	ngtcp2_cid original;
	int token;

	if (ngtcp2_accept(&head, packet->bytes, packet->length) != 0) {
		endpoint->counts[SQ_N_MALFORMED]++;
		return;
	}
	if (!endpoint->is_accepting || (setting(endpoint, SQ_SET_REJECT_LOW_PORTS) &&
	                                sq_address_port(packet->remote) < 1024)) {
		endpoint->counts[SQ_N_INITIALS_DROPPED]++;
		return;
	}
	token = check_token(engine, packet, &head, &original);
	if (token < 0) {
		endpoint->counts[SQ_N_RETRIES_INVALID]++;
		refuse(engine, endpoint, packet, &head, NGTCP2_INVALID_TOKEN);
		return;
	}
	if (endpoint->live >= setting(endpoint, SQ_SET_CONNECTIONS_MAX)) {
		endpoint->counts[SQ_N_REFUSED]++;
		refuse(engine, endpoint, packet, &head, NGTCP2_CONNECTION_REFUSED);
		return;
	}
	if (endpoint->half_open >= setting(endpoint, SQ_SET_HALF_OPEN_MAX)) {
		endpoint->counts[SQ_N_INITIALS_DROPPED]++;
		return;
	}
	if (token == 0 && wants_retry(endpoint)) {
		retry(engine, endpoint, packet, &head);
		return;
	}
	connection = sq_connection_accept(engine, endpoint, packet, &head,
	                                  token > 0 ? &original : NULL);
	if (!connection) {
		endpoint->counts[SQ_N_INITIALS_DROPPED]++;
		return;
	}
	sq_connection_read(connection, packet);
	connection->is_first = 0;
	if (!connection->is_silent)
		return;
	/* The first packet was no beginning of a handshake, or wants the address proved. */
	if (connection->code == 1)
		retry(engine, endpoint, packet, &head);
	else
		endpoint->counts[SQ_N_MALFORMED]++;
	sq_connection_destroy(connection);
}

/* A short packet of no connection here: its owner's, or nobody's. */
static struct sq_connection *find(struct sq_engine *engine, const struct sq_packet *packet,
                                  const ngtcp2_version_cid *ids)
{
	struct sq_connection *connection =
		sq_keys_find(&engine->keys, ids->dcid, ids->dcidlen, 0);

	/* A stateless reset looks like a short packet; its last 16 bytes are the token. */
	if (!connection && !(packet->bytes[0] & 0x80) && packet->length >= RESET_BYTES_MIN)
		connection = sq_keys_find(&engine->keys, packet->bytes + packet->length - 16, 16, 1);
	return connection;
}

void sq_packet_in(struct sq_engine *engine, struct sq_endpoint *endpoint,
                  const struct sq_packet *packet)
{
	struct sq_connection *connection;
	ngtcp2_version_cid ids;
	int result, route = SQ_ROUTE_FOREIGN;

	result = packet->length > 0 ? ngtcp2_pkt_decode_version_cid(&ids, packet->bytes,
	                                                            packet->length, CID_BYTES)
	                            : NGTCP2_ERR_INVALID_ARGUMENT;
	if (result == NGTCP2_ERR_VERSION_NEGOTIATION && endpoint->profile) {
		if (endpoint->is_accepting)
			negotiate_version(engine, endpoint, packet, &ids);
		return;
	}
	if (result != 0) {
		endpoint->counts[SQ_N_MALFORMED]++;
		return;
	}
	connection = find(engine, packet, &ids);
	if (connection) {
		sq_connection_read(connection, packet);
		return;
	}
	if (!endpoint->profile) {
		endpoint->counts[SQ_N_MALFORMED]++;
		return;
	}
	if (ids.dcidlen == CID_BYTES && !packet->is_forwarded)
		route = sq_route(engine, ids.dcid, packet);
	if (route == SQ_ROUTE_TAKEN)
		endpoint->counts[SQ_N_FORWARDED]++;
	else if (packet->bytes[0] & 0x80)
		admit(engine, endpoint, packet);
	else
		reset_statelessly(engine, endpoint, packet, ids.dcid);
}
