/* Connections: how they begin and end, who is let in, resumption, numbers, errors inside. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "../../native/quic/tls-base.h"
#include "core-cases.h"

/* ---- ends of connections ---- */

void causes_are_told_apart(void)
{
	uint32_t at_client, at_server;
	struct sq_event event;
	char text[64];

	begin(NULL);
	pair(&at_client, &at_server);
	sq_conn_close(server->engine, at_server, 0, 1234, 0, "enough", 6);
	EXPECT(sq_conn_close(server->engine, at_server, 0, 1, 0, "", 0) == SQ_GONE);
	event = wait_event(server, SQ_EV_CLOSED, at_server, 0);
	EXPECT_NUMBER(event.a, SQ_CAUSE_LOCAL);
	EXPECT_NUMBER(event.b, 1);
	event = wait_event(client, SQ_EV_CLOSED, at_client, 0);
	EXPECT_NUMBER(event.a, SQ_CAUSE_APPLICATION);
	EXPECT_NUMBER(event_code(&event), 1234);
	EXPECT_NUMBER(sq_conn_text(client->engine, at_client, SQ_TEXT_REASON, text, 64), 6);
	EXPECT(memcmp(text, "enough", 6) == 0);
	EXPECT(sq_conn_free(client->engine, at_client) == -EBUSY);
	EXPECT(sq_stream_open(client->engine, at_client, 0) == SQ_GONE);
	wait_event(client, SQ_EV_RELEASED, at_client, 0);
	wait_event(server, SQ_EV_RELEASED, at_server, 0);

	pair(&at_client, &at_server);
	sq_conn_close(client->engine, at_client, 1, 8, 0, "", 0);
	event = wait_event(server, SQ_EV_CLOSED, at_server, 0);
	EXPECT_NUMBER(event.a, SQ_CAUSE_TRANSPORT);
	EXPECT_NUMBER(event_code(&event), 8);

	/* No protocol in common: an alert, for both. */
	sq_profile_alpn(client_profile, (const uint8_t *)"\5other", 6);
	at_client = node_connect(client, client_endpoint, client_profile, &address);
	event = wait_event(client, SQ_EV_CLOSED, at_client, 0);
	EXPECT_NUMBER(event.a, SQ_CAUSE_TRANSPORT);
	EXPECT_NUMBER(event_code(&event), 0x100 + 120);
	EXPECT_NUMBER(event.b, 0);
	event = wait_event(server, SQ_EV_CLOSED, 0, 0);
	while (event.a != SQ_CAUSE_PROTOCOL && event.type)
		event = wait_event(server, SQ_EV_CLOSED, 0, 0);
	EXPECT_NUMBER(event_code(&event), 0x100 + 120);
	EXPECT_NUMBER(number_of(server, event.connection, SQ_N_HANDSHAKES_FAILED), 1);
	EXPECT(sq_conn_text(server->engine, event.connection, SQ_TEXT_FAILURE, text, 64) > 0);
	end();
}

void silence_ends_a_connection(void)
{
	double settings[] = { SQ_SET_IDLE_MS, 300, -1 };
	uint32_t at_client, at_server;

	begin(settings);
	pair(&at_client, &at_server);
	EXPECT_NUMBER(wait_event(client, SQ_EV_CLOSED, at_client, 0).a, SQ_CAUSE_IDLE);
	EXPECT_NUMBER(wait_event(server, SQ_EV_CLOSED, at_server, 0).a, SQ_CAUSE_IDLE);
	wait_event(client, SQ_EV_RELEASED, at_client, 0);
	EXPECT(sq_conn_free(client->engine, at_client) == 0);
	end();
}

