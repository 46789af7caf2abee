/*
 * The public interface of sockets (troupe/net.h), through the shared library: what users see.
 * Streams and listeners have tests of their own; here it is what the wrappers promise.
 */

#include "socket_folder.h"

#include "../../cmocka.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <troupe/assert.h>
#include <troupe/io.h>
#include <troupe/net.h>
#include <unistd.h>

#define WAIT_S 20
#define MS     1000000u
#define FILL   65536u

/* Counters that the test thread waits for, and the newest of what was seen. */
struct side {
    uint32_t begun; /* accepted, or connected */
    uint32_t ended; /* CLOSED */
    uint32_t gone;  /* terminate_cb */
    uint32_t told;  /* commands carried out */
    uint32_t drained;
    uint32_t peer_ended;
    uint32_t bytes;
    uint32_t uid;
    char text[64];                        /* start of everything received */
    char peer[TROUPE_NET_ADDRESS_MAX];    /* cstr */
    enum troupe_status status;            /* of CLOSED, or of what a command did */
    enum troupe_status connect_status[4]; /* of attempts that must fail */
    troupe_ref newest;
    struct troupe_buf *buf; /* one reference is ours */
};

static struct side server;
static struct side client;
static struct troupe_conn_limits limits;
static bool is_echoing;
static bool is_init_failing;
static char connect_to[160];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct troupe_pool *pool;
static struct troupe_listener *listener;
static struct troupe_port *port;

struct agent {
    struct troupe_conn conn;
    struct side *side;
};

typedef void (*command_cb)(struct troupe_ctx *ctx, struct agent *agent);

static void count(uint32_t *counter)
{
    pthread_mutex_lock(&lock);
    (*counter)++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_for(const uint32_t *counter, uint32_t value)
{
    struct timespec until;
    int result = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&lock);
    while (*counter < value && result == 0) {
        result = pthread_cond_timedwait(&changed, &lock, &until);
    }
    uint32_t seen = *counter;
    pthread_mutex_unlock(&lock);
    if (seen < value) {
        fail_msg("waited in vain: %u of %u", seen, value);
    }
}

/* --- the actors of both sides --- */

static void note_data(struct side *side, struct troupe_span data)
{
    volatile char beyond = data.data[data.len + TROUPE_BUF_PADDING - 1]; /* must be readable */
    (void)beyond;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < data.len && side->bytes + i < sizeof(side->text) - 1; i++) {
        side->text[side->bytes + i] = data.data[i];
    }
    side->bytes += (uint32_t)data.len;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct agent *agent = state;
    struct side *side = agent->side;
    struct troupe_conn_event event;
    if (!troupe_conn_receive(ctx, &agent->conn, msg, &event)) {
        TROUPE_ASSERT(event.kind == TROUPE_CONN_NONE);
        command_cb command;
        memcpy(&command, troupe_msg_data(msg), sizeof(command));
        command(ctx, agent);
        troupe_conn_flush(ctx, &agent->conn);
        count(&side->told);
        return TROUPE_CONTINUE;
    }
    switch (event.kind) {
    case TROUPE_CONN_NONE:
        break;
    case TROUPE_CONN_CONNECTED:
        side->newest = troupe_self(ctx);
        count(&side->begun);
        break;
    case TROUPE_CONN_DATA:
        if (is_echoing && side == &server) {
            TROUPE_ASSERT(event.data.len <= TROUPE_CONN_COPY_MAX);
            TROUPE_ASSERT(troupe_conn_send_copy(ctx, &agent->conn, event.data) == TROUPE_OK);
        }
        note_data(side, event.data);
        break;
    case TROUPE_CONN_END:
        count(&side->peer_ended);
        troupe_conn_close(ctx, &agent->conn);
        break;
    case TROUPE_CONN_DRAINED:
        TROUPE_ASSERT(troupe_conn_queue_bytes(&agent->conn) == 0);
        count(&side->drained);
        break;
    case TROUPE_CONN_CLOSED:
        TROUPE_ASSERT(troupe_conn_queue_bytes(&agent->conn) == 0);
        TROUPE_ASSERT(troupe_conn_send_copy(ctx, &agent->conn, troupe_span("x", 1)) ==
                      TROUPE_ECLOSED);
        troupe_conn_close(ctx, &agent->conn); /* both do nothing */
        troupe_conn_abort(ctx, &agent->conn);
        pthread_mutex_lock(&lock);
        side->status = event.status;
        pthread_mutex_unlock(&lock);
        count(&side->ended);
        return TROUPE_STOP;
    }
    troupe_conn_flush(ctx, &agent->conn);
    return TROUPE_CONTINUE;
}

