/*
 * A client and a server in memory: see tls-pair.h.
 */
#include <string.h>

#include "tls-pair.h"

#define ROUNDS 60
#define ROUND_TIME (5 * NGTCP2_MILLISECONDS)

static void set_up(struct pair *pair, struct sq_tls_context *server, uint64_t window)
{
	struct sockaddr_in client = { .sin_family = AF_INET, .sin_port = 1 };
	struct sockaddr_in other = { .sin_family = AF_INET, .sin_port = 2 };

	memset(pair, 0, sizeof(*pair));
	pair->window = window ? window : 65536;
	pair->now = NGTCP2_SECONDS;
	pair->server_context = server;
	pair->client.local = pair->server.remote = client;
	pair->client.remote = pair->server.local = other;
}

static void deliver(struct pair *pair, struct end *to, const struct packet *packet)
{
	if (!to->conn && (to != &pair->server || !end_accept(to, pair->server_context, packet,
	                                                     pair->window, pair->now)))
		return;
	end_read(to, packet, pair->now);
}

/* The first packet may have no room for early data beside the hello. */
static void send_early(struct pair *pair, const char *text)
{
	int64_t stream = -1;
	int64_t taken = -1;

	if (!sq_tls_use_ticket(pair->client.tls, pair->client.conn))
		return;
	while (taken < 0 && pair->first_count < FIRST_MAX &&
	       end_write_stream(&pair->client, &pair->first[pair->first_count], &stream, text,
	                        &taken, pair->now))
		pair->first_count++;
	pair->client.early_bytes = taken > 0 ? (int)taken : 0;
}

int pair_start(struct pair *pair, struct sq_tls_context *client, struct sq_tls_context *server,
               const struct wish *wish)
{
	set_up(pair, server, pair->window);
	if (!end_connect(&pair->client, client, wish, pair->now))
		return 0;
	if (wish && wish->early)
		send_early(pair, wish->early);
	while (pair->first_count < FIRST_MAX &&
	       end_write(&pair->client, &pair->first[pair->first_count], pair->now))
		pair->first_count++;
	return 1;
}

static void flush(struct pair *pair, struct end *from, struct end *to)
{
	struct packet packet;

	while (end_write(from, &packet, pair->now))
		deliver(pair, to, &packet);
}

void pair_run(struct pair *pair)
{
	int round;
	int i;

	for (i = 0; i < pair->first_count; i++)
		deliver(pair, &pair->server, &pair->first[i]);
	for (round = 0; round < ROUNDS; round++) {
		pair->now += ROUND_TIME;
		flush(pair, &pair->server, &pair->client);
		flush(pair, &pair->client, &pair->server);
		end_expire(&pair->server, pair->now);
		end_expire(&pair->client, pair->now);
	}
}

void pair_replay(struct pair *pair, struct sq_tls_context *server, const struct pair *from)
{
	int i;

	set_up(pair, server, from->window);
	for (i = 0; i < from->first_count; i++)
		deliver(pair, &pair->server, &from->first[i]);
}

void pair_send(struct pair *pair, const char *text)
{
	struct packet packet;
	int64_t stream = -1;
	int64_t taken;

	if (end_write_stream(&pair->client, &packet, &stream, text, &taken, pair->now))
		deliver(pair, &pair->server, &packet);
}

void pair_free(struct pair *pair)
{
	end_free(&pair->client);
	end_free(&pair->server);
	memset(pair, 0, sizeof(*pair));
}
