/*
 * Lets everything loose on engines that a network may bring: garbage, packets of real connections
 * cut, changed, doubled and out of order, peers that encrypt nonsense with the right keys, servers
 * that do the same to clients, errors of the library at every step, broken certificates. After
 * each, connections that have nothing to do with it must echo what they are told; at the end
 * nothing may be left.
 *
 * Arguments: folder of certificates, seed, factor of all amounts (1 = a few seconds).
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz-rig.h"
#include "raw-end.h"

#define CAPTURED_MAX 600
#define HOSTILES 8

static double factor = 1;

static int amount(int base)
{
	int scaled = (int)(base * factor);

	return scaled > 0 ? scaled : 1;
}

/* ---- datagrams ---- */

static struct captured {
	struct packet packet;
	int is_to_server;
} captured[CAPTURED_MAX];
static int captured_count;

/* Receives the spoofed ports' answers, so that nobody else on this machine does. */
static int sink;
static struct sockaddr_in sink_address;

static void feed(struct actor *actor, const uint8_t *bytes, int length)
{
	struct sockaddr_in from = sink_address;

	/* Other addresses of the loopback, the same port. */
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)chance_below(200));
	sq_feed(actor->engine, actor->endpoint, (struct sockaddr *)&from, sizeof(from), bytes,
	        length);
}

static void empty_sink(void)
{
	uint8_t bytes[2048];

	while (recv(sink, bytes, sizeof(bytes), 0) >= 0)
		;
}

/* Changes some bytes, or the length. */
static void spoil(struct packet *packet)
{
	int count = 1 + (int)chance_below(4);
	int kind = (int)chance_below(6);

	if (packet->length <= 0)
		return;
	if (kind == 0) {
		packet->length = (int)chance_below((uint64_t)packet->length);
	} else if (kind == 1) {
		int from = (int)chance_below((uint64_t)packet->length);

		memset(packet->bytes + from, 0, (size_t)(packet->length - from));
	} else if (kind == 2 && packet->length < PACKET_BYTES) {
		int more = (int)chance_below((uint64_t)(PACKET_BYTES - packet->length));

		chance_bytes(packet->bytes + packet->length, more);
		packet->length += more;
	} else {
		while (count-- > 0) {
			/* Headers are more worth than what is encrypted. */
			int within = one_in(2) && packet->length > 40 ? 40 : packet->length;

			packet->bytes[chance_below((uint64_t)within)] ^=
				(uint8_t)(1 << chance_below(8));
		}
	}
}

/* ---- garbage ---- */

static void garbage(void)
{
	static const uint8_t versions[][4] = {
		{ 0, 0, 0, 1 }, { 0x6b, 0x33, 0x43, 0xcf }, { 0, 0, 0, 0 }, { 0x1a, 0x2a, 0x3a, 0x4a },
	};
	struct packet packet;
	int i;

	for (i = 0; i < amount(3000); i++) {
		packet.length = (int)chance_below(PACKET_BYTES);
		chance_bytes(packet.bytes, packet.length);
		if (packet.length > 60 && one_in(2)) {
			packet.bytes[0] |= 0xc0;
			memcpy(packet.bytes + 1, versions[chance_below(4)], 4);
			if (one_in(2)) {
				packet.bytes[0] = (uint8_t)(0xc0 | chance_below(64));
				packet.bytes[5] = (uint8_t)chance_below(22);
				packet.bytes[6 + packet.bytes[5]] = (uint8_t)chance_below(22);
			}
			if (one_in(3))
				packet.length = 1200 + (int)chance_below(200);
		}
		feed(one_in(4) ? &rig.wild : &rig.server, packet.bytes, packet.length);
		if (one_in(3))
			sendto(sink, packet.bytes, (size_t)packet.length, 0,
			       (struct sockaddr *)&rig.server.address, sizeof(rig.server.address));
		if (i % 16 == 0) {
			rig_turn();
			empty_sink();
		}
		if (i % 1000 == 0)
			rig_check_witnesses(0, "garbage");
	}
	rig_check_witnesses(0, "garbage");
}

/* ---- a middle between the wild engine and the server ---- */

static struct middle {
	int front, back; /* towards the client, towards the server */
	struct sockaddr_in front_address, back_address;
	struct sockaddr_in client;
	int is_faulty;
	struct packet held[2];
	int passed, faults;
} middle;

