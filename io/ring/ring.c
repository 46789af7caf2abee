/*
 * One ring per worker: entering the kernel, walking completions, doorbells between workers.
 */

#include "io/ring/ring.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Waiting for the kernel to let go of what is armed when a ring is closed. */
#define CLOSE_ROUNDS_MAX 200u
#define CLOSE_ROUND_NS   10000000

/* Attempts to hand entries to a kernel that has no memory for them. */
#define SUBMIT_TRIES_MAX 1000000u
#define FLUSH_TRIES_MAX  4u

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t ring_now(void *state)
{
    (void)state;
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t ring_wall_now(void *state)
{
    (void)state;
    return clock_ns(CLOCK_REALTIME);
}

static struct trp_ring *ring_of(void *state)
{
    struct trp_ring *ring = state;
    TROUPE_ASSERT(ring != NULL);
    TROUPE_ASSERT(ring->magic == TRP_RING_MAGIC);
    return ring;
}

/* --- completions --- */

static void ring_event(const struct trp_ring *target)
{
    uint64_t one = 1;
    /* Fails only when the count is at its maximum, and then the target is woken already. */
    ssize_t written = write(target->event_fd, &one, sizeof(one));
    (void)written;
}

static void doorbell_failed(struct trp_ring *ring, const struct io_uring_cqe *cqe)
{
    const struct trp_ring *target =
        (const struct trp_ring *)(uintptr_t)(cqe->user_data & ~(uint64_t)TRP_RING_TAG_MASK);

    if (cqe->res < 0) {
        TROUPE_ASSERT(target->magic == TRP_RING_MAGIC);
        trp_ring_count(&ring->stats.doorbells_failed, 1);
        ring_event(target);
    }
}

static void walk_one(struct trp_ring *ring, const struct io_uring_cqe *cqe)
{
    switch (cqe->user_data & TRP_RING_TAG_MASK) {
    case TRP_RING_TAG_OP:
        trp_ring_complete(ring, (struct trp_op *)(uintptr_t)cqe->user_data, cqe);
        break;
    case TRP_RING_TAG_EVENT:
        ring->is_event_armed = false; /* prepare arms it again; writes until then are kept */
        break;
    case TRP_RING_TAG_DOORBELL:
        doorbell_failed(ring, cqe);
        break;
    case TRP_RING_TAG_RUNG:
    case TRP_RING_TAG_CANCEL:
        break;
    default:
        TROUPE_ASSERT(false);
    }
}

/* Only enqueues: nothing in here writes a submission entry or runs a handler. */
static void walk(struct trp_ring *ring)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned count = 0;
    unsigned most = ring->uring.cq.ring_entries; /* completions may keep coming meanwhile */

    io_uring_for_each_cqe(&ring->uring, head, cqe)
    {
        walk_one(ring, cqe);
        count++;
        if (count == most) {
            break;
        }
    }
    if (count > 0) {
        io_uring_cq_advance(&ring->uring, count);
        trp_ring_count(&ring->stats.completions, count);
    }
}

/* --- entering the kernel --- */

enum enter_how {
    ENTER_SUBMIT,  /* take the entries */
    ENTER_COLLECT, /* and run what is due */
};

