/*
 * Receiving and sending: bytes, ends, lack of buffers, cancels. Each test runs on all four levels
 * of ring set-up.
 */

#include "ring_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void opens_at_the_level_asked_for(void **state)
{
    struct harness h;
    struct trp_ring_stats stats;

    harness_open(&h);
    trp_ring_stats(h.ring, &stats);
    assert_int_equal(stats.level, (enum trp_ring_level)(uintptr_t)*state);
    assert_int_equal(stats.sq_entries, TRP_RING_SQ_ENTRIES);
    assert_int_equal(stats.cq_entries, TRP_RING_CQ_ENTRIES);
    harness_expect_nothing(&h);
    harness_close(&h);
}

static void receive_delivers_bytes_then_the_end(void **state)
{
    (void)state;
    struct harness h;
    struct trp_op op = {0};
    int pair[2];

    harness_open(&h);
    harness_make_pair(pair);
    harness_arm(&h, &op, TRP_OP_RECV, pair[0]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(pair[1], "hello", 5), 5);
        struct trp_rx *rx = harness_expect_rx(&h, &op);
        assert_int_equal(rx->len, 5);
        assert_memory_equal(rx->data, "hello", 5);
        volatile uint8_t padding = rx->data[rx->len + TRP_RING_PADDING - 1];
        (void)padding;
        harness_release(&h, rx);
    }
    close(pair[1]);
    harness_expect(&h, &op, 0, false);
    close(pair[0]);
    harness_expect_nothing(&h);
    harness_close(&h);
}

static void receive_on_a_bad_descriptor_fails(void **state)
{
    (void)state;
    struct harness h;
    struct trp_op op = {0};
    int pair[2];

    harness_open(&h);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    harness_arm(&h, &op, TRP_OP_RECV, pair[0]);
    harness_expect(&h, &op, -ENOTSOCK, false);
    harness_close_pair(pair);
    harness_arm(&h, &op, TRP_OP_RECV, 1 << 20);
    harness_expect(&h, &op, -EBADF, false);
    harness_close(&h);
}

/* The lender of last resort: all buffers are held, nothing is lost, order is kept. */
static void receive_waits_for_buffers(void **state)
{
    (void)state;
    enum {
        BYTES = (TROUPE_RING_BUFFERS + 40) * TROUPE_RING_BUFFER_SIZE,
        LOT = 16 * TROUPE_RING_BUFFER_SIZE,
    };
    struct harness h;
    struct trp_op op = {0};
    struct trp_rx *held[TROUPE_RING_BUFFERS];
    uint32_t held_count = 0;
    uint32_t sent = 0;
    uint32_t seen = 0;
    int pair[2];
    static uint8_t lot[LOT];

    harness_open(&h);
    harness_make_pair(pair);
    harness_arm(&h, &op, TRP_OP_RECV, pair[0]);
    while (held_count < TROUPE_RING_BUFFERS) {
        for (uint32_t i = 0; i < LOT; i++) {
            lot[i] = (uint8_t)((sent + i) * 31u >> 3);
        }
        ssize_t written = send(pair[1], lot, LOT, MSG_DONTWAIT);
        sent += written > 0 ? (uint32_t)written : 0;
        assert_true(sent < BYTES);
        harness_settle(&h);
        while (h.worker.head != NULL) {
            struct trp_rx *rx = harness_expect_rx(&h, &op);
            for (uint32_t i = 0; i < rx->len; i++, seen++) {
                assert_int_equal(rx->data[i], (uint8_t)(seen * 31u >> 3));
            }
            held[held_count++] = rx;
        }
    }
    assert_int_equal(h.ring->buffers.free_count, 0);
    assert_int_equal(send(pair[1], "more", 4, MSG_DONTWAIT), 4);
    harness_expect_nothing(&h);
    assert_int_equal(h.ring->starved.count, 1);
    assert_true(h.ring->stats.starved > 0);
    assert_true(op.is_armed);
    for (uint32_t i = 0; i < held_count; i++) {
        harness_release(&h, held[i]);
    }
    sent += 4;
    while (seen < sent) {
        struct trp_rx *rx = harness_expect_rx(&h, &op);
        seen += rx->len;
        harness_release(&h, rx);
    }
    assert_int_equal(seen, sent);
    close(pair[1]);
    harness_expect(&h, &op, 0, false);
    close(pair[0]);
    harness_close(&h);
}

