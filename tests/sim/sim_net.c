/*
 * Listeners and streams under the seeded simulation, on the simulated network: an echo server of
 * actors, client actors, scripted peers on both sides, pipes; with faults. Independent checkers:
 *
 *   - what a client gets back is what it sent, in order, once: each byte is compared
 *   - on a connection that nobody cut, reset or gave up everything comes back and it ends well
 *   - each owner of a connection is told about its end exactly once
 *   - no operation armed, no buffer lost, no descriptor open at the end (trp_sim_net_check)
 *   - no memory of a worker left over (small nodes: with AddressSanitizer)
 *   - no message lost, no sleeper with work (trp_sim_stop)
 *
 *     sim_net --seeds A..B
 */

#include "io/sim/sim_net.h"
#include "io/net/listener.h"
#include "io/net/stream.h"
#include "tests/sim/sim_heap.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>
#include <unistd.h>

#define CLIENTS      24u /* actors */
#define CLIENT_RUNS  3u  /* connections of each, one after the other */
#define PIPES        3u
#define PEERS        30u
#define BURST        150u /* peers that connect at the same moment */
#define FLOWS_MAX    (CLIENTS * CLIENT_RUNS * 4u + PIPES + PEERS + BURST)
#define BYTES_MAX    12000u
#define BURST_BYTES  40u
#define RUN_NS       1000000000000ull
#define SHORT_RUN_NS 3000000u
#define START_NS     20000000u
#define LARGE        70000u /* a buffer that comes from the system heap: its leak is seen */
#define ECHO_PORT    9001u  /* a peer that echoes */
#define RUDE_PORT    9002u  /* a peer that ends whenever it likes */
#define NO_PORT      9003u
#define ALL_FAULTS   300u /* a sweep of so many seeds has seen every fault */

enum { MSG_GO = 1, MSG_RESUME, MSG_LEAVE };

/* One connection, seen from the side that wants its bytes echoed. */
struct flow {
    uint32_t id;
    uint32_t total;
    uint32_t sent;
    uint32_t echoed;
    uint32_t ends; /* times its owner was told */
    bool is_connected;
    bool is_excused;  /* given up by us, or the other side is rude */
    bool is_orphaned; /* its owner ended first */
    bool is_cut;      /* by the network */
};

static struct {
    struct trp_sim *sim;
    struct trp_sim_net *net;
    struct trp_random random;
    bool is_rude;  /* servers may hang up in this run */
    bool is_tight; /* memory runs out */
    bool is_calm;  /* no faults: everything must go well */
    bool is_cut_short;
    bool is_stopping; /* the pool ends under everybody's feet */
    uint16_t port;
    struct trp_listener_set set;
    troupe_ref listeners[TROUPE_WORKERS_MAX];
    uint32_t listener_count;
    bool is_told_to_stop[TROUPE_WORKERS_MAX];
    uint32_t listeners_told;
    uint32_t listeners_ended; /* before the pool */
    uint32_t served;
    uint32_t served_closed;
    uint32_t served_orphaned;
    uint32_t flow_count;
    struct flow flows[FLOWS_MAX];
} book;

/* Of all seeds. */
static struct {
    uint64_t flows;
    uint64_t completed;
    uint64_t out_of_memory; /* writes refused for it */
    struct trp_sim_net_stats net;
} sum;

static uint32_t below(uint32_t bound)
{
    return (uint32_t)trp_random_below(&book.random, bound);
}

static uint8_t pattern(const struct flow *flow, uint32_t offset)
{
    return (uint8_t)(offset * 31u + (offset >> 8) * 7u + flow->id * 17u);
}

static void fill(const struct flow *flow, uint8_t *to, uint32_t offset, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        to[i] = pattern(flow, offset + i);
    }
}

static struct flow *flow_begin(uint32_t total)
{
    TROUPE_ASSERT(book.flow_count < FLOWS_MAX);
    struct flow *flow = &book.flows[book.flow_count];
    flow->id = book.flow_count++;
    flow->total = total;
    flow->is_excused = book.is_rude;
    return flow;
}

static void flow_check(struct flow *flow, const uint8_t *data, uint32_t len)
{
    TROUPE_ASSERT(flow->is_connected);
    TROUPE_ASSERT(flow->ends == 0);
    TROUPE_ASSERT(len > 0);
    TROUPE_ASSERT(flow->echoed + len <= flow->sent);
    for (uint32_t i = 0; i < len; i++) {
        TROUPE_ASSERT(data[i] == pattern(flow, flow->echoed + i));
    }
    flow->echoed += len;
}