void nobody_listens(void)
{
	double settings[] = { SQ_SET_HANDSHAKE_MS, 300, -1 };
	struct sq_event event;
	uint32_t at_client, at_server;

	begin(settings);
	sq_endpoint_accept(server->engine, server_endpoint, 0);
	at_client = node_connect(client, client_endpoint, client_profile, &address);
	EXPECT_NUMBER(wait_event(client, SQ_EV_CLOSED, at_client, 0).a, SQ_CAUSE_HANDSHAKE);
	EXPECT(endpoint_number(server, server_endpoint, SQ_N_INITIALS_DROPPED) >= 1);
	sq_endpoint_accept(server->engine, server_endpoint, 1);
	pair(&at_client, &at_server);
	/* The port goes: the next packet tells the client. */
	close(server->fds[2].fd);
	node_end(server);
	sq_stream_open(client->engine, at_client, 0);
	event = wait_event(client, SQ_EV_CLOSED, at_client, 0);
	EXPECT_NUMBER(event.a, SQ_CAUSE_REFUSED);
	EXPECT_NUMBER(event_code(&event), ECONNREFUSED);
	at_client = node_connect(client, client_endpoint, client_profile, &address);
	event = wait_event(client, SQ_EV_CLOSED, at_client, 0);
	EXPECT_NUMBER(event.a, SQ_CAUSE_REFUSED);
	EXPECT_NUMBER(event_code(&event), ECONNREFUSED);
	EXPECT_NUMBER(event.b, 0);
	end();
}

/*
 * Sending what goes before the last packet shows that there is no way: the connection that ends then
 * ends once. First flights so long that a turn does not send them whole fill the buffer, and one of
 * the closes finds it full, of its own packets too.
 */
void an_end_that_meets_another_is_one(void)
{
	static uint8_t alpn[56 * 256];
	double settings[] = { SQ_SET_CONGESTION, 2, -1 };
	struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_port = htons(9) };
	uint32_t handles[40];

	nowhere.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	memset(alpn, 'a', sizeof(alpn));
	for (int i = 0; i < 56; i++)
		alpn[i * 256] = 255;
	begin(settings);
	for (int i = 0; i < 40; i++)
		handles[i] = (uint32_t)sq_connect(client->engine, client_profile, client_endpoint,
		                                  (struct sockaddr *)&nowhere, sizeof(nowhere),
		                                  "server.test", 11, NULL, 0, alpn, sizeof(alpn),
		                                  NULL, 0);
	for (int i = 0; i < 40; i++)
		sq_conn_close(client->engine, handles[i], 1, 0, 0, "", 0);
	world_turn(0);
	for (int i = 0; i < 40; i++)
		if (has_event(client, SQ_EV_RELEASED, handles[i], 0))
			EXPECT_NUMBER(sq_conn_free(client->engine, handles[i]), 0);
	end();
}

/* A worker that died and its successor: the successor says that it knows nothing of it. */
void a_successor_resets_what_it_does_not_know(void)
{
	uint32_t at_client, at_server;
	int fd;

	begin(NULL);
	pair(&at_client, &at_server);
	world_settle(60);
	fd = server->fds[2].fd;
	node_end(server);
	server = node_new(1, 1, 4096);
	server_endpoint = node_listen_fd(server, server_profile, fd);
	sq_stream_open(client->engine, at_client, 0);
	EXPECT_NUMBER(wait_event(client, SQ_EV_CLOSED, at_client, 0).a, SQ_CAUSE_RESET);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_RESETS_RECEIVED), 1);
	EXPECT(endpoint_number(server, server_endpoint, SQ_N_RESETS_SENT) >= 1);
	end();
}

/* ---- admission ---- */

/* Another host with the same secret but for its own half: what it says ends nobody's connection. */
void another_host_resets_nothing(void)
{
	uint32_t at_client, at_server;
	int fd;

	begin(NULL);
	pair(&at_client, &at_server);
	world_settle(60);
	fd = server->fds[2].fd;
	node_end(server);
	core_secret[SQ_SECRET_BYTES - 1] ^= 1;
	server = node_new(1, 1, 4096);
	core_secret[SQ_SECRET_BYTES - 1] ^= 1;
	server_endpoint = node_listen_fd(server, server_profile, fd);
	sq_stream_open(client->engine, at_client, 0);
	world_settle(100);
	EXPECT(endpoint_number(server, server_endpoint, SQ_N_RESETS_SENT) >= 1);
	EXPECT(!has_event(client, SQ_EV_CLOSED, at_client, 0));
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_RESETS_RECEIVED), 0);
	end();
}

