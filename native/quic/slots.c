/* Handles: 20 bits of slot, 12 bits of generation, which is never 0. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define SLOTS_MAX (1u << 20)

static int grow(struct sq_slots *slots)
{
	uint32_t room = slots->room ? slots->room * 2 : 64;
	void **items;
	uint16_t *generations;
	uint32_t *next_free;

	if (room > SLOTS_MAX)
		return -1;
	items = realloc(slots->items, room * sizeof(*items));
	if (items)
		slots->items = items;
	generations = realloc(slots->generations, room * sizeof(*generations));
	if (generations)
		slots->generations = generations;
	next_free = realloc(slots->next_free, room * sizeof(*next_free));
	if (next_free)
		slots->next_free = next_free;
	if (!items || !generations || !next_free)
		return -1;
	for (uint32_t slot = slots->room; slot < room; slot++) {
		items[slot] = NULL;
		generations[slot] = 1;
		next_free[slot] = slot + 1 < room ? slot + 2 : 0;
	}
	slots->first_free = slots->room + 1;
	slots->last_free = room;
	slots->room = room;
	return 0;
}

uint32_t sq_slots_add(struct sq_slots *slots, void *item)
{
	uint32_t slot;

	if (!slots->first_free && grow(slots) != 0)
		return 0;
	slot = slots->first_free - 1;
	slots->first_free = slots->next_free[slot];
	if (!slots->first_free)
		slots->last_free = 0;
	slots->items[slot] = item;
	slots->count++;
	return (uint32_t)slots->generations[slot] << 20 | slot;
}

void sq_slots_remove(struct sq_slots *slots, uint32_t handle)
{
	uint32_t slot = handle & (SLOTS_MAX - 1);

	slots->items[slot] = NULL;
	slots->generations[slot] = (uint16_t)(slots->generations[slot] % 4095 + 1);
	slots->next_free[slot] = 0;
	if (slots->last_free)
		slots->next_free[slots->last_free - 1] = slot + 1;
	else
		slots->first_free = slot + 1;
	slots->last_free = slot + 1;
	slots->count--;
}

void *sq_slots_get(const struct sq_slots *slots, uint32_t handle)
{
	uint32_t slot = handle & (SLOTS_MAX - 1);

	if (slot >= slots->room || slots->generations[slot] != handle >> 20)
		return NULL;
	return slots->items[slot];
}

void sq_slots_free(struct sq_slots *slots)
{
	free(slots->items);
	free(slots->generations);
	free(slots->next_free);
	memset(slots, 0, sizeof(*slots));
}
