#ifndef ACTORS_ADMISSION_WORD_H
#define ACTORS_ADMISSION_WORD_H

/*
 * The state word of a client: number of holds, and two flags above it.
 *
 *   CLOSING  set once, never taken back: nobody opens a hold from outside any more. CLOSING with no
 *            holds is final.
 *   WATCHED  the admission actor wants to hear when the holds come down to 0. It is set only while
 *            there are holds and taken away by the change that brings them to 0, so exactly one
 *            closer owes exactly one notice. Because the wish and the count are one word, there is
 *            no moment in which a closer could miss it.
 *
 * All changes are compare-and-swaps, that is full barriers.
 */

#include "mailbox/atomic.h"

#define TRP_WORD_CLOSING (1ull << 63)
#define TRP_WORD_WATCHED (1ull << 62)
#define TRP_WORD_HOLDS   (TRP_WORD_WATCHED - 1)

static inline uint64_t trp_word_holds(uint64_t word)
{
    return word & TRP_WORD_HOLDS;
}

static inline bool trp_word_is_final(uint64_t word)
{
    return (word & ~TRP_WORD_WATCHED) == TRP_WORD_CLOSING;
}

/*
 * Opens a hold unless closing; *before is the word found.
 * may_join: also when closing, as long as somebody holds (the client's own actor).
 */
static inline bool trp_word_open(uint64_t *word, bool may_join, uint64_t *before)
{
    *before = trp_load_relaxed_u64(word);
    do {
        bool is_open = (*before & TRP_WORD_CLOSING) == 0;
        if (!is_open && !(may_join && trp_word_holds(*before) != 0)) {
            return false;
        }
        /* full barrier: pairs with trp_word_evict; one of the two comes first */
    } while (!trp_cas_u64(word, before, *before + 1));
    return true;
}

/*
 * Ends `count` holds and adds `flag` (0 or CLOSING); returns the word found. At 0 holds the wish to
 * be told goes away.
 */
static inline uint64_t trp_word_close(uint64_t *word, uint64_t count, uint64_t flag)
{
    uint64_t before = trp_load_relaxed_u64(word);
    uint64_t after;
    do {
        after = (before - count) | flag;
        if (trp_word_holds(after) == 0) {
            after &= ~TRP_WORD_WATCHED;
        }
    } while (!trp_cas_u64(word, &before, after));
    return before;
}

/* True when the change from `before` by trp_word_close(.., count, ..) made it 0 holds. */
static inline bool trp_word_emptied(uint64_t before, uint64_t count)
{
    return count != 0 && trp_word_holds(before) == count;
}

enum trp_look {
    TRP_LOOK_CLOSED,  /* no holds, and now closing: evicted */
    TRP_LOOK_WATCHED, /* has holds; the closer of the last one will tell */
    TRP_LOOK_LEAVING, /* closing already */
};

/* Evicts a client without holds, or arranges to be told. */
static inline enum trp_look trp_word_evict(uint64_t *word)
{
    uint64_t before = trp_load_relaxed_u64(word);
    for (;;) {
        if ((before & TRP_WORD_CLOSING) != 0) {
            return TRP_LOOK_LEAVING;
        }
        bool is_idle = trp_word_holds(before) == 0;
        uint64_t after = is_idle ? TRP_WORD_CLOSING : before | TRP_WORD_WATCHED;
        if (trp_cas_u64(word, &before, after)) {
            return is_idle ? TRP_LOOK_CLOSED : TRP_LOOK_WATCHED;
        }
    }
}

#endif