static void pass(struct packet *packet, int is_to_server)
{
	const struct sockaddr_in *to = is_to_server ? &rig.server.address : &middle.client;
	int fd = is_to_server ? middle.back : middle.front;
	struct packet *held = &middle.held[is_to_server];

	middle.passed++;
	if (captured_count < CAPTURED_MAX && !middle.is_faulty) {
		captured[captured_count].packet = *packet;
		captured[captured_count++].is_to_server = is_to_server;
	}
	if (middle.is_faulty) {
		int kind = (int)chance_below(24);

		middle.faults += kind < 5;
		if (kind == 0)
			return;
		if (kind == 1)
			spoil(packet);
		if (kind == 2) {
			struct packet spoilt = *packet;

			spoil(&spoilt);
			sendto(fd, spoilt.bytes, (size_t)spoilt.length, 0,
			       (const struct sockaddr *)to, sizeof(*to));
		}
		if (kind == 3)
			sendto(fd, packet->bytes, (size_t)packet->length, 0,
			       (const struct sockaddr *)to, sizeof(*to));
		if (kind == 4 && held->length == 0) {
			*held = *packet;
			return;
		}
	}
	sendto(fd, packet->bytes, (size_t)packet->length, 0, (const struct sockaddr *)to,
	       sizeof(*to));
	if (held->length > 0 && one_in(3)) {
		sendto(fd, held->bytes, (size_t)held->length, 0, (const struct sockaddr *)to,
		       sizeof(*to));
		held->length = 0;
	}
}

static void between(void)
{
	struct packet packet;
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	ssize_t bytes;

	while ((bytes = recvfrom(middle.front, packet.bytes, sizeof(packet.bytes), 0,
	                         (struct sockaddr *)&from, &length)) >= 0) {
		middle.client = from;
		packet.length = (int)bytes;
		pass(&packet, 1);
		length = sizeof(from);
	}
	while ((bytes = recv(middle.back, packet.bytes, sizeof(packet.bytes), 0)) >= 0) {
		packet.length = (int)bytes;
		pass(&packet, 0);
	}
	/* Another port: the client's address changes. */
	if (middle.is_faulty && one_in(400)) {
		close(middle.back);
		middle.back = open_socket(&middle.back_address, 0);
	}
}

static void middle_start(int is_faulty)
{
	memset(&middle, 0, sizeof(middle));
	middle.front = open_socket(&middle.front_address, 0);
	middle.back = open_socket(&middle.back_address, 0);
	middle.is_faulty = is_faulty;
	rig.between = between;
}

static void middle_end(void)
{
	rig.between = NULL;
	close(middle.front);
	close(middle.back);
}

static void run_connections(int turns, int at_most)
{
	int i;

	for (i = 0; i < turns; i++) {
		if (rig.wild.connection_count < at_most && one_in(10))
			rig_connect(&middle.front_address, one_in(2) && rig.wild.ticket_bytes > 0);
		rig_turn();
		if (one_in(2))
			usleep(500);
	}
}

static void faulty_path(void)
{
	int i;

	middle_start(1);
	for (i = 0; i < 4; i++) {
		run_connections(amount(400), 6);
		rig_check_witnesses(0, "a faulty path");
	}
	rig_close();
	EXPECT(middle.passed > 100 && middle.faults > 10);
	middle_end();
	rig_check_witnesses(0, "a faulty path");
}

/* ---- what was captured, again ---- */

static void capture(void)
{
	middle_start(0);
	run_connections(600, 3);
	EXPECT(captured_count > 50);
	middle_end();
}

static void feed_captured(const struct captured *one, int length)
{
	/* To whom it was for, or to its own sender. */
	struct actor *actor = one->is_to_server != one_in(8) ? &rig.server : &rig.wild;

	feed(actor, one->packet.bytes, length);
}

static void cut_everywhere(const struct captured *one)
{
	int step = one->packet.length > 200 ? 1 + (int)chance_below(13) : 1;
	int length;

	for (length = 0; length <= one->packet.length; length += step)
		feed_captured(one, length);
	rig_turn();
	empty_sink();
}

