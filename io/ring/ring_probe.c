/*
 * Start-up: sizes and flags that the kernel takes, a real receive through the finished ring, and
 * texts that name cause and remedy when something is refused.
 */

#include "io/ring/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define DISABLED_PATH   "/proc/sys/kernel/io_uring_disabled"
#define TEST_TIMEOUT_NS 1000000000

static const unsigned level_flags[TRP_RING_LEVELS] = {
    [TRP_RING_DEFER] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    [TRP_RING_COOP] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
                      IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    [TRP_RING_SINGLE] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL,
    [TRP_RING_PLAIN] = 0,
};

/* -1 when the kernel does not have the setting (before 6.6) or hides it. */
static int read_disabled(void)
{
    char text[8] = {0};
    int value = -1;

    int fd = open(DISABLED_PATH, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    if (read(fd, text, sizeof(text) - 1) > 0) {
        value = (int)strtol(text, NULL, 10);
    }
    close(fd);
    return value;
}

static uint64_t locked_bytes(unsigned sq_entries, unsigned cq_entries)
{
    uint64_t page = 4096;
    uint64_t rings = cq_entries * sizeof(struct io_uring_cqe) + sq_entries * sizeof(uint32_t);
    uint64_t entries = sq_entries * sizeof(struct io_uring_sqe);
    uint64_t buffers = TROUPE_RING_BUFFERS * sizeof(struct io_uring_buf);
    return (rings + page - 1) / page * page + (entries + page - 1) / page * page +
           (buffers + page - 1) / page * page;
}

static bool
fail(struct trp_ring_failure *failure, const char *step, int negative_errno, unsigned cq_entries)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

    getrlimit(RLIMIT_MEMLOCK, &limit);
    failure->step = step;
    failure->error = -negative_errno;
    failure->need_bytes = locked_bytes(TRP_RING_ENTRIES_MIN, cq_entries);
    failure->limit_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
    failure->disabled = read_disabled();
    return false;
}

/* Best level first, then smaller: flags that are too new are -EINVAL, memory is -ENOMEM. */
static int setup_queues(struct trp_ring *ring, unsigned *cq_entries)
{
    unsigned level = TRP_RING_DEFER;
    unsigned sq = TRP_RING_SQ_ENTRIES;
    unsigned cq = TRP_RING_CQ_ENTRIES;

    for (;;) {
        struct io_uring_params params = {
            .flags = level_flags[level] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
            .cq_entries = cq,
        };
        int result = io_uring_queue_init_params(sq, &ring->uring, &params);
        *cq_entries = cq;
        if (result == 0) {
            ring->is_uring_open = true;
            ring->stats.level = level;
            ring->stats.sq_entries = params.sq_entries;
            ring->stats.cq_entries = params.cq_entries;
            return 0;
        }
        if (result == -EINVAL && level + 1 < TRP_RING_LEVELS) {
            level++;
        } else if (result == -ENOMEM && sq > TRP_RING_ENTRIES_MIN) {
            sq /= 2;
            cq /= 2;
        } else if (result == -ENOMEM && cq > 2 * TRP_RING_ENTRIES_MIN) {
            cq /= 2; /* never below two completions per buffer */
        } else {
            return result;
        }
    }
}

/* Waits for the next completion of the test; 0 or -errno. */
static int await_test(struct trp_ring *ring, struct io_uring_cqe *copy)
{
    struct __kernel_timespec timeout = {.tv_nsec = 0, .tv_sec = TEST_TIMEOUT_NS / 1000000000};
    struct io_uring_cqe *cqe = NULL;

    int result;
    do {
        result = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &timeout, NULL);
    } while (result == -EINTR);
    if (result < 0) {
        return result;
    }
    if (cqe == NULL) {
        return -ETIME;
    }
    *copy = *cqe;
    io_uring_cqe_seen(&ring->uring, cqe);
    return 0;
}

/* One byte through a multishot receive into a provided buffer; 0 or -errno. */
static int receive_one_byte(struct trp_ring *ring, int to, int from)
{
    struct io_uring_cqe cqe;

    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    TROUPE_ASSERT(sqe != NULL);
    io_uring_prep_recv_multishot(sqe, from, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = TRP_RING_BUFFER_GROUP;
    io_uring_sqe_set_data64(sqe, TRP_RING_TAG_TEST);
    if (send(to, "!", 1, MSG_NOSIGNAL) != 1 || shutdown(to, SHUT_WR) != 0) {
        return -errno;
    }
    int result = await_test(ring, &cqe);
    if (result < 0) {
        return result;
    }
    if (cqe.res != 1 || (cqe.flags & IORING_CQE_F_BUFFER) == 0) {
        return cqe.res < 0 ? cqe.res : -EINVAL;
    }
    uint32_t buffer_id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    if (buffer_id >= TROUPE_RING_BUFFERS) {
        return -EINVAL;
    }
    bool is_right = trp_ring_buffer_take(ring, buffer_id, 1)->data[0] == '!';
    trp_ring_buffer_give(ring, buffer_id);
    trp_ring_buffers_publish(ring);
    /* The end of the stream ends it; after that nothing of the test is in the kernel. */
    while (result == 0 && (cqe.flags & IORING_CQE_F_MORE) != 0) {
        result = await_test(ring, &cqe);
    }
    return result == 0 && !is_right ? -EINVAL : result;
}

static int test_receive(struct trp_ring *ring)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return -errno;
    }
    int result = receive_one_byte(ring, pair[0], pair[1]);
    close(pair[0]);
    close(pair[1]);
    return result;
}

