/* Limits of waking: two threads that wake each other in turns and sleep in between. */

#include "bench/kernels/limit.h"

#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <liburing.h>

#include <troupe/assert.h>

#include "mailbox/atomic.h"

#define WAKE_OPS (TRP_LIMIT_WAKE_TRIPS + 1)

/* How one side wakes the other and waits for it. */
struct wake;
struct means {
    void (*ring)(struct wake *wake, int side);
    /* Sleeps until `side` was rung for the `seen + 1`st time. */
    void (*await)(struct wake *wake, int side, uint32_t seen);
};

struct wake {
    const struct means *means;
    uint32_t words[2]; /* futex: rises by one with each wake */
    int fds[2];        /* eventfd */
    struct io_uring rings[2];
    int ring_errors[2]; /* 0 = there is a ring */
    pthread_barrier_t is_ready;
    uint64_t *trips_ns; /* without the first */
};

/* --- futex --- */

static void ring_futex(struct wake *wake, int side)
{
    trp_faa_u32(&wake->words[side], 1); /* pairs with the load in await_futex */
    syscall(SYS_futex, &wake->words[side], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void await_futex(struct wake *wake, int side, uint32_t seen)
{
    /* acquire: pairs with ring_futex */
    while (trp_load_acquire_u32(&wake->words[side]) == seen) {
        syscall(SYS_futex, &wake->words[side], FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
}

static const struct means by_futex = {ring_futex, await_futex};

/* --- eventfd --- */

static void ring_eventfd(struct wake *wake, int side)
{
    uint64_t one = 1;
    (void)!write(wake->fds[side], &one, sizeof(one));
}

static void await_eventfd(struct wake *wake, int side, uint32_t seen)
{
    uint64_t count;
    (void)seen;
    (void)!read(wake->fds[side], &count, sizeof(count));
}

static const struct means by_eventfd = {ring_eventfd, await_eventfd};

/* --- io_uring --- */

/* Prepares the message; it leaves with the wait that follows, in one system call. */
static void ring_ring(struct wake *wake, int side)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&wake->rings[1 - side]);
    TROUPE_ASSERT(sqe != NULL);
    io_uring_prep_msg_ring(sqe, wake->rings[side].ring_fd, 0, 1, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void await_ring(struct wake *wake, int side, uint32_t seen)
{
    struct io_uring *ring = &wake->rings[side];
    struct io_uring_cqe *cqe;
    (void)seen;
    while (io_uring_peek_cqe(ring, &cqe) != 0) {
        (void)io_uring_submit_and_wait(ring, 1);
    }
    /* With messages that cannot fail between two rings, it can only be the other side's. */
    TROUPE_ASSERT(cqe->res >= 0);
    io_uring_cqe_seen(ring, cqe);
}

static const struct means by_ring = {ring_ring, await_ring};

/* --- the two threads --- */

/* A ring belongs to the thread that made it. False, on both sides, when one of them has none. */
static bool prepare(struct wake *wake, int side)
{
    if (wake->means != &by_ring) {
        return true;
    }
    wake->ring_errors[side] = io_uring_queue_init(
        8, &wake->rings[side], IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    pthread_barrier_wait(&wake->is_ready);
    return wake->ring_errors[0] == 0 && wake->ring_errors[1] == 0;
}

static void finish(struct wake *wake, int side)
{
    if (wake->means != &by_ring) {
        return;
    }
    if (wake->ring_errors[side] == 0) {
        (void)io_uring_submit(&wake->rings[side]); /* the last answer */
    }
    pthread_barrier_wait(&wake->is_ready); /* the other one may still be sending here */
    if (wake->ring_errors[side] == 0) {
        io_uring_queue_exit(&wake->rings[side]);
    }
}

static void ask(void *arg)
{
    struct wake *wake = arg;
    uint64_t before_ns = 0;
    if (prepare(wake, 0)) {
        for (uint32_t i = 0; i < WAKE_OPS; i++) {
            wake->means->ring(wake, 1);
            wake->means->await(wake, 0, i);
            uint64_t now_ns = trp_machine_now_ns();
            if (i > 0) {
                wake->trips_ns[i - 1] = now_ns - before_ns;
            }
            before_ns = now_ns;
        }
    }
    finish(wake, 0);
}

static void answer(void *arg)
{
    struct wake *wake = arg;
    if (prepare(wake, 1)) {
        for (uint32_t i = 0; i < WAKE_OPS; i++) {
            wake->means->await(wake, 1, i);
            wake->means->ring(wake, 0);
        }
    }
    finish(wake, 1);
}

static bool
measure(const struct trp_machine *machine, const struct means *means, uint64_t *trips_ns)
{
    struct wake wake = {.means = means, .fds = {-1, -1}, .trips_ns = trips_ns};
    bool is_good = true;

    pthread_barrier_init(&wake.is_ready, NULL, 2);
    for (int side = 0; side < 2 && means == &by_eventfd; side++) {
        wake.fds[side] = eventfd(0, EFD_CLOEXEC);
        is_good = is_good && wake.fds[side] >= 0;
    }
    is_good = is_good && trp_limit_on_two(machine, ask, answer, &wake) &&
              wake.ring_errors[0] == 0 && wake.ring_errors[1] == 0;
    for (int side = 0; side < 2; side++) {
        if (wake.fds[side] >= 0) {
            close(wake.fds[side]);
        }
    }
    pthread_barrier_destroy(&wake.is_ready);
    return is_good;
}

bool trp_limit_wake_trips(enum trp_limit limit,
                          const struct trp_machine *machine,
                          uint64_t *trips_ns)
{
    const struct means *means = limit == TRP_LIMIT_WAKE_FUTEX     ? &by_futex
                                : limit == TRP_LIMIT_WAKE_EVENTFD ? &by_eventfd
                                                                  : &by_ring;
    return measure(machine, means, trips_ns);
}

static double mean_ns(const struct trp_machine *machine, const struct means *means)
{
    static uint64_t trips_ns[TRP_LIMIT_WAKE_TRIPS]; /* 24 KiB; limits run one at a time */
    double sum = 0;
    if (!measure(machine, means, trips_ns)) {
        return NAN;
    }
    for (uint32_t i = 0; i < TRP_LIMIT_WAKE_TRIPS; i++) {
        sum += (double)trips_ns[i];
    }
    return sum / TRP_LIMIT_WAKE_TRIPS;
}

double trp_limit_wake_futex(const struct trp_machine *machine)
{
    return mean_ns(machine, &by_futex);
}

double trp_limit_wake_eventfd(const struct trp_machine *machine)
{
    return mean_ns(machine, &by_eventfd);
}

double trp_limit_wake_msg_ring(const struct trp_machine *machine)
{
    return mean_ns(machine, &by_ring);
}
