#ifndef MAILBOX_INBOX_H
#define MAILBOX_INBOX_H

/*
 * The inbox of a worker: a lock-free stack of message chains, many producers, one consumer that
 * always takes everything (so there is no ABA problem and no double-width compare-and-swap).
 *
 * Invariants
 *  - A push is one successful compare-and-swap; a push that found the inbox closed changed nothing.
 *  - Chains are linked newest first, so the whole stack taken and reversed is first in, first out
 *    per producer.
 *  - Closing is a swap to a sentinel: every accepted message is taken by the closer or earlier.
 */

#include "mailbox/atomic.h"

#include <troupe/msg.h>

struct trp_inbox {
    void *head; /* NULL = empty, TRP_INBOX_CLOSED, or the newest message */
};

#define TRP_INBOX_CLOSED ((void *)(uintptr_t)1)

/*
 * Pushes a chain newest -> ... -> oldest. False when closed: the chain is still the caller's.
 * Threads: any. Cost: one compare-and-swap, repeated under contention (lock-free).
 */
static inline bool
trp_inbox_push(struct trp_inbox *inbox, struct troupe_msg *newest, struct troupe_msg *oldest)
{
    void *head = trp_load_relaxed_ptr(&inbox->head);
    do {
        if (head == TRP_INBOX_CLOSED) {
            return false;
        }
        oldest->next = (struct troupe_msg *)head;
        /* full barrier: publishes the chain to trp_inbox_take, and orders the push before the
         * pusher's look at the park word (pairs with the announcement in worker_park) */
    } while (!trp_cas_ptr(&inbox->head, &head, newest));
    return true;
}

/* True when there is something to take. Threads: any; a hint except for the owner. */
static inline bool trp_inbox_has_work(const struct trp_inbox *inbox)
{
    void *head = trp_load_relaxed_ptr(&inbox->head);
    return head != NULL && head != TRP_INBOX_CLOSED;
}

/* As above for an open inbox; also true for a closed one. Cost: one load. */
static inline bool trp_inbox_is_touched(const struct trp_inbox *inbox)
{
    return trp_load_relaxed_ptr(&inbox->head) != NULL;
}

/* Newest first -> oldest first. */
static inline struct troupe_msg *trp_inbox_reverse(struct troupe_msg *newest)
{
    struct troupe_msg *oldest_first = NULL;
    while (newest != NULL) {
        struct troupe_msg *next = newest->next;
        newest->next = oldest_first;
        oldest_first = newest;
        newest = next;
    }
    return oldest_first;
}

/* Takes everything, oldest first; NULL when empty. Threads: owner. */
static inline struct troupe_msg *trp_inbox_take(struct trp_inbox *inbox)
{
    if (!trp_inbox_has_work(inbox)) {
        return NULL;
    }
    /* full barrier: pairs with the compare-and-swap of trp_inbox_push */
    return trp_inbox_reverse((struct troupe_msg *)trp_fas_ptr(&inbox->head, NULL));
}

/* Takes everything and refuses all later pushes. Threads: owner, once. */
static inline struct troupe_msg *trp_inbox_close(struct trp_inbox *inbox)
{
    void *head = trp_fas_ptr(&inbox->head, TRP_INBOX_CLOSED); /* pairs with trp_inbox_push */
    return head == TRP_INBOX_CLOSED ? NULL : trp_inbox_reverse((struct troupe_msg *)head);
}

#endif
