/*
 * Connections by their IDs, and by the reset tokens of their peers. Clients choose their first ID
 * themselves, so the hash has a seed that nobody knows.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(const struct sq_keys *keys, const struct sq_key *key)
{
	uint64_t words[3] = { 0 };

	memcpy(words, key->bytes, sizeof(key->bytes));
	return mix(mix(words[0] ^ keys->seed, words[1] ^ 0x9e3779b97f4a7c15ull) ^ words[2],
	           keys->seed ^ ((uint64_t)key->length * 0xd6e8feb86659fd93ull));
}

static int key_init(struct sq_key *key, const uint8_t *bytes, size_t length, int is_token)
{
	memset(key, 0, sizeof(*key));
	if (length > sizeof(key->bytes))
		return -1;
	key->length = is_token ? SQ_TOKEN : (uint8_t)length;
	memcpy(key->bytes, bytes, length);
	return 0;
}

static int grow(struct sq_keys *keys)
{
	uint32_t count = keys->bucket_count ? keys->bucket_count * 2 : 256;
	struct sq_key_entry **buckets = calloc(count, sizeof(*buckets));

	if (!buckets)
		return keys->bucket_count ? 0 : -1;
	for (uint32_t i = 0; i < keys->bucket_count; i++)
		while (keys->buckets[i]) {
			struct sq_key_entry *entry = keys->buckets[i];
			uint64_t at = hash_of(keys, &entry->key) & (count - 1);

			keys->buckets[i] = entry->next;
			entry->next = buckets[at];
			buckets[at] = entry;
		}
	free(keys->buckets);
	keys->buckets = buckets;
	keys->bucket_count = count;
	return 0;
}

static struct sq_key_entry **find(const struct sq_keys *keys, const struct sq_key *key,
                                  const struct sq_connection *connection)
{
	struct sq_key_entry **at;

	if (!keys->bucket_count)
		return NULL;
	at = &keys->buckets[hash_of(keys, key) & (keys->bucket_count - 1)];
	for (; *at; at = &(*at)->next)
		if (memcmp(&(*at)->key, key, sizeof(*key)) == 0 &&
		    (!connection || (*at)->connection == connection))
			return at;
	return NULL;
}

/* 0, or -1: no memory, or another connection has it. */
int sq_keys_add(struct sq_keys *keys, struct sq_connection *connection, const uint8_t *bytes,
                size_t length, int is_token)
{
	struct sq_key_entry *entry, **bucket, **at;
	struct sq_key key;

	if (key_init(&key, bytes, length, is_token) != 0)
		return -1;
	at = find(keys, &key, NULL);
	if (at)
		return (*at)->connection == connection ? 0 : -1;
	if (keys->count >= keys->bucket_count && grow(keys) != 0)
		return -1;
	entry = malloc(sizeof(*entry));
	if (!entry)
		return -1;
	entry->key = key;
	entry->connection = connection;
	entry->sibling = connection->keys;
	connection->keys = entry;
	bucket = &keys->buckets[hash_of(keys, &key) & (keys->bucket_count - 1)];
	entry->next = *bucket;
	*bucket = entry;
	keys->count++;
	return 0;
}

static void take_out(struct sq_keys *keys, struct sq_key_entry **at)
{
	struct sq_key_entry *entry = *at;
	struct sq_key_entry **sibling = &entry->connection->keys;

	*at = entry->next;
	while (*sibling != entry)
		sibling = &(*sibling)->sibling;
	*sibling = entry->sibling;
	keys->count--;
	free(entry);
}

void sq_keys_remove(struct sq_keys *keys, struct sq_connection *connection, const uint8_t *bytes,
                    size_t length, int is_token)
{
	struct sq_key_entry **at;
	struct sq_key key;

	if (key_init(&key, bytes, length, is_token) != 0)
		return;
	at = find(keys, &key, connection);
	if (at)
		take_out(keys, at);
}

void sq_keys_remove_all(struct sq_keys *keys, struct sq_connection *connection)
{
	while (connection->keys) {
		struct sq_key_entry **at = find(keys, &connection->keys->key, connection);

		take_out(keys, at);
	}
}

struct sq_connection *sq_keys_find(const struct sq_keys *keys, const uint8_t *bytes, size_t length,
                                   int is_token)
{
	struct sq_key_entry **at;
	struct sq_key key;

	if (key_init(&key, bytes, length, is_token) != 0)
		return NULL;
	at = find(keys, &key, NULL);
	return at ? (*at)->connection : NULL;
}
