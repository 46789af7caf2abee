/*
 * Actors, workers and the ring together: ends with operations armed, resets, wakes between workers
 * and from foreign threads, a start that is refused.
 */

#include "ring_pool.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MSG_GO = 1, MSG_BALL, MSG_TIMER };

/* --- an actor that ends while everything is armed --- */

enum how_to_end { END_BY_VERDICT, END_BY_KILL, END_WITH_POOL };

struct armed_arg {
    struct ring_pool *test;
    enum how_to_end how;
    int pair[2];
    int listener;
    int pipe[2];
};

struct armed {
    struct armed_arg arg;
    struct trp_op ops[6];
    struct trp_accepted accepted;
    struct iovec iov[2];
    struct troupe_timer timer;
    uint8_t *bytes;
};

#define ARMED_BYTES (2u << 20)

static enum troupe_status armed_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct armed *self = state;
    static const enum trp_op_kind kinds[6] = {TRP_OP_RECV, TRP_OP_POLL, TRP_OP_ACCEPT,
                                              TRP_OP_READ, TRP_OP_SEND, TRP_OP_SEND};
    static uint8_t bytes[ARMED_BYTES];

    self->arg = *(const struct armed_arg *)arg;
    self->iov[0] = self->iov[1] = (struct iovec){bytes, sizeof(bytes)};
    int fds[6] = {self->arg.pair[0], self->arg.pair[1], self->arg.listener,
                  self->arg.pipe[0], self->arg.pair[0], self->arg.pair[1]};
    for (uint32_t i = 0; i < 6; i++) {
        self->ops[i].kind = kinds[i];
        self->ops[i].fd = fds[i];
    }
    self->ops[2].accept = &self->accepted;
    for (uint32_t i = 4; i < 6; i++) {
        self->ops[i].send.iov = &self->iov[i - 4];
        self->ops[i].send.iov_count = 1;
    }
    for (uint32_t i = 0; i < 6; i++) {
        trp_op_submit(ctx, &self->ops[i]);
    }
    troupe_timer_start(ctx, &self->timer, 2000000, 0, MSG_TIMER);
    return TROUPE_OK;
}

static enum troupe_verdict
armed_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct armed *self = state;

    if (msg->type != MSG_TIMER) {
        return TROUPE_CONTINUE;
    }
    if (self->arg.how == END_BY_KILL) {
        ring_pool_done(self->arg.test); /* terminate will not run */
        troupe_kill(ctx, troupe_self(ctx));
        return TROUPE_CONTINUE;
    }
    if (self->arg.how == END_WITH_POOL) {
        troupe_pool_stop(self->arg.test->pool);
        return TROUPE_CONTINUE;
    }
    return TROUPE_STOP;
}

static void armed_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct armed *self = state;

    (void)ctx;
    (void)reason;
    ring_pool_done(self->arg.test);
}

static const struct troupe_actor_type armed_type = {
    .name = "armed",
    .state_size = sizeof(struct armed),
    .init_cb = armed_init,
    .receive_cb = armed_receive,
    .terminate_cb = armed_terminate,
};

static void run_armed(enum how_to_end how)
{
    enum { ACTORS = 40 };
    struct ring_pool test;
    static struct armed_arg args[ACTORS];

    ring_pool_create(&test, 2);
    for (uint32_t i = 0; i < ACTORS; i++) {
        args[i].test = &test;
        args[i].how = how;
        ring_pool_pair(args[i].pair, i % 2 == 0);
        assert_int_equal(pipe(args[i].pipe), 0);
        args[i].listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX}; /* no name: the kernel gives one */
        assert_int_equal(bind(args[i].listener, (struct sockaddr *)&address, sizeof(sa_family_t)),
                         0);
        assert_int_equal(listen(args[i].listener, 1), 0);
        ring_pool_spawn(&test, i % 2, &armed_type, &args[i]);
    }
    ring_pool_start(&test);
    ring_pool_finish(&test); /* hangs when a final completion is missing */
    for (uint32_t i = 0; i < ACTORS; i++) {
        close(args[i].pair[0]);
        close(args[i].pair[1]);
        close(args[i].pipe[0]);
        close(args[i].pipe[1]);
        close(args[i].listener);
    }
}