void clients_prove_their_address(void)
{
	double settings[] = { SQ_SET_RETRY, 1, -1 };
	double numbers[SQ_N_COUNTS];
	uint32_t at_client, at_server;

	begin(settings);
	pair(&at_client, &at_server);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_RETRIES_VALID), 1);
	sq_endpoint_deltas(server->engine, server_endpoint, numbers);
	EXPECT(numbers[SQ_N_RETRIES_SENT] >= 1);
	EXPECT_NUMBER(numbers[SQ_N_RETRIES_INVALID], 0);
	sq_endpoint_deltas(server->engine, server_endpoint, numbers);
	EXPECT_NUMBER(numbers[SQ_N_RETRIES_SENT], 0);
	part(at_client, at_server);
	end();
}

/* A client's first packet with a token of `key` that was given `seconds` after now; nothing behind its
 * head is right. */
static void feed_token(const uint8_t *key, int seconds)
{
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons(40000) };
	uint8_t packet[1200] = { 0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0 };
	ngtcp2_cid own = { .datalen = 8, .data = { 1, 2, 3, 4, 5, 6, 7, 8 } }, first = own;
	struct timespec time;
	ngtcp2_ssize length;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	clock_gettime(CLOCK_REALTIME, &time);
	length = ngtcp2_crypto_generate_retry_token2(
		packet + 17, key, 32, NGTCP2_PROTO_VER_V1, (struct sockaddr *)&from, sizeof(from),
		&own, &first, (uint64_t)(time.tv_sec + seconds) * 1000000000u);
	EXPECT(length > 0);
	packet[15] = (uint8_t)(0x40 | length >> 8);
	packet[16] = (uint8_t)length;
	length += 17;
	packet[length] = (uint8_t)(0x40 | (1198 - length) >> 8);
	packet[length + 1] = (uint8_t)(1198 - length);
	sq_feed(server->engine, server_endpoint, (struct sockaddr *)&from, sizeof(from), packet,
	        sizeof(packet));
}

/* Any host that has the key gives them, by the time of day: others take them while they are young, and
 * none of a time to come. */
void tokens_tell_the_time_of_day(void)
{
	static const struct {
		int seconds, is_valid;
	} tokens[] = { { 0, 1 }, { -5, 1 }, { 2, 1 }, { -30, 0 }, { 30, 0 }, { 86400, 0 } };
	uint8_t key[32];
	double settings[] = { SQ_SET_RETRY, 1, -1 };

	begin(settings);
	EXPECT_NUMBER(sq_derive(key, sizeof(key), core_secret, "sluice retry token"), 0);
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		double numbers[SQ_N_COUNTS];

		feed_token(key, tokens[i].seconds);
		sq_endpoint_deltas(server->engine, server_endpoint, numbers);
		EXPECT_NUMBER(numbers[SQ_N_RETRIES_INVALID], !tokens[i].is_valid);
		/* Let in, it is found to be no beginning of a handshake. */
		EXPECT_NUMBER(numbers[SQ_N_MALFORMED], tokens[i].is_valid);
		EXPECT_NUMBER(numbers[SQ_N_RETRIES_SENT], 0);
	}
	key[0] ^= 1;
	feed_token(key, 0);
	EXPECT_NUMBER(endpoint_number(server, server_endpoint, SQ_N_RETRIES_INVALID), 1);
	end();
}

