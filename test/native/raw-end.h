/*
 * One end of a QUIC connection, a client or a server, made of ngtcp2 and native/quic/tls.h without
 * the module's core: whoever calls moves its packets and its clock, and may change what it sends
 * before it is encrypted. raw-end.c.
 */
#ifndef SLUICE_TEST_RAW_END_H
#define SLUICE_TEST_RAW_END_H

#include <netinet/in.h>
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
	struct sockaddr_in local, remote;
	uint64_t idle;      /* timeout that it asks for, 0 = none */
	int is_done;        /* handshake completed */
	int is_dead;        /* its connection is over */
	uint64_t own_code;  /* that it closed with */
	uint64_t peer_code; /* that its peer closed with */
	int early_bytes;    /* that came before the handshake was done; that a client has sent */
	int bytes;          /* of streams, early or not */
	int early_rejected;
	struct packet closing; /* waits to be written */
	/* May change the frames of a packet before they are encrypted; NULL = as they are. `head` is the
	 * packet's. */
	void (*mutate)(uint8_t *frames, size_t length, const uint8_t *head);
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

/* 1: the client's session could be made. `end` is zeros but for addresses, `idle`, `mutate`. */
int end_connect(struct end *end, struct sq_tls_context *context, const struct wish *wish,
                uint64_t now);
/* A server from a client's first packet; `window` of its streams. 0: it is no such packet. */
int end_accept(struct end *end, struct sq_tls_context *context, const struct packet *packet,
               uint64_t window, uint64_t now);
void end_read(struct end *end, const struct packet *packet, uint64_t now);
/* 1: there is a packet to send. */
int end_write(struct end *end, struct packet *packet, uint64_t now);
/* The same, with `text` for stream *stream (-1: opened now). *taken < 0: it is not in there. */
int end_write_stream(struct end *end, struct packet *packet, int64_t *stream, const char *text,
                     int64_t *taken, uint64_t now);
void end_expire(struct end *end, uint64_t now);
void end_free(struct end *end);
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