static void captured_again(void)
{
	int i;

	/* While their connections live. */
	capture();
	for (i = 0; i < captured_count && i < amount(120); i++)
		cut_everywhere(&captured[i]);
	rig_check_witnesses(0, "packets cut short");
	for (i = 0; i < amount(4000); i++) {
		struct captured one = captured[chance_below((uint64_t)captured_count)];

		if (!one_in(4))
			spoil(&one.packet);
		feed_captured(&one, one.packet.length);
		if (i % 16 == 0) {
			rig_turn();
			empty_sink();
		}
		if (i % 1000 == 0)
			rig_check_witnesses(0, "packets again");
	}
	/* And when they are gone. */
	rig_drain("packets again");
	for (i = 0; i < captured_count; i++) {
		feed_captured(&captured[i], captured[i].packet.length);
		if (i % 16 == 0)
			rig_turn();
	}
	empty_sink();
	rig_drain("packets again");
	rig_check_witnesses(0, "packets again");
}

/* ---- peers that encrypt nonsense ---- */

static int honest_packets; /* until nonsense begins */
static int nonsense;       /* packets that were changed */

/* Frame types worth trying: all of RFC 9000, DATAGRAM, and what does not exist. */
static uint8_t frame_type(void)
{
	static const uint8_t others[] = { 0x30, 0x31, 0x40, 0x7f, 0xff, 0xaf };

	return one_in(6) ? others[chance_below(sizeof(others))] : (uint8_t)chance_below(0x1f);
}

/* Changes the number at `at`, keeping its length. */
static void change_number(uint8_t *frames, size_t length, size_t at)
{
	size_t bytes = (size_t)1 << (frames[at] >> 6);
	size_t i;

	for (i = 0; i < bytes && at + i < length; i++)
		frames[at + i] = (uint8_t)(i == 0 ? (frames[at] & 0xc0) | chance_below(64) : chance());
}

static void talk_nonsense(uint8_t *frames, size_t length, const uint8_t *head)
{
	size_t at = chance_below(length);
	int count = 1 + (int)chance_below(3);

	(void)head;
	if (length == 0 || honest_packets-- > 0 || one_in(3))
		return;
	nonsense++;
	switch (chance_below(7)) {
	case 0:
		frames[0] = frame_type();
		break;
	case 1:
		frames[at] = frame_type();
		break;
	case 2: /* the offset of CRYPTO, STREAM…: reordered, doubled, far beyond */
		if (length > 2)
			change_number(frames, length, 1);
		break;
	case 3:
		change_number(frames, length, at);
		break;
	case 4:
		chance_bytes(frames + at, (int)(length - at));
		break;
	case 5:
		memset(frames + at, (int)chance_below(2) * 0xff, length - at);
		break;
	default:
		while (count-- > 0)
			frames[chance_below(length)] ^= (uint8_t)(1 << chance_below(8));
	}
}

static struct hostile {
	struct end end;
	int fd;
	int64_t stream;
} hostiles[HOSTILES];

static void send_packet(struct hostile *hostile, struct packet *packet)
{
	if (one_in(20))
		spoil(packet);
	sendto(hostile->fd, packet->bytes, (size_t)packet->length, 0,
	       (struct sockaddr *)&hostile->end.remote, sizeof(hostile->end.remote));
	if (one_in(30))
		sendto(hostile->fd, packet->bytes, (size_t)packet->length, 0,
		       (struct sockaddr *)&hostile->end.remote, sizeof(hostile->end.remote));
}

/* Sends what it has; packets of one flight now and then in another order. */
static void hostile_write(struct hostile *hostile)
{
	struct packet packet, kept;
	int64_t taken;

	kept.length = 0;
	if (hostile->end.is_done && one_in(4)) {
		if (one_in(3))
			hostile->stream = -1;
		if (end_write_stream(&hostile->end, &packet, &hostile->stream, "some text for a stream",
		                     &taken, clock_now()))
			send_packet(hostile, &packet);
	}
	while (end_write(&hostile->end, &packet, clock_now())) {
		if (kept.length == 0 && one_in(4))
			kept = packet;
		else
			send_packet(hostile, &packet);
	}
	if (kept.length > 0)
		send_packet(hostile, &kept);
	end_expire(&hostile->end, clock_now());
}

static int receive(struct hostile *hostile, struct packet *packet, struct sockaddr_in *from)
{
	socklen_t length = sizeof(*from);
	ssize_t bytes = recvfrom(hostile->fd, packet->bytes, sizeof(packet->bytes), 0,
	                         (struct sockaddr *)from, &length);

	packet->length = (int)bytes;
	return bytes > 0;
}

