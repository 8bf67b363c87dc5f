/*
 * Engines in one process, over UDP sockets of the loopback, driven by poll: what the programs about
 * the transport are made of. Each node keeps the events that it was told until a case takes them.
 */
#ifndef SLUICE_TEST_CORE_WORLD_H
#define SLUICE_TEST_CORE_WORLD_H

#include <netinet/in.h>
#include <stdint.h>

#include "../../native/quic/quic.h"

#define NODES_MAX 6
#define FDS_MAX 16
#define LOG_MAX 65536
#define EVENTS_MAX 64

struct node {
	struct sq_engine *engine;
	uint32_t events[EVENTS_MAX * SQ_EVENT_WORDS];
	uint32_t io[SQ_IO_WORDS];
	struct { int fd, endpoint; } fds[FDS_MAX];
	int fd_count;
	struct sq_event *log;
	int log_count;
};

struct world {
	struct node nodes[NODES_MAX];
	int node_count;
	const char *folder;
};

extern struct world world;
extern int failures;
extern uint8_t core_secret[SQ_SECRET_BYTES];

void expect(int is_true, const char *what, const char *file, int line);
#define EXPECT(condition) expect((condition) != 0, #condition, __FILE__, __LINE__)
void expect_number(double got, double wanted, const char *what, const char *file, int line);
#define EXPECT_NUMBER(got, wanted) expect_number((double)(got), (double)(wanted), #got, __FILE__, __LINE__)

/* Forgets all nodes. */
void world_end(void);
struct node *node_new(int worker, int generation, int chunks_max);
void node_end(struct node *node);
/* One turn of all: waits up to `ms` for a descriptor, pumps, reads events, flushes. */
void world_turn(int ms);
/* Turns until nothing has happened for `ms`. */
void world_settle(int ms);
/* The first event of the kind (about `connection`, `stream`, 0 = any), which is taken out of the log;
 * waits for it. type 0: failed. */
struct sq_event wait_event(struct node *node, uint32_t type, uint32_t connection, uint32_t stream);
/* 1 = one was told so far (it stays). */
int has_event(const struct node *node, uint32_t type, uint32_t connection, uint32_t stream);
void forget_events(struct node *node);

struct sq_profile *profile_server(const char *certificate);
struct sq_profile *profile_client(void);
/* Listens at 127.0.0.1:port (0 = any); the endpoint. `address` gets where. */
int node_listen(struct node *node, struct sq_profile *profile, struct sockaddr_in *address);
int node_listen_fd(struct node *node, struct sq_profile *profile, int fd);
int node_client(struct node *node);
uint32_t node_connect(struct node *node, int endpoint, struct sq_profile *profile,
                      const struct sockaddr_in *to);
/* Both ends of a new connection. */
void join(struct node *client, int endpoint, struct sq_profile *profile, struct node *server,
          const struct sockaddr_in *to, uint32_t *at_client, uint32_t *at_server);

/* Writes text; all of it must be taken. */
void say(struct node *node, uint32_t stream, const char *text);
/* Reads what is there now into `out` (may be NULL) and consumes it; *is_end = 1: the end was read. */
int hear(struct node *node, uint32_t stream, uint8_t *out, int room, int *is_end);
/* Turns until `count` bytes or the end were read; returns the bytes. */
int hear_all(struct node *node, uint32_t stream, uint8_t *out, int count, int *is_end);
double number_of(struct node *node, uint32_t connection, int which);
double endpoint_number(struct node *node, int endpoint, int which);
uint64_t event_code(const struct sq_event *event);

/* A relay of datagrams between clients and `to`, whose port towards the server can be changed: a NAT. */
struct relay {
	int front, back;
	struct sockaddr_in client, to;
};
int relay_start(struct relay *relay, const struct sockaddr_in *to, struct sockaddr_in *address);
void relay_rebind(struct relay *relay);
void relay_end(struct relay *relay);
/* Datagrams of the world's relay pass in each turn. */
extern struct relay *world_relay;

#endif
