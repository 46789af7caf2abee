/*
 * Accepting, connecting, polling, cancels, and more at once than the queues hold. Each test runs on
 * all four levels of ring set-up.
 */

#include "ring_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void accept_fills_batches(void **state)
{
    (void)state;
    enum { PEERS = 200 };
    struct harness h;
    struct trp_op op = {0};
    struct trp_accepted accepted = {0};
    union trp_address address;
    socklen_t len;
    int peers[PEERS];
    uint32_t total = 0;

    harness_open(&h);
    int listener = harness_listen_loopback(&address, &len);
    op.accept = &accepted;
    harness_arm(&h, &op, TRP_OP_ACCEPT, listener);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = harness_connect_plain(&address, len);
        if (i % 32 != 31 && i != PEERS - 1) {
            continue;
        }
        while (total < (uint32_t)i + 1) {
            harness_expect(&h, &op, 0, true);
            for (uint32_t k = 0; k < accepted.count; k++) {
                assert_true((fcntl(accepted.fds[k], F_GETFL) & O_NONBLOCK) != 0);
                assert_true((fcntl(accepted.fds[k], F_GETFD) & FD_CLOEXEC) != 0);
                close(accepted.fds[k]);
            }
            total += accepted.count;
            accepted.count = 0;
        }
    }
    for (int i = 0; i < PEERS; i++) {
        close(peers[i]);
    }
    assert_int_equal(accepted.refused, 0);
    h.driver->cancel(h.ring, &op);
    harness_expect(&h, &op, -ECANCELED, false);
    close(listener);
    harness_close(&h);
}

/* Nobody empties the batch: what does not fit waits, and what cannot wait is closed and counted. */
static void accept_keeps_back_what_does_not_fit(void **state)
{
    (void)state;
    enum { MORE = 5, PEERS = TRP_ACCEPT_BATCH + MORE };
    struct harness h;
    struct trp_op op = {0};
    struct trp_op full = {0};
    struct trp_accepted accepted = {0};
    struct trp_accepted never = {.count = TRP_ACCEPT_BATCH};
    union trp_address address;
    socklen_t len;
    int peers[PEERS];
    char byte;

    harness_open(&h);
    int listener = harness_listen_loopback(&address, &len);
    op.accept = &accepted;
    full.accept = &never;
    harness_arm(&h, &op, TRP_OP_ACCEPT, listener);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = harness_connect_plain(&address, len);
    }
    harness_settle(&h);
    assert_int_equal(accepted.count, TRP_ACCEPT_BATCH);
    assert_int_equal(h.ring->accepted_count, MORE);
    harness_expect(&h, &op, 0, true);
    for (uint32_t k = 0; k < accepted.count; k++) {
        close(accepted.fds[k]);
    }
    accepted.count = 0;
    harness_expect(&h, &op, 0, true);
    assert_int_equal(accepted.count, MORE);
    assert_int_equal(accepted.refused, 0);
    for (uint32_t k = 0; k < MORE; k++) {
        close(accepted.fds[k]);
        close(peers[k]);
    }
    /* no room anywhere */
    accepted.count = TRP_ACCEPT_BATCH;
    for (uint32_t k = 0; k < TRP_RING_ACCEPTED_MAX - 1; k++) {
        h.ring->accepted[k] = (struct trp_ring_accepted){&full, -1};
    }
    h.ring->accepted_count = TRP_RING_ACCEPTED_MAX - 1;
    for (int k = 0; k < MORE; k++) {
        peers[k] = harness_connect_plain(&address, len);
    }
    harness_expect_nothing(&h);
    assert_int_equal(accepted.refused, MORE - 1);
    assert_int_equal(h.ring->stats.refused, MORE - 1);
    /* a cancel closes the one that waited */
    h.driver->cancel(h.ring, &op);
    assert_int_equal(h.ring->accepted_count, TRP_RING_ACCEPTED_MAX - 1);
    h.ring->accepted_count = 0;
    harness_expect(&h, &op, -ECANCELED, false);
    for (int k = 0; k < MORE; k++) {
        assert_true(read(peers[k], &byte, 1) <= 0);
    }
    for (int i = 0; i < PEERS; i++) {
        close(peers[i]);
    }
    close(listener);
    harness_close(&h);
}