static void hostile_end(struct hostile *hostile)
{
	end_free(&hostile->end);
	close(hostile->fd);
	memset(hostile, 0, sizeof(*hostile));
	hostile->fd = -1;
}

static void hostile_begin(struct hostile *hostile, struct sq_tls_context *client)
{
	static const struct wish wish = { .sni = "server.test", .alpn = "\4wild" };

	memset(hostile, 0, sizeof(*hostile));
	hostile->fd = open_socket(&hostile->end.local, 0);
	hostile->stream = -1;
	hostile->end.mutate = talk_nonsense;
	hostile->end.idle = 2 * NGTCP2_SECONDS;
	if (!client)
		return;
	hostile->end.remote = rig.server.address;
	if (!end_connect(&hostile->end, client, &wish, clock_now()))
		abort();
}

/* Clients against the server; `turns` with all of them at once. Returns how many got through. */
static void hostile_clients(void)
{
	struct sq_tls_context *context = sq_tls_context_new(0);
	struct packet packet;
	struct sockaddr_in from;
	int begun = 0;
	int done = 0;
	int i, j;

	for (i = 0; i < HOSTILES; i++)
		hostiles[i].fd = -1;
	nonsense = 0;
	for (i = 0; begun < amount(160); i++) {
		for (j = 0; j < HOSTILES; j++) {
			struct hostile *hostile = &hostiles[j];

			honest_packets = one_in(2) ? 0 : (int)chance_below(12);
			if (hostile->fd < 0 || hostile->end.is_dead || one_in(60)) {
				done += hostile->fd >= 0 && hostile->end.is_done;
				if (hostile->fd >= 0)
					hostile_end(hostile);
				hostile_begin(hostile, context);
				begun++;
			}
			hostile_write(hostile);
			while (receive(hostile, &packet, &from))
				end_read(&hostile->end, &packet, clock_now());
		}
		rig_turn();
		if (i % 200 == 199)
			rig_check_witnesses(0, "hostile clients");
	}
	for (j = 0; j < HOSTILES; j++) {
		done += hostiles[j].end.is_done;
		hostile_end(&hostiles[j]);
	}
	sq_tls_context_drop(context);
	EXPECT(nonsense > begun);
	EXPECT(done > 0);
	rig_close();
	rig_check_witnesses(0, "hostile clients");
}

static struct sq_tls_context *certified_server(void)
{
	struct sq_tls_context *context = sq_tls_context_new(1);
	int chain_bytes, key_bytes;
	const char *chain = rig_pem("server.crt", &chain_bytes);
	const char *key = rig_pem("server.key", &key_bytes);

	EXPECT(sq_tls_context_certificate(context, chain, chain_bytes, key, key_bytes) == 0);
	return context;
}

/* The same as servers, against clients of the wild engine. */
static void hostile_servers(void)
{
	struct sq_tls_context *context = certified_server();
	int before = rig.wild.connected;
	struct packet packet;
	struct sockaddr_in from;
	int begun = 0;
	int i, j;

	for (j = 0; j < HOSTILES; j++)
		hostile_begin(&hostiles[j], NULL);
	nonsense = 0;
	for (i = 0; begun < amount(160); i++) {
		for (j = 0; j < HOSTILES; j++) {
			struct hostile *hostile = &hostiles[j];

			honest_packets = one_in(2) ? 0 : (int)chance_below(12);
			if (!hostile->end.conn && one_in(3))
				rig_connect(&hostile->end.local, one_in(4));
			while (receive(hostile, &packet, &from)) {
				if (!hostile->end.conn) {
					hostile->end.remote = from;
					if (!end_accept(&hostile->end, context, &packet, 32768,
					                clock_now()))
						continue;
					begun++;
				}
				end_read(&hostile->end, &packet, clock_now());
			}
			hostile_write(hostile);
			if (hostile->end.is_dead || (hostile->end.conn && one_in(60))) {
				hostile_end(hostile);
				hostile_begin(hostile, NULL);
			}
		}
		rig_turn();
		if (i % 200 == 199) {
			rig_check_witnesses(0, "hostile servers");
			rig_close();
		}
	}
	for (j = 0; j < HOSTILES; j++)
		hostile_end(&hostiles[j]);
	sq_tls_context_drop(context);
	EXPECT(nonsense > begun / 2);
	EXPECT(rig.wild.connected > before);
	rig_close();
	rig_check_witnesses(0, "hostile servers");
}