void connections_are_limited(void)
{
	double settings[] = { SQ_SET_CONNECTIONS_MAX, 1, -1 };
	struct sq_event event;
	uint32_t at_client, at_server, refused;

	begin(settings);
	pair(&at_client, &at_server);
	refused = node_connect(client, client_endpoint, client_profile, &address);
	event = wait_event(client, SQ_EV_CLOSED, refused, 0);
	EXPECT_NUMBER(event.a, SQ_CAUSE_TRANSPORT);
	EXPECT_NUMBER(event_code(&event), 2);
	EXPECT(endpoint_number(server, server_endpoint, SQ_N_REFUSED) >= 1);
	end();
}

void garbage_is_counted_and_nothing_else(void)
{
	uint8_t bytes[1500];
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons(40000) };
	double numbers[SQ_N_COUNTS];
	uint32_t at_client, at_server;

	begin(NULL);
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	srand(7);
	for (int i = 0; i < 2000; i++) {
		int length = rand() % (int)sizeof(bytes);

		for (int k = 0; k < length; k++)
			bytes[k] = (uint8_t)rand();
		sq_feed(server->engine, server_endpoint, (struct sockaddr *)&from, sizeof(from),
		        bytes, length);
	}
	/* An unknown version in a datagram that is long enough is answered. */
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, "\xc0\x0b\x0b\x0b\x0b\x08" "12345678" "\x08" "abcdefgh", 23);
	sq_feed(server->engine, server_endpoint, (struct sockaddr *)&from, sizeof(from), bytes, 1200);
	sq_flush(server->engine);
	sq_endpoint_deltas(server->engine, server_endpoint, numbers);
	EXPECT(numbers[SQ_N_VERSION_NEGOTIATIONS] >= 1);
	EXPECT(numbers[SQ_N_MALFORMED] > 100);
	pair(&at_client, &at_server);
	part(at_client, at_server);
	end();
}

/* ---- errors inside ---- */

/* What its socket did not take when it was closed stayed behind, in memory that nobody knew. */
void a_closed_endpoint_keeps_nothing(void)
{
	uint8_t bytes[1200] = "\xc0\x0b\x0b\x0b\x0b\x08" "12345678" "\x08" "abcdefgh";
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons(40000) };

	begin(NULL);
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* An answer to an unknown version is on its way. */
	sq_feed(server->engine, server_endpoint, (struct sockaddr *)&from, sizeof(from), bytes,
	        sizeof(bytes));
	sq_inject(server->engine, 4, 100);
	EXPECT(sq_endpoint_close(server->engine, server_endpoint) == 0);
	sq_inject(server->engine, 4, 0);
	sq_flush(server->engine);
	end();
}

void errors_end_one_connection_only(void)
{
	uint32_t first_client, first_server, second_client, second_server, mine, theirs;
	uint8_t bytes[8];

	begin(NULL);
	for (int kind = 2; kind <= 3; kind++) {
		struct sq_event event;

		pair(&first_client, &first_server);
		pair(&second_client, &second_server);
		open_pair(first_client, 0, &mine, &theirs);
		world_settle(60);
		say(client, mine, "poison");
		sq_flush(client->engine);
		sq_inject(server->engine, kind, 1);
		event = wait_event(server, SQ_EV_CLOSED, first_server, 0);
		EXPECT_NUMBER(event.a, SQ_CAUSE_INTERNAL);
		sq_inject(server->engine, kind, 0);
		EXPECT_NUMBER(wait_event(client, SQ_EV_CLOSED, first_client, 0).a,
		              SQ_CAUSE_TRANSPORT);
		open_pair(second_client, 0, &mine, &theirs);
		say(client, mine, "fine");
		EXPECT_NUMBER(hear_all(server, theirs, bytes, 4, NULL), 4);
		wait_event(client, SQ_EV_RELEASED, first_client, 0);
		wait_event(server, SQ_EV_RELEASED, first_server, 0);
		EXPECT(sq_conn_free(client->engine, first_client) == 0);
		EXPECT(sq_conn_free(server->engine, first_server) == 0);
		part(second_client, second_server);
	}
	/* A socket that takes nothing for a while loses nothing. */
	pair(&first_client, &first_server);
	open_pair(first_client, 0, &mine, &theirs);
	sq_inject(client->engine, 4, 3);
	say(client, mine, "late");
	EXPECT_NUMBER(hear_all(server, theirs, bytes, 4, NULL), 4);
	EXPECT(endpoint_number(client, client_endpoint, SQ_N_SEND_BLOCKED) >= 3);
	part(first_client, first_server);
	end();
}

