#ifndef ACTORS_NOSTR_RATE_H
#define ACTORS_NOSTR_RATE_H

/*
 * Token buckets in one word each. A bucket is the time at which it would be full again
 * ("theoretical arrival time"): each event moves it one interval ahead, and an event is refused
 * when that would put it further ahead of now than the burst allows. A word of 0 is a full bucket.
 *
 * Threads: trp_rate_allow: the owner; trp_rate_allow_shared: any.
 */

#include <stdbool.h>
#include <stdint.h>

#define TRP_RATE_PER_SECOND_MAX 1000000000u

struct trp_rate {
    uint64_t interval_ns; /* 0 = no limit */
    uint64_t ahead_max_ns;
};

/* per_second 0 = no limit; burst: events at once, at least 1 is used. */
struct trp_rate trp_rate_make(uint32_t per_second, uint32_t burst);

/* Takes one token; false when there is none, *bucket is unchanged then. */
bool trp_rate_allow(const struct trp_rate *rate, uint64_t *bucket, uint64_t now_ns);

/* The same for a bucket that several threads share. Lock-free: retries only when another thread
 * took a token. */
bool trp_rate_allow_shared(const struct trp_rate *rate, uint64_t *bucket, uint64_t now_ns);

#endif
