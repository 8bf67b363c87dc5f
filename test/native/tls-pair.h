/*
 * A client and a server in memory, with a clock of their own: what the program about TLS is made
 * of. tls-pair.c.
 */
#ifndef SLUICE_TEST_TLS_PAIR_H
#define SLUICE_TEST_TLS_PAIR_H

#include "raw-end.h"

#define FIRST_MAX 4

struct pair {
	struct end client;
	struct end server;
	struct sq_tls_context *server_context;
	uint64_t window; /* of a server's streams; smaller windows end early data */
	struct packet first[FIRST_MAX]; /* what the client sent first */
	int first_count;
	uint64_t now;
};

/* 1: the client's session could be made. */
int pair_start(struct pair *pair, struct sq_tls_context *client, struct sq_tls_context *server,
               const struct wish *wish);
/* Until both are done, or one is dead, or nothing moves; then until tickets have come. */
void pair_run(struct pair *pair);
/* The server gets the first packets of another pair's client again. */
void pair_replay(struct pair *pair, struct sq_tls_context *server, const struct pair *from);
/* Bytes on a new stream of the client, and their arrival. */
void pair_send(struct pair *pair, const char *text);
void pair_free(struct pair *pair);

#endif
