/*
 * The simulated network without faults, one operation at a time: what each ends with, as the
 * contract of pool/driver.h and the kernel have it.
 */

#include "io/sim/sim_net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>
#include <unistd.h>

#define PORT    9000u
#define RUN_NS  1000000000000ull
#define LONG    10000u /* bytes: more than a wire holds */
#define SEED    7u
#define WIRE    4096u
#define UNASKED INT32_MIN
#define LIFE_NS 50000000000ull /* of the actor; all is over long before */
#define MSG_END 1

struct prober;

struct test {
    const char *name;
    void (*begin)(struct troupe_ctx *ctx, struct prober *prober);
    const struct trp_sim_peer_type *peer; /* who answers at PORT, or behind the pipes; optional */
    bool is_piped;
    bool is_connected; /* the test begins when it is */
    /* What must have been seen at the end; UNASKED = nothing. */
    int32_t read_result;
    int32_t write_result;
    int32_t poll_result;
    uint32_t read_bytes;
};

struct prober {
    const struct test *test;
    struct trp_op in;
    struct trp_op out;
    struct trp_op poll;
    struct troupe_timer life;
    struct iovec iov;
    int read_fd;
    int write_fd;
    uint32_t reads;
    bool has_begun;
};

/* What the actor saw, kept after its end. */
static struct {
    struct trp_sim *sim;
    struct trp_sim_net *net;
    int32_t read_result;
    int32_t write_result;
    int32_t poll_result;
    uint32_t polls; /* not final */
    uint32_t read_bytes;
    uint32_t orphans; /* operations armed when the actor ended */
    uint32_t orphaned;
    uint32_t peer_bytes;
    uint32_t peer_closed;
    int peer_error;
} seen;

static uint8_t bytes[LONG];

/* --- what tests do --- */

static void submit_read(struct troupe_ctx *ctx, struct prober *prober)
{
    prober->in.kind = prober->test->is_piped ? TRP_OP_READ : TRP_OP_RECV;
    prober->in.fd = prober->read_fd;
    trp_op_submit(ctx, &prober->in);
}

static void submit_write(struct troupe_ctx *ctx, struct prober *prober)
{
    prober->iov = (struct iovec){bytes, LONG};
    prober->out.kind = prober->test->is_piped ? TRP_OP_WRITE : TRP_OP_SEND;
    prober->out.fd = prober->write_fd;
    prober->out.send.iov = &prober->iov;
    prober->out.send.iov_count = 1;
    trp_op_submit(ctx, &prober->out);
}

static void submit_connect(struct troupe_ctx *ctx, struct prober *prober)
{
    prober->read_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    prober->write_fd = prober->read_fd;
    prober->out.kind = TRP_OP_CONNECT;
    prober->out.fd = prober->write_fd;
    prober->out.connect.len = trp_sim_address(&prober->out.connect.address, PORT);
    trp_op_submit(ctx, &prober->out);
}

static void submit_poll(struct troupe_ctx *ctx, struct prober *prober)
{
    prober->poll.kind = TRP_OP_POLL;
    prober->poll.fd = prober->read_fd;
    trp_op_submit(ctx, &prober->poll);
}

static void read_canceled(struct troupe_ctx *ctx, struct prober *prober)
{
    submit_read(ctx, prober);
    trp_op_cancel(ctx, &prober->in);
}

static void write_canceled(struct troupe_ctx *ctx, struct prober *prober)
{
    submit_write(ctx, prober);
    trp_op_cancel(ctx, &prober->out);
}

static void read_and_write(struct troupe_ctx *ctx, struct prober *prober)
{
    submit_read(ctx, prober);
    submit_write(ctx, prober);
}

static void write_shut(struct troupe_ctx *ctx, struct prober *prober)
{
    TROUPE_ASSERT(shutdown(prober->write_fd, SHUT_WR) == 0);
    read_and_write(ctx, prober);
}

static void read_and_poll(struct troupe_ctx *ctx, struct prober *prober)
{
    submit_read(ctx, prober);
    submit_poll(ctx, prober);
}

/* The owner ends with everything armed and cancels nothing itself. */
static void stopped(struct troupe_ctx *ctx, struct prober *prober)
{
    read_and_poll(ctx, prober);
    troupe_stop(ctx, troupe_self(ctx));
}

/* --- the actor --- */