/* Every allocation of a connection's life may fail. */
void allocations_may_fail(void)
{
	for (int i = 0; i < 400; i++) {
		struct node *failing;
		uint32_t handle;

		if (i % 100 == 0)
			begin(NULL);
		failing = i & 1 ? server : client;
		handle = node_connect(client, client_endpoint, client_profile, &address);
		for (int k = 0; k < i / 8 % 12; k++)
			world_turn(1);
		sq_inject(failing->engine, 1, 1);
		world_turn(1);
		world_turn(1);
		sq_stream_open(client->engine, handle, 0);
		world_turn(1);
		world_turn(1);
		sq_inject(failing->engine, 1, 0);
		sq_conn_close(client->engine, handle, 0, 0, 0, "", 0);
		forget_events(client);
		forget_events(server);
		if (i % 100 == 99)
			end();
	}
}

/* ---- numbers ---- */

void growth_is_told_once(void)
{
	double first[SQ_N_COUNT], second[SQ_N_COUNT];
	uint32_t at_client, at_server, mine, theirs, handles[4];

	begin(NULL);
	pair(&at_client, &at_server);
	EXPECT(sq_conn_set_tag(client->engine, at_client, 12345678) == 0);
	EXPECT_NUMBER(sq_conn_tag(client->engine, at_client), 12345678);
	EXPECT_NUMBER(sq_conns(client->engine, 0, handles, 4), 1);
	EXPECT_NUMBER(handles[0], at_client);
	world_settle(60);
	EXPECT(sq_conn_deltas(client->engine, at_client, first) == 0);
	EXPECT_NUMBER(first[SQ_N_HANDSHAKES_DONE], 1);
	EXPECT(first[SQ_N_PACKETS_SENT] > 0 && first[SQ_N_BYTES_RECEIVED] > 1000);
	EXPECT_NUMBER(first[SQ_N_STATE], 1);
	EXPECT(first[SQ_N_RTT_SMOOTH_MICROS] > 0);
	EXPECT(sq_conn_deltas(client->engine, at_client, second) == 0);
	for (int i = 0; i < SQ_N_COUNTS; i++)
		EXPECT_NUMBER(second[i], 0);
	open_pair(at_client, 0, &mine, &theirs);
	sq_conn_deltas(client->engine, at_client, second);
	EXPECT_NUMBER(second[SQ_N_STREAMS_BIDI_LOCAL], 1);
	sq_conn_close(client->engine, at_client, 0, 0, 0, "", 0);
	wait_event(client, SQ_EV_RELEASED, at_client, 0);
	EXPECT(sq_conn_deltas(client->engine, at_client, second) == 0);
	EXPECT_NUMBER(second[SQ_N_STATE], 4);
	EXPECT(second[SQ_N_PACKETS_SENT] >= 1);
	end();
}

