#include "actors/nostr/seen.h"

#include "actors/nostr/key_hash.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 16u
#define CAPACITY_MAX (1u << 24)

struct seen_entry {
    uint8_t id[TRP_SEEN_ID_BYTES];
    uint64_t at_ns;
};

/*
 * The ring holds the ids in order of arrival, the index finds them: open addressing with linear
 * probing over twice as many places, each the number of a ring entry plus one, 0 = free.
 */
struct trp_seen {
    struct seen_entry *ring;
    uint32_t *index;
    uint32_t capacity;
    uint32_t capacity_max;
    uint32_t count;
    uint32_t oldest;
    uint64_t age_min_ns;
    uint64_t seed;
};

static uint32_t round_capacity(uint32_t capacity)
{
    uint32_t rounded = CAPACITY_MIN;
    while (rounded < capacity && rounded < CAPACITY_MAX) {
        rounded *= 2;
    }
    return rounded;
}

struct trp_seen *
trp_seen_create(uint32_t capacity, uint32_t capacity_max, uint64_t age_min_ns, uint64_t seed)
{
    struct trp_seen *seen = calloc(1, sizeof(*seen));
    if (seen == NULL) {
        return NULL;
    }
    seen->capacity = round_capacity(capacity);
    seen->capacity_max = round_capacity(capacity_max);
    seen->age_min_ns = age_min_ns;
    seen->seed = seed;
    seen->ring = calloc(seen->capacity, sizeof(*seen->ring));
    seen->index = calloc((size_t)seen->capacity * 2, sizeof(*seen->index));
    if (seen->ring == NULL || seen->index == NULL) {
        trp_seen_destroy(seen);
        return NULL;
    }
    return seen;
}

void trp_seen_destroy(struct trp_seen *seen)
{
    if (seen != NULL) {
        free(seen->ring);
        free(seen->index);
        free(seen);
    }
}

static uint32_t home_of(const struct trp_seen *seen, const uint8_t *id)
{
    return (uint32_t)trp_key_hash(seen->seed, id) & (seen->capacity * 2 - 1);
}

/* Place of the id in the index, or the free place where it would go. */
static uint32_t place_of(const struct trp_seen *seen, const uint8_t *id)
{
    uint32_t mask = seen->capacity * 2 - 1;
    uint32_t place = home_of(seen, id);
    while (seen->index[place] != 0 &&
           memcmp(seen->ring[seen->index[place] - 1].id, id, TRP_SEEN_ID_BYTES) != 0) {
        place = (place + 1) & mask;
    }
    return place;
}

bool trp_seen_has(const struct trp_seen *seen, const uint8_t id[TRP_SEEN_ID_BYTES])
{
    return seen->index[place_of(seen, id)] != 0;
}

/* Frees a place and closes the gap, so that searches need no marks of deleted places. */
static void free_place(struct trp_seen *seen, uint32_t gap)
{
    uint32_t mask = seen->capacity * 2 - 1;
    uint32_t place = gap;
    seen->index[gap] = 0;
    for (;;) {
        place = (place + 1) & mask;
        if (seen->index[place] == 0) {
            return;
        }
        uint32_t home = home_of(seen, seen->ring[seen->index[place] - 1].id);
        /* it may move back only if its home is not behind the gap */
        if (((place - home) & mask) >= ((place - gap) & mask)) {
            seen->index[gap] = seen->index[place];
            seen->index[place] = 0;
            gap = place;
        }
    }
}

/* Doubles; false when there is no memory, nothing changed then. */
static bool grow(struct trp_seen *seen)
{
    uint32_t capacity = seen->capacity * 2;
    struct seen_entry *ring = calloc(capacity, sizeof(*ring));
    uint32_t *index = calloc((size_t)capacity * 2, sizeof(*index));
    if (ring == NULL || index == NULL) {
        free(ring);
        free(index);
        return false;
    }
    for (uint32_t i = 0; i < seen->count; i++) {
        ring[i] = seen->ring[(seen->oldest + i) & (seen->capacity - 1)];
    }
    free(seen->ring);
    free(seen->index);
    seen->ring = ring;
    seen->index = index;
    seen->capacity = capacity;
    seen->oldest = 0;
    for (uint32_t i = 0; i < seen->count; i++) {
        seen->index[place_of(seen, ring[i].id)] = i + 1;
    }
    return true;
}

bool trp_seen_add(struct trp_seen *seen, const uint8_t id[TRP_SEEN_ID_BYTES], uint64_t now_ns)
{
    uint32_t place = place_of(seen, id);
    if (seen->index[place] != 0) {
        return false;
    }
    if (seen->count == seen->capacity) {
        const struct seen_entry *oldest = &seen->ring[seen->oldest];
        bool is_young = now_ns - oldest->at_ns < seen->age_min_ns;
        if (!is_young || seen->capacity >= seen->capacity_max || !grow(seen)) {
            free_place(seen, place_of(seen, oldest->id));
            seen->oldest = (seen->oldest + 1) & (seen->capacity - 1);
            seen->count--;
        }
        place = place_of(seen, id);
    }
    uint32_t slot = (seen->oldest + seen->count) & (seen->capacity - 1);
    memcpy(seen->ring[slot].id, id, TRP_SEEN_ID_BYTES);
    seen->ring[slot].at_ns = now_ns;
    seen->index[place] = slot + 1;
    seen->count++;
    return true;
}

uint32_t trp_seen_count(const struct trp_seen *seen)
{
    return seen->count;
}

uint32_t trp_seen_capacity(const struct trp_seen *seen)
{
    return seen->capacity;
}