static enum troupe_status begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct prober *prober = state;
    prober->test = arg;
    prober->read_fd = -1;
    prober->write_fd = -1;
    troupe_timer_start(ctx, &prober->life, LIFE_NS, 0, MSG_END);
    if (prober->test->is_piped) {
        (void)trp_sim_peer_pipes(seen.net, &prober->read_fd, &prober->write_fd, prober->test->peer,
                                 NULL);
    } else {
        submit_connect(ctx, prober);
    }
    if (!prober->test->is_connected) {
        prober->has_begun = true;
        if (prober->test->begin != NULL) {
            prober->test->begin(ctx, prober);
        }
    }
    return TROUPE_OK;
}

static void on_read(struct troupe_ctx *ctx, struct prober *prober)
{
    TROUPE_ASSERT(!prober->in.is_armed);
    seen.read_result = prober->in.result;
    if (prober->reads++ == 0 && prober->in.result == -ECONNRESET) {
        read_and_write(ctx, prober); /* the error comes once */
    }
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct prober *prober = state;
    if (msg->type == TRP_MSG_RX) {
        const struct trp_rx *rx = (const struct trp_rx *)(const void *)msg;
        for (uint32_t i = 0; i < rx->len; i++) {
            TROUPE_ASSERT(rx->data[i] == bytes[seen.read_bytes++]);
        }
    } else if (msg == &prober->in.msg) {
        on_read(ctx, prober);
    } else if (msg == &prober->poll.msg) {
        seen.polls += prober->poll.is_armed ? 1 : 0;
        seen.poll_result = prober->poll.result;
    } else if (msg == &prober->out.msg && !prober->has_begun) {
        TROUPE_ASSERT(prober->out.result == 0);
        prober->has_begun = true;
        prober->test->begin(ctx, prober);
    } else if (msg == &prober->out.msg) {
        seen.write_result = prober->out.result;
    } else {
        TROUPE_ASSERT(msg == &prober->life.msg);
        return TROUPE_STOP;
    }
    return TROUPE_CONTINUE;
}

/* What is still armed keeps the descriptor open. */
static void orphan(struct troupe_ctx *ctx, struct trp_op *op)
{
    TROUPE_ASSERT(ctx != NULL);
    TROUPE_ASSERT(op->result == -ECANCELED);
    TROUPE_ASSERT(seen.orphans > 0);
    seen.orphaned++;
    if (--seen.orphans == 0) {
        (void)close(op->fd);
    }
}

static void end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct prober *prober = state;
    (void)ctx;
    (void)reason;
    TROUPE_ASSERT(!prober->out.is_armed);
    prober->in.orphan_cb = orphan;
    prober->poll.orphan_cb = orphan;
    seen.orphans = (prober->in.is_armed ? 1u : 0u) + (prober->poll.is_armed ? 1u : 0u);
    if (seen.orphans == 0) {
        (void)close(prober->read_fd);
    }
    if (prober->write_fd != prober->read_fd) {
        (void)close(prober->write_fd);
    }
}

static const struct troupe_actor_type prober_type = {.name = "prober",
                                                     .state_size = sizeof(struct prober),
                                                     .init_cb = begin,
                                                     .receive_cb = receive,
                                                     .terminate_cb = end};

/* --- peers --- */

static void count_bytes(struct trp_sim_peer *peer, const uint8_t *data, uint32_t len, void *user)
{
    (void)peer;
    (void)user;
    TROUPE_ASSERT(memcmp(data, bytes + seen.peer_bytes, len) == 0);
    seen.peer_bytes += len;
}

static void note_closed(struct trp_sim_peer *peer, int error, void *user)
{
    (void)peer;
    (void)user;
    seen.peer_closed++;
    seen.peer_error = error;
}

static void greet(struct trp_sim_peer *peer, void *user)
{
    (void)user;
    struct trp_sim_pace pace = {.write_max = 700, .write_pause_ns = 100000};
    trp_sim_peer_set_pace(peer, &pace);
    trp_sim_peer_write(peer, bytes, LONG);
    trp_sim_peer_shut(peer);
}

static void dawdle(struct trp_sim_peer *peer, void *user)
{
    (void)user;
    struct trp_sim_pace pace = {.read_max = 100, .read_pause_ns = 1000000};
    trp_sim_peer_set_pace(peer, &pace);
}

static void shut_too(struct trp_sim_peer *peer, void *user)
{
    (void)user;
    trp_sim_peer_shut(peer);
}

static void slam(struct trp_sim_peer *peer, void *user)
{
    (void)user;
    trp_sim_peer_reset(peer);
}

static const struct trp_sim_peer_type greeter = {
    .connected_cb = greet, .received_cb = count_bytes, .closed_cb = note_closed};
static const struct trp_sim_peer_type sink = {.connected_cb = dawdle,
                                              .received_cb = count_bytes,
                                              .ended_cb = shut_too,
                                              .closed_cb = note_closed};
