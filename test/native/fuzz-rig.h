/*
 * Engines in one process that hostile peers and faulty paths are let loose on: one that listens and
 * echoes, one whose connections do anything, and one with witnesses: connections whose echo must
 * come back whole whatever happens to the others. fuzz-rig.c.
 */
#ifndef SLUICE_TEST_FUZZ_RIG_H
#define SLUICE_TEST_FUZZ_RIG_H

#include <netinet/in.h>
#include <stdint.h>

#include "../../native/quic/quic.h"

#define EVENTS_MAX 128
#define STREAMS_MAX 256
#define CONNECTIONS_MAX 256
#define CAUSES_MAX 16
#define TICKET_MAX 8192

/* What becomes of a connection is decided by its tag. */
#define TAG_WILD 0
#define TAG_WITNESS 1

struct actor {
	struct sq_engine *engine;
	struct sq_profile *profile;
	int endpoint;
	int is_wild; /* does anything to its streams */
	struct sockaddr_in address;
	uint32_t events[EVENTS_MAX * SQ_EVENT_WORDS];
	uint32_t io[SQ_IO_WORDS];
	uint32_t streams[STREAMS_MAX];
	int stream_count;
	uint32_t connections[CONNECTIONS_MAX];
	int connection_count;
	uint8_t ticket[TICKET_MAX];
	int ticket_bytes;
	/* What has happened. */
	int accepted, connected, released, early, opened, datagrams, migrated;
	int causes[CAUSES_MAX];
	long bytes;
	int chunks_most;
};

/* A connection of the witnesses' engine, and what it waits for. */
struct witness {
	uint32_t connection;
	uint32_t stream;
	uint8_t sent[4096];
	int length;
	int heard;
	int is_wrong;
	int is_over;
};

#define WITNESSES 3

struct rig {
	struct actor server;
	struct actor wild;
	struct actor honest;
	struct witness witnesses[WITNESSES];
	int witness_deaths;
	/* Datagrams between a middle and both sides: NULL, or called once a turn. */
	void (*between)(void);
};

extern struct rig rig;

/* Engines, certificates of `folder`, witnesses that have said something. */
void rig_start(const char *folder, uint64_t seed);
/* Ends everything; what is left is a failure. */
void rig_end(void);
/* One turn of all engines. */
void rig_turn(void);
void rig_turns(int count);
/* Each witness says something and hears it. With `is_lenient`, one that died is replaced. */
void rig_check_witnesses(int is_lenient, const char *where);
/* Closes all connections but the witnesses'. */
void rig_close(void);
/* The same, and waits until they are gone. */
void rig_drain(const char *where);
/* A connection of the wild engine to `to`; 0 = refused. */
uint32_t rig_connect(const struct sockaddr_in *to, int is_early);

/* A UDP socket of its own on the loopback; all of 127/8 if `is_any`. */
int open_socket(struct sockaddr_in *address, int is_any);
/* Monotonic, ns: ngtcp2's clock. */
uint64_t clock_now(void);

/* The one source of chance. */
uint64_t chance(void);
static inline uint64_t chance_below(uint64_t limit)
{
	return limit ? chance() % limit : 0;
}
static inline int one_in(uint64_t count)
{
	return chance_below(count) == 0;
}
void chance_bytes(uint8_t *out, int length);

/* The file `name` of the folder of certificates, with its length. Ends the program without it. */
const char *rig_pem(const char *name, int *length);

#endif