/* HANDSHAKE_DONE in every packet with the last keys. */
static void confirm(uint8_t *frames, size_t length, const uint8_t *head)
{
	if (head[0] & 0x80 || length == 0)
		return;
	memset(frames, 0, length);
	frames[0] = 0x1e;
	nonsense++;
}

/*
 * A server confirms the handshake with its first flight, before the client has answered. ngtcp2 1.24
 * then falls over a null pointer: found by the phase above, kept as a case of its own.
 */
static void confirmed_too_early(void)
{
	struct sq_tls_context *context = certified_server();
	struct hostile *hostile = &hostiles[0];
	int before = rig.wild.causes[SQ_CAUSE_PROTOCOL] + rig.wild.causes[SQ_CAUSE_INTERNAL];
	struct packet packet;
	struct sockaddr_in from;
	int64_t taken;
	int i;

	hostile_begin(hostile, NULL);
	hostile->end.mutate = confirm;
	nonsense = 0;
	rig_connect(&hostile->end.local, 0);
	for (i = 0; i < 50; i++) {
		rig_turn();
		while (receive(hostile, &packet, &from)) {
			hostile->end.remote = from;
			if (!hostile->end.conn)
				end_accept(&hostile->end, context, &packet, 32768, clock_now());
			end_read(&hostile->end, &packet, clock_now());
		}
		if (hostile->end.conn && !hostile->end.is_done &&
		    end_write_stream(&hostile->end, &packet, &hostile->stream, "text", &taken,
		                     clock_now()))
			sendto(hostile->fd, packet.bytes, (size_t)packet.length, 0,
			       (struct sockaddr *)&hostile->end.remote, sizeof(from));
		while (end_write(&hostile->end, &packet, clock_now()))
			sendto(hostile->fd, packet.bytes, (size_t)packet.length, 0,
			       (struct sockaddr *)&hostile->end.remote, sizeof(from));
		usleep(500);
	}
	EXPECT(nonsense > 0);
	EXPECT(rig.wild.causes[SQ_CAUSE_PROTOCOL] + rig.wild.causes[SQ_CAUSE_INTERNAL] == before + 1);
	hostile_end(hostile);
	sq_tls_context_drop(context);
	rig_close();
	rig_check_witnesses(0, "a handshake that is confirmed too early");
}

/* ---- errors of the library ---- */

/*
 * A connection's whole life, with `count` errors of a kind injected into an engine at one turn of
 * it. An error ends at most the connections that it hits: no more than errors.
 */
static void inject_at(struct sq_engine *engine, int kind, int step, int count)
{
	int deaths = rig.witness_deaths;
	int i;

	rig_connect(&rig.server.address, one_in(3) && rig.wild.ticket_bytes > 0);
	for (i = 0; i < 24; i++) {
		if (i == step)
			sq_inject(engine, kind, count);
		rig_turn();
		if (i > 12)
			usleep(200);
	}
	/* What was not met must not hit later. */
	for (i = 1; i <= 4; i++)
		sq_inject(engine, i, 0);
	rig_check_witnesses(1, "errors of the library");
	rig_check_witnesses(1, "errors of the library");
	EXPECT(rig.witness_deaths - deaths <= count);
	/* The system's refusal to send is no error of a connection. */
	EXPECT(kind != 4 || rig.witness_deaths == deaths);
}

static void library_errors(void)
{
	struct sq_engine *engines[] = { rig.server.engine, rig.wild.engine, rig.honest.engine };
	int round, kind, step;

	for (round = 0; round < amount(1); round++)
		for (kind = 1; kind <= 4; kind++)
			for (step = 0; step < 24; step += 1 + (int)chance_below(2))
				inject_at(engines[chance_below(3)], kind, step,
				          one_in(3) ? 1 + (int)chance_below(5) : 1);
	rig_check_witnesses(1, "errors of the library");
	rig_check_witnesses(0, "errors of the library");
}

/* ---- certificates ---- */

