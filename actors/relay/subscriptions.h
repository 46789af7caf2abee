#ifndef ACTORS_RELAY_SUBSCRIPTIONS_H
#define ACTORS_RELAY_SUBSCRIPTIONS_H

/*
 * The live subscriptions of one shard, and which of them an event belongs to.
 *
 * The load this relay is made for is thousands of clients, each with {"#p":[own key],...}: a filter
 * with a #p condition is found through a hash table of its values, so an event costs one look per p
 * tag it carries, however many such filters there are. All other filters are tried one by one.
 *
 * A subscription is one run of bytes in a counted buffer that it owns: filters, index nodes, texts.
 *
 * Threads: one at a time.
 */

#include "actors/relay/store.h"
#include "io/codec/nostr_wire.h"

/* Longest text in front of an event: ["EVENT","<64 characters, all escaped>", */
#define TRP_RELAY_PREFIX_MAX 416u

struct trp_relay_sub;

/* One value of one filter in the table. Private. */
struct trp_relay_key {
    struct trp_relay_key *next;
    struct trp_relay_key **pprev;
    struct trp_relay_sub *sub;
    const struct trp_nostr_filter *filter;
    uint64_t hash;
    struct troupe_span value;
};

struct trp_relay_sub {
    struct troupe_buf *memory;    /* that holds all of this */
    struct trp_relay_sub *next;   /* the owner's list */
    void *owner;                  /* the owner's own */
    uint64_t serial;              /* the owner's own: tells a subscription from its predecessors */
    struct troupe_span id;        /* as the client named it */
    struct troupe_span prefix;    /* ["EVENT",id, */
    struct trp_relay_query query; /* for the owner: the stored events */
    bool is_replaying;            /* the same: they are still being sent */

    const struct trp_nostr_filter *const *filters;
    uint32_t filter_count;

    uint32_t key_count; /* private from here */
    struct trp_relay_key *keys;
    struct trp_relay_sub *scan_next;
    struct trp_relay_sub **scan_pprev;
    uint64_t stamp; /* number of the event that was matched last */
    bool is_added;
};

struct trp_relay_subs;

/* buckets: of the table, rounded up to a power of 2. NULL when out of memory. */
struct trp_relay_subs *trp_relay_subs_create(uint32_t buckets, uint64_t seed);

/* Every subscription must have been removed. NULL is a no-op. */
void trp_relay_subs_destroy(struct trp_relay_subs *subs);

/* Filters that were read, one behind the other, each at a multiple of 8 bytes. */
struct trp_relay_filters {
    const void *area; /* 8-byte aligned */
    uint32_t count;
};

/* Bytes that one filter takes in such an area. */
static inline size_t trp_relay_filter_room(size_t size)
{
    return (size + 7u) & ~(size_t)7u;
}

/* Capacity of the buffer that trp_relay_sub_init needs. Cost: O(filters). */
size_t trp_relay_sub_size(const struct trp_relay_filters *filters, struct troupe_span id);

/*
 * Builds a subscription in a fresh buffer with enough capacity; copies everything. The reference
 * to the buffer becomes the subscription's.
 */
struct trp_relay_sub *trp_relay_sub_init(struct troupe_buf *memory,
                                         const struct trp_relay_filters *filters,
                                         struct troupe_span id);

/* Where the counts of trp_relay_query_begin may live. */
uint32_t *trp_relay_sub_remaining(struct trp_relay_sub *sub);

/* Releases the memory of a subscription that is not added. */
void trp_relay_sub_free(struct trp_relay_sub *sub);

void trp_relay_subs_add(struct trp_relay_subs *subs, struct trp_relay_sub *sub);
void trp_relay_subs_remove(struct trp_relay_subs *subs, struct trp_relay_sub *sub);

/* Must not add or remove. */
typedef void (*trp_relay_match_cb)(void *arg, struct trp_relay_sub *sub);

/*
 * Calls match_cb once for each subscription with a filter that wants the event.
 * Cost: O(p tags + subscriptions with such a value + filters without #p)
 */
void trp_relay_subs_match(struct trp_relay_subs *subs,
                          const struct trp_nostr_event *event,
                          trp_relay_match_cb match_cb,
                          void *arg);

#endif
