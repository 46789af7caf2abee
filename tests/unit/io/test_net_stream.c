/*
 * Streams on their own: the owner runs a script given at spawn, over one end of a socket pair or
 * pipes; the test thread is the other end.
 */

#include "net_harness.h"

#include "mailbox/atomic.h"

#include "../../cmocka.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <troupe/assert.h>
#include <troupe/io.h>
#include <unistd.h>

#define BUF_SIZE 1000u

static const struct trp_stream_limits limits = {
    .queue_bytes_max = 300000,
    .queue_entries_max = 200,
    .linger_ns = 100000000,
};

/* What the owner does when it is told to go on, and what it saw. */
struct script {
    void (*step_cb)(struct troupe_ctx *ctx, struct trp_stream *stream, struct script *script);
    int read_fd;
    int write_fd;
    struct troupe_buf *buf;
    uint32_t accepted; /* writes */
    uint32_t received;
    uint32_t drained;
    uint32_t ends;
    uint32_t closed;
    enum troupe_status status;
    sem_t progress; /* posted at each event */
};

struct owner {
    struct trp_stream stream;
    struct script *script;
};

static struct troupe_pool *pool;
static struct troupe_port *port;
static troupe_ref owner_ref;
static struct script script;
static int peer;

static enum troupe_status owner_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct owner *owner = state;
    owner->script = *(struct script *const *)arg;
    owner->script->buf = troupe_buf_new(ctx, BUF_SIZE);
    TROUPE_ASSERT(owner->script->buf != NULL);
    for (uint32_t i = 0; i < BUF_SIZE; i++) {
        owner->script->buf->data[i] = (uint8_t)i;
    }
    owner->script->buf->size = BUF_SIZE;
    trp_stream_open(ctx, &owner->stream, owner->script->read_fd, owner->script->write_fd, &limits);
    trp_stream_resume(ctx, &owner->stream);
    return TROUPE_OK;
}

/* release: pairs with the acquire in wait_at_least */
static void bump(uint32_t *counter, uint32_t delta)
{
    trp_store_release_u32(counter, *counter + delta);
}

static enum troupe_verdict
owner_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct owner *owner = state;
    struct script *to = owner->script;
    struct trp_stream_event event;
    if (!trp_stream_receive(ctx, &owner->stream, msg, &event)) {
        void (*step_cb)(struct troupe_ctx *, struct trp_stream *, struct script *);
        memcpy(&step_cb, troupe_msg_data(msg), sizeof(step_cb));
        step_cb(ctx, &owner->stream, to);
        trp_stream_flush(ctx, &owner->stream);
        sem_post(&to->progress);
        return TROUPE_CONTINUE;
    }
    switch (event.kind) {
    case TRP_STREAM_NONE:
        return TROUPE_CONTINUE;
    case TRP_STREAM_CONNECTED:
        TROUPE_ASSERT(false);
    case TRP_STREAM_DATA:
        bump(&to->received, event.len);
        break;
    case TRP_STREAM_END:
        bump(&to->ends, 1);
        break;
    case TRP_STREAM_DRAINED:
        TROUPE_ASSERT(trp_stream_queue_bytes(&owner->stream) == 0);
        TROUPE_ASSERT(to->buf->count == 1); /* every reference came back */
        bump(&to->drained, 1);
        break;
    case TRP_STREAM_CLOSED:
        TROUPE_ASSERT(to->buf->count == 1);
        TROUPE_ASSERT(trp_stream_state(&owner->stream) == TRP_STREAM_IDLE);
        to->status = event.status;
        bump(&to->closed, 1);
        break;
    }
    sem_post(&to->progress);
    return TROUPE_CONTINUE;
}

static void owner_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct owner *owner = state;
    (void)reason;
    trp_stream_fini(ctx, &owner->stream);
    troupe_buf_release(owner->script->buf);
}

static const struct troupe_actor_type owner_type = {
    .name = "owner",
    .state_size = sizeof(struct owner),
    .init_cb = owner_init,
    .receive_cb = owner_receive,
    .terminate_cb = owner_end,
};

static void begin(int read_fd, int write_fd)
{
    static struct script *arg = &script;
    struct troupe_pool_config config = {
        .workers = 1, .pin = "none", .driver = troupe_ring_driver()};
    char error[256];
    memset(&script, 0, sizeof(script));
    sem_init(&script.progress, 0, 0);
    script.read_fd = read_fd;
    script.write_fd = write_fd;
    assert_int_equal(troupe_pool_create(&pool, &config, error, sizeof(error)), TROUPE_OK);
    assert_int_equal(troupe_pool_spawn(pool, &owner_ref, 0, &owner_type, &arg), TROUPE_OK);
    assert_int_equal(troupe_pool_start(pool, error, sizeof(error)), TROUPE_OK);
    assert_int_equal(troupe_port_open(pool, &port), TROUPE_OK);
}