static void terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct agent *agent = state;
    (void)reason;
    troupe_conn_fini(ctx, &agent->conn);
    count(&agent->side->gone);
}

static enum troupe_status serve(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct agent *agent = state;
    const struct troupe_accept *accept = arg;
    agent->side = troupe_accept_user(accept);
    TROUPE_ASSERT(agent->side == &server);
    pthread_mutex_lock(&lock); /* two workers accept */
    bool is_failing = is_init_failing;
    server.newest = troupe_self(ctx);
    server.uid = troupe_accept_uid(accept);
    troupe_accept_peer(accept, server.peer, sizeof(server.peer));
    pthread_mutex_unlock(&lock);
    if (is_failing) {
        count(&server.begun);
        return TROUPE_EAUTH; /* the socket was not taken: the listener closes it */
    }
    char cut[4] = "abc";
    troupe_accept_peer(accept, cut, 0);
    TROUPE_ASSERT(cut[0] == 'a');
    troupe_accept_peer(accept, cut, sizeof(cut));
    TROUPE_ASSERT(strlen(cut) == 3);
    troupe_conn_accept(ctx, &agent->conn, accept, &limits);
    count(&server.begun);
    return TROUPE_OK;
}

/* The client's actor; it connects when it is told to. */
static enum troupe_status dial(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct agent *agent = state;
    (void)ctx;
    (void)arg;
    agent->side = &client;
    return TROUPE_OK;
}

static const struct troupe_actor_type server_type = {
    .name = "server",
    .state_size = sizeof(struct agent),
    .init_cb = serve,
    .receive_cb = receive,
    .terminate_cb = terminate,
};

static const struct troupe_actor_type client_type = {
    .name = "client",
    .state_size = sizeof(struct agent),
    .init_cb = dial,
    .receive_cb = receive,
    .terminate_cb = terminate,
};

/* --- commands --- */

static void tell(troupe_ref to, struct side *side, command_cb command)
{
    uint32_t before = side->told;
    struct troupe_msg *msg = troupe_port_msg_new(port, 1, sizeof(command));
    assert_non_null(msg);
    memcpy(troupe_msg_data(msg), &command, sizeof(command));
    assert_int_equal(troupe_port_send(port, to, &msg), TROUPE_OK);
    wait_for(&side->told, before + 1);
}

static void do_connect(struct troupe_ctx *ctx, struct agent *agent)
{
    static const char *const bad[] = {"nonsense", "127.0.0.1:0", "unix:", "example.org:80"};
    for (uint32_t i = 0; i < 4; i++) {
        client.connect_status[i] = troupe_conn_connect(ctx, &agent->conn, bad[i], 1000u * MS, NULL);
    }
    client.status = troupe_conn_connect(ctx, &agent->conn, connect_to, 5000u * MS, NULL);
}

static void do_send(struct troupe_ctx *ctx, struct agent *agent)
{
    struct troupe_buf *buf = troupe_buf_new(ctx, 16);
    TROUPE_ASSERT(buf != NULL);
    memcpy(buf->data, "shared ", 7);
    buf->size = 7;
    TROUPE_ASSERT(troupe_conn_send(ctx, &agent->conn, buf) == TROUPE_OK);
    TROUPE_ASSERT(troupe_conn_send(ctx, &agent->conn, buf) == TROUPE_OK);
    TROUPE_ASSERT(troupe_conn_send_copy(ctx, &agent->conn, troupe_span("copied", 6)) == TROUPE_OK);
    TROUPE_ASSERT(troupe_conn_queue_bytes(&agent->conn) == 20);
    client.buf = buf;
}

