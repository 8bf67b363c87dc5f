/* See core-world.h. */
#define _GNU_SOURCE
#include "core-world.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

struct world world;
struct relay *world_relay;
int failures;
uint8_t core_secret[SQ_SECRET_BYTES] =
	"the secret of all these engines and what is of this host alone!";

void expect(int is_true, const char *what, const char *file, int line)
{
	if (is_true)
		return;
	failures++;
	printf("%s:%d: not so: %s\n", file, line, what);
	fflush(stdout);
}

void expect_number(double got, double wanted, const char *what, const char *file, int line)
{
	if (got == wanted)
		return;
	failures++;
	printf("%s:%d: %s is %.0f, not %.0f\n", file, line, what, got, wanted);
	fflush(stdout);
}

static uint64_t millis(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

struct node *node_new(int worker, int generation, int chunks_max)
{
	struct node *node = &world.nodes[world.node_count++];

	memset(node, 0, sizeof(*node));
	node->log = malloc(LOG_MAX * sizeof(*node->log));
	node->engine = sq_engine_new(worker, generation, core_secret, node->events, EVENTS_MAX,
	                             node->io, chunks_max);
	EXPECT(node->engine != NULL);
	node->fds[0].fd = sq_engine_timer_fd(node->engine);
	node->fds[0].endpoint = -1;
	node->fds[1].fd = sq_engine_mail_fd(node->engine);
	node->fds[1].endpoint = -1;
	node->fd_count = 2;
	return node;
}

void node_end(struct node *node)
{
	if (node->engine)
		sq_engine_destroy(node->engine);
	node->engine = NULL;
	node->fd_count = 0;
}

void world_end(void)
{
	for (int i = 0; i < world.node_count; i++) {
		node_end(&world.nodes[i]);
		free(world.nodes[i].log);
	}
	world.node_count = 0;
}

static void node_events(struct node *node)
{
	int count;

	do {
		count = sq_events(node->engine);
		for (int i = 0; i < count && node->log_count < LOG_MAX; i++)
			memcpy(&node->log[node->log_count++], node->events + i * SQ_EVENT_WORDS,
			       sizeof(struct sq_event));
	} while (count == EVENTS_MAX);
}

static void relay_pass(struct relay *relay)
{
	uint8_t bytes[65536];
	struct sockaddr_in from;
	socklen_t from_bytes = sizeof(from);
	ssize_t length;

	while ((length = recvfrom(relay->front, bytes, sizeof(bytes), MSG_DONTWAIT,
	                          (struct sockaddr *)&from, &from_bytes)) >= 0) {
		relay->client = from;
		sendto(relay->back, bytes, (size_t)length, 0, (struct sockaddr *)&relay->to,
		       sizeof(relay->to));
	}
	while ((length = recv(relay->back, bytes, sizeof(bytes), MSG_DONTWAIT)) >= 0)
		sendto(relay->front, bytes, (size_t)length, 0, (struct sockaddr *)&relay->client,
		       sizeof(relay->client));
}

/* 1: something was ready. */
static int turn(int ms)
{
	struct pollfd polled[NODES_MAX * FDS_MAX + 2];
	int count = 0, ready, at = 0;

	for (int i = 0; i < world.node_count; i++)
		if (world.nodes[i].engine)
			sq_flush(world.nodes[i].engine);
	for (int i = 0; i < world.node_count; i++)
		for (int k = 0; k < world.nodes[i].fd_count; k++)
			polled[count++] = (struct pollfd){ world.nodes[i].fds[k].fd, POLLIN, 0 };
	if (world_relay) {
		polled[count++] = (struct pollfd){ world_relay->front, POLLIN, 0 };
		polled[count++] = (struct pollfd){ world_relay->back, POLLIN, 0 };
	}
	ready = poll(polled, (nfds_t)count, ms);
	for (int i = 0; i < world.node_count; i++) {
		struct node *node = &world.nodes[i];

		for (int k = 0; k < node->fd_count; k++, at++) {
			int most = 16;

			if (!(polled[at].revents & (POLLIN | POLLERR)))
				continue;
			do
				sq_pump(node->engine, node->fds[k].endpoint);
			while (node->io[SQ_IO_MORE] && --most > 0);
		}
		if (!node->engine)
			continue;
		node_events(node);
		sq_flush(node->engine);
		node_events(node);
	}
	if (world_relay)
		relay_pass(world_relay);
	return ready > 0;
}

void world_turn(int ms)
{
	turn(ms);
}

void world_settle(int ms)
{
	uint64_t quiet = millis(), end = quiet + PATIENCE_MS;

	while (millis() < quiet + (uint64_t)ms && millis() < end)
		if (turn(ms))
			quiet = millis();
}

static int find_event(const struct node *node, uint32_t type, uint32_t connection, uint32_t stream)
{
	for (int i = 0; i < node->log_count; i++)
		if (node->log[i].type == type &&
		    (!connection || node->log[i].connection == connection) &&
		    (!stream || node->log[i].stream == stream))
			return i;
	return -1;
}

int has_event(const struct node *node, uint32_t type, uint32_t connection, uint32_t stream)
{
	return find_event(node, type, connection, stream) >= 0;
}

struct sq_event wait_event(struct node *node, uint32_t type, uint32_t connection, uint32_t stream)
{
	uint64_t end = millis() + PATIENCE_MS;
	struct sq_event event = { 0 };
	int at;

	turn(0);
	while ((at = find_event(node, type, connection, stream)) < 0 && millis() < end)
		turn(20);
	if (at < 0) {
		failures++;
		printf("no event %u about connection %x, stream %x\n", type, connection, stream);
		return event;
	}
	event = node->log[at];
	memmove(node->log + at, node->log + at + 1,
	        (size_t)(--node->log_count - at) * sizeof(*node->log));
	return event;
}

void forget_events(struct node *node)
{
	node->log_count = 0;
}

uint64_t event_code(const struct sq_event *event)
{
	return event->lo | (uint64_t)event->hi << 32;
}

/* ---- profiles, endpoints, connections ---- */

static char *read_file(const char *name, const char *end, int *length)
{
	static char texts[8][16384];
	static int which;
	char *text = texts[which++ % 8];
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s%s", world.folder, name, end);
	file = fopen(path, "r");
	if (!file) {
		printf("%s is missing\n", path);
		exit(2);
	}
	*length = (int)fread(text, 1, 16384, file);
	fclose(file);
	return text;
}

struct sq_profile *profile_server(const char *certificate)
{
	struct sq_profile *profile = sq_profile_new(1);
	int chain_bytes, key_bytes;
	char *chain = read_file(certificate, ".crt", &chain_bytes);
	char *key = read_file(certificate, ".key", &key_bytes);

	EXPECT(sq_profile_certificate(profile, chain, chain_bytes, key, key_bytes) == 0);
	EXPECT(sq_profile_alpn(profile, (const uint8_t *)"\4test", 5) == 0);
	return profile;
}

struct sq_profile *profile_client(void)
{
	struct sq_profile *profile = sq_profile_new(0);
	int bytes;
	char *pem = read_file("authority", ".crt", &bytes);

	EXPECT(sq_profile_authorities(profile, pem, bytes) == 0);
	EXPECT(sq_profile_alpn(profile, (const uint8_t *)"\4test", 5) == 0);
	return profile;
}

int node_listen_fd(struct node *node, struct sq_profile *profile, int fd)
{
	int endpoint = sq_listen(node->engine, profile, fd);

	EXPECT(endpoint >= 0);
	node->fds[node->fd_count].fd = fd;
	node->fds[node->fd_count++].endpoint = endpoint;
	return endpoint;
}

int node_listen(struct node *node, struct sq_profile *profile, struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd;

	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = sq_udp_socket((struct sockaddr *)address, sizeof(*address), SQ_UDP_REUSEPORT, 0, 0, NULL);
	EXPECT(fd >= 0);
	getsockname(fd, (struct sockaddr *)address, &length);
	return node_listen_fd(node, profile, fd);
}

int node_client(struct node *node)
{
	int endpoint = sq_client_endpoint(node->engine, AF_INET, NULL, 0, NULL);

	EXPECT(endpoint >= 0);
	node->fds[node->fd_count].fd = sq_endpoint_fd(node->engine, endpoint);
	node->fds[node->fd_count++].endpoint = endpoint;
	return endpoint;
}

uint32_t node_connect(struct node *node, int endpoint, struct sq_profile *profile,
                      const struct sockaddr_in *to)
{
	double handle = sq_connect(node->engine, profile, endpoint, (const struct sockaddr *)to,
	                           sizeof(*to), "server.test", 11, "server.test", 11, NULL, 0, NULL,
	                           0);

	EXPECT(handle > 0);
	return (uint32_t)handle;
}

void join(struct node *client, int endpoint, struct sq_profile *profile, struct node *server,
          const struct sockaddr_in *to, uint32_t *at_client, uint32_t *at_server)
{
	*at_client = node_connect(client, endpoint, profile, to);
	wait_event(client, SQ_EV_CONNECTED, *at_client, 0);
	*at_server = wait_event(server, SQ_EV_ACCEPTED, 0, 0).connection;
}

/* ---- streams ---- */

void say(struct node *node, uint32_t stream, const char *text)
{
	int length = (int)strlen(text);

	EXPECT_NUMBER(sq_stream_write(node->engine, stream, (const uint8_t *)text, 0, length),
	              length);
}

int hear(struct node *node, uint32_t stream, uint8_t *out, int room, int *is_end)
{
	int total = 0, count;

	while (total < room && (count = sq_stream_peek(node->engine, stream)) > 0) {
		const uint8_t *bytes = (const uint8_t *)(uintptr_t)sq_segment(
			node->engine, (int)node->io[SQ_IO_SEGMENT]);

		if (count > room - total)
			count = room - total;
		if (out)
			memcpy(out + total, bytes + node->io[SQ_IO_OFFSET], (size_t)count);
		total += count;
		sq_stream_consume(node->engine, stream, count);
	}
	if (is_end)
		*is_end = sq_stream_peek(node->engine, stream) == 0 && node->io[SQ_IO_END];
	return total;
}

int hear_all(struct node *node, uint32_t stream, uint8_t *out, int count, int *is_end)
{
	uint64_t end = millis() + PATIENCE_MS;
	int total = 0, is_over = 0;

	while (total < count && !is_over && millis() < end) {
		total += hear(node, stream, out ? out + total : NULL, count - total, &is_over);
		if (total < count && !is_over)
			turn(20);
	}
	if (is_end) {
		while (!is_over && millis() < end) {
			turn(20);
			hear(node, stream, NULL, 0, &is_over);
		}
		*is_end = is_over;
	}
	return total;
}

double number_of(struct node *node, uint32_t connection, int which)
{
	double out[SQ_N_COUNT] = { 0 };

	EXPECT(sq_conn_now(node->engine, connection, out) == 0);
	return out[which];
}

double endpoint_number(struct node *node, int endpoint, int which)
{
	static double totals[NODES_MAX][8][SQ_N_COUNTS];
	double out[SQ_N_COUNTS] = { 0 };
	int at = (int)(node - world.nodes);

	EXPECT(sq_endpoint_deltas(node->engine, endpoint, out) == 0);
	for (int i = 0; i < SQ_N_COUNTS; i++)
		totals[at][endpoint][i] = out[i];
	return totals[at][endpoint][which];
}

/* ---- relay ---- */

static int loopback_socket(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){ .sin_family = AF_INET };
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)address, sizeof(*address)) != 0)
		return -1;
	getsockname(fd, (struct sockaddr *)address, &length);
	return fd;
}

int relay_start(struct relay *relay, const struct sockaddr_in *to, struct sockaddr_in *address)
{
	struct sockaddr_in any;

	relay->to = *to;
	relay->front = loopback_socket(address);
	relay->back = loopback_socket(&any);
	world_relay = relay;
	return relay->front >= 0 && relay->back >= 0 ? 0 : -1;
}

void relay_rebind(struct relay *relay)
{
	struct sockaddr_in any;
	int fresh = loopback_socket(&any);

	close(relay->back);
	relay->back = fresh;
}

void relay_end(struct relay *relay)
{
	world_relay = NULL;
	close(relay->front);
	close(relay->back);
}