static void begin_socket(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    peer = fds[1];
    begin(fds[0], fds[0]);
}

static void end(void)
{
    troupe_port_close(port);
    troupe_pool_stop(pool);
    troupe_pool_join(pool);
    troupe_pool_destroy(pool);
    sem_destroy(&script.progress);
}

static void wait_progress(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += NET_WAIT_S;
    if (sem_timedwait(&script.progress, &until) != 0) {
        fail_msg("waited in vain");
    }
}

static void wait_at_least(const uint32_t *counter, uint32_t value)
{
    while (trp_load_acquire_u32(counter) < value) {
        wait_progress();
    }
}

static void
tell(void (*step_cb)(struct troupe_ctx *ctx, struct trp_stream *stream, struct script *script))
{
    struct troupe_msg *msg = troupe_port_msg_new(port, 1, sizeof(step_cb));
    assert_non_null(msg);
    memcpy(troupe_msg_data(msg), &step_cb, sizeof(step_cb));
    assert_int_equal(troupe_port_send(port, owner_ref, &msg), TROUPE_OK);
}

/* Entries of every kind, more of them than one gathered send takes. */
static void write_mixed(struct troupe_ctx *ctx, struct trp_stream *stream, struct script *to)
{
    TROUPE_ASSERT(trp_stream_write(ctx, stream, to->buf, 3, 0) == TROUPE_OK); /* nothing */
    for (uint32_t i = 0; i < 60; i++) {
        TROUPE_ASSERT(trp_stream_write_framed(ctx, stream, "head", 4, to->buf) == TROUPE_OK);
        TROUPE_ASSERT(trp_stream_write(ctx, stream, to->buf, 10, 20) == TROUPE_OK);
        TROUPE_ASSERT(trp_stream_write_copy(ctx, stream, "copy", 4) == TROUPE_OK);
    }
    TROUPE_ASSERT(to->buf->count == 121);
    TROUPE_ASSERT(trp_stream_queue_bytes(stream) == 60 * (4 + BUF_SIZE + 20 + 4));
}

static void check_mixed(const uint8_t *at)
{
    for (uint32_t i = 0; i < 60; i++) {
        assert_memory_equal(at, "head", 4);
        for (uint32_t n = 0; n < BUF_SIZE; n++) {
            assert_int_equal(at[4 + n], (uint8_t)n);
        }
        assert_int_equal(at[4 + BUF_SIZE], 10);
        assert_memory_equal(at + 4 + BUF_SIZE + 20, "copy", 4);
        at += 4 + BUF_SIZE + 20 + 4;
    }
}

static void do_close(struct troupe_ctx *ctx, struct trp_stream *stream, struct script *to)
{
    trp_stream_close(ctx, stream);
    trp_stream_close(ctx, stream);
    TROUPE_ASSERT(trp_stream_write(ctx, stream, to->buf, 0, 1) == TROUPE_ECLOSED);
}

static void do_abort(struct troupe_ctx *ctx, struct trp_stream *stream, struct script *to)
{
    (void)to;
    trp_stream_abort(ctx, stream, TROUPE_ECANCELED);
    trp_stream_abort(ctx, stream, TROUPE_EIO);
}

static void do_pause(struct troupe_ctx *ctx, struct trp_stream *stream, struct script *to)
{
    (void)to;
    trp_stream_pause(ctx, stream);
}

static void do_resume(struct troupe_ctx *ctx, struct trp_stream *stream, struct script *to)
{
    (void)to;
    trp_stream_resume(ctx, stream);
    trp_stream_pause(ctx, stream);
    trp_stream_resume(ctx, stream); /* while the cancel is under way */
}

static void do_fill(struct troupe_ctx *ctx, struct trp_stream *stream, struct script *to)
{
    enum troupe_status status;
    uint32_t count = 0;
    while ((status = trp_stream_write(ctx, stream, to->buf, 0, BUF_SIZE)) == TROUPE_OK) {
        count++;
    }
    TROUPE_ASSERT(status == TROUPE_EBUSY);
    TROUPE_ASSERT(to->buf->count == count + 1); /* a refused write takes no reference */
    to->accepted = count;
    for (uint32_t i = 0; i < TRP_STREAM_SPARE_ENTRIES; i++) {
        TROUPE_ASSERT(trp_stream_write_control(ctx, stream, "end", 3) == TROUPE_OK);
    }
    TROUPE_ASSERT(trp_stream_write_control(ctx, stream, "end", 3) == TROUPE_EBUSY);
}

static uint8_t room[400000];

