#ifndef IO_RING_RING_H
#define IO_RING_RING_H

/*
 * The ring driver's own types. One struct trp_ring per worker; everything in it belongs to the
 * worker's thread, except `ring_fd` and `event_fd`, which never change after open, and the
 * counters, which others may read.
 *
 * An operation is in one of three places (`driver_state` of trp_op):
 *
 *     idle     not armed
 *     kernel   its entry is in the submission queue or in the kernel; exactly one completion
 *              without F_MORE will bring it back
 *     listed   waits here to be armed again: in `starved` until a receive buffer is free, or in
 *              `again` for everything else
 *
 * Completions only move operations between these places and queue nodes; entries are written in
 * trp_ring_prepare, before the kernel is entered, so the walk never recurses.
 *
 * user_data of an operation is its address: safe, because the pool keeps the memory of an armed
 * operation (pins its actor) until the final completion, and this driver reports the final
 * completion only when no completion with that address can come any more. Other completions carry a
 * tag in the low bits.
 */

#include "mailbox/atomic.h"
#include "pool/driver.h"

#include <liburing.h>

#include <troupe/assert.h>
#include <troupe/io.h>

#define TRP_RING_MAGIC 0x54524e47u /* "TRNG" */

/* Entries of the queues; halved together down to TRP_RING_ENTRIES_MIN while memory is refused. */
#define TRP_RING_SQ_ENTRIES  1024u
#define TRP_RING_CQ_ENTRIES  8192u /* 2 x (buffers + live sends) with room for 3,800 sends */
#define TRP_RING_ENTRIES_MIN 256u

#define TRP_RING_PADDING      64u /* readable bytes behind each receive buffer */
#define TRP_RING_STRIDE       (TROUPE_RING_BUFFER_SIZE + TRP_RING_PADDING)
#define TRP_RING_BUFFER_GROUP 0

TROUPE_STATIC_ASSERT((TROUPE_RING_BUFFERS & (TROUPE_RING_BUFFERS - 1)) == 0, "power of two");
TROUPE_STATIC_ASSERT(TRP_RING_CQ_ENTRIES >= 2 * TROUPE_RING_BUFFERS, "a reap takes every buffer");

/*
 * Accepted sockets kept back while the batch of their operation is full. The kernel accepts in
 * bursts as long as the backlog of the listener; beyond this number they are closed.
 */
#define TRP_RING_ACCEPTED_MAX 4096u

/* Low bits of user_data. */
enum trp_ring_tag {
    TRP_RING_TAG_OP = 0,       /* a struct trp_op */
    TRP_RING_TAG_EVENT = 1,    /* the read of the eventfd */
    TRP_RING_TAG_CANCEL = 2,   /* outcome of a cancel request: of no interest */
    TRP_RING_TAG_RUNG = 3,     /* a doorbell of another worker */
    TRP_RING_TAG_DOORBELL = 4, /* a doorbell of ours failed; the rest is the target's trp_ring */
    TRP_RING_TAG_TEST = 5,     /* the receive of the start-up test */
    TRP_RING_TAG_MASK = 7,
};

/* How the ring was set up: the best that the kernel takes. */
enum trp_ring_level {
    TRP_RING_DEFER = 0,  /* completions run when the worker asks for them */
    TRP_RING_COOP = 1,   /* completions run at the worker's next system call */
    TRP_RING_SINGLE = 2, /* completions interrupt the worker */
    TRP_RING_PLAIN = 3,  /* no flag but sizes */
    TRP_RING_LEVELS = 4,
};

/* Counters of one ring, all only rising. */
struct trp_ring_stats {
    uint64_t enters;           /* system calls */
    uint64_t submitted;        /* entries taken by the kernel */
    uint64_t completions;      /* completions walked */
    uint64_t overflows;        /* times the completion queue was seen to overflow */
    uint64_t starved;          /* receives that found no free buffer */
    uint64_t rearmed;          /* operations armed again without their owner knowing */
    uint64_t refused;          /* accepted sockets closed for lack of room */
    uint64_t doorbells;        /* other workers woken through the ring */
    uint64_t doorbells_failed; /* of these, woken through their eventfd instead */
    uint64_t sq_entries;       /* sizes and level chosen at open */
    uint64_t cq_entries;
    uint64_t level; /* enum trp_ring_level */
};

