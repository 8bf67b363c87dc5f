/*
 * The transport as native/quic/quic.h promises it, between engines in one process over the loopback.
 * Argument: the folder of certificates that test/support/native-quic.ts makes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core-world.h"

static struct node *client, *server;
static struct sq_profile *client_profile, *server_profile;
static struct sockaddr_in address;
static int client_endpoint, server_endpoint;

/* Two engines, one that listens; settings are pairs of setting and value, for both, -1 at the end. */
static void begin(const double *settings)
{
	client_profile = profile_client();
	server_profile = profile_server("server");
	sq_profile_set(server_profile, SQ_SET_REJECT_LOW_PORTS, 0);
	for (; settings && settings[0] >= 0; settings += 2) {
		sq_profile_set(client_profile, (int)settings[0], settings[1]);
		sq_profile_set(server_profile, (int)settings[0], settings[1]);
	}
	client = node_new(0, 0, 4096);
	server = node_new(1, 0, 4096);
	address = (struct sockaddr_in){ 0 };
	server_endpoint = node_listen(server, server_profile, &address);
	client_endpoint = node_client(client);
}

static void end(void)
{
	for (int i = 2; i < server->fd_count; i++)
		close(server->fds[i].fd);
	world_end();
	sq_profile_free(client_profile);
	sq_profile_free(server_profile);
}

static void pair(uint32_t *at_client, uint32_t *at_server)
{
	join(client, client_endpoint, client_profile, server, &address, at_client, at_server);
}

/* A stream of the client that the server knows. */
static void open_pair(uint32_t connection, int is_uni, uint32_t *mine, uint32_t *theirs)
{
	*mine = (uint32_t)sq_stream_open(client->engine, connection, is_uni);
	*theirs = wait_event(server, SQ_EV_STREAM, 0, 0).stream;
}

/* Closes from the client's side and waits until both have let go. */
static void part(uint32_t at_client, uint32_t at_server)
{
	sq_conn_close(client->engine, at_client, 0, 0, 0, "", 0);
	wait_event(client, SQ_EV_RELEASED, at_client, 0);
	wait_event(server, SQ_EV_RELEASED, at_server, 0);
	EXPECT(sq_conn_free(client->engine, at_client) == 0);
	EXPECT(sq_conn_free(server->engine, at_server) == 0);
	EXPECT(sq_conn_free(server->engine, at_server) == SQ_GONE);
	EXPECT_NUMBER(sq_chunks_used(client->engine), 0);
	EXPECT_NUMBER(sq_chunks_used(server->engine), 0);
}

/* ---- streams ---- */

static void bytes_and_ends_pass_both_ways(void)
{
	uint32_t at_client, at_server, mine, theirs;
	uint8_t bytes[64];
	int is_end;

	begin(NULL);
	pair(&at_client, &at_server);
	EXPECT_NUMBER(sq_conn_flags(client->engine, at_client) & 3, 1);
	EXPECT_NUMBER(sq_conn_flags(server->engine, at_server) & 3, 3);
	EXPECT_NUMBER(sq_conn_endpoint(server->engine, at_server), server_endpoint);
	open_pair(at_client, 0, &mine, &theirs);
	EXPECT_NUMBER(sq_stream_id(server->engine, theirs), 0);
	EXPECT(sq_stream_is_unsent(client->engine, mine) == 1);
	say(client, mine, "hello");
	EXPECT(sq_stream_finish(client->engine, mine) == 0);
	EXPECT_NUMBER(hear_all(server, theirs, bytes, 5, &is_end), 5);
	EXPECT(is_end && memcmp(bytes, "hello", 5) == 0);
	EXPECT(sq_stream_is_unsent(client->engine, mine) == 0);
	/* The other direction is open still. */
	EXPECT(sq_stream_write(client->engine, mine, bytes, 0, 1) == SQ_CLOSED);
	say(server, theirs, "good day");
	EXPECT_NUMBER(hear_all(client, mine, bytes, 8, NULL), 8);
	EXPECT(memcmp(bytes, "good day", 8) == 0);
	EXPECT(sq_stream_finish(server->engine, theirs) == 0);
	hear_all(client, mine, bytes, 1, &is_end);
	EXPECT(is_end);
	sq_stream_release(client->engine, mine);
	sq_stream_release(server->engine, theirs);
	world_settle(60);
	EXPECT(sq_stream_peek(client->engine, mine) == SQ_GONE);
	EXPECT(sq_stream_peek(server->engine, theirs) == SQ_GONE);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_STREAMS_NOW), 0);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_STREAMS_BIDI_REMOTE), 1);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_STREAMS_BIDI_LOCAL), 1);
	part(at_client, at_server);
	end();
}

