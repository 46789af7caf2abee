#ifndef ACTORS_NOSTR_SEEN_H
#define ACTORS_NOSTR_SEEN_H

/*
 * Ids of events that were verified, so that each is handled once. One shard per worker: an author's
 * events always come to the same worker, whichever relays carry them, so looking and adding is one
 * step without any lock.
 *
 * An id enters only after its signature was checked. A copy with a bad signature therefore leaves
 * no trace and cannot make the good copy a duplicate, however early it comes.
 *
 * Bounds: `capacity` ids; when it is full and the oldest id is younger than age_min_ns, the shard
 * doubles, up to capacity_max; after that (or without memory) the oldest id is forgotten.
 *
 * Threads: the worker that owns it.
 */

#include <stdbool.h>
#include <stdint.h>

#define TRP_SEEN_ID_BYTES 32u

struct trp_seen;

/* Both capacities are rounded up to powers of two (16 to 16,777,216). NULL when out of memory. */
struct trp_seen *
trp_seen_create(uint32_t capacity, uint32_t capacity_max, uint64_t age_min_ns, uint64_t seed);
void trp_seen_destroy(struct trp_seen *seen);

bool trp_seen_has(const struct trp_seen *seen, const uint8_t id[TRP_SEEN_ID_BYTES]);

/* Adds a verified id; false when it was there already. Cost: O(1), O(n) when it doubles. */
bool trp_seen_add(struct trp_seen *seen, const uint8_t id[TRP_SEEN_ID_BYTES], uint64_t now_ns);

uint32_t trp_seen_count(const struct trp_seen *seen);
uint32_t trp_seen_capacity(const struct trp_seen *seen);

#endif
