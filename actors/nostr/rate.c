#include "actors/nostr/rate.h"

#include "mailbox/atomic.h"

struct trp_rate trp_rate_make(uint32_t per_second, uint32_t burst)
{
    struct trp_rate rate = {0, 0};
    if (per_second == 0) {
        return rate;
    }
    if (per_second > TRP_RATE_PER_SECOND_MAX) {
        per_second = TRP_RATE_PER_SECOND_MAX;
    }
    rate.interval_ns = TRP_RATE_PER_SECOND_MAX / per_second;
    rate.ahead_max_ns = rate.interval_ns * (burst > 0 ? burst : 1);
    return rate;
}

/* The bucket's word after one more event, 0 when it must be refused. */
static uint64_t advance(const struct trp_rate *rate, uint64_t bucket, uint64_t now_ns)
{
    uint64_t next = (bucket > now_ns ? bucket : now_ns) + rate->interval_ns;
    return next - now_ns <= rate->ahead_max_ns ? next : 0;
}

bool trp_rate_allow(const struct trp_rate *rate, uint64_t *bucket, uint64_t now_ns)
{
    if (rate->interval_ns == 0) {
        return true;
    }
    uint64_t next = advance(rate, *bucket, now_ns);
    if (next == 0) {
        return false;
    }
    *bucket = next;
    return true;
}

bool trp_rate_allow_shared(const struct trp_rate *rate, uint64_t *bucket, uint64_t now_ns)
{
    if (rate->interval_ns == 0) {
        return true;
    }
    /* relaxed, and the exchange orders nothing either: the word is all there is */
    uint64_t seen = trp_load_relaxed_u64(bucket);
    for (;;) {
        uint64_t next = advance(rate, seen, now_ns);
        if (next == 0) {
            return false;
        }
        if (trp_cas_u64(bucket, &seen, next)) {
            return true;
        }
    }
}
