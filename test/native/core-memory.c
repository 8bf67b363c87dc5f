/* Bounds of memory: the arena, who pays when it is used up, windows of streams. */
#include <string.h>

#include "core-cases.h"

/* An arena that is too small: the stream that holds most is given up, everything else goes on. */
void the_arena_is_a_bound(void)
{
	static uint8_t bytes[1 << 20];
	double settings[] = { SQ_SET_STREAM_WINDOW, 1048576, SQ_SET_CONNECTION_WINDOW, 2097152,
		              SQ_SET_SEND_BUFFER, 1048576, SQ_SET_STREAMS_BIDI, 2,
		              SQ_SET_STREAMS_UNI, 0, -1 };
	uint32_t at_client, at_server, mine, theirs, other, at_other, more, more_theirs;
	uint8_t heard[8];
	int fd;

	begin(settings);
	fd = server->fds[2].fd;
	node_end(server);
	server = node_new(1, 1, 16);
	server_endpoint = node_listen_fd(server, server_profile, fd);
	pair(&at_client, &at_server);
	pair(&other, &at_other);
	open_pair(at_client, 0, &mine, &theirs);
	sq_stream_write(client->engine, mine, bytes, 0, sizeof(bytes));
	wait_event(server, SQ_EV_DATA, at_server, theirs);
	hear(server, theirs, NULL, 1, NULL);
	EXPECT_NUMBER(wait_event(server, SQ_EV_RESET, at_server, theirs).lo, 0);
	wait_event(client, SQ_EV_STOP, at_client, mine);
	EXPECT_NUMBER(sq_chunks_used(server->engine), 0);
	/* A neighbour's stream, and the next one of the same connection. */
	open_pair(other, 0, &more, &more_theirs);
	say(client, more, "neighbour");
	EXPECT_NUMBER(hear_all(server, more_theirs, heard, 8, NULL), 8);
	EXPECT(memcmp(heard, "neighbou", 8) == 0);
	sq_stream_release(server->engine, theirs);
	sq_stream_release(client->engine, mine);
	open_pair(at_client, 0, &mine, &theirs);
	say(client, mine, "next");
	EXPECT_NUMBER(hear_all(server, theirs, heard, 4, NULL), 4);
	end();
}

static int trims;

/* In place of the C library's. */
int malloc_trim(size_t pad);
int malloc_trim(size_t pad)
{
	(void)pad;
	trims++;
	return 1;
}

/* What a crowd of connections has left behind is given back once, when it has stayed away. */
void memory_of_a_crowd_is_given_back(void)
{
	static uint32_t handles[1200];
	struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_port = htons(9) };

	nowhere.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	/* The second is no crowd. */
	for (int count = 1200; count > 0; count -= 900) {
		trims = 0;
		begin(NULL);
		for (int i = 0; i < count; i++)
			handles[i] = node_connect(client, client_endpoint, client_profile, &nowhere);
		for (int i = 0; i < count; i++) {
			wait_event(client, SQ_EV_RELEASED, handles[i], 0);
			EXPECT_NUMBER(sq_conn_free(client->engine, handles[i]), 0);
		}
		for (int i = 0; i < (count == 1200 ? 400 : 60) && trims == 0; i++)
			world_turn(50);
		EXPECT_NUMBER(trims, count == 1200);
		end();
	}
}

#define CROWD 205

/*
 * Many that hold a little each: one look for chunks frees a part of the arena, from several of them,
 * and whoever holds more than they do goes first, whatever it needs.
 */
void many_who_hold_little_pay_together(void)
{
	static uint8_t bytes[8 * 32768];
	double settings[] = { SQ_SET_STREAM_WINDOW, 1048576, SQ_SET_CONNECTION_WINDOW, 8388608,
		              SQ_SET_SEND_BUFFER, 1048576, SQ_SET_STREAMS_BIDI, 8,
		              SQ_SET_STREAMS_UNI, 0, -1 };
	uint32_t at_client[CROWD], at_server[CROWD], stream, at_most;
	int fd, fed = 0, used, hurt = 0;

	begin(settings);
	fd = server->fds[2].fd;
	node_end(server);
	server = node_new(1, 1, 1024);
	server_endpoint = node_listen_fd(server, server_profile, fd);
	for (int i = 0; i < CROWD; i++)
		pair(&at_client[i], &at_server[i]);
	at_most = at_server[CROWD / 2];
	stream = (uint32_t)sq_stream_open(client->engine, at_client[CROWD / 2], 0);
	sq_stream_write(client->engine, stream, bytes, 0, sizeof(bytes));
	world_settle(100);
	EXPECT_NUMBER(sq_chunks_used(server->engine), 8);
	/* Streams of a byte, five for each, until there is room for seven chunks. */
	for (; sq_chunks_used(server->engine) < 1017 && fed < 5 * CROWD; fed++) {
		stream = (uint32_t)sq_stream_open(client->engine, at_client[fed % CROWD], 0);
		say(client, stream, "x");
		if (sq_chunks_used(server->engine) > 990 || fed % 50 == 0)
			world_settle(10);
	}
	EXPECT_NUMBER(sq_chunks_used(server->engine), 1017);
	EXPECT(!has_event(server, SQ_EV_RESET, 0, 0));
	stream = (uint32_t)sq_stream_open(client->engine, at_client[0], 0);
	say(client, stream, "one too many");
	used = 1017;
	while (used >= 1017) {
		world_turn(20);
		used = sq_chunks_used(server->engine);
	}
	/* A 64th part is free, and what came has its place. */
	EXPECT_NUMBER(used, 1024 - 1024 / 64 + 1);
	EXPECT(has_event(server, SQ_EV_RESET, at_most, 0));
	for (int i = 0; i < CROWD; i++)
		hurt += has_event(server, SQ_EV_RESET, at_server[i], 0);
	EXPECT(hurt >= 2);
	end();
}

/* Streams of different owners: one that is not read holds its own window, and nobody else. */
void a_shared_connection_is_nobodys_bound(void)
{
	static uint8_t bytes[1 << 20];
	double settings[] = { SQ_SET_STREAM_WINDOW, 65536, SQ_SET_CONNECTION_WINDOW, 65536,
		              SQ_SET_SEND_BUFFER, 1048576, SQ_SET_SHARED, 1, -1 };
	uint32_t at_client, at_server, mine[4], theirs[4];

	begin(settings);
	pair(&at_client, &at_server);
	for (int i = 0; i < 4; i++)
		open_pair(at_client, 0, &mine[i], &theirs[i]);
	/* Three that nobody reads, each as full as it can be. */
	for (int i = 0; i < 3; i++)
		sq_stream_write(server->engine, theirs[i], bytes, 0, sizeof(bytes));
	world_settle(100);
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_UNREAD), 3 * 65536);
	/* The fourth is read, and gets all of its own. */
	sq_stream_write(server->engine, theirs[3], bytes, 0, sizeof(bytes));
	EXPECT_NUMBER(hear_all(client, mine[3], NULL, sizeof(bytes), NULL), sizeof(bytes));
	EXPECT_NUMBER(number_of(client, at_client, SQ_N_UNREAD), 3 * 65536);
	end();
}