void texts_and_addresses_are_known(void)
{
	uint32_t at_client, at_server;
	struct sockaddr_in one, two;
	char text[1024];
	int length;

	begin(NULL);
	pair(&at_client, &at_server);
	world_settle(30);
	length = sq_conn_text(server->engine, at_server, SQ_TEXT_SNI, text, sizeof(text));
	EXPECT(length == 11 && memcmp(text, "server.test", 11) == 0);
	length = sq_conn_text(server->engine, at_server, SQ_TEXT_ALPN, text, sizeof(text));
	EXPECT(length == 4 && memcmp(text, "test", 4) == 0);
	length = sq_conn_text(client->engine, at_client, SQ_TEXT_PARAMETERS, text, sizeof(text));
	text[length < 1023 ? length : 1023] = 0;
	EXPECT(strstr(text, "initial_max_streams_bidi=100") != NULL);
	EXPECT_NUMBER(sq_conn_text(client->engine, at_client, SQ_TEXT_SCID, text, sizeof(text)), 24);
	EXPECT_NUMBER(sq_conn_text(client->engine, at_client, SQ_TEXT_DCID, text, sizeof(text)), 24);
	EXPECT(memcmp(text, "01", 2) == 0);
	EXPECT(sq_conn_address(client->engine, at_client, 1, (struct sockaddr *)&one, sizeof(one)) > 0);
	EXPECT(one.sin_port == address.sin_port);
	EXPECT(sq_conn_address(client->engine, at_client, 0, (struct sockaddr *)&one, sizeof(one)) > 0);
	EXPECT(sq_conn_address(server->engine, at_server, 1, (struct sockaddr *)&two, sizeof(two)) > 0);
	EXPECT(one.sin_port == two.sin_port && one.sin_addr.s_addr == two.sin_addr.s_addr);
	end();
}

/* ---- resumption ---- */

void early_data_is_told_as_such(void)
{
	double settings[] = { SQ_SET_EARLY, 1, -1 };
	uint8_t ticket[8192], bytes[16];
	uint32_t at_client, at_server, mine, theirs;
	struct sq_event event;
	int length, is_resumed;

	begin(settings);
	pair(&at_client, &at_server);
	wait_event(client, SQ_EV_TICKET, at_client, 0);
	length = sq_conn_ticket(client->engine, at_client, ticket, sizeof(ticket));
	EXPECT(length > 0);
	for (int round = 0; round < 2; round++) {
		forget_events(server);
		/* In the second round the server has fewer streams to offer: it refuses early data. */
		if (round == 1)
			sq_profile_set(server_profile, SQ_SET_STREAMS_BIDI, 50);
		at_client = (uint32_t)sq_connect(client->engine, client_profile, client_endpoint,
		                                 (struct sockaddr *)&address, sizeof(address),
		                                 "server.test", 11, "server.test", 11, NULL, 0,
		                                 ticket, length);
		mine = (uint32_t)sq_stream_open(client->engine, at_client, 0);
		say(client, mine, "early bird");
		sq_stream_finish(client->engine, mine);
		event = wait_event(server, SQ_EV_ACCEPTED, 0, 0);
		at_server = event.connection;
		EXPECT_NUMBER(event.b, round == 0);
		event = wait_event(server, SQ_EV_STREAM, at_server, 0);
		theirs = event.stream;
		EXPECT_NUMBER(event.a, round == 0 ? SQ_STREAM_EARLY : 0);
		EXPECT_NUMBER(hear_all(server, theirs, bytes, 10, NULL), 10);
		EXPECT(memcmp(bytes, "early bird", 10) == 0);
		/* GnuTLS refuses the session along with its early data. */
		is_resumed = wait_event(client, SQ_EV_CONNECTED, at_client, 0).b != 0;
		EXPECT(is_resumed || round == 1);
		say(server, theirs, "worm");
		EXPECT_NUMBER(hear_all(client, mine, bytes, 4, NULL), 4);
		EXPECT_NUMBER(number_of(client, at_client, SQ_N_RESUMED), is_resumed);
		EXPECT_NUMBER(number_of(client, at_client, SQ_N_EARLY_ACCEPTED), round == 0);
		EXPECT_NUMBER(number_of(client, at_client, SQ_N_EARLY_REJECTED), round == 1);
		EXPECT_NUMBER(number_of(server, at_server, SQ_N_EARLY_ACCEPTED), round == 0);
	}
	end();
}
