#ifndef ACTORS_RELAY_STORE_H
#define ACTORS_RELAY_STORE_H

/*
 * The bounded event store of one shard: packets in order of age, found by id, address (replaceable
 * and addressable kinds) and filters. No I/O, no clock; memory is taken at create only.
 *
 * Order: newer means a later created_at or, within a second, the lower id (NIP-01). When a bound is
 * reached the oldest leave, so two stores that saw the same events keep the same ones, whatever
 * order they saw them in. An event older than all that are kept is not kept in a full store.
 *
 * Deletion (kind 5): removes own events named by e tags, and own addresses named by a tags as far
 * as they are not newer. Ids deleted lately stay out; that memory is a fixed table and forgets.
 *
 * Threads: one at a time.
 */

#include "io/codec/nostr_filter.h"
#include "io/codec/nostr_packet.h"

struct trp_relay_store;

struct trp_relay_store_limits {
    uint32_t count_max; /* events, at least 1, at most 2^24 */
    uint64_t bytes_max; /* of packets with their bookkeeping */
};

enum trp_relay_put {
    TRP_RELAY_PUT_STORED,
    TRP_RELAY_PUT_UNKEPT,    /* fine, but there is no room for something that old or that large */
    TRP_RELAY_PUT_DUPLICATE, /* it is here already */
    TRP_RELAY_PUT_OUTDATED,  /* a newer version of a replaceable event is here */
    TRP_RELAY_PUT_DELETED,   /* its author deleted it */
};

/* NULL when out of memory. seed: unpredictable, see hash.h. */
struct trp_relay_store *trp_relay_store_create(struct trp_relay_store_limits limits, uint64_t seed);

/* Releases every packet. NULL is a no-op. */
void trp_relay_store_destroy(struct trp_relay_store *store);

/* Forgets every event. */
void trp_relay_store_clear(struct trp_relay_store *store);

/* Offers a packet; the store takes a reference of its own when it keeps it. Cost: O(log n) and a
 * move of 4 bytes per newer event. */
enum trp_relay_put trp_relay_store_put(struct trp_relay_store *store, struct troupe_buf *packet);

bool trp_relay_store_has(const struct trp_relay_store *store, const uint8_t id[TRP_NOSTR_ID_LEN]);

uint32_t trp_relay_store_count(const struct trp_relay_store *store);
uint64_t trp_relay_store_bytes(const struct trp_relay_store *store);

/*
 * A search that may be done in pieces. It finds what was in the store when it began and is still
 * there, newest first, each event once, at most `remaining[i]` events for filter i.
 */
struct trp_relay_query {
    const struct trp_nostr_filter *const *filters; /* borrowed */
    uint32_t *remaining;                           /* borrowed; one count per filter */
    uint32_t filter_count;
    bool is_done;
    uint64_t sequence;   /* events that came later are left out */
    uint64_t since;      /* earliest that any filter wants */
    uint64_t created_at; /* where to go on: what is older than this event */
    uint8_t id[TRP_NOSTR_ID_LEN];
};

/* Begins a search; remaining is set from each filter's limit, at most limit_max. */
void trp_relay_query_begin(const struct trp_relay_store *store,
                           struct trp_relay_query *query,
                           const struct trp_nostr_filter *const *filters,
                           uint32_t filter_count,
                           uint32_t *remaining,
                           uint32_t limit_max);

/* A found packet, borrowed for the call. False: enough for now. */
typedef bool (*trp_relay_found_cb)(void *arg, struct troupe_buf *packet);

/*
 * Looks at up to *budget events and takes those looked at off it. Ends early when found_cb says so;
 * query->is_done tells that there is nothing more to find.
 */
void trp_relay_query_run(const struct trp_relay_store *store,
                         struct trp_relay_query *query,
                         uint32_t *budget,
                         trp_relay_found_cb found_cb,
                         void *arg);

#endif
