#ifndef ACTORS_NOSTR_BACKOFF_H
#define ACTORS_NOSTR_BACKOFF_H

/* When to try again: quickly once, then longer and longer, never together with others. */

#include <stdint.h>

struct trp_backoff {
    uint64_t quick_min_ns; /* the first retry comes between these two */
    uint64_t quick_max_ns;
    uint64_t base_ns; /* the second one; each further one takes factor_percent of the one before */
    uint64_t max_ns;
    uint32_t factor_percent; /* at least 100 */
};

/*
 * Delay before retry number `attempt` (0 = the first). random: any 64 random bits; the result lies
 * between three quarters and all of the nominal delay, so it never exceeds max_ns (nor quick_max_ns
 * for the first).
 */
static inline uint64_t
trp_backoff_delay(const struct trp_backoff *backoff, uint32_t attempt, uint64_t random)
{
    uint64_t low = backoff->quick_min_ns;
    uint64_t high = backoff->quick_max_ns;
    if (attempt > 0) {
        high = backoff->base_ns;
        for (uint32_t i = 1; i < attempt && high < backoff->max_ns; i++) {
            uint64_t next = high / 100 * backoff->factor_percent;
            if (next <= high) {
                break; /* factor 100, or a delay too small to grow */
            }
            high = next;
        }
        high = high < backoff->max_ns ? high : backoff->max_ns;
        low = high - high / 4;
    }
    return high > low ? low + random % (high - low + 1) : high;
}

#endif