/* Fills up with one connection; others that arrive meanwhile starve without noticing. */
static uint32_t hold_all(struct harness *h, struct trp_op *op, int to, struct trp_rx **held)
{
    static uint8_t lot[TROUPE_RING_BUFFER_SIZE];
    uint32_t count = 0;

    while (count < TROUPE_RING_BUFFERS) {
        (void)!send(to, lot, sizeof(lot), MSG_DONTWAIT);
        harness_settle(h);
        while (h->worker.head != NULL) {
            held[count++] = harness_expect_rx(h, op);
        }
    }
    return count;
}

static void a_starved_receive_can_be_canceled(void **state)
{
    (void)state;
    struct harness h;
    struct trp_op hog = {0};
    struct trp_op op = {0};
    struct trp_op other = {0};
    struct trp_rx *held[TROUPE_RING_BUFFERS];
    int pairs[3][2];

    harness_open(&h);
    for (int i = 0; i < 3; i++) {
        harness_make_pair(pairs[i]);
    }
    harness_arm(&h, &hog, TRP_OP_RECV, pairs[0][0]);
    uint32_t count = hold_all(&h, &hog, pairs[0][1], held);
    harness_arm(&h, &op, TRP_OP_RECV, pairs[1][0]);
    harness_arm(&h, &other, TRP_OP_RECV, pairs[2][0]);
    assert_int_equal(write(pairs[1][1], "a", 1), 1);
    assert_int_equal(write(pairs[2][1], "b", 1), 1);
    harness_expect_nothing(&h);
    assert_true(h.ring->starved.count >= 2);
    h.driver->cancel(h.ring, &op);
    h.driver->cancel(h.ring, &op);
    assert_null(h.worker.head); /* a cancel never calls back */
    harness_expect(&h, &op, -ECANCELED, false);
    harness_expect_nothing(&h);
    for (uint32_t i = 0; i < count; i++) {
        harness_release(&h, held[i]);
    }
    struct troupe_msg *msg;
    do {
        msg = harness_next(&h);
        assert_int_equal(msg->type, TRP_MSG_RX);
        harness_release(&h, (struct trp_rx *)msg);
    } while (((struct trp_rx *)msg)->data != NULL && h.worker.head != NULL);
    for (int i = 0; i < 3; i++) {
        close(pairs[i][1]);
    }
    int ends = 0;
    while (ends < 2) {
        msg = harness_next(&h);
        if (msg->type == TRP_MSG_RX) {
            harness_release(&h, (struct trp_rx *)msg);
        } else {
            assert_int_equal(((struct trp_op *)msg)->result, 0);
            ends++;
        }
    }
    for (int i = 0; i < 3; i++) {
        close(pairs[i][0]);
    }
    harness_close(&h);
}

static void set_iov(struct trp_op *op, struct iovec *iov, uint32_t count)
{
    op->send.iov = iov;
    op->send.iov_count = count;
}

static void send_is_complete_or_an_error(void **state)
{
    (void)state;
    enum { BYTES = 3 << 20 };
    struct harness h;
    struct trp_op op = {0};
    int pair[2];
    char *bytes = malloc(BYTES);
    char *got = malloc(BYTES);
    struct iovec iov[3] = {
        {bytes, 1}, {bytes + 1, 1 << 20}, {bytes + 1 + (1 << 20), BYTES - 1 - (1 << 20)}};

    assert_non_null(bytes);
    assert_non_null(got);
    for (uint32_t i = 0; i < BYTES; i++) {
        bytes[i] = (char)(i * 7u >> 5);
    }
    harness_open(&h);
    harness_make_pair(pair);
    set_iov(&op, iov, 3);
    harness_arm(&h, &op, TRP_OP_SEND, pair[0]);
    size_t seen = 0;
    while (seen < BYTES) {
        harness_settle(&h);
        ssize_t len = recv(pair[1], got + seen, BYTES - seen, MSG_DONTWAIT);
        assert_true(len > 0 || errno == EAGAIN);
        seen += len > 0 ? (size_t)len : 0;
    }
    harness_expect(&h, &op, BYTES, false);
    assert_memory_equal(bytes, got, BYTES);

    /* The peer goes away in mid-send: the reason comes out, not a short count. */
    struct iovec all = {bytes, BYTES};
    set_iov(&op, &all, 1);
    harness_arm(&h, &op, TRP_OP_SEND, pair[0]);
    harness_expect_nothing(&h);
    close(pair[1]);
    struct troupe_msg *msg = harness_next(&h);
    assert_ptr_equal(msg, &op);
    op.is_queued = false;
    assert_false(op.is_armed);
    assert_true(op.result == -EPIPE || op.result == -ECONNRESET);
    close(pair[0]);
    harness_close(&h);
    free(bytes);
    free(got);
}

