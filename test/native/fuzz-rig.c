/*
 * Engines that hostile peers are let loose on: see fuzz-rig.h.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fuzz-rig.h"
#include "raw-end.h"

#define CHUNKS_MAX 192
/* Turns of about a millisecond that something may take. */
#define PATIENCE 20000

struct rig rig;

static const uint8_t secret[SQ_SECRET_BYTES] = "secret of the fuzzed engines";
static uint64_t state[2];
static int listening = -1;

/* ---- chance: xorshift128+ ---- */

uint64_t chance(void)
{
	uint64_t a = state[0];
	uint64_t b = state[1];

	state[0] = b;
	a ^= a << 23;
	state[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return state[1] + b;
}

void chance_bytes(uint8_t *out, int length)
{
	int i;

	for (i = 0; i < length; i++)
		out[i] = (uint8_t)chance();
}

uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NGTCP2_SECONDS + (uint64_t)now.tv_nsec;
}

static void pause_shortly(void)
{
	struct timespec pause = { 0, 500000 };

	nanosleep(&pause, NULL);
}

int open_socket(struct sockaddr_in *address, int is_any)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(is_any ? INADDR_ANY : INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof(*address)) != 0 ||
	    getsockname(fd, (struct sockaddr *)address, &length) != 0)
		abort();
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd;
}

const char *rig_pem(const char *name, int *length)
{
	return read_pem(name, length);
}

/* ---- streams of an actor ---- */

static void remember(uint32_t *list, int *count, int max, uint32_t handle)
{
	if (*count < max)
		list[(*count)++] = handle;
}

static void forget(uint32_t *list, int *count, uint32_t handle)
{
	int i;

	for (i = 0; i < *count; i++) {
		if (list[i] == handle) {
			list[i] = list[--*count];
			return;
		}
	}
}

static const uint8_t *peeked(struct actor *actor)
{
	double segment = sq_segment(actor->engine, (int)actor->io[SQ_IO_SEGMENT]);

	return (const uint8_t *)(uintptr_t)segment + actor->io[SQ_IO_OFFSET];
}

static void finish_stream(struct actor *actor, uint32_t stream)
{
	sq_stream_finish(actor->engine, stream);
	sq_stream_release(actor->engine, stream);
	forget(actor->streams, &actor->stream_count, stream);
}

/* Sends back what has come; what the stream does not take stays unread. */
static void echo(struct actor *actor, uint32_t stream)
{
	int length, taken;

	while ((length = sq_stream_peek(actor->engine, stream)) > 0) {
		actor->bytes += length;
		taken = sq_stream_write(actor->engine, stream, peeked(actor), 0, length);
		if (taken < 0)
			taken = length;
		sq_stream_consume(actor->engine, stream, taken);
		if (taken < length)
			return;
	}
	if (length == 0 && actor->io[SQ_IO_END])
		finish_stream(actor, stream);
}

static void hear_witness(struct actor *actor, uint32_t stream)
{
	struct witness *witness = NULL;
	int length, i;

	for (i = 0; i < WITNESSES; i++)
		if (rig.witnesses[i].stream == stream)
			witness = &rig.witnesses[i];
	while ((length = sq_stream_peek(actor->engine, stream)) > 0) {
		if (witness) {
			if (witness->heard + length > witness->length ||
			    memcmp(witness->sent + witness->heard, peeked(actor), (size_t)length))
				witness->is_wrong = 1;
			witness->heard += length;
		}
		sq_stream_consume(actor->engine, stream, length);
	}
	if (witness && (length < 0 || actor->io[SQ_IO_END]))
		witness->is_wrong = 1;
}

