/*
 * Streams between actors of a real pool: every byte checked, both directions at once, more data
 * than buffers, children behind pipes, hundreds of accepted connections.
 */

#include "ring_pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK (64u << 10)

/* --- an actor that sends one stream and checks another --- */

struct duplex_arg {
    struct ring_pool *test;
    int in_fd;
    int out_fd; /* same as in_fd for a socket */
    bool is_pipe;
    uint32_t in_seed;
    uint32_t out_seed;
    uint64_t bytes; /* each way */
};

struct duplex {
    struct duplex_arg arg;
    struct trp_op in;
    struct trp_op out;
    struct iovec iov[3];
    uint8_t *chunk;
    uint64_t sent;
    uint64_t seen;
    bool is_out_done;
    bool is_in_done;
};

static void duplex_send(struct troupe_ctx *ctx, struct duplex *self)
{
    uint64_t left = self->arg.bytes - self->sent;
    size_t len = left < CHUNK ? (size_t)left : CHUNK;

    if (len == 0) {
        self->is_out_done = true;
        if (self->arg.is_pipe) {
            close(self->arg.out_fd);
        } else {
            shutdown(self->arg.out_fd, SHUT_WR);
        }
        return;
    }
    for (size_t i = 0; i < len; i++) {
        self->chunk[i] = ring_pool_byte(self->arg.out_seed, self->sent + i);
    }
    size_t third = len / 3;
    self->iov[0] = (struct iovec){self->chunk, third};
    self->iov[1] = (struct iovec){self->chunk + third, third};
    self->iov[2] = (struct iovec){self->chunk + 2 * third, len - 2 * third};
    self->out.kind = self->arg.is_pipe ? TRP_OP_WRITE : TRP_OP_SEND;
    self->out.fd = self->arg.out_fd;
    self->out.send.iov = self->iov;
    self->out.send.iov_count = 3;
    trp_op_submit(ctx, &self->out);
}

static enum troupe_status duplex_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct duplex *self = state;

    self->arg = *(const struct duplex_arg *)arg;
    self->chunk = malloc(CHUNK);
    if (self->chunk == NULL) {
        return TROUPE_ENOMEM;
    }
    self->in.kind = self->arg.is_pipe ? TRP_OP_READ : TRP_OP_RECV;
    self->in.fd = self->arg.in_fd;
    trp_op_submit(ctx, &self->in);
    duplex_send(ctx, self);
    return TROUPE_OK;
}

static void duplex_bytes(struct duplex *self, const struct trp_rx *rx)
{
    bool is_right = rx->op == &self->in;

    for (uint32_t i = 0; i < rx->len; i++, self->seen++) {
        is_right = is_right && rx->data[i] == ring_pool_byte(self->arg.in_seed, self->seen);
    }
    ring_pool_check(self->arg.test, is_right, "bytes of a stream");
}

static enum troupe_verdict
duplex_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct duplex *self = state;

    if (msg->type == TRP_MSG_RX) {
        duplex_bytes(self, (struct trp_rx *)msg);
        return TROUPE_CONTINUE;
    }
    struct trp_op *op = (struct trp_op *)msg;
    ring_pool_check(self->arg.test, !op->is_armed, "final");
    if (op == &self->out) {
        ring_pool_check(self->arg.test, op->result > 0, "result of a send");
        self->sent += op->result > 0 ? (uint64_t)op->result : CHUNK;
        duplex_send(ctx, self);
    } else {
        ring_pool_check(self->arg.test, op->result == 0, "end of the stream");
        ring_pool_check(self->arg.test, self->seen == self->arg.bytes, "length of the stream");
        self->is_in_done = true;
    }
    return self->is_in_done && self->is_out_done ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void duplex_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct duplex *self = state;

    (void)ctx;
    (void)reason;
    close(self->arg.in_fd);
    free(self->chunk);
    ring_pool_done(self->arg.test);
}

static const struct troupe_actor_type duplex_type = {
    .name = "duplex",
    .state_size = sizeof(struct duplex),
    .init_cb = duplex_init,
    .receive_cb = duplex_receive,
    .terminate_cb = duplex_terminate,
};

static void run_pairs(uint32_t workers, uint32_t pairs, bool is_tcp, uint64_t bytes)
{
    struct ring_pool test;
    struct duplex_arg *args = calloc(2 * (size_t)pairs, sizeof(*args));

    assert_non_null(args);
    ring_pool_create(&test, workers);
    for (uint32_t i = 0; i < pairs; i++) {
        int pair[2];
        ring_pool_pair(pair, is_tcp);
        for (uint32_t k = 0; k < 2; k++) {
            args[2 * i + k] = (struct duplex_arg){
                .test = &test,
                .in_fd = pair[k],
                .out_fd = pair[k],
                .in_seed = 2 * i + 1 - k,
                .out_seed = 2 * i + k,
                .bytes = bytes,
            };
            ring_pool_spawn(&test, (i + k) % workers, &duplex_type, &args[2 * i + k]);
        }
    }
    ring_pool_start(&test);
    ring_pool_finish(&test);
    free(args);
}