/* The kernel has news that are not in the completion queue yet. */
static bool has_hidden(const struct trp_ring *ring)
{
    unsigned flags = IO_URING_READ_ONCE(*ring->uring.sq.kflags);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static void note_entered(struct trp_ring *ring, uint32_t before)
{
    uint32_t left = io_uring_sq_ready(&ring->uring);

    trp_ring_count(&ring->stats.enters, 1);
    trp_ring_count(&ring->stats.submitted, before - left);
    if (left == 0) {
        ring->doorbells = 0;
    }
    if (io_uring_cq_has_overflow(&ring->uring)) {
        trp_ring_count(&ring->stats.overflows, 1);
    }
}

/*
 * Errors need no answer here: -EINTR, -EBUSY (completions must be reaped first) and -EAGAIN leave
 * the entries where they are, and every caller reaps and comes again.
 */
static void enter(struct trp_ring *ring, enum enter_how how)
{
    uint32_t before = io_uring_sq_ready(&ring->uring);

    int result = how == ENTER_SUBMIT ? io_uring_submit(&ring->uring)
                                     : io_uring_submit_and_get_events(&ring->uring);
    TROUPE_ASSERT(result >= 0 || result == -EINTR || result == -EBUSY || result == -EAGAIN ||
                  result == -ENOMEM);
    note_entered(ring, before);
}

/*
 * Never reaps: handlers submit and cancel, and a completion must not change lists of the pool that
 * it is walking. Submitting makes room whatever the state of the completion queue; only a kernel
 * that is out of memory makes this wait.
 */
struct io_uring_sqe *trp_ring_sqe(struct trp_ring *ring)
{
    struct io_uring_sqe *sqe;

    for (uint32_t tries = 0; (sqe = io_uring_get_sqe(&ring->uring)) == NULL; tries++) {
        TROUPE_ASSERT(tries < SUBMIT_TRIES_MAX);
        if (tries > 0) {
            sched_yield();
        }
        enter(ring, ENTER_SUBMIT);
    }
    return sqe;
}

/* Everything that must be in place before the kernel is entered. */
static void prepare(struct trp_ring *ring)
{
    trp_ring_buffers_publish(ring);
    if (ring->accepted_count > 0) {
        trp_ring_hand_over(ring);
    }
    if (ring->has_canceled || ring->again.count > 0 || ring->starved.count > 0) {
        trp_ring_arm_listed(ring);
    }
    if (!ring->is_event_armed) {
        struct io_uring_sqe *sqe = trp_ring_sqe(ring);
        io_uring_prep_read(sqe, ring->event_fd, &ring->event_value, sizeof(ring->event_value),
                           (uint64_t)-1);
        io_uring_sqe_set_data64(sqe, TRP_RING_TAG_EVENT);
        ring->is_event_armed = true;
    }
}

static void ring_poll(void *state)
{
    struct trp_ring *ring = ring_of(state);

    prepare(ring);
    if (io_uring_sq_ready(&ring->uring) > 0 || has_hidden(ring)) {
        enter(ring, ENTER_COLLECT);
    }
    walk(ring);
}

static void ring_flush(void *state)
{
    struct trp_ring *ring = ring_of(state);

    /* What stays behind goes out with the next poll or park. */
    for (uint32_t tries = 0; ring->doorbells > 0 && tries < FLUSH_TRIES_MAX; tries++) {
        enter(ring, ENTER_SUBMIT);
    }
}

static void wait_until(struct trp_ring *ring, uint64_t deadline_ns)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec left = {0};
    struct __kernel_timespec *timeout = NULL;

    if (deadline_ns != UINT64_MAX) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        uint64_t wait_ns = deadline_ns > now ? deadline_ns - now : 0;
        left.tv_sec = (int64_t)(wait_ns / 1000000000u);
        left.tv_nsec = (int64_t)(wait_ns % 1000000000u);
        timeout = &left;
    }
    uint32_t before = io_uring_sq_ready(&ring->uring);
    int result = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, timeout, NULL);
    TROUPE_ASSERT(result >= 0 || result == -EINTR || result == -EBUSY || result == -EAGAIN ||
                  result == -ENOMEM || result == -ETIME);
    note_entered(ring, before);
}

static void ring_park(void *state, uint64_t deadline_ns)
{
    struct trp_ring *ring = ring_of(state);
    uint64_t delivered = ring->delivered;

    prepare(ring);
    /* Work found while preparing, or left over for lack of buffers, must not wait for a wake. */
    if (ring->delivered != delivered || trp_ring_can_arm(ring)) {
        ring_poll(state);
        return;
    }
    wait_until(ring, deadline_ns);
    walk(ring);
}

