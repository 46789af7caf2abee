#include "ring_harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

unsigned harness_flags_refused;
unsigned harness_sq_max;
unsigned harness_cq_max;
unsigned harness_setups;

#define WAIT_NS 10000000000u

int __real_io_uring_queue_init_params(unsigned entries,
                                      struct io_uring *ring,
                                      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries,
                                      struct io_uring *ring,
                                      struct io_uring_params *params);

int __wrap_io_uring_queue_init_params(unsigned entries,
                                      struct io_uring *ring,
                                      struct io_uring_params *params)
{
    trp_faa_u32(&harness_setups, 1); /* rings may open on two threads */
    if ((params->flags & harness_flags_refused) != 0) {
        return -EINVAL;
    }
    if ((harness_sq_max != 0 && entries > harness_sq_max) ||
        (harness_cq_max != 0 && params->cq_entries > harness_cq_max)) {
        return -ENOMEM;
    }
    return __real_io_uring_queue_init_params(entries, ring, params);
}

static void enqueue(struct trp_worker *worker, struct troupe_msg *msg)
{
    msg->next = NULL;
    if (worker->tail != NULL) {
        worker->tail->next = msg;
    } else {
        worker->head = msg;
    }
    worker->tail = msg;
    worker->count++;
}

void trp_worker_complete_op(struct trp_worker *worker, struct trp_op *op)
{
    if (!op->is_queued) {
        op->is_queued = true;
        enqueue(worker, &op->msg);
    }
}

void trp_worker_complete_rx(struct trp_worker *worker, struct trp_rx *rx)
{
    enqueue(worker, &rx->msg);
}

void harness_set_level(enum trp_ring_level level)
{
    static const unsigned refused[TRP_RING_LEVELS] = {
        [TRP_RING_DEFER] = 0,
        [TRP_RING_COOP] = IORING_SETUP_DEFER_TASKRUN,
        [TRP_RING_SINGLE] = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN,
        [TRP_RING_PLAIN] = IORING_SETUP_SINGLE_ISSUER,
    };
    harness_flags_refused = refused[level];
}

void harness_open(struct harness *h)
{
    char error[TROUPE_RING_ERROR_MAX] = "";
    void *state = NULL;

    memset(h, 0, sizeof(*h));
    h->driver = troupe_ring_driver();
    enum troupe_status status = h->driver->open(&state, &h->worker, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(status, TROUPE_OK);
    h->ring = state;
}

void harness_close(struct harness *h)
{
    h->driver->close(h->ring);
    h->ring = NULL;
}

void harness_arm(struct harness *h, struct trp_op *op, enum trp_op_kind kind, int fd)
{
    assert_false(op->is_armed);
    op->msg.type = TRP_MSG_OP;
    op->msg.flags = TROUPE_MSG_EMBEDDED | TROUPE_LANE_REPLY;
    op->kind = kind;
    op->fd = fd;
    op->is_armed = true;
    h->driver->submit(h->ring, op);
}

struct troupe_msg *harness_next(struct harness *h)
{
    uint64_t deadline_ns = h->driver->now(h->ring) + WAIT_NS;

    while (h->worker.head == NULL) {
        assert_true(h->driver->now(h->ring) < deadline_ns);
        h->driver->park(h->ring, deadline_ns);
    }
    struct troupe_msg *msg = h->worker.head;
    h->worker.head = msg->next;
    if (h->worker.head == NULL) {
        h->worker.tail = NULL;
    }
    h->worker.count--;
    return msg;
}

void harness_expect(struct harness *h, struct trp_op *op, int32_t result, bool is_armed)
{
    struct troupe_msg *msg = harness_next(h);

    assert_int_equal(msg->type, TRP_MSG_OP);
    assert_ptr_equal(msg, op);
    op->is_queued = false;
    assert_int_equal(op->result, result);
    assert_int_equal(op->is_armed, is_armed);
}

struct trp_rx *harness_expect_rx(struct harness *h, struct trp_op *op)
{
    struct troupe_msg *msg = harness_next(h);

    assert_int_equal(msg->type, TRP_MSG_RX);
    struct trp_rx *rx = (struct trp_rx *)msg;
    assert_ptr_equal(rx->op, op);
    assert_true(rx->len > 0);
    return rx;
}

void harness_release(struct harness *h, struct trp_rx *rx)
{
    h->driver->release(h->ring, rx);
}

void harness_settle(struct harness *h)
{
    uint64_t seen;
    do {
        seen = h->ring->stats.completions + h->ring->stats.submitted;
        h->driver->poll(h->ring);
    } while (h->ring->stats.completions + h->ring->stats.submitted != seen);
}

void harness_expect_nothing(struct harness *h)
{
    harness_settle(h);
    assert_null(h->worker.head);
}

int harness_per_level(void **state)
{
    harness_set_level((enum trp_ring_level)(uintptr_t)*state);
    return 0;
}

void harness_make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

void harness_close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

int harness_listen_loopback(union trp_address *address, socklen_t *len)
{
    memset(address, 0, sizeof(*address));
    address->in.sin_family = AF_INET;
    address->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *len = sizeof(address->in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &address->any, *len), 0);
    assert_int_equal(listen(fd, 512), 0);
    assert_int_equal(getsockname(fd, &address->any, len), 0);
    return fd;
}

int harness_connect_plain(const union trp_address *address, socklen_t len)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &address->any, len), 0);
    return fd;
}