static const struct trp_sim_peer_type slammer = {.connected_cb = slam, .closed_cb = note_closed};
static const struct trp_sim_peer_type idler = {0};

/* --- runs --- */

static const struct test tests[] = {
    {"connect without a listener", NULL, NULL, false, false, UNASKED, -ECONNREFUSED, UNASKED, 0},
    {"everything, then the end of stream", submit_read, &greeter, false, true, 0, UNASKED, UNASKED,
     LONG},
    {"both ways at once", read_and_write, &greeter, false, true, 0, LONG, UNASKED, LONG},
    {"a send waits for all of it", submit_write, &sink, false, true, UNASKED, LONG, UNASKED, 0},
    {"a write to a pipe may be short", submit_write, &sink, true, false, UNASKED, WIRE, UNASKED, 0},
    {"reading a pipe to its end", submit_read, &greeter, true, false, 0, UNASKED, UNASKED, LONG},
    {"a pipe without its other end", read_and_write, &slammer, true, false, 0, -EPIPE, UNASKED, 0},
    {"a reset, told once", submit_read, &slammer, false, true, 0, -EPIPE, UNASKED, 0},
    {"writing after our own end", write_shut, &greeter, false, true, 0, -EPIPE, UNASKED, LONG},
    {"a cancelled read", read_canceled, &idler, false, true, -ECANCELED, UNASKED, UNASKED, 0},
    {"a cancelled write", write_canceled, &sink, false, true, UNASKED, -ECANCELED, UNASKED, 0},
    {"polling a pipe to its end", read_and_poll, &greeter, true, false, 0, UNASKED,
     POLLIN | POLLHUP, LONG},
    {"an owner that ends", stopped, &idler, true, false, UNASKED, UNASKED, UNASKED, 0},
};

static void check_result(const struct test *test)
{
    bool may_be_short = test->is_piped && test->write_result == (int32_t)WIRE;
    if (may_be_short) { /* the capacity of a pipe is drawn */
        TROUPE_ASSERT(seen.write_result > 0);
        TROUPE_ASSERT(seen.write_result <= test->write_result);
    } else {
        TROUPE_ASSERT(seen.write_result == test->write_result);
    }
    TROUPE_ASSERT(seen.read_result == test->read_result);
    TROUPE_ASSERT(seen.poll_result == test->poll_result);
    TROUPE_ASSERT(seen.read_bytes == test->read_bytes);
    TROUPE_ASSERT(test->poll_result == UNASKED || seen.polls > 0);
    if (test->peer != NULL && test->peer->closed_cb != NULL) {
        TROUPE_ASSERT(seen.peer_closed == 1);
    }
    if (test->peer == &sink) {
        TROUPE_ASSERT(seen.write_result < 0 || (int32_t)seen.peer_bytes == seen.write_result);
        TROUPE_ASSERT(seen.peer_error == 0);
    }
    TROUPE_ASSERT(seen.orphaned == (test->begin == stopped ? 2 : 0));
}

static void run(const struct test *test)
{
    const struct trp_sim_faults none = {.latency_ns = 20000, .wire_bytes = WIRE, .buffers = 2};
    const struct troupe_pool_config config = {.workers = 1};
    union trp_address address;
    troupe_ref ref;
    memset(&seen, 0, sizeof(seen));
    seen.read_result = UNASKED;
    seen.write_result = UNASKED;
    seen.poll_result = UNASKED;
    seen.net = trp_sim_net_create(SEED, &none);
    struct trp_sim_io io = trp_sim_net_io(seen.net);
    seen.sim = trp_sim_create(SEED, &config, &io);
    TROUPE_ASSERT(seen.sim != NULL);
    trp_sim_net_attach(seen.net, seen.sim);
    socklen_t len = trp_sim_address(&address, PORT);
    if (test->peer != NULL) {
        trp_sim_peer_listen(seen.net, &address, len, test->peer, NULL);
    }
    enum troupe_status status =
        troupe_pool_spawn(trp_sim_pool(seen.sim), &ref, 0, &prober_type, test);
    TROUPE_ASSERT(status == TROUPE_OK);
    trp_sim_start(seen.sim);
    TROUPE_ASSERT(trp_sim_run(seen.sim, trp_sim_now(seen.sim) + RUN_NS));
    trp_sim_stop(seen.sim);
    trp_sim_net_check(seen.net);
    trp_sim_destroy(seen.sim);
    trp_sim_net_destroy(seen.net);
}

int main(void)
{
    for (uint32_t i = 0; i < LONG; i++) {
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        printf("%s\n", tests[i].name);
        (void)fflush(stdout);
        run(&tests[i]);
        check_result(&tests[i]);
    }
    return 0;
}