bool trp_ring_build(struct trp_ring *ring, struct trp_ring_failure *failure)
{
    unsigned cq_entries = 0;
    const char *step;

    ring->event_fd = -1;
    step = "io_uring_setup";
    int result = setup_queues(ring, &cq_entries);
    if (result < 0) {
        goto fail_build;
    }
    ring->ring_fd = ring->uring.ring_fd;
    step = "registering the buffer ring";
    result = trp_ring_buffers_open(ring);
    if (result < 0) {
        goto fail_build;
    }
    /*
     * Saves a look-up per system call; without it everything works as well. Not on a plain ring:
     * only a single issuer makes the kernel refuse the unregistering that liburing tries when
     * another thread closes the ring, which would hit that thread's own ring.
     */
    if (ring->stats.level != TRP_RING_PLAIN) {
        result = io_uring_register_ring_fd(&ring->uring);
        (void)result;
    }
    step = "multishot receive";
    result = test_receive(ring);
    if (result < 0) {
        goto fail_build;
    }
    step = "eventfd";
    ring->event_fd = eventfd(0, EFD_CLOEXEC);
    if (ring->event_fd < 0) {
        result = -errno;
        goto fail_build;
    }
    ring->magic = TRP_RING_MAGIC;
    return true;

fail_build:
    fail(failure, step, result, cq_entries);
    trp_ring_demolish(ring);
    return false;
}

void trp_ring_demolish(struct trp_ring *ring)
{
    if (ring->is_uring_open) {
        io_uring_queue_exit(&ring->uring);
        ring->is_uring_open = false;
    }
    trp_ring_buffers_close(ring);
    if (ring->event_fd >= 0) {
        close(ring->event_fd);
        ring->event_fd = -1;
    }
}

static enum troupe_status
explain_eperm(const struct trp_ring_failure *failure, char *text, size_t cap)
{
    switch (failure->disabled) {
    case 1:
        snprintf(text, cap,
                 "io_uring is refused (EPERM): kernel.io_uring_disabled = 1 leaves it to "
                 "CAP_SYS_ADMIN and one group; set it to 0, or put the user into "
                 "kernel.io_uring_group");
        break;
    case 2:
        snprintf(text, cap,
                 "io_uring is refused (EPERM): kernel.io_uring_disabled = 2 switches it off; "
                 "run 'sysctl -w kernel.io_uring_disabled=0'");
        break;
    default:
        snprintf(text, cap,
                 "io_uring is refused (EPERM at %s, kernel.io_uring_disabled = %s): most likely a "
                 "seccomp profile, as Docker and containerd bring one; allow io_uring_setup, "
                 "io_uring_enter, io_uring_register in it",
                 failure->step, failure->disabled == 0 ? "0" : "absent");
    }
    return TROUPE_EUNAVAIL;
}

static enum troupe_status
explain_enomem(const struct trp_ring_failure *failure, char *text, size_t cap)
{
    char allowed[32] = "unlimited";

    if (failure->limit_bytes != UINT64_MAX) {
        snprintf(allowed, sizeof(allowed), "%llu bytes", (unsigned long long)failure->limit_bytes);
    }
    snprintf(text, cap,
             "no memory for io_uring (%s): needs %llu bytes locked per worker, RLIMIT_MEMLOCK "
             "allows %s for all rings of the user; raise it (ulimit -l, LimitMEMLOCK=) or use "
             "fewer workers",
             failure->step, (unsigned long long)failure->need_bytes, allowed);
    return TROUPE_ENOMEM;
}

enum troupe_status
trp_ring_explain(const struct trp_ring_failure *failure, char *error, size_t error_cap)
{
    char nothing[1];
    char *text = error != NULL && error_cap > 0 ? error : nothing;
    size_t cap = text == error ? error_cap : sizeof(nothing);

    TROUPE_ASSERT(failure->step != NULL);
    TROUPE_ASSERT(failure->error > 0);
    switch (failure->error) {
    case EPERM:
    case EACCES:
        return explain_eperm(failure, text, cap);
    case ENOMEM:
        return explain_enomem(failure, text, cap);
    case ENOSYS:
        snprintf(text, cap,
                 "io_uring is not there (ENOSYS at %s): the kernel is built without it, or a "
                 "sandbox or seccomp profile hides it; use Linux 6.1 or newer and allow "
                 "io_uring_setup, io_uring_enter, io_uring_register",
                 failure->step);
        return TROUPE_EUNAVAIL;
    case EINVAL:
    case EOPNOTSUPP:
        snprintf(text, cap, "io_uring of this kernel is too old (%s at %s): use Linux 6.1 or newer",
                 strerrorname_np(failure->error), failure->step);
        return TROUPE_EUNAVAIL;
    case EMFILE:
    case ENFILE:
        snprintf(text, cap,
                 "no file descriptor left for io_uring (%s at %s): raise RLIMIT_NOFILE "
                 "(ulimit -n, LimitNOFILE=)",
                 strerrorname_np(failure->error), failure->step);
        return TROUPE_EUNAVAIL;
    default: {
        const char *name = strerrorname_np(failure->error);
        snprintf(text, cap, "io_uring does not work here (%s at %s): run where io_uring is usable",
                 name != NULL ? name : "unknown error", failure->step);
        return TROUPE_EIO;
    }
    }
}

enum troupe_status troupe_ring_probe(char *error, size_t error_cap)
{
    struct trp_ring_failure failure = {0};

    struct trp_ring *ring = calloc(1, sizeof(*ring));
    if (ring == NULL) {
        failure.step = "memory of the ring";
        failure.error = ENOMEM;
        failure.limit_bytes = UINT64_MAX;
        return trp_ring_explain(&failure, error, error_cap);
    }
    bool is_built = trp_ring_build(ring, &failure);
    if (is_built) {
        trp_ring_demolish(ring);
    }
    free(ring);
    return is_built ? TROUPE_OK : trp_ring_explain(&failure, error, error_cap);
}