static void unidirectional_streams_go_one_way(void)
{
	uint32_t at_client, at_server, mine, theirs;
	uint8_t bytes[8];
	struct sq_event event;
	int is_end;

	begin(NULL);
	pair(&at_client, &at_server);
	theirs = (uint32_t)sq_stream_open(server->engine, at_server, 1);
	say(server, theirs, "news");
	sq_stream_finish(server->engine, theirs);
	event = wait_event(client, SQ_EV_STREAM, at_client, 0);
	mine = event.stream;
	EXPECT_NUMBER(event.a, SQ_STREAM_UNI);
	EXPECT_NUMBER(event_code(&event), 3);
	EXPECT_NUMBER(hear_all(client, mine, bytes, 4, &is_end), 4);
	EXPECT(is_end);
	EXPECT(sq_stream_write(client->engine, mine, bytes, 0, 1) == SQ_CLOSED);
	EXPECT(sq_stream_peek(server->engine, theirs) == 0);
	part(at_client, at_server);
	end();
}

static void four_ends_of_a_stream_are_told_apart(void)
{
	uint32_t at_client, at_server, mine, theirs;
	struct sq_event event;
	uint8_t bytes[8];
	int is_end;

	begin(NULL);
	pair(&at_client, &at_server);

	open_pair(at_client, 0, &mine, &theirs);
	say(client, mine, "lost");
	wait_event(server, SQ_EV_DATA, at_server, theirs);
	sq_stream_reset(client->engine, mine, 77, 1);
	event = wait_event(server, SQ_EV_RESET, at_server, theirs);
	EXPECT_NUMBER(event_code(&event), 77 + 4294967296.0);
	EXPECT(sq_stream_peek(server->engine, theirs) == 0 && !server->io[SQ_IO_END]);
	/* Only one direction is over. */
	say(server, theirs, "still");
	EXPECT_NUMBER(hear_all(client, mine, bytes, 5, NULL), 5);
	sq_stream_finish(server->engine, theirs);
	hear_all(client, mine, bytes, 1, &is_end);
	EXPECT(is_end);
	sq_stream_release(client->engine, mine);
	sq_stream_release(server->engine, theirs);

	open_pair(at_client, 0, &mine, &theirs);
	sq_stream_stop(server->engine, theirs, 55, 0);
	event = wait_event(client, SQ_EV_STOP, at_client, mine);
	EXPECT_NUMBER(event_code(&event), 55);
	EXPECT(sq_stream_write(client->engine, mine, bytes, 0, 1) == SQ_CLOSED);
	say(server, theirs, "back");
	EXPECT_NUMBER(hear_all(client, mine, bytes, 4, NULL), 4);
	/* What the peer resets because it was asked to is nothing new. */
	world_settle(60);
	EXPECT(!has_event(server, SQ_EV_RESET, at_server, theirs));
	sq_stream_reset(server->engine, theirs, 9, 0);
	EXPECT_NUMBER(wait_event(client, SQ_EV_RESET, at_client, mine).lo, 9);
	sq_stream_release(client->engine, mine);
	sq_stream_release(server->engine, theirs);
	world_settle(60);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_STREAMS_NOW), 0);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_STREAMS_NOW), 0);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_STREAM_RESETS_SENT), 2);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_STREAM_RESETS_RECEIVED), 1);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_STOPS_RECEIVED), 1);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_STOPS_SENT), 1);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_STREAM_RESETS_RECEIVED), 2);

	open_pair(at_client, 0, &mine, &theirs);
	say(client, mine, "end");
	sq_conn_close(client->engine, at_client, 0, 5, 0, "bye", 3);
	EXPECT(sq_stream_write(client->engine, mine, bytes, 0, 1) == SQ_GONE);
	event = wait_event(server, SQ_EV_CLOSED, at_server, 0);
	EXPECT_NUMBER(event.a, SQ_CAUSE_APPLICATION);
	EXPECT_NUMBER(event_code(&event), 5);
	EXPECT_NUMBER(event.c, 3);
	EXPECT(!has_event(server, SQ_EV_RESET, at_server, theirs));
	end();
}