static void ring_wake(void *target_state, void *caller_state)
{
    struct trp_ring *target = ring_of(target_state);

    if (caller_state == NULL) {
        ring_event(target);
        return;
    }
    struct trp_ring *caller = ring_of(caller_state);
    struct io_uring_sqe *sqe = trp_ring_sqe(caller);
    io_uring_prep_msg_ring(sqe, target->ring_fd, 0, TRP_RING_TAG_RUNG, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)target | TRP_RING_TAG_DOORBELL);
    caller->doorbells++;
    trp_ring_count(&caller->stats.doorbells, 1);
}

static void ring_release(void *state, struct trp_rx *rx)
{
    trp_ring_buffer_give(ring_of(state), rx->buffer_id);
}

/* --- life --- */

static enum troupe_status
ring_open(void **state, struct trp_worker *worker, char *error, size_t error_cap)
{
    struct trp_ring_failure failure = {0};
    sigset_t pipe_signal;

    struct trp_ring *ring = aligned_alloc(TRP_CACHE_LINE, (sizeof(*ring) + 63u) & ~(size_t)63u);
    if (ring == NULL) {
        failure.step = "memory of the ring";
        failure.error = ENOMEM;
        return trp_ring_explain(&failure, error, error_cap);
    }
    memset(ring, 0, sizeof(*ring));
    if (!trp_ring_build(ring, &failure)) {
        free(ring);
        return trp_ring_explain(&failure, error, error_cap);
    }
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    ring->owner = gettid();
    ring->worker = worker;
    *state = ring;
    return TROUPE_OK;
}

/*
 * Requests must be out of the kernel before their memory goes: it would write into whatever is
 * mapped there next. Normally the worker's thread has ended by now, and the kernel cancels what a
 * thread leaves behind before the thread can be joined. On the thread itself it is done here; no
 * operation is armed any more then, but the eventfd's read is.
 */
static void drain(struct trp_ring *ring)
{
    ring->is_closing = true;
    ring->has_canceled = true;
    struct io_uring_sqe *sqe = trp_ring_sqe(ring);
    io_uring_prep_cancel(sqe, NULL, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data64(sqe, TRP_RING_TAG_CANCEL);
    for (uint32_t round = 0; round < CLOSE_ROUNDS_MAX; round++) {
        if (ring->in_kernel == 0 && !ring->is_event_armed) {
            break;
        }
        wait_until(ring, clock_ns(CLOCK_MONOTONIC) + CLOSE_ROUND_NS);
        walk(ring);
    }
}

static void ring_close(void *state)
{
    struct trp_ring *ring = ring_of(state);

    if (gettid() == ring->owner) {
        drain(ring);
    }
    for (uint32_t i = 0; i < ring->accepted_count; i++) {
        close(ring->accepted[i].fd);
    }
    trp_ring_demolish(ring);
    ring->magic = 0;
    free(ring);
}

void trp_ring_stats(const void *state, struct trp_ring_stats *stats)
{
    const struct trp_ring *ring = state;
    const uint64_t *from = (const uint64_t *)&ring->stats;
    uint64_t *to = (uint64_t *)stats;

    TROUPE_STATIC_ASSERT(sizeof(*stats) % sizeof(uint64_t) == 0, "counters only");
    for (size_t i = 0; i < sizeof(*stats) / sizeof(uint64_t); i++) {
        to[i] = trp_load_relaxed_u64(&from[i]);
    }
}

const struct troupe_driver *troupe_ring_driver(void)
{
    static const struct troupe_driver driver = {
        .name = "ring",
        .open = ring_open,
        .close = ring_close,
        .now = ring_now,
        .wall_now = ring_wall_now,
        .submit = trp_ring_submit_op,
        .cancel = trp_ring_cancel_op,
        .release = ring_release,
        .poll = ring_poll,
        .flush = ring_flush,
        .park = ring_park,
        .wake = ring_wake,
    };
    return &driver;
}