static void accept_without_descriptors_ends(void **state)
{
    (void)state;
    struct harness h;
    struct trp_op op = {0};
    struct trp_accepted accepted = {0};
    union trp_address address;
    socklen_t len;
    struct rlimit old;

    harness_open(&h);
    int listener = harness_listen_loopback(&address, &len);
    op.accept = &accepted;
    int peer = harness_connect_plain(&address, len);
    /* the kernel remembers the limit of the time when the operation was armed */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit tight = {.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    harness_arm(&h, &op, TRP_OP_ACCEPT, listener);
    harness_settle(&h);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    harness_expect(&h, &op, -EMFILE, false);
    assert_int_equal(accepted.count, 0);
    /* Armed again by its owner it goes on with who came meanwhile. */
    int second = harness_connect_plain(&address, len);
    harness_arm(&h, &op, TRP_OP_ACCEPT, listener);
    harness_expect(&h, &op, 0, true);
    assert_true(accepted.count >= 1);
    h.driver->cancel(h.ring, &op);
    harness_expect(&h, &op, -ECANCELED, false);
    for (uint32_t k = 0; k < accepted.count; k++) {
        close(accepted.fds[k]);
    }
    close(peer);
    close(second);
    close(listener);
    harness_close(&h);
}

static void connect_succeeds_or_is_refused(void **state)
{
    (void)state;
    struct harness h;
    struct trp_op op = {0};
    int flags[] = {0, SOCK_NONBLOCK};

    harness_open(&h);
    for (size_t i = 0; i < 2; i++) {
        int listener = harness_listen_loopback(&op.connect.address, &op.connect.len);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags[i], 0);
        assert_true(fd >= 0);
        harness_arm(&h, &op, TRP_OP_CONNECT, fd);
        harness_expect(&h, &op, 0, false);
        close(fd);
        close(listener);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags[i], 0);
        assert_true(fd >= 0);
        harness_arm(&h, &op, TRP_OP_CONNECT, fd);
        harness_expect(&h, &op, -ECONNREFUSED, false);
        close(fd);
    }
    harness_close(&h);
}

/* A listener whose backlog is full lets further connects hang. */
static void a_hanging_connect_can_be_canceled(void **state)
{
    (void)state;
    enum { PEERS = 8 };
    struct harness h;
    struct trp_op ops[PEERS] = {0};
    int fds[PEERS];
    union trp_address address;
    socklen_t len;
    uint32_t canceled = 0;

    harness_open(&h);
    int listener = harness_listen_loopback(&address, &len);
    assert_int_equal(listen(listener, 0), 0);
    for (int i = 0; i < PEERS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
        ops[i].connect.address = address;
        ops[i].connect.len = len;
        harness_arm(&h, &ops[i], TRP_OP_CONNECT, fds[i]);
    }
    harness_settle(&h);
    for (int i = 0; i < PEERS; i++) {
        if (ops[i].is_armed) {
            h.driver->cancel(h.ring, &ops[i]);
        }
    }
    for (int i = 0; i < PEERS; i++) {
        struct trp_op *op = (struct trp_op *)harness_next(&h);
        op->is_queued = false;
        assert_false(op->is_armed);
        assert_true(op->result == 0 || op->result == -ECANCELED);
        canceled += op->result == -ECANCELED;
    }
    assert_true(canceled > 0);
    for (int i = 0; i < PEERS; i++) {
        close(fds[i]);
    }
    close(listener);
    harness_close(&h);
}

static void poll_reports_until_canceled(void **state)
{
    (void)state;
    struct harness h;
    struct trp_op op = {0};
    int pair[2];
    char byte;

    harness_open(&h);
    harness_make_pair(pair);
    harness_arm(&h, &op, TRP_OP_POLL, pair[0]);
    harness_expect_nothing(&h);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(pair[1], "x", 1), 1);
        harness_expect(&h, &op, POLLIN, true);
        assert_int_equal(read(pair[0], &byte, 1), 1);
    }
    h.driver->cancel(h.ring, &op);
    harness_expect(&h, &op, -ECANCELED, false);
    harness_expect_nothing(&h);
    harness_close_pair(pair);
    harness_close(&h);
}

static void cancel_ends_idle_receives_and_accepts(void **state)
{
    (void)state;
    struct harness h;
    struct trp_op recv_op = {0};
    struct trp_op accept_op = {0};
    struct trp_accepted accepted = {0};
    union trp_address address;
    socklen_t len;
    int pair[2];

    harness_open(&h);
    harness_make_pair(pair);
    int listener = harness_listen_loopback(&address, &len);
    accept_op.accept = &accepted;
    harness_arm(&h, &recv_op, TRP_OP_RECV, pair[0]);
    /* before the kernel has seen it */
    h.driver->cancel(h.ring, &recv_op);
    harness_expect(&h, &recv_op, -ECANCELED, false);
    /* and after */
    harness_arm(&h, &recv_op, TRP_OP_RECV, pair[0]);
    harness_arm(&h, &accept_op, TRP_OP_ACCEPT, listener);
    harness_expect_nothing(&h);
    h.driver->cancel(h.ring, &recv_op);
    harness_expect(&h, &recv_op, -ECANCELED, false);
    h.driver->cancel(h.ring, &accept_op);
    harness_expect(&h, &accept_op, -ECANCELED, false);
    /* a cancel that comes too late changes nothing */
    assert_int_equal(write(pair[1], "x", 1), 1);
    harness_arm(&h, &recv_op, TRP_OP_RECV, pair[0]);
    harness_release(&h, harness_expect_rx(&h, &recv_op));
    close(pair[1]);
    h.driver->cancel(h.ring, &recv_op);
    assert_ptr_equal(harness_next(&h), &recv_op);
    assert_false(recv_op.is_armed);
    assert_true(recv_op.result == 0 || recv_op.result == -ECANCELED);
    harness_expect_nothing(&h);
    assert_int_equal(h.ring->in_kernel, 0);
    close(pair[0]);
    close(listener);
    harness_close(&h);
}