/* Anything that an application may do, at any time, also with handles that are over. */
static void do_anything(struct actor *actor)
{
	struct sq_engine *engine = actor->engine;
	uint8_t bytes[4000];
	uint32_t stream = actor->stream_count
	                          ? actor->streams[chance_below((uint64_t)actor->stream_count)]
	                          : (uint32_t)chance();
	uint32_t connection =
		actor->connection_count
			? actor->connections[chance_below((uint64_t)actor->connection_count)]
			: (uint32_t)chance();
	double opened;
	int length;

	if (sq_conn_tag(engine, connection) == TAG_WITNESS)
		return;
	switch (chance_below(16)) {
	case 0:
	case 1:
		opened = sq_stream_open(engine, connection, one_in(3));
		if (opened > 0)
			remember(actor->streams, &actor->stream_count, STREAMS_MAX, (uint32_t)opened);
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		chance_bytes(bytes, 64);
		sq_stream_write(engine, stream, bytes, 0, (int)chance_below(sizeof(bytes)));
		break;
	case 6:
		sq_stream_finish(engine, stream);
		break;
	case 7:
		sq_stream_reset(engine, stream, (uint32_t)chance(), (uint32_t)chance_below(1 << 30));
		break;
	case 8:
		sq_stream_stop(engine, stream, (uint32_t)chance(), (uint32_t)chance_below(1 << 30));
		break;
	case 9:
		sq_stream_release(engine, stream);
		forget(actor->streams, &actor->stream_count, stream);
		break;
	case 10:
	case 11:
		length = sq_stream_peek(engine, stream);
		if (length > 0)
			sq_stream_consume(engine, stream, (int)chance_below((uint64_t)length + 1));
		break;
	case 12:
		chance_bytes(bytes, 64);
		sq_datagram_send(engine, connection, bytes, 0, (int)chance_below(1400));
		break;
	case 13:
		sq_conn_text(engine, connection, (int)chance_below(SQ_TEXT_COUNT), (char *)bytes,
		             (int)chance_below(64));
		break;
	case 14:
		sq_stream_is_unsent(engine, stream);
		sq_stream_id(engine, stream);
		break;
	default:
		if (one_in(40))
			sq_conn_close(engine, connection, (int)chance_below(2), (uint32_t)chance(), 0,
			              "anything", 8);
	}
}

/* ---- events ---- */

/* A ticket is of use for its name only. */
static void take_ticket(struct actor *actor, uint32_t connection)
{
	char name[16];
	int length = sq_conn_text(actor->engine, connection, SQ_TEXT_SNI, name, sizeof(name));

	if (length == 11 && memcmp(name, "server.test", 11) == 0)
		actor->ticket_bytes = sq_conn_ticket(actor->engine, connection, actor->ticket,
		                                     sizeof(actor->ticket));
}

static void connection_over(struct actor *actor, const struct sq_event *event)
{
	int i;

	if (event->a < CAUSES_MAX)
		actor->causes[event->a]++;
	for (i = 0; actor == &rig.honest && i < WITNESSES; i++)
		if (rig.witnesses[i].connection == event->connection)
			rig.witnesses[i].is_over = 1;
}

static void connection_released(struct actor *actor, uint32_t connection)
{
	double numbers[SQ_N_COUNT];
	char reason[64];

	sq_conn_text(actor->engine, connection, SQ_TEXT_REASON, reason, sizeof(reason));
	sq_conn_text(actor->engine, connection, SQ_TEXT_FAILURE, reason, sizeof(reason));
	EXPECT(sq_conn_deltas(actor->engine, connection, numbers) >= 0);
	EXPECT(sq_conn_free(actor->engine, connection) >= 0);
	forget(actor->connections, &actor->connection_count, connection);
	actor->released++;
}

static void connection_begun(struct actor *actor, const struct sq_event *event)
{
	char alpn[8];
	int length = sq_conn_text(actor->engine, event->connection, SQ_TEXT_ALPN, alpn, sizeof(alpn));

	remember(actor->connections, &actor->connection_count, CONNECTIONS_MAX, event->connection);
	if (length == 7 && memcmp(alpn, "witness", 7) == 0)
		sq_conn_set_tag(actor->engine, event->connection, TAG_WITNESS);
}

static void stream_data(struct actor *actor, const struct sq_event *event)
{
	if (actor == &rig.honest)
		hear_witness(actor, event->stream);
	else if (sq_conn_tag(actor->engine, event->connection) == TAG_WITNESS || one_in(2))
		echo(actor, event->stream);
}