static void a_blocked_send_can_be_canceled(void **state)
{
    (void)state;
    enum { BYTES = 4 << 20 };
    struct harness h;
    struct trp_op op = {0};
    int pair[2];
    char *bytes = calloc(1, BYTES);
    struct iovec all = {bytes, BYTES};

    assert_non_null(bytes);
    harness_open(&h);
    harness_make_pair(pair);
    set_iov(&op, &all, 1);
    harness_arm(&h, &op, TRP_OP_SEND, pair[0]);
    harness_expect_nothing(&h);
    h.driver->cancel(h.ring, &op);
    harness_expect(&h, &op, -ECANCELED, false);
    harness_expect_nothing(&h);
    harness_close_pair(pair);
    harness_close(&h);
    free(bytes);
}

static void read_and_write_go_on_over_pipes(void **state)
{
    (void)state;
    struct harness h;
    int flags[] = {0, O_NONBLOCK};

    harness_open(&h);
    for (size_t i = 0; i < 2; i++) {
        struct trp_op in = {0};
        struct trp_op out = {0};
        int ends[2];
        uint32_t sent = 0;
        uint32_t seen = 0;
        static char bytes[200000];
        struct iovec iov = {bytes, sizeof(bytes)};

        for (uint32_t k = 0; k < sizeof(bytes); k++) {
            bytes[k] = (char)(k * 11u >> 4);
        }
        assert_int_equal(pipe2(ends, O_CLOEXEC | flags[i]), 0);
        harness_arm(&h, &in, TRP_OP_READ, ends[0]);
        harness_expect_nothing(&h);
        set_iov(&out, &iov, 1);
        harness_arm(&h, &out, TRP_OP_WRITE, ends[1]);
        while (seen < sizeof(bytes)) {
            struct troupe_msg *msg = harness_next(&h);
            if (msg == &out.msg) {
                out.is_queued = false;
                assert_true(out.result > 0);
                sent += (uint32_t)out.result;
                iov = (struct iovec){bytes + sent, sizeof(bytes) - sent};
                if (sent < sizeof(bytes)) {
                    harness_arm(&h, &out, TRP_OP_WRITE, ends[1]);
                }
                continue;
            }
            struct trp_rx *rx = (struct trp_rx *)msg;
            assert_ptr_equal(rx->op, &in);
            assert_memory_equal(rx->data, bytes + seen, rx->len);
            seen += rx->len;
            harness_release(&h, rx);
        }
        if (out.is_armed || out.is_queued) {
            struct troupe_msg *msg = harness_next(&h);
            assert_ptr_equal(msg, &out);
            out.is_queued = false;
        }
        close(ends[1]);
        harness_expect(&h, &in, 0, false);
        close(ends[0]);
    }
    harness_close(&h);
}

/*
 * Some kernels answer -EAGAIN for non-blocking files. This one may not, so the entry just written
 * is replaced by one that does: a receive that must not wait, on a socket where nothing arrives.
 */
static void make_it_say_again(struct harness *h, struct trp_op *op, int silent)
{
    static char nowhere;
    struct io_uring_sq *sq = &h->ring->uring.sq;
    struct io_uring_sqe *sqe = &sq->sqes[(sq->sqe_tail - 1) & sq->ring_mask];

    assert_true(sqe->user_data == (uintptr_t)op);
    io_uring_prep_recv(sqe, silent, &nowhere, 1, MSG_DONTWAIT);
    io_uring_sqe_set_data(sqe, op);
}