static void credit_is_given_for_what_was_consumed(void)
{
	static uint8_t bytes[1 << 20];
	double settings[] = { SQ_SET_STREAM_WINDOW, 262144, SQ_SET_CONNECTION_WINDOW, 1048576,
		              SQ_SET_SEND_BUFFER, 524288, -1 };
	uint32_t at_client, at_server, mine, theirs;
	int taken;

	begin(settings);
	pair(&at_client, &at_server);
	open_pair(at_client, 0, &mine, &theirs);
	memset(bytes, 'x', sizeof(bytes));
	taken = sq_stream_write(client->engine, mine, bytes, 0, sizeof(bytes));
	EXPECT_NUMBER(taken, 524288);
	EXPECT_NUMBER(sq_stream_write(client->engine, mine, bytes, 0, 1), 0);
	world_settle(100);
	/* Half of the connection's window for 200 streams that nobody reads; all of it for one that is. */
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_UNREAD), 1048576 / 2 / 200);
	EXPECT_NUMBER(hear(server, theirs, NULL, 1, NULL), 1);
	world_settle(100);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_UNREAD), 262144);
	EXPECT(number_of(client, at_client, SQ_N_BLOCKED_STREAM) >= 1);
	EXPECT(has_event(client, SQ_EV_WRITABLE, at_client, mine));
	EXPECT_NUMBER(hear_all(server, theirs, NULL, 100000, NULL), 100000);
	world_settle(100);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_UNREAD), 262144);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_UNSENT), 524288 - 362145);
	/* Below a quarter of the window nothing is announced; all bytes arrive all the same. */
	EXPECT_NUMBER(hear_all(server, theirs, NULL, 424287, NULL), 424287);
	world_settle(60);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_UNSENT), 0);
	EXPECT_NUMBER(sq_chunks_used(client->engine), 0);
	EXPECT_NUMBER(sq_chunks_used(server->engine), 0);
	part(at_client, at_server);
	end();
}