static void flow_end(struct flow *flow, bool is_good)
{
    flow->ends++;
    TROUPE_ASSERT(flow->ends == 1);
    if (flow->is_connected && !flow->is_cut && !flow->is_excused && !book.is_stopping) {
        TROUPE_ASSERT(is_good);
        TROUPE_ASSERT(flow->echoed == flow->total);
    }
    sum.completed += is_good && flow->echoed == flow->total ? 1 : 0;
}

/* --- the server --- */

struct server {
    struct trp_stream stream;
    int fd;
    bool has_begun;
    bool is_closed;
};

static const struct trp_stream_limits server_limits = {
    .queue_bytes_max = 1u << 24, .queue_entries_max = 1u << 16, .linger_ns = 60000000000ull};

static enum troupe_status server_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct server *server = state;
    if (book.is_rude && below(50) == 0) {
        return TROUPE_EBUSY;
    }
    int fd = trp_accept_take(arg);
    TROUPE_ASSERT(fd >= TRP_SIM_FD_FIRST);
    book.served++;
    server->has_begun = true;
    server->fd = fd;
    trp_stream_open(ctx, &server->stream, fd, fd, &server_limits);
    trp_stream_resume(ctx, &server->stream);
    return TROUPE_OK;
}

static void echo(struct troupe_ctx *ctx, struct server *server, const uint8_t *data, uint32_t len)
{
    enum troupe_status status = TROUPE_OK;
    struct troupe_buf *buf = below(2) == 0 ? troupe_buf_new(ctx, len) : NULL;
    if (buf != NULL) {
        memcpy(buf->data, data, len);
        buf->size = len;
        uint32_t prefix = below(len > 100 ? 100 : len);
        memmove(buf->data, buf->data + prefix, len - prefix);
        buf->size = len - prefix;
        status = trp_stream_write_framed(ctx, &server->stream, data, prefix, buf);
        troupe_buf_release(buf);
    } else {
        for (uint32_t at = 0; at < len && status == TROUPE_OK;) {
            uint32_t piece = len - at < TRP_STREAM_COPY_MAX ? len - at : TRP_STREAM_COPY_MAX;
            piece = 1 + below(piece);
            status = trp_stream_write_copy(ctx, &server->stream, data + at, piece);
            at += piece;
        }
    }
    if (status != TROUPE_OK) {
        TROUPE_ASSERT(status == TROUPE_ENOMEM);
        TROUPE_ASSERT(book.is_tight);
        sum.out_of_memory++;
        trp_stream_abort(ctx, &server->stream, TROUPE_ENOMEM);
    } else if (trp_stream_queue_bytes(&server->stream) > 8000) {
        trp_stream_pause(ctx, &server->stream);
    }
}

static enum troupe_verdict
server_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct server *server = state;
    struct trp_stream_event event;
    TROUPE_ASSERT(!server->is_closed);
    TROUPE_ASSERT(trp_stream_receive(ctx, &server->stream, msg, &event));
    switch (event.kind) {
    case TRP_STREAM_DATA:
        if (book.is_rude && below(100) == 0) {
            trp_stream_abort(ctx, &server->stream, TROUPE_ECANCELED);
            break;
        }
        echo(ctx, server, event.data, event.len);
        break;
    case TRP_STREAM_DRAINED:
        trp_stream_resume(ctx, &server->stream);
        break;
    case TRP_STREAM_END:
        trp_stream_close(ctx, &server->stream);
        break;
    case TRP_STREAM_CLOSED:
        /* nobody is so slow that lingering runs out */
        TROUPE_ASSERT(event.status != TROUPE_EEXPIRED || trp_sim_net_was_cut(book.net, server->fd));
        server->is_closed = true;
        book.served_closed++;
        return TROUPE_STOP;
    case TRP_STREAM_CONNECTED:
        TROUPE_ASSERT(false);
        break;
    case TRP_STREAM_NONE:
    default:
        break;
    }
    trp_stream_flush(ctx, &server->stream);
    return TROUPE_CONTINUE;
}