static void handle(struct actor *actor, const struct sq_event *event)
{
	switch (event->type) {
	case SQ_EV_ACCEPTED:
		actor->accepted++;
		actor->early += event->b;
		connection_begun(actor, event);
		break;
	case SQ_EV_CONNECTED:
		actor->connected++;
		break;
	case SQ_EV_STREAM:
		actor->opened++;
		if (sq_conn_tag(actor->engine, event->connection) != TAG_WITNESS)
			remember(actor->streams, &actor->stream_count, STREAMS_MAX, event->stream);
		break;
	case SQ_EV_DATA:
	case SQ_EV_WRITABLE:
		stream_data(actor, event);
		break;
	case SQ_EV_RESET:
	case SQ_EV_STOP:
		if (one_in(2))
			sq_stream_reset(actor->engine, event->stream, event->lo, event->hi);
		if (one_in(2)) {
			sq_stream_release(actor->engine, event->stream);
			forget(actor->streams, &actor->stream_count, event->stream);
		}
		break;
	case SQ_EV_DATAGRAM:
		while (sq_datagram_peek(actor->engine, event->connection) >= 0) {
			actor->datagrams++;
			sq_datagram_drop(actor->engine, event->connection);
		}
		break;
	case SQ_EV_CLOSED:
		connection_over(actor, event);
		break;
	case SQ_EV_RELEASED:
		connection_released(actor, event->connection);
		break;
	case SQ_EV_MIGRATED:
		actor->migrated++;
		break;
	case SQ_EV_TICKET:
		take_ticket(actor, event->connection);
		break;
	}
}

static void read_events(struct actor *actor)
{
	int count, i;

	do {
		count = sq_events(actor->engine);
		EXPECT(count >= 0 && count <= EVENTS_MAX);
		for (i = 0; i < count; i++) {
			struct sq_event event;

			memcpy(&event, actor->events + i * SQ_EVENT_WORDS, sizeof(event));
			handle(actor, &event);
		}
	} while (count == EVENTS_MAX);
}

static void turn(struct actor *actor)
{
	int used;
	int i = 0;

	do {
		actor->io[SQ_IO_MORE] = 0;
		sq_pump(actor->engine, actor->endpoint);
	} while (actor->io[SQ_IO_MORE] && ++i < 16);
	sq_pump(actor->engine, -1);
	read_events(actor);
	for (i = 0; actor->is_wild && i < 4; i++)
		if (one_in(2))
			do_anything(actor);
	sq_flush(actor->engine);
	read_events(actor);
	used = sq_chunks_used(actor->engine);
	if (used > actor->chunks_most)
		actor->chunks_most = used;
	EXPECT(used <= CHUNKS_MAX);
}

void rig_turn(void)
{
	turn(&rig.wild);
	turn(&rig.honest);
	if (rig.between)
		rig.between();
	turn(&rig.server);
}

void rig_turns(int count)
{
	while (count-- > 0)
		rig_turn();
}

/* ---- witnesses ---- */

static void start_witness(struct witness *witness)
{
	static const uint8_t alpn[] = "\7witness";
	double connection =
		sq_connect(rig.honest.engine, rig.honest.profile, rig.honest.endpoint,
	                   (struct sockaddr *)&rig.server.address, sizeof(rig.server.address),
	                   "server.test", 11, NULL, 0, alpn, 8, NULL, 0);
	double stream = -1;
	int patience = PATIENCE;

	memset(witness, 0, sizeof(*witness));
	EXPECT(connection > 0);
	witness->connection = (uint32_t)connection;
	while (patience-- > 0 && !witness->is_over) {
		stream = sq_stream_open(rig.honest.engine, witness->connection, 0);
		if (stream > 0)
			break;
		rig_turn();
		pause_shortly();
	}
	EXPECT(stream > 0);
	witness->stream = (uint32_t)stream;
}

static void say(struct witness *witness)
{
	witness->length = 1 + (int)chance_below(sizeof(witness->sent));
	witness->heard = 0;
	chance_bytes(witness->sent, witness->length);
	sq_stream_write(rig.honest.engine, witness->stream, witness->sent, 0, witness->length);
}

void rig_check_witnesses(int is_lenient, const char *where)
{
	int before = failures;
	int patience = PATIENCE;
	int i, waiting;

	for (i = 0; i < WITNESSES; i++) {
		if (rig.witnesses[i].is_over) {
			rig.witness_deaths++;
			EXPECT(is_lenient);
			start_witness(&rig.witnesses[i]);
		}
		say(&rig.witnesses[i]);
	}
	do {
		rig_turn();
		for (i = 0, waiting = 0; i < WITNESSES; i++)
			waiting += rig.witnesses[i].heard < rig.witnesses[i].length &&
			           !rig.witnesses[i].is_over && !rig.witnesses[i].is_wrong;
		if (waiting)
			pause_shortly();
	} while (waiting && patience-- > 0);
	for (i = 0; i < WITNESSES; i++) {
		EXPECT(!rig.witnesses[i].is_wrong);
		EXPECT(is_lenient || !rig.witnesses[i].is_over);
		EXPECT(rig.witnesses[i].is_over || rig.witnesses[i].heard == rig.witnesses[i].length);
	}
	if (failures > before)
		printf("  in %s\n", where);
}