/* Streams that are given up with unread bytes must not use the connection's window up. */
static void abandoned_streams_give_their_credit_back(void)
{
	static uint8_t bytes[200000];
	double settings[] = { SQ_SET_STREAM_WINDOW, 262144, SQ_SET_CONNECTION_WINDOW, 524288, -1 };
	uint32_t at_client, at_server, mine, theirs;

	begin(settings);
	pair(&at_client, &at_server);
	for (int i = 0; i < 30; i++) {
		open_pair(at_client, 0, &mine, &theirs);
		EXPECT_NUMBER(sq_stream_write(client->engine, mine, bytes, 0, sizeof(bytes)),
		              sizeof(bytes));
		wait_event(server, SQ_EV_DATA, at_server, theirs);
		if (i % 3 != 0)
			world_settle(5);
		if (i % 3 == 0) {
			sq_stream_reset(client->engine, mine, 1, 0);
			sq_stream_stop(client->engine, mine, 1, 0);
			wait_event(server, SQ_EV_RESET, at_server, theirs);
			sq_stream_reset(server->engine, theirs, 1, 0);
		} else if (i % 3 == 1) {
			sq_stream_stop(server->engine, theirs, 2, 0);
			sq_stream_reset(server->engine, theirs, 2, 0);
			wait_event(client, SQ_EV_STOP, at_client, mine);
		} else {
			sq_stream_finish(client->engine, mine);
			sq_stream_finish(server->engine, theirs);
		}
		sq_stream_release(client->engine, mine);
		sq_stream_release(server->engine, theirs);
		world_settle(5);
		forget_events(client);
		forget_events(server);
	}
	world_settle(60);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_STREAMS_NOW), 0);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_STREAMS_NOW), 0);
	EXPECT_NUMBER(sq_chunks_used(client->engine), 0);
	EXPECT_NUMBER(sq_chunks_used(server->engine), 0);
	open_pair(at_client, 0, &mine, &theirs);
	for (int sent = 0; sent < 3000000;) {
		int taken = sq_stream_write(client->engine, mine, bytes, 0, sizeof(bytes));

		EXPECT(taken >= 0);
		if (taken < 0)
			break;
		sent += taken;
		world_turn(5);
		hear(server, theirs, NULL, 1 << 20, NULL);
	}
	part(at_client, at_server);
	end();
}

static void the_connection_window_stops_all_streams(void)
{
	static uint8_t bytes[262144];
	double settings[] = { SQ_SET_STREAM_WINDOW, 262144, SQ_SET_CONNECTION_WINDOW, 1048576, -1 };
	uint32_t at_client, at_server, mine[8], theirs[8];

	begin(settings);
	pair(&at_client, &at_server);
	for (int i = 0; i < 8; i++) {
		open_pair(at_client, 0, &mine[i], &theirs[i]);
		EXPECT_NUMBER(sq_stream_write(client->engine, mine[i], bytes, 0, sizeof(bytes)),
		              sizeof(bytes));
		sq_stream_finish(client->engine, mine[i]);
	}
	world_settle(60);
	/* Unread, they leave half of it to those that are read. */
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_UNREAD), 8 * (1048576 / 2 / 200));
	for (int i = 0; i < 8; i++)
		EXPECT_NUMBER(hear(server, theirs[i], NULL, 1, NULL), 1);
	world_settle(60);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_UNREAD), 1048576 - 8);
	EXPECT(number_of(client, at_client, SQ_N_BLOCKED_CONNECTION) >= 1);
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 8; i++)
			hear(server, theirs[i], NULL, 1 << 20, NULL);
		world_turn(5);
	}
	for (int i = 0; i < 8; i++) {
		int is_end;

		hear(server, theirs[i], NULL, 0, &is_end);
		EXPECT(is_end);
	}
	part(at_client, at_server);
	end();
}

static void streams_are_limited(void)
{
	double settings[] = { SQ_SET_STREAMS_BIDI, 3, -1 };
	uint32_t at_client, at_server, mine[3], theirs[3];

	begin(settings);
	pair(&at_client, &at_server);
	for (int i = 0; i < 3; i++)
		open_pair(at_client, 0, &mine[i], &theirs[i]);
	EXPECT(sq_stream_open(client->engine, at_client, 0) == SQ_NO_CREDIT);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_BLOCKED_STREAMS), 1);
	forget_events(client);
	/* One that the server's caller still knows counts, though it is over. */
	sq_stream_reset(client->engine, mine[0], 0, 0);
	wait_event(server, SQ_EV_RESET, at_server, theirs[0]);
	sq_stream_reset(server->engine, theirs[0], 0, 0);
	wait_event(client, SQ_EV_RESET, at_client, mine[0]);
	world_settle(60);
	EXPECT(!has_event(client, SQ_EV_CREDIT, at_client, 0));
	sq_stream_release(server->engine, theirs[0]);
	EXPECT_NUMBER(wait_event(client, SQ_EV_CREDIT, at_client, 0).a, 1);
	sq_stream_release(client->engine, mine[0]);
	EXPECT(sq_stream_open(client->engine, at_client, 0) > 0);
	part(at_client, at_server);
	end();
}