static void server_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct server *server = state;
    (void)reason;
    book.served_orphaned += server->has_begun && !server->is_closed ? 1 : 0;
    trp_stream_fini(ctx, &server->stream);
}

static const struct troupe_actor_type server_type = {.name = "server",
                                                     .state_size = sizeof(struct server),
                                                     .init_cb = server_begin,
                                                     .receive_cb = server_receive,
                                                     .terminate_cb = server_end};

/* --- client actors --- */

struct client {
    struct trp_stream stream;
    struct trp_op poll; /* of those with pipes */
    struct troupe_timer go;
    struct troupe_timer resume;
    struct troupe_timer leave;
    struct flow *flow;
    struct trp_sim_peer *child; /* behind the pipes */
    uint32_t runs_left;
    int fds[2]; /* pipes */
    int fd;
};

struct client_arg {
    bool is_piped;
};

static const struct trp_stream_limits client_limits = {
    .queue_bytes_max = 6000, .queue_entries_max = 6, .linger_ns = 60000000000ull};

static const struct trp_sim_peer_type echo_peer;

static enum troupe_status client_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct client *client = state;
    bool is_piped = ((const struct client_arg *)arg)->is_piped;
    client->fd = -1;
    client->runs_left = is_piped ? 1 : CLIENT_RUNS;
    client->fds[0] = -1;
    client->fds[1] = -1;
    troupe_timer_start(ctx, &client->go, below(START_NS), 0, MSG_GO);
    if (below(8) == 0) {
        troupe_timer_start(ctx, &client->leave, below(2 * START_NS), 0, MSG_LEAVE);
    }
    if (is_piped) {
        client->child =
            trp_sim_peer_pipes(book.net, &client->fds[0], &client->fds[1], &echo_peer, NULL);
    }
    return TROUPE_OK;
}

static void pump(struct troupe_ctx *ctx, struct client *client)
{
    struct flow *flow = client->flow;
    enum troupe_status status = TROUPE_OK;
    while (flow->sent < flow->total && status == TROUPE_OK) {
        uint32_t len = 1 + below(3000);
        len = len < flow->total - flow->sent ? len : flow->total - flow->sent;
        struct troupe_buf *buf = troupe_buf_new(ctx, below(8) == 0 ? LARGE : len);
        if (buf == NULL) {
            status = TROUPE_ENOMEM;
            break;
        }
        fill(flow, buf->data, flow->sent, len);
        buf->size = len;
        status = trp_stream_write(ctx, &client->stream, buf, 0, len);
        troupe_buf_release(buf);
        flow->sent += status == TROUPE_OK ? len : 0;
    }
    if (status == TROUPE_ENOMEM) {
        TROUPE_ASSERT(book.is_tight);
        sum.out_of_memory++;
        trp_stream_abort(ctx, &client->stream, TROUPE_ENOMEM);
        return;
    }
    TROUPE_ASSERT(status == TROUPE_OK || status == TROUPE_EBUSY);
    trp_stream_flush(ctx, &client->stream);
}

static void connected(struct troupe_ctx *ctx, struct client *client)
{
    client->flow->is_connected = true;
    trp_stream_resume(ctx, &client->stream);
    pump(ctx, client);
}

/* The child's own first word. */
static void say_first(void *arg)
{
    const struct flow *flow = trp_sim_peer_user(arg);
    uint8_t first = pattern(flow, 0);
    trp_sim_peer_write(arg, &first, 1);
}

/* Pipes: waits until there is something to read, to see that polling works. */
static void go_piped(struct troupe_ctx *ctx, struct client *client)
{
    if (client->flow == NULL) {
        client->flow = flow_begin(1 + below(BYTES_MAX));
        client->flow->sent = 1;
        trp_sim_peer_set_user(client->child, client->flow);
        trp_sim_net_at(book.net, trp_sim_now(book.sim) + below(START_NS), say_first, client->child);
        client->poll.kind = TRP_OP_POLL;
        client->poll.fd = client->fds[0];
        trp_op_submit(ctx, &client->poll);
        return;
    }
    trp_stream_open(ctx, &client->stream, client->fds[0], client->fds[1], &client_limits);
    client->fds[0] = -1;
    client->fds[1] = -1;
    connected(ctx, client);
}