/* ---- connections ---- */

uint32_t rig_connect(const struct sockaddr_in *to, int is_early)
{
	static const char *const names[] = { "server.test", "server.test", "second.test", "" };
	struct actor *actor = &rig.wild;
	const char *name = names[chance_below(4)];
	double connection = sq_connect(
		actor->engine, actor->profile, actor->endpoint, (const struct sockaddr *)to,
		sizeof(*to), is_early ? "server.test" : name,
		is_early ? 11 : (int)strlen(name), NULL, 0, NULL, 0, is_early ? actor->ticket : NULL,
		is_early ? actor->ticket_bytes : 0);

	if (connection <= 0)
		return 0;
	remember(actor->connections, &actor->connection_count, CONNECTIONS_MAX,
	         (uint32_t)connection);
	if (is_early) {
		double stream = sq_stream_open(actor->engine, (uint32_t)connection, 0);

		if (stream > 0)
			sq_stream_write(actor->engine, (uint32_t)stream, (const uint8_t *)"early", 0, 5);
	}
	return (uint32_t)connection;
}

/* Closes what is no witness; how many there are. */
static int close_all(struct actor *actor)
{
	uint32_t handles[64];
	uint32_t from = 0;
	int left = 0;
	int count, i;

	do {
		actor->io[0] = 0;
		count = sq_conns(actor->engine, (int)from, handles, 64);
		from = actor->io[0];
		for (i = 0; i < count; i++) {
			int j, is_witness = sq_conn_tag(actor->engine, handles[i]) == TAG_WITNESS;

			for (j = 0; actor == &rig.honest && j < WITNESSES; j++)
				is_witness |= handles[i] == rig.witnesses[j].connection;
			if (is_witness)
				continue;
			left++;
			sq_conn_close(actor->engine, handles[i], 1, 0, 0, "", 0);
		}
	} while (from != 0);
	return left;
}

void rig_close(void)
{
	close_all(&rig.wild);
	close_all(&rig.server);
}

void rig_drain(const char *where)
{
	int patience = PATIENCE;
	int left;

	rig.server.is_wild = rig.wild.is_wild = 0;
	do {
		left = close_all(&rig.wild) + close_all(&rig.server);
		rig_turn();
		if (left)
			pause_shortly();
	} while (left && patience-- > 0);
	EXPECT(left == 0);
	if (left)
		printf("  in %s\n", where);
	rig.server.stream_count = rig.wild.stream_count = 0;
	rig.wild.connection_count = 0;
	rig.server.is_wild = rig.wild.is_wild = 1;
}

/* ---- beginning and end ---- */

static void start_engine(struct actor *actor, int worker)
{
	actor->engine = sq_engine_new(worker, 1, secret, actor->events, EVENTS_MAX, actor->io,
	                              CHUNKS_MAX);
	if (!actor->engine)
		abort();
}

static struct sq_profile *server_profile(void)
{
	static const char *const names[] = { "server", "second" };
	static const uint8_t alpn[] = "\7witness\4wild";
	struct sq_profile *profile = sq_profile_new(1);
	char file[32];
	int chain_bytes, key_bytes, i;

	for (i = 0; i < 2; i++) {
		const char *chain, *key;

		snprintf(file, sizeof(file), "%s.crt", names[i]);
		chain = read_pem(file, &chain_bytes);
		snprintf(file, sizeof(file), "%s.key", names[i]);
		key = read_pem(file, &key_bytes);
		EXPECT(sq_profile_certificate(profile, chain, chain_bytes, key, key_bytes) == 0);
	}
	EXPECT(sq_profile_alpn(profile, alpn, sizeof(alpn) - 1) == 0);
	sq_profile_set(profile, SQ_SET_IDLE_MS, 60000);
	sq_profile_set(profile, SQ_SET_HANDSHAKE_MS, 1500);
	sq_profile_set(profile, SQ_SET_STREAMS_BIDI, 20);
	sq_profile_set(profile, SQ_SET_STREAMS_UNI, 5);
	sq_profile_set(profile, SQ_SET_STREAM_WINDOW, 32768);
	sq_profile_set(profile, SQ_SET_CONNECTION_WINDOW, 65536);
	sq_profile_set(profile, SQ_SET_SEND_BUFFER, 32768);
	sq_profile_set(profile, SQ_SET_DATAGRAM_MAX, 1200);
	sq_profile_set(profile, SQ_SET_DATAGRAM_QUEUE, 4);
	sq_profile_set(profile, SQ_SET_EARLY, 1);
	sq_profile_set(profile, SQ_SET_RETRY, 2);
	sq_profile_set(profile, SQ_SET_RETRY_FROM, 20);
	sq_profile_set(profile, SQ_SET_HALF_OPEN_MAX, 60);
	sq_profile_set(profile, SQ_SET_CONNECTIONS_MAX, 120);
	sq_profile_set(profile, SQ_SET_MIGRATION, 1);
	return profile;
}

