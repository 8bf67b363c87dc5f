/*
 * What both TLS libraries need and neither has: names of certificates, the register of early data,
 * the frame of a session ticket, digests of a configuration. tls-base.c.
 */
#ifndef SLUICE_QUIC_TLS_BASE_H
#define SLUICE_QUIC_TLS_BASE_H

#include <stdint.h>

#include "quic.h"
#include "tls.h"

#define SQ_NAME_MAX 255
#define SQ_DIGEST_BYTES 32

/* Names that a server has certificates for, each with the number of its certificate. */
struct sq_name {
	char *text; /* lower case; "*.example.org" stands for one label in front */
	int certificate;
};
struct sq_names {
	struct sq_name *list;
	int count;
	int room;
	int is_sorted;
};

/* Texts with bytes that no host name has are left out. 0 or -1: no memory. */
int sq_names_add(struct sq_names *names, const char *text, int length, int certificate);
/* Certificates for a host name, in the order of their numbers: the exact name's, else the
 * wildcard's. Returns their count, 0 = none. Sorts at the first call after sq_names_add. */
int sq_names_find(struct sq_names *names, const char *host, const struct sq_name **found);
void sq_names_free(struct sq_names *names);

/* SHA-256 as ngtcp2's crypto library names it; of tls-openssl.c or tls-gnutls.c. */
void *sq_tls_sha256(void);
/* Adds `length` bytes to a digest of SQ_DIGEST_BYTES, zeros at first (HMAC-SHA-256 each time). */
void sq_digest_add(uint8_t *digest, const void *bytes, int length);
/* Key material of `length` bytes from the 32-byte secret; `purpose` tells the uses apart. */
int sq_derive(uint8_t *out, int length, const uint8_t *secret, const char *purpose);

/*
 * The register that keeps early data from being taken twice (RFC 8446, 8.2: client hello
 * recording), one for the process, any thread. 1: this hello was not met in the last
 * SQ_REPLAY_SECONDS. 0: it was, or the register is full: early data is refused, and the handshake
 * goes on without. `id`: 16 bytes or more that a replay cannot change.
 */
#define SQ_REPLAY_SECONDS 20
int sq_replay_is_new(const uint8_t *id, int length);
/* 16 random bytes that name this process: early data needs a ticket that the same process gave. */
const uint8_t *sq_process_name(void);
int sq_process_name_start(void);

/*
 * A ticket as callers keep it: version, `binding` (digest of what the session was verified
 * against), the server's transport parameters, the library's session.
 */
struct sq_ticket {
	const uint8_t *parameters;
	int parameters_bytes;
	const uint8_t *session;
	int session_bytes;
};
/* Length, 0 = it does not fit. */
int sq_ticket_write(uint8_t *out, int room, const uint8_t *binding, const struct sq_ticket *ticket);
/* 1 = it is one of ours, for the same binding; `ticket` then points into `bytes`. */
int sq_ticket_read(const uint8_t *bytes, int length, const uint8_t *binding,
                   struct sq_ticket *ticket);

/* What early data may rely on: a server must not offer less than when it gave the ticket. */
struct sq_early_limits {
	uint8_t process[16];
	uint64_t version;
	uint64_t limits[8];
};
void sq_early_limits_of(struct sq_early_limits *limits, ngtcp2_conn *conn);
/* 1: a ticket given under `then` may carry early data under `now`. */
int sq_early_limits_hold(const struct sq_early_limits *then, const struct sq_early_limits *now);

/* 1: wire form of ALPN, at least one protocol. */
int sq_alpn_is_valid(const uint8_t *wire, int bytes);
/* The first protocol of `ours` that is in `theirs`; without ours, their first. NULL = none. The
 * result points to its length byte, in `theirs`. */
const uint8_t *sq_alpn_choose(const uint8_t *ours, int our_bytes, const uint8_t *theirs,
                              int their_bytes);
/* Copies as much as fits; returns the whole length. */
int sq_put_text(char *out, int room, const char *text, int length);
/* A name with a terminator; -1 = too long, or a zero in it. `out` has SQ_NAME_MAX + 1 bytes. */
int sq_copy_name(char *out, const char *name, int length);
/* 1: an address as text, IPv4 or IPv6. */
int sq_is_address(const char *text);
/* Its bytes, network order: 4, 16, or 0 = it is none. */
int sq_read_address(const char *text, uint8_t *address);
/* Parts of a subject, /C=XX/CN=name, behind the `at` bytes that are there: `/name=`, and a value in
 * UTF-8, without bytes that would break a line or a quoted field. Return the new length; no more
 * than `room` is written. */
int sq_add_entry(char *out, int room, int at, const char *name);
int sq_add_value(char *out, int room, int at, const uint8_t *value, int length);
/* Name of a TLS alert, for people. */
const char *sq_alert_name(int alert);
/* Files of the system's authorities, NULL at the end. */
extern const char *const sq_authority_files[];

#endif
