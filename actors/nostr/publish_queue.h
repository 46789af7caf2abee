#ifndef ACTORS_NOSTR_PUBLISH_QUEUE_H
#define ACTORS_NOSTR_PUBLISH_QUEUE_H

/*
 * Events on their way to one relay: waiting to be written, or written and waiting for OK. Pure
 * bookkeeping: it sends nothing and frees nothing.
 *
 *     push -> waiting --sent--> unanswered --answer--> gone
 *                                |      ^
 *             no OK in ok_ns, or v      | sent
 *             requeue after a cut: waiting again
 *
 * Those that wait again go before those that never went. A second missing OK ends an event.
 *
 * An event leaves at the latest publish_ns after it came (an unanswered one when its OK is due).
 * Entries live in the messages they came in. Threads: the owner's worker.
 */

#include "io/codec/nostr_crypto.h"

#include <troupe/msg.h>

/* One event; payload of the message that brought it. */
struct trp_publish {
    struct troupe_buf *packet; /* first: released with the message */
    struct troupe_msg *msg;    /* that message, owned by the queue's owner */
    struct trp_publish *prev;
    struct trp_publish *next;
    struct trp_publish *hash_next;
    uint64_t deadline_ns;
    uint64_t sent_ns;
    uint32_t bytes;
    uint8_t tries; /* times it was written to this connection */
    uint8_t where; /* enum trp_publish_where */
    uint8_t id[TRP_NOSTR_ID_LEN];
};

enum trp_publish_where {
    TRP_PUBLISH_WAITING,
    TRP_PUBLISH_SENT,
    TRP_PUBLISH_AGAIN,
    TRP_PUBLISH_LISTS,
};

struct trp_publish_list {
    struct trp_publish *head;
    struct trp_publish *tail;
};

struct trp_publish_limits {
    uint32_t count_max;
    uint32_t bytes_max;
    uint64_t publish_ns;
    uint64_t ok_ns;
};

#define TRP_PUBLISH_BUCKETS 1024u

/* Zeroed and limits set = empty. */
struct trp_publish_queue {
    struct trp_publish_limits limits;
    struct trp_publish_list lists[TRP_PUBLISH_LISTS]; /* each oldest first */
    uint32_t count;
    uint64_t bytes;
    struct trp_publish *buckets[TRP_PUBLISH_BUCKETS];
};

/*
 * Adds an event; packet, bytes and id are set. TROUPE_EBUSY when count or bytes are at the limit,
 * TROUPE_EEXIST when the same event is in it.
 */
enum troupe_status trp_publish_push(struct trp_publish_queue *queue,
                                    struct trp_publish *entry,
                                    uint64_t now_ns) TROUPE_MUST_USE;

/* The next to be written, NULL when none waits. */
struct trp_publish *trp_publish_next(const struct trp_publish_queue *queue);

/* That one was written. */
void trp_publish_sent(struct trp_publish_queue *queue, struct trp_publish *entry, uint64_t now_ns);

/* An OK came: takes the event out; NULL when it is not here or was not sent. */
struct trp_publish *trp_publish_answer(struct trp_publish_queue *queue,
                                       const uint8_t id[TRP_NOSTR_ID_LEN]);

/* The connection was cut: all unanswered ones wait again, in their order. */
void trp_publish_requeue(struct trp_publish_queue *queue);

enum trp_publish_due {
    TRP_PUBLISH_NONE,       /* nothing is due */
    TRP_PUBLISH_RETRY,      /* an unanswered one waits again, still in the queue */
    TRP_PUBLISH_UNANSWERED, /* *entry was taken out: sent twice, no OK */
    TRP_PUBLISH_EXPIRED,    /* *entry was taken out: its deadline passed */
};

/* Handles one thing that is due; call it until it says NONE. */
enum trp_publish_due
trp_publish_expire(struct trp_publish_queue *queue, struct trp_publish **entry, uint64_t now_ns);

/* When trp_publish_expire has something to do, UINT64_MAX = never. */
uint64_t trp_publish_due_ns(const struct trp_publish_queue *queue);

/* Takes any one out; NULL when empty. */
struct trp_publish *trp_publish_take(struct trp_publish_queue *queue);

/* What an OK means. Only a missing OK leads to sending again. */
enum trp_publish_answer_kind {
    TRP_PUBLISH_ACCEPTED,
    TRP_PUBLISH_DUPLICATE, /* the relay has it: as good as accepted */
    TRP_PUBLISH_REFUSED,   /* blocked, rate-limited, invalid ...: final */
};

enum trp_publish_answer_kind trp_publish_judge(bool accepted, struct troupe_span text);

#endif