/* More streams than a batch has events for: none is lost. */
static void many_streams_are_echoed(void)
{
	double settings[] = { SQ_SET_STREAMS_BIDI, 500, -1 };
	static uint32_t mine[500];
	uint32_t at_client, at_server;
	int opened = 0, echoed = 0, done = 0;

	begin(settings);
	pair(&at_client, &at_server);
	for (; opened < 500; opened++) {
		mine[opened] = (uint32_t)sq_stream_open(client->engine, at_client, 0);
		say(client, mine[opened], "a request");
		sq_stream_finish(client->engine, mine[opened]);
	}
	for (int round = 0; round < 2000 && done < opened; round++) {
		world_turn(5);
		while (has_event(server, SQ_EV_STREAM, at_server, 0)) {
			uint32_t stream = wait_event(server, SQ_EV_STREAM, at_server, 0).stream;
			int is_end, count = hear(server, stream, NULL, 100, &is_end);

			EXPECT_NUMBER(count, 9);
			EXPECT(is_end);
			say(server, stream, "an answer");
			sq_stream_finish(server->engine, stream);
			sq_stream_release(server->engine, stream);
			echoed++;
		}
		for (int i = 0; i < opened; i++) {
			int is_end;

			if (!mine[i])
				continue;
			hear(client, mine[i], NULL, 100, &is_end);
			if (!is_end)
				continue;
			sq_stream_release(client->engine, mine[i]);
			mine[i] = 0;
			done++;
		}
	}
	EXPECT_NUMBER(echoed, 500);
	EXPECT_NUMBER(done, 500);
	world_settle(60);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_STREAMS_NOW), 0);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_STREAMS_NOW), 0);
	part(at_client, at_server);
	end();
}

static void released_streams_are_still_delivered(void)
{
	static uint8_t bytes[300000];
	uint32_t at_client, at_server, mine, theirs;
	int is_end;

	begin(NULL);
	pair(&at_client, &at_server);
	open_pair(at_client, 0, &mine, &theirs);
	EXPECT_NUMBER(sq_stream_write(client->engine, mine, bytes, 0, sizeof(bytes)), sizeof(bytes));
	sq_stream_finish(client->engine, mine);
	sq_stream_release(client->engine, mine);
	/* What it is answered is thrown away, more than a window of it. */
	for (int i = 0; i < 100; i++) {
		sq_stream_write(server->engine, theirs, bytes, 0, 20000);
		world_turn(1);
	}
	sq_stream_finish(server->engine, theirs);
	EXPECT_NUMBER(hear_all(server, theirs, NULL, sizeof(bytes), &is_end), sizeof(bytes));
	EXPECT(is_end);
	world_settle(60);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_STREAMS_NOW), 0);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_UNSENT), 0);
	sq_stream_release(server->engine, theirs);
	part(at_client, at_server);
	end();
}

/* ---- datagrams ---- */