struct trp_ring_buffers {
    struct io_uring_buf_ring *ring; /* shared with the kernel */
    uint8_t *memory;                /* TROUPE_RING_BUFFERS x TRP_RING_STRIDE */
    uint32_t free_count;            /* known to be with the kernel */
    uint32_t unpublished;           /* written to the ring, tail not moved yet */
    bool is_registered;
    struct trp_rx rx[TROUPE_RING_BUFFERS]; /* by buffer id */
};

/* Operations waiting to be armed, first in first out; linked by driver_data. */
struct trp_ring_list {
    struct trp_op *head;
    struct trp_op *tail;
    uint32_t count;
};

struct trp_ring_accepted {
    struct trp_op *op;
    int fd;
};

struct trp_ring {
    uint32_t magic;
    int ring_fd;  /* for doorbells of other workers */
    int event_fd; /* for threads without a ring, and for doorbells that failed */
    pid_t owner;  /* thread that opened it */
    struct io_uring uring;
    bool is_uring_open;
    bool is_closing;      /* completions are only counted */
    bool is_event_armed;  /* the read of event_fd is in the kernel */
    bool has_canceled;    /* a listed operation was cancelled */
    uint32_t doorbells;   /* written and not yet submitted */
    uint32_t in_kernel;   /* operations in the kernel */
    uint64_t delivered;   /* nodes given to the pool */
    uint64_t event_value; /* where the eventfd's count is read to */
    struct trp_worker *worker;
    struct trp_ring_list starved;
    struct trp_ring_list again;
    struct trp_ring_buffers buffers;
    struct trp_ring_stats stats;
    uint32_t accepted_count;
    struct trp_ring_accepted accepted[TRP_RING_ACCEPTED_MAX]; /* oldest first */
};

/* A relaxed snapshot. state is what open returned. Threads: any while the ring is open. */
void trp_ring_stats(const void *state, struct trp_ring_stats *stats);

static inline void trp_ring_count(uint64_t *counter, uint64_t delta)
{
    trp_store_relaxed_u64(counter, *counter + delta);
}

/* --- ring.c --- */

/* An empty submission entry; submits when the queue is full. Never walks completions. */
struct io_uring_sqe *trp_ring_sqe(struct trp_ring *ring);

/* --- ring_probe.c --- */

/* What failed at start-up, for the text. */
struct trp_ring_failure {
    const char *step;     /* name of the call or the test */
    int error;            /* errno, positive */
    uint64_t need_bytes;  /* of locked memory, for the smallest ring tried */
    uint64_t limit_bytes; /* RLIMIT_MEMLOCK, UINT64_MAX = unlimited */
    int disabled;         /* kernel.io_uring_disabled, -1 = not there */
};

/*
 * Sets up queues, buffers and eventfd of a zeroed ring on the calling thread and receives one byte
 * through them. On failure nothing is left open and *failure is filled in.
 */
bool trp_ring_build(struct trp_ring *ring, struct trp_ring_failure *failure);
/* Takes down what trp_ring_build made. */
void trp_ring_demolish(struct trp_ring *ring);

/* Writes cause and remedy; returns the status that belongs to them. */
enum troupe_status
trp_ring_explain(const struct trp_ring_failure *failure, char *error, size_t error_cap);

/* --- ring_buffers.c --- */

/* Both return 0 or -errno. */
int trp_ring_buffers_open(struct trp_ring *ring);
void trp_ring_buffers_close(struct trp_ring *ring);

/* The kernel filled a buffer: the node that owns it. */
struct trp_rx *trp_ring_buffer_take(struct trp_ring *ring, uint32_t buffer_id, uint32_t len);
/* Nobody reads the buffer any more; the kernel sees it after the next publish. */
void trp_ring_buffer_give(struct trp_ring *ring, uint32_t buffer_id);
/* One barrier for all buffers given since the last time. */
void trp_ring_buffers_publish(struct trp_ring *ring);

/* --- ring_ops.c --- */

void trp_ring_submit_op(void *state, struct trp_op *op);
void trp_ring_cancel_op(void *state, struct trp_op *op);

/* A completion of an operation. */
void trp_ring_complete(struct trp_ring *ring, struct trp_op *op, const struct io_uring_cqe *cqe);

/* Puts sockets that were kept back into batches that have room now. */
void trp_ring_hand_over(struct trp_ring *ring);

/* Ends listed operations that were cancelled, arms the others as far as buffers allow. */
void trp_ring_arm_listed(struct trp_ring *ring);

/* Listed operations that could be armed right now. */
static inline bool trp_ring_can_arm(const struct trp_ring *ring)
{
    return ring->again.count > 0 || (ring->starved.count > 0 && ring->buffers.free_count > 0);
}

#endif