static void test_order_and_release(void **state)
{
    (void)state;
    begin_socket();
    tell(write_mixed);
    raw_recv(peer, room, 60 * (4 + BUF_SIZE + 20 + 4));
    check_mixed(room);
    wait_at_least(&script.drained, 1);
    tell(do_close);
    assert_int_equal(raw_recv_all(peer, room, 1), 0);
    close(peer);
    wait_at_least(&script.closed, 1);
    assert_int_equal(script.status, TROUPE_OK);
    assert_int_equal(script.drained, 1);
    end();
    assert_int_equal(script.closed, 1);
}

static void test_close_sends_what_is_queued(void **state)
{
    (void)state;
    begin_socket();
    tell(write_mixed);
    tell(do_close);
    raw_recv(peer, room, 60 * (4 + BUF_SIZE + 20 + 4));
    check_mixed(room);
    assert_int_equal(raw_recv_all(peer, room, 1), 0);
    raw_send_text(peer, "dropped"); /* half closed: still accepted, of no interest */
    close(peer);
    wait_at_least(&script.closed, 1);
    assert_int_equal(script.status, TROUPE_OK);
    end();
}

static void test_bound_and_linger(void **state)
{
    (void)state;
    begin_socket();
    tell(do_fill);
    wait_progress();
    assert_int_equal(script.accepted, limits.queue_entries_max);
    tell(do_close); /* the peer does not read and does not end */
    wait_at_least(&script.closed, 1);
    assert_true(script.status == TROUPE_EEXPIRED);
    close(peer);
    end();
}

static void test_abort(void **state)
{
    (void)state;
    begin_socket();
    tell(do_fill);
    tell(do_abort);
    wait_at_least(&script.closed, 1);
    assert_int_equal(script.status, TROUPE_ECANCELED);
    close(peer);
    end();
    assert_int_equal(script.closed, 1);
}

static void test_abort_with_nothing_armed(void **state)
{
    (void)state;
    begin_socket();
    tell(do_pause);
    tell(do_abort);
    wait_at_least(&script.closed, 1);
    close(peer);
    end();
    assert_int_equal(script.closed, 1);
}

static void test_peer_end_then_write(void **state)
{
    (void)state;
    begin_socket();
    raw_send_text(peer, "question");
    shutdown(peer, SHUT_WR);
    wait_at_least(&script.ends, 1);
    assert_int_equal(script.received, 8);
    tell(write_mixed); /* half close: answering is still possible */
    raw_recv(peer, room, 60 * (4 + BUF_SIZE + 20 + 4));
    tell(do_close);
    wait_at_least(&script.closed, 1);
    assert_int_equal(script.status, TROUPE_OK);
    close(peer);
    end();
}

static void test_peer_vanishes_while_sending(void **state)
{
    (void)state;
    begin_socket();
    tell(do_fill);
    wait_progress();
    close(peer);
    wait_at_least(&script.closed, 1);
    assert_int_not_equal(script.status, TROUPE_OK);
    end();
}

static void test_pause(void **state)
{
    (void)state;
    begin_socket();
    tell(do_pause);
    wait_progress();
    raw_send_text(peer, "kept by the kernel");
    tell(do_resume);
    wait_at_least(&script.received, 18);
    close(peer);
    end();
}

static void test_pipes_with_short_writes(void **state)
{
    int to_owner[2];
    int from_owner[2];
    (void)state;
    assert_int_equal(pipe2(to_owner, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pipe2(from_owner, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(fcntl(from_owner[1], F_SETPIPE_SZ, 4096) >= 4096);
    begin(to_owner[0], from_owner[1]);
    tell(write_mixed);
    size_t want = 60 * (4 + BUF_SIZE + 20 + 4);
    tell(do_close);
    size_t got = 0;
    while (got < want) {
        raw_wait(from_owner[0], POLLIN);
        ssize_t count = read(from_owner[0], room + got, want - got);
        assert_true(count > 0);
        got += (size_t)count;
    }
    check_mixed(room);
    close(to_owner[1]);
    wait_at_least(&script.closed, 1);
    assert_int_equal(script.status, TROUPE_OK);
    assert_int_equal(read(from_owner[0], room, 1), 0); /* our write end is closed */
    close(from_owner[0]);
    end();
}

static void test_stop_of_the_pool_releases(void **state)
{
    (void)state;
    begin_socket();
    tell(do_fill);
    wait_progress();
    end(); /* terminate_cb, with a send in flight */
    (void)raw_recv_all(peer, room, sizeof(room));
    close(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_release),
        cmocka_unit_test(test_close_sends_what_is_queued),
        cmocka_unit_test(test_bound_and_linger),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_abort_with_nothing_armed),
        cmocka_unit_test(test_peer_end_then_write),
        cmocka_unit_test(test_peer_vanishes_while_sending),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_pipes_with_short_writes),
        cmocka_unit_test(test_stop_of_the_pool_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