static void datagrams_pass_and_are_bounded(void)
{
	double settings[] = { SQ_SET_DATAGRAM_MAX, 1200, SQ_SET_DATAGRAM_QUEUE, 4, -1 };
	uint32_t at_client, at_server;
	uint8_t bytes[5000];

	begin(settings);
	pair(&at_client, &at_server);
	memset(bytes, 'd', sizeof(bytes));
	EXPECT_NUMBER(sq_datagram_send(client->engine, at_client, bytes, 0, 1000), 0);
	wait_event(server, SQ_EV_DATAGRAM, at_server, 0);
	EXPECT_NUMBER(sq_datagram_peek(server->engine, at_server), 1000);
	EXPECT(sq_datagram_drop(server->engine, at_server) == 0);
	EXPECT_NUMBER(sq_datagram_peek(server->engine, at_server), -1);
	EXPECT(sq_datagram_send(client->engine, at_client, bytes, 0, 5000) == SQ_TOO_LONG);
	/* Six without a turn: the two oldest have gone. */
	for (int i = 0; i < 6; i++) {
		bytes[0] = (uint8_t)i;
		EXPECT_NUMBER(sq_datagram_send(client->engine, at_client, bytes, 0, 10),
		              i < 4 ? 0 : SQ_FULL);
	}
	wait_event(server, SQ_EV_DATAGRAM, at_server, 0);
	world_settle(30);
	for (int i = 2; i < 6; i++) {
		const uint8_t *at;

		EXPECT_NUMBER(sq_datagram_peek(server->engine, at_server), 10);
		at = (const uint8_t *)(uintptr_t)sq_segment(server->engine,
		                                            (int)server->io[SQ_IO_SEGMENT]);
		EXPECT_NUMBER(at[server->io[SQ_IO_OFFSET]], i);
		sq_datagram_drop(server->engine, at_server);
	}
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_DATAGRAMS_SENT), 5);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_DATAGRAMS_DROPPED), 3);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_DATAGRAMS_RECEIVED), 5);
	part(at_client, at_server);
	end();
}

/* ---- ends of connections ---- */

static void causes_are_told_apart(void)
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

static void silence_ends_a_connection(void)
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

static void nobody_listens(void)
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

/* A worker that died and its successor: the successor says that it knows nothing of it. */
static void a_successor_resets_what_it_does_not_know(void)
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

static void clients_prove_their_address(void)
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

static void connections_are_limited(void)
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

static void garbage_is_counted_and_nothing_else(void)
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

/* ---- routing, migration ---- */

static void packets_reach_their_worker(void)
{
	uint32_t at_client, at_server, mine, theirs;
	struct sockaddr_in relayed, old;
	struct relay relay;
	struct node *other;
	uint8_t bytes[8];
	int fd, other_endpoint;

	begin(NULL);
	relay_start(&relay, &address, &relayed);
	join(client, client_endpoint, client_profile, server, &relayed, &at_client, &at_server);
	open_pair(at_client, 0, &mine, &theirs);
	world_settle(60);
	sq_conn_address(server->engine, at_server, 1, (struct sockaddr *)&old, sizeof(old));
	/* Another worker takes the first one's place at the socket, which listens elsewhere. */
	other = node_new(2, 0, 4096);
	fd = server->fds[2].fd;
	server->fds[2].fd = dup(fd);
	close(server->fds[2].fd);
	server->fd_count = 2;
	other_endpoint = node_listen_fd(other, server_profile, fd);
	relay_rebind(&relay);
	say(client, mine, "moved");
	EXPECT_NUMBER(hear_all(server, theirs, bytes, 5, NULL), 5);
	wait_event(server, SQ_EV_MIGRATED, at_server, 0);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_MIGRATIONS), 1);
	EXPECT(endpoint_number(other, other_endpoint, SQ_N_FORWARDED) >= 1);
	say(server, theirs, "answer");
	EXPECT_NUMBER(hear_all(client, mine, bytes, 6, NULL), 6);
	relay_end(&relay);
	close(fd);
	end();
}

/* ---- errors inside ---- */

static void errors_end_one_connection_only(void)
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
	sq_inject(client->engine, 4, 5);
	say(client, mine, "late");
	EXPECT_NUMBER(hear_all(server, theirs, bytes, 4, NULL), 4);
	EXPECT(endpoint_number(client, client_endpoint, SQ_N_SEND_BLOCKED) >= 5);
	part(first_client, first_server);
	end();
}

/* Every allocation of a connection's life may fail. */
static void allocations_may_fail(void)
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

static void growth_is_told_once(void)
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

static void texts_and_addresses_are_known(void)
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