static void broken_certificates(void)
{
	static const char *const names[] = { "server", "wild", "chained", "client" };
	struct sq_profile *profile = sq_profile_new(1);
	char chain[16384], key[8192], text[256];
	int taken = 0;
	int refused = 0;
	int i, j;

	for (i = 0; i < amount(1500); i++) {
		char file[32];
		const char *pem;
		int chain_bytes, key_bytes, result, at;

		snprintf(file, sizeof(file), "%s.crt", names[chance_below(4)]);
		pem = rig_pem(file, &chain_bytes);
		memcpy(chain, pem, (size_t)chain_bytes);
		memcpy(file + strlen(file) - 3, "key", 3);
		pem = rig_pem(file, &key_bytes);
		memcpy(key, pem, (size_t)key_bytes);
		for (j = (int)chance_below(4); j > 0; j--) {
			at = (int)chance_below((uint64_t)chain_bytes);
			chain[at] = one_in(2) ? (char)chance() : "AZaz09+/=-\n"[chance_below(11)];
		}
		if (one_in(4))
			chain_bytes = (int)chance_below((uint64_t)chain_bytes + 1);
		if (one_in(4))
			key[chance_below((uint64_t)key_bytes)] = (char)chance();
		if (one_in(8))
			key_bytes = (int)chance_below((uint64_t)key_bytes + 1);
		if (one_in(2))
			result = sq_profile_certificate(profile, chain, chain_bytes, key, key_bytes);
		else
			result = sq_profile_authorities(profile, chain, chain_bytes);
		taken += result == 0;
		refused += result == SQ_TLS;
		EXPECT(result == 0 || result == SQ_TLS);
		EXPECT(result == 0 || sq_error_text(text, sizeof(text)) > 0);
	}
	EXPECT(taken > 0 && refused > 0);
	sq_profile_free(profile);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	double numbers[SQ_N_COUNTS];
	struct actor *server = &rig.server;
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: quic-fuzz FOLDER [SEED [FACTOR]]\n");
		return 2;
	}
	factor = argc > 3 ? strtod(argv[3], NULL) : 1;
	rig_start(argv[1], seed);
	sink = open_socket(&sink_address, 1);
	garbage();
	captured_again();
	faulty_path();
	hostile_clients();
	hostile_servers();
	confirmed_too_early();
	library_errors();
	broken_certificates();
	/* The rare things must have happened, or the above is no test. */
	EXPECT(sq_endpoint_deltas(server->engine, server->endpoint, numbers) >= 0);
	EXPECT(numbers[SQ_N_MALFORMED] > 0);
	EXPECT(numbers[SQ_N_RESETS_SENT] > 0);
	EXPECT(numbers[SQ_N_VERSION_NEGOTIATIONS] > 0);
	EXPECT(server->accepted > 20 && server->opened > 20 && server->bytes > 10000);
	EXPECT(server->causes[SQ_CAUSE_PROTOCOL] > 10 && rig.wild.causes[SQ_CAUSE_PROTOCOL] > 5);
	EXPECT(server->causes[SQ_CAUSE_INTERNAL] + rig.wild.causes[SQ_CAUSE_INTERNAL] +
	               rig.honest.causes[SQ_CAUSE_INTERNAL] > 0);
	EXPECT(server->early > 0);
	printf("seed %llu: accepted %d, early %d, streams %d, bytes %ld, datagrams %d, migrated %d, "
	       "chunks %d, witnesses lost %d\n",
	       (unsigned long long)seed, server->accepted, server->early, server->opened,
	       server->bytes, server->datagrams, server->migrated, server->chunks_most,
	       rig.witness_deaths);
	printf("causes at the server:");
	for (i = 0; i < CAUSES_MAX; i++)
		printf(" %d", server->causes[i]);
	printf("; at clients:");
	for (i = 0; i < CAUSES_MAX; i++)
		printf(" %d", rig.wild.causes[i]);
	printf("\ncounts of the endpoint: malformed %.0f, dropped %.0f, refused %.0f, retries %.0f, "
	       "resets %.0f, negotiations %.0f\n",
	       numbers[SQ_N_MALFORMED], numbers[SQ_N_INITIALS_DROPPED], numbers[SQ_N_REFUSED],
	       numbers[SQ_N_RETRIES_SENT], numbers[SQ_N_RESETS_SENT],
	       numbers[SQ_N_VERSION_NEGOTIATIONS]);
	rig_end();
	close(sink);
	printf("%d failures\n", failures);
	return failures ? 1 : 0;
}