static void go(struct troupe_ctx *ctx, struct client *client)
{
    static const uint16_t strangers[] = {ECHO_PORT, RUDE_PORT, NO_PORT};
    union trp_address address;
    if (client->child != NULL) {
        go_piped(ctx, client);
        return;
    }
    uint32_t kind = below(6);
    uint16_t port = kind < 3 ? strangers[kind] : book.port;
    socklen_t len = trp_sim_address(&address, port);
    uint64_t timeout_ns = below(8) == 0 ? 200000000000u : 1000000u + below(2000000000);
    enum troupe_status status =
        trp_stream_connect(ctx, &client->stream, &address, len, timeout_ns, &client_limits);
    if (status != TROUPE_OK) {
        TROUPE_ASSERT(status == TROUPE_EIO); /* EMFILE */
        TROUPE_ASSERT(!book.is_calm);
        troupe_timer_start(ctx, &client->go, 1 + below(START_NS), 0, MSG_GO);
        return;
    }
    client->flow = flow_begin(1 + below(BYTES_MAX));
    client->flow->is_excused |= port == RUDE_PORT || port == NO_PORT;
    client->fd = client->stream.write_fd;
}

static enum troupe_verdict
client_closed(struct troupe_ctx *ctx, struct client *client, enum troupe_status status)
{
    struct flow *flow = client->flow;
    TROUPE_ASSERT(flow != NULL);
    flow->is_cut = client->child != NULL ? trp_sim_peer_was_cut(client->child)
                                         : trp_sim_net_was_cut(book.net, client->fd);
    if (book.is_calm && !flow->is_excused) {
        TROUPE_ASSERT(!flow->is_cut);
        TROUPE_ASSERT(flow->is_connected);
    }
    TROUPE_ASSERT(status != TROUPE_EEXPIRED || flow->is_cut || !flow->is_connected);
    flow_end(flow, status == TROUPE_OK);
    client->flow = NULL;
    if (--client->runs_left == 0) {
        return TROUPE_STOP;
    }
    troupe_timer_cancel(ctx, &client->resume);
    troupe_timer_start(ctx, &client->go, below(START_NS), 0, MSG_GO);
    return TROUPE_CONTINUE;
}

static void client_data(struct troupe_ctx *ctx, struct client *client, struct trp_stream_event *is)
{
    struct flow *flow = client->flow;
    flow_check(flow, is->data, is->len);
    if (flow->echoed == flow->total) {
        trp_stream_close(ctx, &client->stream);
    } else if (below(300) == 0) {
        flow->is_excused = true;
        if (below(2) == 0) {
            trp_stream_abort(ctx, &client->stream, TROUPE_ECANCELED);
        } else {
            trp_stream_close(ctx, &client->stream);
        }
    } else if (below(10) == 0) {
        trp_stream_pause(ctx, &client->stream);
        troupe_timer_start(ctx, &client->resume, below(3000000), 0, MSG_RESUME);
    }
}

static enum troupe_verdict
client_event(struct troupe_ctx *ctx, struct client *client, struct trp_stream_event *event)
{
    switch (event->kind) {
    case TRP_STREAM_CONNECTED:
        connected(ctx, client);
        break;
    case TRP_STREAM_DATA:
        client_data(ctx, client, event);
        break;
    case TRP_STREAM_DRAINED:
        pump(ctx, client);
        break;
    case TRP_STREAM_END:
        trp_stream_close(ctx, &client->stream);
        break;
    case TRP_STREAM_CLOSED:
        return client_closed(ctx, client, event->status);
    case TRP_STREAM_NONE:
    default:
        break;
    }
    return TROUPE_CONTINUE;
}

static void client_polled(struct troupe_ctx *ctx, struct client *client)
{
    if (client->poll.is_armed) {
        TROUPE_ASSERT(client->poll.result > 0);
        trp_op_cancel(ctx, &client->poll);
    } else {
        troupe_timer_start(ctx, &client->go, 0, 0, MSG_GO);
    }
}

static void stop_listener(struct troupe_ctx *ctx, uint32_t index)
{
    if (!book.is_told_to_stop[index] &&
        trp_listener_stop(ctx, book.listeners[index]) == TROUPE_OK) {
        book.is_told_to_stop[index] = true;
        book.listeners_told++;
    }
}

