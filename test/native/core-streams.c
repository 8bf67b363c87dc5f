/* Streams and datagrams: bytes, ends, credit, limits. */
#include <string.h>

#include "core-cases.h"

/* ---- streams ---- */

void bytes_and_ends_pass_both_ways(void)
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

void unidirectional_streams_go_one_way(void)
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

void four_ends_of_a_stream_are_told_apart(void)
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

void credit_is_given_for_what_was_consumed(void)
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
void abandoned_streams_give_their_credit_back(void)
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

void the_connection_window_stops_all_streams(void)
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

void streams_are_limited(void)
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
void many_streams_are_echoed(void)
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

void released_streams_are_still_delivered(void)
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

void datagrams_pass_and_are_bounded(void)
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
