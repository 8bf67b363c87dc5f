/*
 * What both TLS libraries need and neither has: see tls-base.h. No TLS in here; the digests are
 * those of ngtcp2's crypto library.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "tls-base.h"

/* ---- errors and texts ---- */

static _Thread_local char last_error[512];

const char *sq_tls_error(void)
{
	return last_error;
}

void sq_tls_set_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(last_error, sizeof(last_error), format, arguments);
	va_end(arguments);
}

int sq_put_text(char *out, int room, const char *text, int length)
{
	int fits = length < room ? length : room;

	if (fits > 0)
		memcpy(out, text, (size_t)fits);
	return length;
}

int sq_copy_name(char *out, const char *name, int length)
{
	out[0] = 0;
	if (length <= 0)
		return 0;
	if (length > SQ_NAME_MAX || memchr(name, 0, (size_t)length))
		return -1;
	memcpy(out, name, (size_t)length);
	out[length] = 0;
	return length;
}

/* Adds `length` bytes of `text` behind the `at` that are there; only what fits is written. */
static int add_text(char *out, int room, int at, const char *text, int length)
{
	int left = room > at ? room - at : 0;

	return at + sq_put_text(left ? out + at : out, left, text, length);
}

int sq_add_entry(char *out, int room, int at, const char *name)
{
	at = add_text(out, room, at, "/", 1);
	at = add_text(out, room, at, name, (int)strlen(name));
	return add_text(out, room, at, "=", 1);
}

int sq_add_value(char *out, int room, int at, const uint8_t *value, int length)
{
	char escaped[5];
	int i;

	for (i = 0; i < length; i++) {
		if (value[i] >= 0x20 && value[i] != 0x7f && value[i] != '"') {
			at = add_text(out, room, at, (const char *)&value[i], 1);
			continue;
		}
		snprintf(escaped, sizeof(escaped), "\\x%02X", value[i]);
		at = add_text(out, room, at, escaped, 4);
	}
	return at;
}

int sq_read_address(const char *text, uint8_t *address)
{
	if (inet_pton(AF_INET, text, address) == 1)
		return 4;
	return inet_pton(AF_INET6, text, address) == 1 ? 16 : 0;
}

int sq_is_address(const char *text)
{
	uint8_t address[16];

	return sq_read_address(text, address) > 0;
}

/* RFC 8446, section 6. */
const char *sq_alert_name(int alert)
{
	static const struct {
		int alert;
		const char *name;
	} names[] = {
		{ 10, "unexpected message" },     { 20, "bad record" },
		{ 40, "handshake failure" },      { 42, "bad certificate" },
		{ 43, "unsupported certificate" }, { 44, "certificate revoked" },
		{ 45, "certificate expired" },    { 46, "certificate unknown" },
		{ 47, "illegal parameter" },      { 48, "unknown authority" },
		{ 49, "access denied" },          { 50, "decode error" },
		{ 51, "decrypt error" },          { 70, "protocol version" },
		{ 71, "insufficient security" },  { 80, "internal error" },
		{ 90, "user canceled" },          { 109, "missing extension" },
		{ 110, "unsupported extension" }, { 112, "unrecognized name" },
		{ 113, "bad certificate status" }, { 115, "unknown PSK identity" },
		{ 116, "certificate required" },  { 120, "no application protocol" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].alert == alert)
			return names[i].name;
	return "alert";
}

/* Debian, Fedora, SUSE, Alpine. */
const char *const sq_authority_files[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
	NULL,
};

/* ---- protocols ---- */

int sq_alpn_is_valid(const uint8_t *wire, int bytes)
{
	int at = 0;

	while (at < bytes) {
		if (wire[at] == 0 || at + 1 + wire[at] > bytes)
			return 0;
		at += 1 + wire[at];
	}
	return bytes > 0;
}

const uint8_t *sq_alpn_choose(const uint8_t *ours, int our_bytes, const uint8_t *theirs,
                              int their_bytes)
{
	int i, j;

	if (!sq_alpn_is_valid(theirs, their_bytes))
		return NULL;
	if (our_bytes == 0)
		return theirs;
	for (i = 0; i < our_bytes; i += 1 + ours[i])
		for (j = 0; j < their_bytes; j += 1 + theirs[j])
			if (ours[i] == theirs[j] &&
			    memcmp(ours + i + 1, theirs + j + 1, ours[i]) == 0)
				return theirs + j;
	return NULL;
}

/* ---- names ---- */

static int is_host_byte(int c)
{
	return isalnum(c) || c == '-' || c == '_' || c == '.' || c == '*';
}