static enum troupe_verdict
client_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct client *client = state;
    struct trp_stream_event event;
    if (msg == &client->poll.msg) {
        client_polled(ctx, client);
        return TROUPE_CONTINUE;
    }
    switch (msg->type) {
    case MSG_GO:
        go(ctx, client);
        return TROUPE_CONTINUE;
    case MSG_RESUME:
        trp_stream_resume(ctx, &client->stream);
        return TROUPE_CONTINUE;
    case MSG_LEAVE:
        if (book.is_rude && below(3) == 0) {
            stop_listener(ctx, below(book.listener_count));
        }
        return TROUPE_STOP;
    default:
        TROUPE_ASSERT(trp_stream_receive(ctx, &client->stream, msg, &event));
        return client_event(ctx, client, &event);
    }
}

static void orphan_poll(struct troupe_ctx *ctx, struct trp_op *op)
{
    struct client *client = (struct client *)(void *)((char *)op - offsetof(struct client, poll));
    TROUPE_ASSERT(ctx != NULL);
    (void)close(client->fds[0]);
}

static void client_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct client *client = state;
    (void)reason;
    if (client->flow != NULL) {
        TROUPE_ASSERT(!book.is_stopping || book.is_cut_short); /* or it waits for ever */
        client->flow->is_orphaned = true;
    }
    if (client->fds[1] >= 0) {
        (void)close(client->fds[1]);
        if (client->poll.is_armed) {
            client->poll.orphan_cb = orphan_poll;
        } else {
            (void)close(client->fds[0]);
        }
    }
    trp_stream_fini(ctx, &client->stream);
}

static const struct troupe_actor_type client_type = {.name = "client",
                                                     .state_size = sizeof(struct client),
                                                     .init_cb = client_begin,
                                                     .receive_cb = client_receive,
                                                     .terminate_cb = client_end};

/* --- peers --- */

static void echo_received(struct trp_sim_peer *peer, const uint8_t *data, uint32_t len, void *user)
{
    (void)user;
    trp_sim_peer_write(peer, data, len);
}

static void echo_ended(struct trp_sim_peer *peer, void *user)
{
    (void)user;
    trp_sim_peer_shut(peer);
}

static const struct trp_sim_peer_type echo_peer = {.received_cb = echo_received,
                                                   .ended_cb = echo_ended};

static void rude_received(struct trp_sim_peer *peer, const uint8_t *data, uint32_t len, void *user)
{
    (void)user;
    trp_sim_peer_write(peer, data, len);
    switch (below(5)) {
    case 0:
        trp_sim_peer_reset(peer);
        break;
    case 1:
        trp_sim_peer_shut(peer);
        break;
    default:
        break;
    }
}

static const struct trp_sim_peer_type rude_peer = {.received_cb = rude_received,
                                                   .ended_cb = echo_ended};

static void guest_connected(struct trp_sim_peer *peer, void *user)
{
    static uint8_t data[BYTES_MAX + 1];
    struct flow *flow = user;
    TROUPE_ASSERT(!flow->is_connected);
    flow->is_connected = true;
    fill(flow, data, 0, flow->total);
    flow->sent = flow->total;
    trp_sim_peer_write(peer, data, flow->total);
    trp_sim_peer_shut(peer);
}

static void guest_received(struct trp_sim_peer *peer, const uint8_t *data, uint32_t len, void *user)
{
    struct flow *flow = user;
    flow_check(flow, data, len);
    if (flow->total > BURST_BYTES && below(200) == 0) {
        flow->is_excused = true;
        trp_sim_peer_reset(peer);
    }
}

static void guest_closed(struct trp_sim_peer *peer, int error, void *user)
{
    struct flow *flow = user;
    flow->is_cut = trp_sim_peer_was_cut(peer);
    flow_end(flow, error == 0);
}

static const struct trp_sim_peer_type guest_peer = {
    .connected_cb = guest_connected, .received_cb = guest_received, .closed_cb = guest_closed};

static void guest_come(void *arg)
{
    struct flow *flow = arg;
    union trp_address address;
    socklen_t len = trp_sim_address(&address, book.port);
    struct trp_sim_peer *peer = trp_sim_peer_connect(book.net, &address, len, &guest_peer, flow);
    /* one after the other: the order of draws is part of a seed, whatever the compiler */
    struct trp_sim_pace pace = {0};
    pace.write_max = below(3) == 0 ? 1 + below(300) : 0;
    pace.read_max = below(3) == 0 ? 20 + below(500) : 0;
    pace.write_pause_ns = below(500000);
    pace.read_pause_ns = below(500000);
    trp_sim_peer_set_pace(peer, &pace);
}