static void big_transfers_both_ways_over_a_socketpair(void **state)
{
    (void)state;
    run_pairs(2, 1, false, 8 << 20);
}

static void big_transfers_both_ways_over_tcp(void **state)
{
    (void)state;
    run_pairs(2, 1, true, 8 << 20);
}

/* Together they keep far more on the way than one worker has buffers. */
static void many_streams_share_the_buffers(void **state)
{
    (void)state;
    run_pairs(1, 40, true, 400000);
    run_pairs(2, 40, false, 400000);
}

/* --- children --- */

static void run_cat(int flags)
{
    struct ring_pool test;
    int to[2];
    int from[2];
    int status;

    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execlp("cat", "cat", (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    assert_int_equal(fcntl(to[1], F_SETFL, flags | O_WRONLY), 0);
    assert_int_equal(fcntl(from[0], F_SETFL, flags), 0);
    struct duplex_arg arg = {
        .test = &test,
        .in_fd = from[0],
        .out_fd = to[1],
        .is_pipe = true,
        .in_seed = 5,
        .out_seed = 5,
        .bytes = 3000001,
    };
    ring_pool_create(&test, 1);
    ring_pool_spawn(&test, 0, &duplex_type, &arg);
    ring_pool_start(&test);
    ring_pool_finish(&test);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_child_echoes_through_pipes(void **state)
{
    (void)state;
    run_cat(0);
    run_cat(O_NONBLOCK);
}

/* --- a listener, its connections, and clients --- */

enum { CLIENTS = 200 };

struct server_arg {
    struct ring_pool *test;
    int listener;
    union trp_address address;
    socklen_t len;
    int fd; /* of one connection, for echoes */
};

struct echo {
    struct ring_pool *test;
    struct trp_op in;
    struct trp_op out;
    struct iovec iov;
    uint8_t bytes[16 << 10];
    uint32_t len;     /* bytes waiting */
    uint32_t sending; /* of these with the kernel */
    bool is_over;
};

static enum troupe_status echo_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct echo *self = state;
    const struct server_arg *from = arg;

    self->test = from->test;
    self->in.kind = TRP_OP_RECV;
    self->in.fd = from->fd;
    trp_op_submit(ctx, &self->in);
    return TROUPE_OK;
}

static void echo_send(struct troupe_ctx *ctx, struct echo *self)
{
    if (self->out.is_armed || self->out.is_queued || self->len == 0) {
        return;
    }
    self->sending = self->len;
    self->iov = (struct iovec){self->bytes, self->len};
    self->out.kind = TRP_OP_SEND;
    self->out.fd = self->in.fd;
    self->out.send.iov = &self->iov;
    self->out.send.iov_count = 1;
    trp_op_submit(ctx, &self->out);
}

static enum troupe_verdict echo_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct echo *self = state;

    if (msg->type == TRP_MSG_RX) {
        const struct trp_rx *rx = (const struct trp_rx *)msg;
        bool has_room = self->len + rx->len <= sizeof(self->bytes);
        ring_pool_check(self->test, has_room, "client sends no more than it was told");
        if (has_room) {
            memcpy(self->bytes + self->len, rx->data, rx->len);
            self->len += rx->len;
        }
    } else if (msg == &self->out.msg) {
        ring_pool_check(self->test, self->out.result == (int32_t)self->sending, "echo sent");
        memmove(self->bytes, self->bytes + self->sending, self->len - self->sending);
        self->len -= self->sending;
        self->sending = 0;
    } else {
        ring_pool_check(self->test, self->in.result == 0, "client closed in order");
        self->is_over = true;
    }
    echo_send(ctx, self);
    return self->is_over && self->len == 0 ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void echo_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct echo *self = state;

    (void)ctx;
    (void)reason;
    close(self->in.fd);
}

static const struct troupe_actor_type echo_type = {
    .name = "echo",
    .state_size = sizeof(struct echo),
    .init_cb = echo_init,
    .receive_cb = echo_receive,
    .terminate_cb = echo_terminate,
};

struct listener {
    struct server_arg arg;
    struct trp_op op;
    struct trp_accepted accepted;
    uint32_t total;
};

static enum troupe_status listener_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct listener *self = state;

    self->arg = *(const struct server_arg *)arg;
    self->op.kind = TRP_OP_ACCEPT;
    self->op.fd = self->arg.listener;
    self->op.accept = &self->accepted;
    trp_op_submit(ctx, &self->op);
    return TROUPE_OK;
}

static enum troupe_verdict
listener_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct listener *self = state;
    troupe_ref ref;

    ring_pool_check(self->arg.test, msg == &self->op.msg, "only accepts");
    ring_pool_check(self->arg.test, self->op.result == 0 && self->op.is_armed, "accept goes on");
    ring_pool_check(self->arg.test, self->accepted.refused == 0, "none refused");
    for (uint32_t i = 0; i < self->accepted.count; i++) {
        self->arg.fd = self->accepted.fds[i];
        ring_pool_check(self->arg.test,
                        troupe_spawn(ctx, &ref, &echo_type, &self->arg) == TROUPE_OK, "spawn");
        self->total++;
    }
    self->accepted.count = 0;
    return TROUPE_CONTINUE;
}