static void more_operations_than_entries(void **state)
{
    (void)state;
    enum { OPS = 3 * TRP_RING_SQ_ENTRIES };
    struct harness h;
    struct trp_op *ops = calloc(OPS, sizeof(*ops));
    int pair[2];
    uint32_t i;

    assert_non_null(ops);
    harness_open(&h);
    harness_make_pair(pair);
    for (i = 0; i < OPS; i++) {
        harness_arm(&h, &ops[i], TRP_OP_POLL, pair[0]);
    }
    for (i = 0; i < OPS; i++) {
        h.driver->cancel(h.ring, &ops[i]);
    }
    for (i = 0; i < OPS; i++) {
        struct trp_op *op = (struct trp_op *)harness_next(&h);
        op->is_queued = false;
        assert_int_equal(op->result, -ECANCELED);
        assert_false(op->is_armed);
    }
    harness_expect_nothing(&h);
    harness_close_pair(pair);
    harness_close(&h);
    free(ops);
}

/* More completions at once than the queue holds: every operation is told, overflow is counted. */
static void the_completion_queue_may_overflow(void **state)
{
    enum { OPS = TRP_RING_CQ_ENTRIES + 500 };
    struct harness h;
    struct trp_op *ops = calloc(OPS, sizeof(*ops));
    int pair[2];
    uint32_t i;

    assert_non_null(ops);
    harness_open(&h);
    harness_make_pair(pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    for (i = 0; i < OPS; i++) {
        harness_arm(&h, &ops[i], TRP_OP_POLL, pair[0]);
    }
    for (i = 0; i < OPS; i++) {
        struct trp_op *op = (struct trp_op *)harness_next(&h);
        op->is_queued = false;
        assert_int_equal(op->result, POLLIN);
        assert_true(op->is_armed);
    }
    /* the best level hands out readiness in small portions, so that it cannot overflow here */
    assert_true((uintptr_t)*state == TRP_RING_DEFER || h.ring->stats.overflows > 0);
    for (i = 0; i < OPS; i++) {
        h.driver->cancel(h.ring, &ops[i]);
    }
    for (uint32_t ended = 0; ended < OPS;) {
        struct trp_op *op = (struct trp_op *)harness_next(&h);
        op->is_queued = false;
        ended += op->is_armed ? 0 : 1;
    }
    harness_close_pair(pair);
    harness_close(&h);
    free(ops);
}

static void failures_overflow_the_completion_queue(void **state)
{
    (void)state;
    enum { OPS = TRP_RING_CQ_ENTRIES + 3 * TRP_RING_SQ_ENTRIES };
    struct harness h;
    struct trp_op *ops = calloc(OPS, sizeof(*ops));
    uint32_t i;

    assert_non_null(ops);
    harness_open(&h);
    for (i = 0; i < OPS; i++) {
        harness_arm(&h, &ops[i], TRP_OP_RECV, 1 << 20);
    }
    for (i = 0; i < OPS; i++) {
        harness_expect(&h, &ops[i], -EBADF, false); /* in order, none lost */
    }
    assert_true(h.ring->stats.overflows > 0);
    harness_expect_nothing(&h);
    harness_close(&h);
    free(ops);
}

static void close_lets_go_of_what_is_armed(void **state)
{
    (void)state;
    struct harness h;
    struct trp_op recv_op = {0};
    struct trp_op poll_op = {0};
    struct trp_op accept_op = {0};
    struct trp_accepted accepted = {0};
    union trp_address address;
    socklen_t len;
    int pair[2];

    harness_open(&h);
    harness_make_pair(pair);
    int listener = harness_listen_loopback(&address, &len);
    accept_op.accept = &accepted;
    harness_arm(&h, &recv_op, TRP_OP_RECV, pair[0]);
    harness_arm(&h, &poll_op, TRP_OP_POLL, pair[0]);
    harness_arm(&h, &accept_op, TRP_OP_ACCEPT, listener);
    harness_expect_nothing(&h);
    int peer = harness_connect_plain(&address, len);
    harness_close(&h);
    assert_false(recv_op.is_armed);
    assert_false(poll_op.is_armed);
    assert_false(accept_op.is_armed);
    close(peer);
    close(listener);
    harness_close_pair(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HARNESS_ALL_LEVELS(accept_fills_batches),
        HARNESS_ALL_LEVELS(accept_keeps_back_what_does_not_fit),
        HARNESS_ALL_LEVELS(accept_without_descriptors_ends),
        HARNESS_ALL_LEVELS(connect_succeeds_or_is_refused),
        HARNESS_ALL_LEVELS(a_hanging_connect_can_be_canceled),
        HARNESS_ALL_LEVELS(poll_reports_until_canceled),
        HARNESS_ALL_LEVELS(cancel_ends_idle_receives_and_accepts),
        HARNESS_ALL_LEVELS(more_operations_than_entries),
        HARNESS_ALL_LEVELS(the_completion_queue_may_overflow),
        HARNESS_ALL_LEVELS(failures_overflow_the_completion_queue),
        HARNESS_ALL_LEVELS(close_lets_go_of_what_is_armed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