/* --- a run --- */

static void listener_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    book.listeners_ended += book.is_stopping ? 0 : 1;
    trp_listener_type.terminate_cb(ctx, state, reason);
}

/* As long as it fails and says so; everything opened on the way must be closed again. */
static void open_set(struct trp_listener_set *set, uint32_t count, int backlog)
{
    char error[200];
    enum troupe_status status;
    do {
        error[0] = '\0';
        status = trp_listener_open(set, "127.0.0.1:0", count, backlog, error, sizeof(error));
        TROUPE_ASSERT(status == TROUPE_OK || !book.is_calm);
        TROUPE_ASSERT(status == TROUPE_OK || (status == TROUPE_EIO && error[0] != '\0'));
    } while (status != TROUPE_OK);
}

static void open_server(struct troupe_pool *pool)
{
    static struct troupe_actor_type listener_type;
    static struct trp_listener_config configs[TROUPE_WORKERS_MAX];
    listener_type = trp_listener_type;
    listener_type.terminate_cb = listener_end;
    for (uint32_t i = 0; i < 8; i++) {
        open_set(&book.set, 3, 1);
        trp_listener_close(&book.set);
    }
    open_set(&book.set, troupe_pool_workers(pool), book.is_calm ? 256 : (int)(20 + below(500)));
    book.port = book.set.port;
    book.listener_count = book.set.count;
    for (uint32_t i = 0; i < book.set.count; i++) {
        configs[i] =
            (struct trp_listener_config){.set = &book.set, .index = i, .type = &server_type};
        TROUPE_ASSERT(troupe_pool_spawn(pool, &book.listeners[i], i, &listener_type, &configs[i]) ==
                      TROUPE_OK);
    }
}

static void invite(struct troupe_pool *pool)
{
    static const struct client_arg args[2] = {{false}, {true}};
    union trp_address address;
    uint64_t now_ns = trp_sim_now(book.sim);
    troupe_ref ref;
    socklen_t len = trp_sim_address(&address, ECHO_PORT);
    trp_sim_peer_listen(book.net, &address, len, &echo_peer, NULL);
    len = trp_sim_address(&address, RUDE_PORT);
    trp_sim_peer_listen(book.net, &address, len, &rude_peer, NULL);
    for (uint32_t i = 0; i < CLIENTS + PIPES; i++) {
        enum troupe_status status = troupe_pool_spawn(pool, &ref, i % troupe_pool_workers(pool),
                                                      &client_type, &args[i < PIPES ? 1 : 0]);
        TROUPE_ASSERT(status == TROUPE_OK);
    }
    for (uint32_t i = 0; i < PEERS; i++) {
        struct flow *flow = flow_begin(1 + below(BYTES_MAX));
        trp_sim_net_at(book.net, now_ns + below(START_NS), guest_come, flow);
    }
    uint64_t burst_ns = now_ns + below(START_NS);
    for (uint32_t i = 0; i < BURST; i++) {
        trp_sim_net_at(book.net, burst_ns, guest_come, flow_begin(1 + below(BURST_BYTES)));
    }
}

static void check_flows(void)
{
    for (uint32_t i = 0; i < book.flow_count; i++) {
        const struct flow *flow = &book.flows[i];
        sum.flows++;
        if (!book.is_cut_short) {
            TROUPE_ASSERT(flow->ends == (flow->is_orphaned ? 0 : 1));
        }
        TROUPE_ASSERT(flow->ends <= 1);
    }
    TROUPE_ASSERT(book.served == book.served_closed + book.served_orphaned);
    TROUPE_ASSERT(book.served_orphaned == 0 || book.is_cut_short);
}

static void add_stats(void)
{
    struct trp_sim_net_stats stats = trp_sim_net_stats(book.net);
    const uint64_t *from = (const uint64_t *)&stats;
    uint64_t *to = (uint64_t *)&sum.net;
    for (size_t i = 0; i < sizeof(stats) / sizeof(uint64_t); i++) {
        to[i] += from[i];
    }
}