static void do_check_buf(struct troupe_ctx *ctx, struct agent *agent)
{
    (void)ctx;
    TROUPE_ASSERT(agent->side->buf->count == 1); /* the connection has released its references */
    troupe_buf_release(agent->side->buf);
    agent->side->buf = NULL;
}

static void do_fill(struct troupe_ctx *ctx, struct agent *agent)
{
    static const char large[TROUPE_CONN_COPY_MAX + 1];
    struct troupe_buf *buf = troupe_buf_new(ctx, FILL);
    TROUPE_ASSERT(buf != NULL);
    memset(buf->data, 'x', FILL);
    buf->size = FILL;
    uint32_t queued = 0;
    enum troupe_status status;
    while ((status = troupe_conn_send(ctx, &agent->conn, buf)) == TROUPE_OK) {
        queued += FILL;
        TROUPE_ASSERT(queued <= limits.queue_bytes_max);
    }
    TROUPE_ASSERT(queued == limits.queue_bytes_max);
    TROUPE_ASSERT(troupe_conn_queue_bytes(&agent->conn) == queued);
    TROUPE_ASSERT(troupe_conn_send_copy(ctx, &agent->conn, troupe_span(large, sizeof(large))) ==
                  TROUPE_ETOOLARGE);
    server.status = status;
    troupe_buf_release(buf);
}

static void do_pause(struct troupe_ctx *ctx, struct agent *agent)
{
    troupe_conn_pause(ctx, &agent->conn);
}

static void do_resume(struct troupe_ctx *ctx, struct agent *agent)
{
    troupe_conn_resume(ctx, &agent->conn);
}

static void do_close(struct troupe_ctx *ctx, struct agent *agent)
{
    troupe_conn_close(ctx, &agent->conn);
    TROUPE_ASSERT(troupe_conn_send_copy(ctx, &agent->conn, troupe_span("x", 1)) == TROUPE_ECLOSED);
    troupe_conn_close(ctx, &agent->conn); /* does nothing */
}

static void do_abort(struct troupe_ctx *ctx, struct agent *agent)
{
    troupe_conn_abort(ctx, &agent->conn);
}

static void do_listener_stop(struct troupe_ctx *ctx, struct agent *agent)
{
    (void)agent;
    TROUPE_ASSERT(troupe_listener_stop(ctx, listener) == TROUPE_OK);
    TROUPE_ASSERT(troupe_listener_stop(ctx, listener) == TROUPE_OK); /* does nothing */
}

/* --- life --- */

static troupe_ref client_ref;