static void early_data_is_told_as_such(void)
{
	double settings[] = { SQ_SET_EARLY, 1, -1 };
	uint8_t ticket[8192], bytes[16];
	uint32_t at_client, at_server, mine, theirs;
	struct sq_event event;
	int length;

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
		EXPECT_NUMBER(wait_event(client, SQ_EV_CONNECTED, at_client, 0).b, 1);
		say(server, theirs, "worm");
		EXPECT_NUMBER(hear_all(client, mine, bytes, 4, NULL), 4);
		EXPECT_NUMBER(number_of(client, at_client, SQ_N_RESUMED), 1);
		EXPECT_NUMBER(number_of(client, at_client, SQ_N_EARLY_ACCEPTED), round == 0);
		EXPECT_NUMBER(number_of(client, at_client, SQ_N_EARLY_REJECTED), round == 1);
		EXPECT_NUMBER(number_of(server, at_server, SQ_N_EARLY_ACCEPTED), round == 0);
	}
	end();
}

/* ---- memory ---- */

/* An arena that is too small: who needs more is closed, the others go on. */
static void the_arena_is_a_bound(void)
{
	static uint8_t bytes[1 << 20];
	double settings[] = { SQ_SET_STREAM_WINDOW, 1048576, SQ_SET_CONNECTION_WINDOW, 1048576,
		              SQ_SET_SEND_BUFFER, 1048576, SQ_SET_STREAMS_BIDI, 1,
		              SQ_SET_STREAMS_UNI, 0, -1 };
	uint32_t at_client, at_server, mine, theirs;
	int fd;

	begin(settings);
	fd = server->fds[2].fd;
	node_end(server);
	server = node_new(1, 1, 16);
	server_endpoint = node_listen_fd(server, server_profile, fd);
	pair(&at_client, &at_server);
	open_pair(at_client, 0, &mine, &theirs);
	sq_stream_write(client->engine, mine, bytes, 0, sizeof(bytes));
	wait_event(server, SQ_EV_DATA, at_server, theirs);
	hear(server, theirs, NULL, 1, NULL);
	EXPECT_NUMBER(wait_event(server, SQ_EV_CLOSED, at_server, 0).a, SQ_CAUSE_INTERNAL);
	world_settle(30);
	EXPECT_NUMBER(sq_chunks_used(server->engine), 0);
	forget_events(server);
	pair(&at_client, &at_server);
	end();
}

#define CASE(name) { name, #name }

int main(int argc, char **argv)
{
	static const struct {
		void (*run)(void);
		const char *name;
	} cases[] = {
		CASE(bytes_and_ends_pass_both_ways),
		CASE(unidirectional_streams_go_one_way),
		CASE(four_ends_of_a_stream_are_told_apart),
		CASE(credit_is_given_for_what_was_consumed),
		CASE(abandoned_streams_give_their_credit_back),
		CASE(the_connection_window_stops_all_streams),
		CASE(streams_are_limited),
		CASE(many_streams_are_echoed),
		CASE(released_streams_are_still_delivered),
		CASE(datagrams_pass_and_are_bounded),
		CASE(causes_are_told_apart),
		CASE(silence_ends_a_connection),
		CASE(nobody_listens),
		CASE(a_successor_resets_what_it_does_not_know),
		CASE(clients_prove_their_address),
		CASE(connections_are_limited),
		CASE(garbage_is_counted_and_nothing_else),
		CASE(packets_reach_their_worker),
		CASE(errors_end_one_connection_only),
		CASE(allocations_may_fail),
		CASE(growth_is_told_once),
		CASE(texts_and_addresses_are_known),
		CASE(early_data_is_told_as_such),
		CASE(the_arena_is_a_bound),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: quic-core FOLDER [CASE]\n");
		return 2;
	}
	world.folder = argv[1];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int before = failures;

		if (argc > 2 && strcmp(argv[2], cases[i].name) != 0)
			continue;
		cases[i].run();
		printf("%s %s\n", failures == before ? "ok" : "FAILED", cases[i].name);
		fflush(stdout);
	}
	return failures ? 1 : 0;
}