/* Returns a digest of the run. */
static uint64_t run_seed(uint64_t seed)
{
    memset(&book, 0, sizeof(book));
    book.random.state = ~seed;
    struct trp_sim_faults faults;
    trp_sim_faults_draw(&faults, seed);
    book.is_calm = faults.connect_lost + faults.stall + faults.cut + faults.socket_fails +
                       faults.accept_fails + faults.accept_refused + faults.accept_stall +
                       faults.connect_refused ==
                   0;
    book.is_rude = !book.is_calm && below(4) == 0;
    book.is_tight = book.is_rude && below(2) == 0;
    book.is_cut_short = below(5) == 0;
    book.net = trp_sim_net_create(seed, &faults);
    TROUPE_ASSERT(book.net != NULL);
    struct trp_sim_io io = trp_sim_net_io(book.net);
    struct troupe_pool_config config = {.memory_max = 256u << 20};
    if (book.is_tight) {
        config.memory_max = (2u + below(8)) << 19;
    }
    config.workers = below(3) == 0 ? 1 : 0; /* 0 = drawn */
    book.sim = trp_sim_create(seed, &config, &io);
    TROUPE_ASSERT(book.sim != NULL);
    trp_sim_net_attach(book.net, book.sim);
    open_server(trp_sim_pool(book.sim));
    invite(trp_sim_pool(book.sim));
    trp_sim_start(book.sim);
    uint64_t run_ns = book.is_cut_short ? 1 + below(2 * SHORT_RUN_NS) : RUN_NS;
    bool is_settled = trp_sim_run(book.sim, trp_sim_now(book.sim) + run_ns);
    TROUPE_ASSERT(is_settled || book.is_cut_short);
    TROUPE_ASSERT(book.is_cut_short || book.listeners_ended == book.listeners_told);
    book.is_stopping = true;
    trp_sim_stop(book.sim);
    trp_listener_close(&book.set); /* sockets of listeners that never began */
    trp_sim_net_check(book.net);
    check_flows();
    sim_check_heaps(book.sim);
    add_stats();
    uint64_t digest = trp_sim_steps(book.sim) ^ trp_sim_now(book.sim) ^
                      trp_random_next(trp_sim_random(book.sim)) ^
                      trp_random_next(trp_sim_net_random(book.net));
    trp_sim_destroy(book.sim);
    trp_sim_net_destroy(book.net);
    return digest;
}

/* A sweep that never saw a fault proves nothing about it. */
static void check_all_faults(void)
{
    const uint64_t *seen = (const uint64_t *)&sum.net;
    for (size_t i = 0; i < sizeof(sum.net) / sizeof(uint64_t); i++) {
        TROUPE_ASSERT(seen[i] > 0);
    }
    TROUPE_ASSERT(sum.out_of_memory > 0);
    TROUPE_ASSERT(sum.completed > sum.flows / 2);
}

static uint64_t current_seed;

static void print_replay(void)
{
    fprintf(stderr, "replay: ./dev sim --seeds %llu..%llu\n", (unsigned long long)current_seed,
            (unsigned long long)current_seed);
}

int main(int argc, char **argv)
{
    unsigned long long first;
    unsigned long long last;
    if (argc != 3 || strcmp(argv[1], "--seeds") != 0 ||
        sscanf(argv[2], "%llu..%llu", &first, &last) != 2 || first > last) {
        fprintf(stderr, "usage: sim_net --seeds A..B\n");
        return 2;
    }
    troupe_assert_set_hook(print_replay);
    for (current_seed = first; current_seed <= last; current_seed++) {
        uint64_t digest = run_seed(current_seed);
        if (current_seed == first) {
            TROUPE_ASSERT(run_seed(current_seed) == digest); /* a seed is a run */
        }
    }
    if (last - first + 1 >= ALL_FAULTS) {
        check_all_faults();
    }
    printf("sim_net: seeds %llu..%llu passed: %llu connections, %llu echoed in full\n", first, last,
           (unsigned long long)sum.flows, (unsigned long long)sum.completed);
    printf("cuts %llu, resets %llu, stalls %llu, starved %llu, cancels %llu (late %llu), "
           "accepts refused %llu, out of memory %llu\n",
           (unsigned long long)sum.net.cuts, (unsigned long long)sum.net.resets,
           (unsigned long long)sum.net.stalls, (unsigned long long)sum.net.starved,
           (unsigned long long)sum.net.cancels, (unsigned long long)sum.net.cancels_late,
           (unsigned long long)sum.net.accept_refused, (unsigned long long)sum.out_of_memory);
    return 0;
}