static void listener_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct listener *self = state;

    (void)ctx;
    ring_pool_check(self->arg.test, reason == TROUPE_DOWN_SHUTDOWN, "ended by the pool");
    ring_pool_check(self->arg.test, self->total == CLIENTS, "every client accepted");
}

static const struct troupe_actor_type listener_type = {
    .name = "listener",
    .state_size = sizeof(struct listener),
    .init_cb = listener_init,
    .receive_cb = listener_receive,
    .terminate_cb = listener_terminate,
};

enum { CLIENT_BYTES = 10000, CLIENT_ROUNDS = 3 };

struct client {
    struct ring_pool *test;
    struct trp_op connect;
    struct trp_op in;
    struct trp_op out;
    struct iovec iov;
    uint8_t bytes[CLIENT_BYTES];
    uint32_t seen;
    uint32_t round;
    int fd;
};

static enum troupe_status client_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct client *self = state;
    const struct server_arg *server = arg;

    self->test = server->test;
    self->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0) {
        return TROUPE_EIO;
    }
    for (uint32_t i = 0; i < CLIENT_BYTES; i++) {
        self->bytes[i] = ring_pool_byte((uint32_t)troupe_self(ctx), i);
    }
    self->connect.kind = TRP_OP_CONNECT;
    self->connect.fd = self->fd;
    self->connect.connect.address = server->address;
    self->connect.connect.len = server->len;
    trp_op_submit(ctx, &self->connect);
    return TROUPE_OK;
}

static void client_send(struct troupe_ctx *ctx, struct client *self)
{
    self->seen = 0;
    self->iov = (struct iovec){self->bytes, CLIENT_BYTES};
    self->out.kind = TRP_OP_SEND;
    self->out.fd = self->fd;
    self->out.send.iov = &self->iov;
    self->out.send.iov_count = 1;
    trp_op_submit(ctx, &self->out);
}

static enum troupe_verdict
client_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct client *self = state;

    if (msg == &self->connect.msg) {
        ring_pool_check(self->test, self->connect.result == 0, "connected");
        self->in.kind = TRP_OP_RECV;
        self->in.fd = self->fd;
        trp_op_submit(ctx, &self->in);
        client_send(ctx, self);
        return TROUPE_CONTINUE;
    }
    if (msg == &self->out.msg) {
        ring_pool_check(self->test, self->out.result == CLIENT_BYTES, "all sent");
    } else if (msg->type == TRP_MSG_RX) {
        const struct trp_rx *rx = (const struct trp_rx *)msg;
        bool is_right = rx->len <= CLIENT_BYTES - self->seen &&
                        memcmp(self->bytes + self->seen, rx->data, rx->len) == 0;
        ring_pool_check(self->test, is_right, "echoed bytes");
        self->seen += rx->len;
    } else {
        ring_pool_check(self->test, self->round == CLIENT_ROUNDS, "the client closes first");
        ring_pool_check(self->test, self->in.result == 0, "server closed in order");
        return TROUPE_STOP;
    }
    if (self->seen < CLIENT_BYTES || self->out.is_armed || self->out.is_queued) {
        return TROUPE_CONTINUE;
    }
    if (++self->round < CLIENT_ROUNDS) {
        client_send(ctx, self);
    } else {
        shutdown(self->fd, SHUT_WR); /* the answer is the end of the receive */
    }
    return TROUPE_CONTINUE;
}

static void client_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct client *self = state;

    (void)ctx;
    (void)reason;
    close(self->fd);
    ring_pool_done(self->test);
}

static const struct troupe_actor_type client_type = {
    .name = "client",
    .state_size = sizeof(struct client),
    .init_cb = client_init,
    .receive_cb = client_receive,
    .terminate_cb = client_terminate,
};

static void two_hundred_clients_are_accepted_and_echoed(void **state)
{
    (void)state;
    struct ring_pool test;
    struct server_arg arg = {.test = &test, .len = sizeof(arg.address.in)};

    arg.address.in.sin_family = AF_INET;
    arg.address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    arg.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(arg.listener >= 0);
    assert_int_equal(bind(arg.listener, &arg.address.any, arg.len), 0);
    assert_int_equal(listen(arg.listener, CLIENTS), 0);
    assert_int_equal(getsockname(arg.listener, &arg.address.any, &arg.len), 0);
    ring_pool_create(&test, 2);
    ring_pool_spawn(&test, 0, &listener_type, &arg);
    test.open_count--; /* it goes on until the clients are done */
    for (uint32_t i = 0; i < CLIENTS; i++) {
        ring_pool_spawn(&test, 1, &client_type, &arg);
    }
    ring_pool_start(&test);
    ring_pool_finish(&test);
    close(arg.listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(big_transfers_both_ways_over_a_socketpair),
        cmocka_unit_test(big_transfers_both_ways_over_tcp),
        cmocka_unit_test(many_streams_share_the_buffers),
        cmocka_unit_test(a_child_echoes_through_pipes),
        cmocka_unit_test(two_hundred_clients_are_accepted_and_echoed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
