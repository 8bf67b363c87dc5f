/*
 * A client and a server of ngtcp2 in memory, over native/quic/tls.h, with a clock of their own: what
 * the programs about TLS are made of. tls-pair.c.
 */
#ifndef SLUICE_TEST_TLS_PAIR_H
#define SLUICE_TEST_TLS_PAIR_H

#include <stdint.h>

#include "../../native/quic/quic.h"
#include "../../native/quic/tls.h"

#define PACKET_BYTES 1452

struct packet {
	uint8_t bytes[PACKET_BYTES];
	int length;
};

struct end {
	ngtcp2_crypto_conn_ref ref;
	ngtcp2_conn *conn;
	struct sq_tls *tls;
	int is_done;        /* handshake completed */
	int is_dead;        /* its connection is over */
	uint64_t own_code;  /* that it closed with */
	uint64_t peer_code; /* that its peer closed with */
	int early_bytes;    /* that came before the handshake was done */
	int bytes;          /* of streams, early or not */
	int early_rejected;
};

struct pair {
	struct end client;
	struct end server;
	struct sq_tls_context *server_context;
	uint64_t window; /* of a server's streams; smaller windows end early data */
	struct packet first[4]; /* what the client sent first */
	int first_count;
	uint64_t now;
};

/* What a client asks for; empty texts and NULL = nothing. */
struct wish {
	const char *sni;
	const char *verify_name;
	const char *alpn; /* wire form as text: "\2h3" */
	const uint8_t *ticket;
	int ticket_bytes;
	const char *early; /* bytes sent as early data, if the ticket allows it */
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
/* Text of an end, as sq_tls_text; one buffer for all. */
const char *end_text(struct end *end, int which);

/* The file `name` of the folder of certificates, with its length. Ends the program without it. */
const char *read_pem(const char *name, int *length);
extern const char *pem_folder;

/* Counts failures and says what failed. */
extern int failures;
void expect(int is_true, const char *what, const char *file, int line);
#define EXPECT(condition) expect((condition) != 0, #condition, __FILE__, __LINE__)
void expect_text(const char *got, const char *wanted, const char *file, int line);
#define EXPECT_TEXT(got, wanted) expect_text(got, wanted, __FILE__, __LINE__)

#endif