static void an_actor_may_end_with_everything_armed(void **state)
{
    (void)state;
    run_armed(END_BY_VERDICT);
    run_armed(END_BY_KILL);
    run_armed(END_WITH_POOL);
}

/* --- the peer resets in mid-send --- */

struct reset {
    struct ring_pool *test;
    struct trp_op in;
    struct trp_op out;
    struct iovec iov;
    uint8_t *bytes;
    int peer;
    uint32_t ended;
};

struct reset_arg {
    struct ring_pool *test;
    int pair[2];
};

static enum troupe_status reset_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct reset *self = state;
    const struct reset_arg *from = arg;
    static uint8_t bytes[16 << 20];

    self->test = from->test;
    self->peer = from->pair[1];
    self->iov = (struct iovec){bytes, sizeof(bytes)};
    self->in.kind = TRP_OP_RECV;
    self->in.fd = from->pair[0];
    self->out.kind = TRP_OP_SEND;
    self->out.fd = from->pair[0];
    self->out.send.iov = &self->iov;
    self->out.send.iov_count = 1;
    trp_op_submit(ctx, &self->in);
    trp_op_submit(ctx, &self->out);
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
}

static enum troupe_verdict
reset_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct reset *self = state;
    struct linger abort_now = {.l_onoff = 1, .l_linger = 0};
    uint8_t byte;

    if (msg->type == MSG_GO) {
        /* Once the first byte is here the send is under way, and far from its end. */
        if (recv(self->peer, &byte, 1, MSG_DONTWAIT) != 1) {
            enum troupe_status status = troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
            return status == TROUPE_OK ? TROUPE_CONTINUE : TROUPE_FAIL;
        }
        setsockopt(self->peer, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
        close(self->peer);
        return TROUPE_CONTINUE;
    }
    struct trp_op *op = (struct trp_op *)msg;
    ring_pool_check(self->test, msg->type == TRP_MSG_OP && !op->is_armed, "a final completion");
    /* The error of a socket is told once; who comes second sees the end of the stream. */
    bool is_reset = op->result == -ECONNRESET || op->result == -EPIPE;
    ring_pool_check(self->test, is_reset || (op == &self->in && op->result == 0), "a reset");
    self->ended++;
    return self->ended == 2 ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void reset_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct reset *self = state;

    (void)ctx;
    (void)reason;
    close(self->in.fd);
    ring_pool_done(self->test);
}

static const struct troupe_actor_type reset_type = {
    .name = "reset",
    .state_size = sizeof(struct reset),
    .init_cb = reset_init,
    .receive_cb = reset_receive,
    .terminate_cb = reset_terminate,
};

static void a_reset_ends_send_and_receive(void **state)
{
    (void)state;
    struct ring_pool test;
    struct reset_arg arg = {.test = &test};

    ring_pool_create(&test, 1);
    ring_pool_pair(arg.pair, true);
    ring_pool_spawn(&test, 0, &reset_type, &arg);
    ring_pool_start(&test);
    ring_pool_finish(&test);
}

/* --- two workers --- */

enum { HOPS = 10000 };

struct player_arg {
    struct ring_pool *test;
    troupe_ref *other; /* written before the pool starts */
    bool is_first;
};

struct player {
    struct player_arg arg;
    uint32_t hops;
};

static bool pass_ball(struct troupe_ctx *ctx, struct player *self)
{
    bool is_sent = troupe_send_copy(ctx, *self->arg.other, MSG_BALL, NULL, 0) == TROUPE_OK;
    ring_pool_check(self->arg.test, is_sent, "the ball goes out");
    return is_sent;
}

static enum troupe_status player_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct player *self = state;

    self->arg = *(const struct player_arg *)arg;
    if (self->arg.is_first && !pass_ball(ctx, self)) {
        return TROUPE_EIO;
    }
    return TROUPE_OK;
}