int sq_names_add(struct sq_names *names, const char *text, int length, int certificate)
{
	struct sq_name *name;
	int i;

	if (length > 0 && text[length - 1] == '.')
		length--;
	if (length <= 0 || length > SQ_NAME_MAX)
		return 0;
	for (i = 0; i < length; i++)
		if (!is_host_byte((unsigned char)text[i]))
			return 0;
	if (names->count == names->room) {
		int room = names->room ? names->room * 2 : 16;
		struct sq_name *grown = realloc(names->list, (size_t)room * sizeof(*grown));

		if (!grown)
			return -1;
		names->list = grown;
		names->room = room;
	}
	name = &names->list[names->count];
	name->text = malloc((size_t)length + 1);
	if (!name->text)
		return -1;
	for (i = 0; i < length; i++)
		name->text[i] = (char)tolower((unsigned char)text[i]);
	name->text[length] = 0;
	name->certificate = certificate;
	names->count++;
	names->is_sorted = 0;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct sq_name *left = a;
	const struct sq_name *right = b;
	int order = strcmp(left->text, right->text);

	return order ? order : left->certificate - right->certificate;
}

/* Entries of exactly this text. */
static int find_text(const struct sq_names *names, const char *text, const struct sq_name **found)
{
	int low = 0;
	int high = names->count;
	int count = 0;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (strcmp(names->list[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + count < names->count && strcmp(names->list[low + count].text, text) == 0)
		count++;
	*found = names->list + low;
	return count;
}

int sq_names_find(struct sq_names *names, const char *host, const struct sq_name **found)
{
	char text[SQ_NAME_MAX + 2];
	size_t length = strlen(host);
	const char *dot;
	size_t i;
	int count;

	if (!names->is_sorted && names->count > 0)
		qsort(names->list, (size_t)names->count, sizeof(*names->list), compare_names);
	names->is_sorted = 1;
	if (length > 0 && host[length - 1] == '.')
		length--;
	if (length == 0 || length > SQ_NAME_MAX)
		return 0;
	for (i = 0; i < length; i++)
		text[i] = (char)tolower((unsigned char)host[i]);
	text[length] = 0;
	count = find_text(names, text, found);
	dot = strchr(text, '.');
	if (count > 0 || !dot || dot == text)
		return count;
	text[0] = '*';
	memmove(text + 1, dot, strlen(dot) + 1);
	return find_text(names, text, found);
}

void sq_names_free(struct sq_names *names)
{
	int i;

	for (i = 0; i < names->count; i++)
		free(names->list[i].text);
	free(names->list);
	memset(names, 0, sizeof(*names));
}

/* ---- digests ---- */

void sq_digest_add(uint8_t *digest, const void *bytes, int length)
{
	uint8_t head[4] = { (uint8_t)(length >> 24), (uint8_t)(length >> 16),
	                    (uint8_t)(length >> 8), (uint8_t)length };
	uint8_t next[SQ_DIGEST_BYTES];
	ngtcp2_crypto_md md;

	ngtcp2_crypto_md_init(&md, sq_tls_sha256());
	ngtcp2_crypto_hkdf_extract(next, &md, head, sizeof(head), digest, SQ_DIGEST_BYTES);
	memcpy(digest, next, sizeof(next));
	if (length <= 0)
		return;
	ngtcp2_crypto_hkdf_extract(next, &md, bytes, (size_t)length, digest, SQ_DIGEST_BYTES);
	memcpy(digest, next, sizeof(next));
}

int sq_derive(uint8_t *out, int length, const uint8_t *secret, const char *purpose)
{
	static const uint8_t salt[] = "sluice";
	ngtcp2_crypto_md md;

	ngtcp2_crypto_md_init(&md, sq_tls_sha256());
	return ngtcp2_crypto_hkdf(out, (size_t)length, &md, secret, SQ_DIGEST_BYTES, salt,
	                          sizeof(salt) - 1, (const uint8_t *)purpose, strlen(purpose));
}

/* ---- early data ---- */

/* 64 Ki hellos within SQ_REPLAY_SECONDS, in buckets: 3,000 connections with early data a second. */
#define BUCKET_COUNT 8192
#define BUCKET_ENTRIES 8

struct met {
	uint64_t id;
	int64_t second; /* monotonic; 0 = free */
};

static struct met met[BUCKET_COUNT][BUCKET_ENTRIES];
static pthread_mutex_t met_lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t process_name[16];

int sq_process_name_start(void)
{
	return getrandom(process_name, sizeof(process_name), 0) == sizeof(process_name) ? 0 : -1;
}

const uint8_t *sq_process_name(void)
{
	return process_name;
}

int sq_replay_is_new(const uint8_t *id, int length)
{
	uint8_t digest[SQ_DIGEST_BYTES] = { 0 };
	struct timespec now;
	struct met *bucket;
	struct met *free_entry = NULL;
	uint64_t key;
	uint32_t place;
	int i;
	int is_new = 1;

	/* Keyed by the process's random name: nobody can aim at a bucket. */
	sq_digest_add(digest, process_name, sizeof(process_name));
	sq_digest_add(digest, id, length);
	memcpy(&key, digest, sizeof(key));
	memcpy(&place, digest + sizeof(key), sizeof(place));
	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&met_lock);
	bucket = met[place % BUCKET_COUNT];
	for (i = 0; i < BUCKET_ENTRIES; i++) {
		if (bucket[i].second == 0 || bucket[i].second + SQ_REPLAY_SECONDS < now.tv_sec)
			free_entry = &bucket[i];
		else if (bucket[i].id == key)
			is_new = 0;
	}
	if (is_new && free_entry) {
		free_entry->id = key;
		free_entry->second = now.tv_sec ? now.tv_sec : 1;
	}
	pthread_mutex_unlock(&met_lock);
	return is_new && free_entry;
}

void sq_early_limits_of(struct sq_early_limits *limits, ngtcp2_conn *conn)
{
	const ngtcp2_transport_params *own = ngtcp2_conn_get_local_transport_params(conn);

	memset(limits, 0, sizeof(*limits));
	memcpy(limits->process, process_name, sizeof(process_name));
	limits->version = ngtcp2_conn_get_client_chosen_version(conn);
	limits->limits[0] = own->initial_max_data;
	limits->limits[1] = own->initial_max_stream_data_bidi_local;
	limits->limits[2] = own->initial_max_stream_data_bidi_remote;
	limits->limits[3] = own->initial_max_stream_data_uni;
	limits->limits[4] = own->initial_max_streams_bidi;
	limits->limits[5] = own->initial_max_streams_uni;
	limits->limits[6] = own->active_connection_id_limit;
	limits->limits[7] = own->max_datagram_frame_size;
}

int sq_early_limits_hold(const struct sq_early_limits *then, const struct sq_early_limits *now)
{
	size_t i;

	if (memcmp(then->process, now->process, sizeof(now->process)) != 0)
		return 0;
	for (i = 0; i < sizeof(now->limits) / sizeof(now->limits[0]); i++)
		if (now->limits[i] < then->limits[i])
			return 0;
	return then->version == now->version;
}

/* ---- tickets ---- */

#define TICKET_VERSION 1
#define TICKET_HEAD (1 + SQ_DIGEST_BYTES + 2)

int sq_ticket_write(uint8_t *out, int room, const uint8_t *binding, const struct sq_ticket *ticket)
{
	int length = TICKET_HEAD + ticket->parameters_bytes + ticket->session_bytes;

	if (length > room || ticket->parameters_bytes > 0xffff)
		return 0;
	out[0] = TICKET_VERSION;
	memcpy(out + 1, binding, SQ_DIGEST_BYTES);
	out[TICKET_HEAD - 2] = (uint8_t)(ticket->parameters_bytes >> 8);
	out[TICKET_HEAD - 1] = (uint8_t)ticket->parameters_bytes;
	memcpy(out + TICKET_HEAD, ticket->parameters, (size_t)ticket->parameters_bytes);
	memcpy(out + TICKET_HEAD + ticket->parameters_bytes, ticket->session,
	       (size_t)ticket->session_bytes);
	return length;
}

int sq_ticket_read(const uint8_t *bytes, int length, const uint8_t *binding,
                   struct sq_ticket *ticket)
{
	int parameters_bytes;

	if (length <= TICKET_HEAD || bytes[0] != TICKET_VERSION ||
	    memcmp(bytes + 1, binding, SQ_DIGEST_BYTES) != 0)
		return 0;
	parameters_bytes = bytes[TICKET_HEAD - 2] << 8 | bytes[TICKET_HEAD - 1];
	if (length <= TICKET_HEAD + parameters_bytes)
		return 0;
	ticket->parameters = bytes + TICKET_HEAD;
	ticket->parameters_bytes = parameters_bytes;
	ticket->session = ticket->parameters + parameters_bytes;
	ticket->session_bytes = length - TICKET_HEAD - parameters_bytes;
	return 1;
}