static void again_means_wait_until_ready(void **state)
{
    (void)state;
    struct harness h;
    struct trp_op in = {0};
    struct trp_op out = {0};
    int pair[2];
    int silent[2];
    char byte;
    struct iovec iov = {"x", 1};
    static const enum trp_op_kind kinds[2] = {TRP_OP_SEND, TRP_OP_WRITE};

    harness_open(&h);
    harness_make_pair(pair);
    harness_make_pair(silent);
    harness_arm(&h, &in, TRP_OP_READ, pair[0]);
    make_it_say_again(&h, &in, silent[0]);
    harness_expect_nothing(&h);
    assert_int_equal(h.ring->stats.rearmed, 1);
    assert_int_equal(write(pair[1], "y", 1), 1);
    struct trp_rx *rx = harness_expect_rx(&h, &in);
    assert_int_equal(rx->data[0], 'y');
    harness_release(&h, rx);
    h.driver->cancel(h.ring, &in);
    harness_expect(&h, &in, -ECANCELED, false);
    /* a cancel finds it while it waits for readiness, too */
    harness_arm(&h, &in, TRP_OP_RECV, pair[0]);
    make_it_say_again(&h, &in, silent[0]);
    harness_expect_nothing(&h);
    h.driver->cancel(h.ring, &in);
    harness_expect(&h, &in, -ECANCELED, false);
    for (size_t i = 0; i < 2; i++) {
        iov = (struct iovec){"x", 1};
        set_iov(&out, &iov, 1);
        harness_arm(&h, &out, kinds[i], pair[0]);
        make_it_say_again(&h, &out, silent[0]);
        harness_expect(&h, &out, 1, false);
        assert_int_equal(read(pair[1], &byte, 1), 1);
        assert_int_equal(byte, 'x');
    }
    harness_expect_nothing(&h);
    harness_close_pair(pair);
    harness_close_pair(silent);
    harness_close(&h);
}

static void pipes_without_a_peer_and_canceled_pipes(void **state)
{
    (void)state;
    struct harness h;
    int flags[] = {0, O_NONBLOCK};

    harness_open(&h);
    for (size_t i = 0; i < 2; i++) {
        struct trp_op in = {0};
        struct trp_op out = {0};
        int ends[2];
        static char bytes[1 << 20];
        struct iovec iov = {bytes, sizeof(bytes)};

        assert_int_equal(pipe2(ends, O_CLOEXEC | flags[i]), 0);
        harness_arm(&h, &in, TRP_OP_READ, ends[0]);
        harness_expect_nothing(&h);
        h.driver->cancel(h.ring, &in);
        harness_expect(&h, &in, -ECANCELED, false);

        set_iov(&out, &iov, 1);
        harness_arm(&h, &out, TRP_OP_WRITE, ends[1]);
        harness_settle(&h);
        if (h.worker.head != NULL) { /* what fitted is a success */
            assert_ptr_equal(harness_next(&h), &out);
            out.is_queued = false;
            assert_true(out.result > 0);
            iov = (struct iovec){bytes, sizeof(bytes)};
            harness_arm(&h, &out, TRP_OP_WRITE, ends[1]);
        }
        harness_expect_nothing(&h);
        h.driver->cancel(h.ring, &out);
        assert_ptr_equal(harness_next(&h), &out);
        out.is_queued = false;
        assert_false(out.is_armed);

        close(ends[0]);
        iov = (struct iovec){bytes, 1};
        harness_arm(&h, &out, TRP_OP_WRITE, ends[1]);
        harness_expect(&h, &out, -EPIPE, false); /* and no signal */
        close(ends[1]);
    }
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HARNESS_ALL_LEVELS(opens_at_the_level_asked_for),
        HARNESS_ALL_LEVELS(receive_delivers_bytes_then_the_end),
        HARNESS_ALL_LEVELS(receive_on_a_bad_descriptor_fails),
        HARNESS_ALL_LEVELS(receive_waits_for_buffers),
        HARNESS_ALL_LEVELS(a_starved_receive_can_be_canceled),
        HARNESS_ALL_LEVELS(send_is_complete_or_an_error),
        HARNESS_ALL_LEVELS(a_blocked_send_can_be_canceled),
        HARNESS_ALL_LEVELS(read_and_write_go_on_over_pipes),
        HARNESS_ALL_LEVELS(again_means_wait_until_ready),
        HARNESS_ALL_LEVELS(pipes_without_a_peer_and_canceled_pipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