static enum troupe_verdict
player_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct player *self = state;

    ring_pool_check(self->arg.test, msg->type == MSG_BALL, "only the ball");
    self->hops++;
    if (self->arg.is_first && self->hops == HOPS) {
        return TROUPE_STOP;
    }
    bool is_sent = pass_ball(ctx, self);
    return !is_sent || self->hops == HOPS ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void player_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct player *self = state;

    (void)ctx;
    (void)reason;
    ring_pool_check(self->arg.test, self->hops == HOPS, "every hop arrived");
    ring_pool_done(self->arg.test);
}

static const struct troupe_actor_type player_type = {
    .name = "player",
    .state_size = sizeof(struct player),
    .init_cb = player_init,
    .receive_cb = player_receive,
    .terminate_cb = player_terminate,
};

static void workers_that_sleep_wake_each_other(void **state)
{
    (void)state;
    struct ring_pool test;
    troupe_ref refs[2];
    struct player_arg args[2] = {
        {.test = &test, .other = &refs[1], .is_first = true},
        {.test = &test, .other = &refs[0]},
    };

    ring_pool_create(&test, 2);
    refs[0] = ring_pool_spawn(&test, 0, &player_type, &args[0]);
    refs[1] = ring_pool_spawn(&test, 1, &player_type, &args[1]);
    ring_pool_start(&test);
    ring_pool_finish(&test);
}

/* --- foreign threads --- */

enum { FOREIGN = 500 };

struct sink_arg {
    struct ring_pool *test;
    sem_t *seen;
};

struct sink {
    struct sink_arg arg;
    uint32_t count;
};

static enum troupe_status sink_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)ctx;
    ((struct sink *)state)->arg = *(const struct sink_arg *)arg;
    return TROUPE_OK;
}

static enum troupe_verdict sink_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct sink *self = state;

    (void)ctx;
    (void)msg;
    sem_post(self->arg.seen);
    return ++self->count == FOREIGN ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void sink_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)reason;
    ring_pool_done(((struct sink *)state)->arg.test);
}

static const struct troupe_actor_type sink_type = {
    .name = "sink",
    .state_size = sizeof(struct sink),
    .init_cb = sink_init,
    .receive_cb = sink_receive,
    .terminate_cb = sink_terminate,
};

static void a_foreign_thread_wakes_a_sleeping_worker(void **state)
{
    (void)state;
    struct ring_pool test;
    struct troupe_port *port;
    sem_t seen;
    struct sink_arg arg = {.test = &test, .seen = &seen};

    assert_int_equal(sem_init(&seen, 0, 0), 0);
    ring_pool_create(&test, 2);
    troupe_ref sink = ring_pool_spawn(&test, 1, &sink_type, &arg);
    ring_pool_start(&test);
    assert_int_equal(troupe_port_open(test.pool, &port), TROUPE_OK);
    for (uint32_t i = 0; i < FOREIGN; i++) {
        struct troupe_msg *msg = troupe_port_msg_new(port, MSG_GO, 0);
        assert_non_null(msg);
        assert_int_equal(troupe_port_send(port, sink, &msg), TROUPE_OK);
        while (sem_wait(&seen) != 0) {
            assert_int_equal(errno, EINTR);
        }
    }
    troupe_port_close(port);
    ring_pool_finish(&test);
    sem_destroy(&seen);
}

/* --- a start that is refused --- */

static int start_under_filter(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    struct troupe_pool_config config = {.workers = 2, .driver = troupe_ring_driver()};
    struct troupe_pool *pool;
    char error[TROUPE_RING_ERROR_MAX] = "";

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return 77;
    }
    if (troupe_pool_create(&pool, &config, error, sizeof(error)) != TROUPE_OK) {
        return 1;
    }
    if (troupe_pool_start(pool, error, sizeof(error)) != TROUPE_EUNAVAIL) {
        return 2;
    }
    troupe_pool_destroy(pool);
    return strstr(error, "EPERM") != NULL && strstr(error, "io_uring") != NULL ? 0 : 3;
}

static void a_refused_ring_stops_the_start(void **state)
{
    (void)state;
    int status;

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(start_under_filter());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_ring_stops_the_start),
        cmocka_unit_test(an_actor_may_end_with_everything_armed),
        cmocka_unit_test(a_reset_ends_send_and_receive),
        cmocka_unit_test(workers_that_sleep_wake_each_other),
        cmocka_unit_test(a_foreign_thread_wakes_a_sleeping_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