static struct sq_profile *client_profile(int is_wild)
{
	static const uint8_t alpn[] = "\4wild";
	struct sq_profile *profile = sq_profile_new(0);
	int bytes;
	const char *pem = read_pem("authority.crt", &bytes);

	EXPECT(sq_profile_authorities(profile, pem, bytes) == 0);
	EXPECT(sq_profile_alpn(profile, alpn, sizeof(alpn) - 1) == 0);
	sq_profile_set(profile, SQ_SET_VERIFY, is_wild ? 0 : 2);
	sq_profile_set(profile, SQ_SET_IDLE_MS, is_wild ? 1000 : 60000);
	sq_profile_set(profile, SQ_SET_HANDSHAKE_MS, is_wild ? 1500 : 20000);
	sq_profile_set(profile, SQ_SET_STREAMS_BIDI, 5);
	sq_profile_set(profile, SQ_SET_STREAMS_UNI, 5);
	sq_profile_set(profile, SQ_SET_DATAGRAM_MAX, 1200);
	sq_profile_set(profile, SQ_SET_DATAGRAM_QUEUE, 4);
	sq_profile_set(profile, SQ_SET_EARLY, 1);
	return profile;
}

void rig_start(const char *folder, uint64_t seed)
{
	socklen_t length = sizeof(rig.server.address);
	struct sockaddr_in any = { .sin_family = AF_INET,
		                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int i;

	pem_folder = folder;
	state[0] = seed * 0x9e3779b97f4a7c15u + 1;
	state[1] = seed ^ 0xda942042e4dd58b5u;
	for (i = 0; i < 16; i++)
		chance();
	start_engine(&rig.server, 1);
	start_engine(&rig.wild, 2);
	start_engine(&rig.honest, 3);
	rig.server.profile = server_profile();
	rig.wild.profile = client_profile(1);
	rig.honest.profile = client_profile(0);
	listening = sq_udp_socket((struct sockaddr *)&any, sizeof(any), 0, 0, 0, NULL);
	if (listening < 0 ||
	    getsockname(listening, (struct sockaddr *)&rig.server.address, &length) != 0)
		abort();
	rig.server.endpoint = sq_listen(rig.server.engine, rig.server.profile, listening);
	rig.wild.endpoint = sq_client_endpoint(rig.wild.engine, AF_INET, NULL, 0, NULL);
	rig.honest.endpoint = sq_client_endpoint(rig.honest.engine, AF_INET, NULL, 0, NULL);
	EXPECT(rig.server.endpoint >= 0 && rig.wild.endpoint >= 0 && rig.honest.endpoint >= 0);
	rig.server.is_wild = rig.wild.is_wild = 1;
	for (i = 0; i < WITNESSES; i++)
		start_witness(&rig.witnesses[i]);
	rig_check_witnesses(0, "the beginning");
}

static void end_actor(struct actor *actor)
{
	uint32_t handles[4];

	EXPECT(sq_conns(actor->engine, 0, handles, 4) == 0);
	EXPECT(sq_chunks_used(actor->engine) == 0);
	EXPECT(sq_endpoint_close(actor->engine, actor->endpoint) == 0);
	sq_profile_free(actor->profile);
	sq_engine_destroy(actor->engine);
}

void rig_end(void)
{
	uint32_t handles[4];
	int patience = PATIENCE;
	int i;

	rig_drain("the end");
	for (i = 0; i < WITNESSES; i++)
		sq_conn_close(rig.honest.engine, rig.witnesses[i].connection, 0, 0, 0, "", 0);
	while (patience-- > 0 && (sq_conns(rig.honest.engine, 0, handles, 4) > 0 ||
	                          sq_conns(rig.server.engine, 0, handles, 4) > 0)) {
		rig_turn();
		pause_shortly();
	}
	end_actor(&rig.wild);
	end_actor(&rig.honest);
	end_actor(&rig.server);
	close(listening);
}