static void begin(const char *address, uint32_t workers)
{
    char error[512] = "";
    struct troupe_pool_config config = {
        .workers = workers, .pin = "none", .driver = troupe_ring_driver()};
    struct troupe_listener_config at = {
        .address = address, .conn_type = &server_type, .user = &server};
    assert_int_equal(troupe_pool_create(&pool, &config, error, sizeof(error)), TROUPE_OK);
    if (troupe_listener_create(&listener, pool, &at, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
    assert_int_equal(troupe_pool_spawn(pool, &client_ref, 0, &client_type, NULL), TROUPE_OK);
    if (troupe_pool_start(pool, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
    assert_int_equal(troupe_port_open(pool, &port), TROUPE_OK);
    snprintf(connect_to, sizeof(connect_to), "%s", troupe_listener_address(listener));
}

static void end(void)
{
    troupe_port_close(port);
    troupe_pool_stop(pool);
    troupe_pool_join(pool);
    uint64_t accepted = 0;
    uint64_t ended = 0;
    for (uint32_t i = 0; i < troupe_pool_workers(pool); i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(pool, i, &stats);
        accepted += stats.accepted;
        ended += stats.processed + stats.reported;
    }
    assert_int_equal(accepted, ended);
    troupe_listener_destroy(listener);
    troupe_pool_destroy(pool);
    assert_int_equal(server.gone, server.begun);
}

static int set_up(void **state)
{
    (void)state;
    memset(&server, 0, sizeof(server));
    memset(&client, 0, sizeof(client));
    memset(&limits, 0, sizeof(limits));
    is_echoing = true;
    is_init_failing = false;
    socket_folder_make();
    return 0;
}

/* A blocking peer. Returns -1 when it is refused. */
static int raw_connect(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(troupe_listener_port(listener)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {.tv_sec = WAIT_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    /* a reset: it was in the backlog of a socket that closed; as good as connected and closed */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != ECONNRESET) {
        assert_int_equal(errno, ECONNREFUSED);
        close(fd);
        return -1;
    }
    return fd;
}

static void raw_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until len bytes have come or the peer has ended; the count. */
static size_t raw_recv(int fd, char *data, size_t len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t count_now = recv(fd, data + got, len - got, 0);
        if (count_now < 0 && errno != ECONNRESET) {
            fail_msg("recv: %s", strerror(errno));
        }
        if (count_now <= 0) {
            break;
        }
        got += (size_t)count_now;
    }
    return got;
}

/* --- tests --- */

static void test_both_roles(void **state)
{
    (void)state;
    for (int is_unix = 0; is_unix < 2; is_unix++) {
        memset(&server, 0, sizeof(server));
        memset(&client, 0, sizeof(client));
        begin(is_unix ? socket_path : "localhost:0", 2);
        tell(client_ref, &client, do_connect);
        assert_int_equal(client.status, TROUPE_OK);
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(client.connect_status[i], TROUPE_EINVAL);
        }
        wait_for(&client.begun, 1);
        wait_for(&server.begun, 1);
        tell(client_ref, &client, do_send);
        wait_for(&client.bytes, 20);
        wait_for(&server.bytes, 20);
        assert_string_equal(client.text, "shared shared copied");
        assert_string_equal(server.text, "shared shared copied");
        wait_for(&client.drained, 1);
        tell(client_ref, &client, do_check_buf);
        assert_int_equal(server.uid, is_unix ? getuid() : UINT32_MAX);
        assert_memory_equal(server.peer, is_unix ? "unix" : "127.0.0.1:", is_unix ? 5 : 10);
        tell(client_ref, &client, do_close);
        wait_for(&client.ended, 1);
        wait_for(&server.ended, 1);
        assert_int_equal(client.status, TROUPE_OK);
        assert_int_equal(server.status, TROUPE_OK);
        assert_int_equal(server.peer_ended, 1);
        struct troupe_listener_stats stats;
        troupe_listener_stats(listener, &stats);
        assert_int_equal(stats.accepted, 1);
        assert_int_equal(stats.refused, 0);
        end();
        struct stat info;
        assert_int_equal(stat(socket_path, &info), -1);
    }
}

static void test_bad_listeners(void **state)
{
    char error[256] = "";
    struct troupe_listener *none = NULL;
    struct troupe_listener_config at = {.address = "nonsense", .conn_type = &server_type};
    struct troupe_pool *other;
    (void)state;
    begin("127.0.0.1:0", 1);
    assert_int_equal(troupe_pool_create(&other, NULL, NULL, 0), TROUPE_OK);
    assert_int_equal(troupe_listener_create(&none, other, &at, error, sizeof(error)),
                     TROUPE_EINVAL);
    assert_non_null(strstr(error, "ring driver"));
    troupe_pool_destroy(other);
    struct troupe_pool_config config = {.driver = troupe_ring_driver()};
    assert_int_equal(troupe_pool_create(&other, &config, NULL, 0), TROUPE_OK);
    assert_int_equal(troupe_listener_create(&none, other, &at, error, sizeof(error)),
                     TROUPE_EINVAL);
    assert_non_null(strstr(error, "nonsense"));
    at.address = troupe_listener_address(listener);
    assert_int_equal(troupe_listener_create(&none, other, &at, error, sizeof(error)),
                     TROUPE_EEXIST);
    assert_non_null(strstr(error, "in use"));
    assert_int_equal(troupe_listener_create(&none, other, &at, NULL, 0), TROUPE_EEXIST);
    assert_null(none);
    troupe_listener_destroy(NULL);
    /* a pool that never starts gives everything back */
    at.address = socket_path;
    assert_int_equal(troupe_listener_create(&none, other, &at, NULL, 0), TROUPE_OK);
    assert_int_equal(troupe_listener_port(none), 0);
    troupe_listener_destroy(none);
    troupe_pool_destroy(other);
    end();
}

static void test_refused_connect(void **state)
{
    (void)state;
    begin("127.0.0.1:0", 1);
    snprintf(connect_to, sizeof(connect_to), "unix:%s", socket_path); /* nobody is there */
    tell(client_ref, &client, do_connect);
    wait_for(&client.ended, 1);
    assert_int_not_equal(client.status, TROUPE_OK);
    assert_int_equal(client.begun, 0);
    end();
}

static void test_full_queue(void **state)
{
    static char sink[FILL];
    (void)state;
    limits.queue_bytes_max = 128 * FILL; /* more than the kernel takes for a peer that sleeps */
    limits.queue_writes_max = 1000;
    begin("127.0.0.1:0", 1);
    int fd = raw_connect();
    wait_for(&server.begun, 1);
    tell(server.newest, &server, do_fill);
    assert_int_equal(server.status, TROUPE_EBUSY);
    for (uint32_t i = 0; i < 128; i++) {
        assert_int_equal(raw_recv(fd, sink, FILL), FILL);
    }
    wait_for(&server.drained, 1);
    raw_send(fd, "and on");
    assert_int_equal(raw_recv(fd, sink, 6), 6);
    assert_memory_equal(sink, "and on", 6);
    close(fd);
    wait_for(&server.ended, 1);
    end();
}

static void test_pause(void **state)
{
    static const char data[FILL];
    uint32_t sent = 0;
    (void)state;
    is_echoing = false;
    begin("127.0.0.1:0", 1);
    int fd = raw_connect();
    wait_for(&server.begun, 1);
    tell(server.newest, &server, do_pause);
    /* the kernel's buffers fill up, then nobody takes more */
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    while (poll(&poller, 1, 300) == 1) {
        ssize_t done = send(fd, data, sizeof(data), MSG_NOSIGNAL | MSG_DONTWAIT);
        assert_true(done > 0);
        sent += (uint32_t)done;
        assert_true(sent < 256u << 20);
    }
    tell(server.newest, &server, do_resume);
    wait_for(&server.bytes, sent);
    close(fd);
    wait_for(&server.ended, 1);
    end();
}

static void test_abort_and_failed_init(void **state)
{
    char text[8];
    struct troupe_listener_stats stats;
    (void)state;
    begin("127.0.0.1:0", 2);
    int fd = raw_connect();
    wait_for(&server.begun, 1);
    tell(server.newest, &server, do_abort);
    wait_for(&server.ended, 1);
    assert_int_equal(server.status, TROUPE_ECANCELED);
    assert_int_equal(raw_recv(fd, text, 1), 0);
    close(fd);
    pthread_mutex_lock(&lock);
    is_init_failing = true;
    pthread_mutex_unlock(&lock);
    fd = raw_connect();
    assert_int_equal(raw_recv(fd, text, 1), 0);
    close(fd);
    wait_for(&server.gone, 2); /* terminate_cb comes after a failed init, too */
    troupe_listener_stats(listener, &stats);
    assert_int_equal(stats.accepted, 1);
    end();
}

static void test_listener_stop(void **state)
{
    char text[8];
    (void)state;
    begin("127.0.0.1:0", 2);
    int fd = raw_connect();
    wait_for(&server.begun, 1);
    tell(client_ref, &client, do_listener_stop);
    int next;
    uint32_t tries = 0;
    while ((next = raw_connect()) >= 0) { /* each worker closes its socket in its own turn */
        close(next);
        assert_true(++tries < 100000);
    }
    raw_send(fd, "still");
    assert_int_equal(raw_recv(fd, text, 5), 5);
    assert_memory_equal(text, "still", 5);
    /* ended from outside: terminate_cb closes the connection */
    end();
    assert_int_equal(raw_recv(fd, text, 1), 0);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, socket_folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_both_roles),    TEST(test_bad_listeners), TEST(test_refused_connect),
        TEST(test_full_queue),    TEST(test_pause),         TEST(test_abort_and_failed_init),
        TEST(test_listener_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
