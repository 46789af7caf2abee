/* What comes from outside: two foreign threads with ports, and TCP connections that echo. */

#include "tests/stress/stress.h"

#include <string.h>
#include <time.h>

/* --- foreign threads --- */

troupe_ref number_next(struct numbering *numbering, uint32_t place, struct numbered *numbered)
{
    troupe_ref ref = trp_load_acquire_u64(&book.refs[place]); /* partner: whoever moves in */
    if (numbering->refs[place] != ref) {
        numbering->refs[place] = ref;
        numbering->streams[place] = unique_number();
        numbering->next[place] = 0;
    }
    numbered->stream = numbering->streams[place];
    numbered->number = numbering->next[place];
    return ref;
}

void number_used(struct numbering *numbering, uint32_t place)
{
    numbering->next[place]++;
    count(COUNT_SENT);
}

static void rest(long ns)
{
    struct timespec time = {.tv_nsec = ns};
    nanosleep(&time, NULL);
}

struct foreign {
    uint32_t index;
    uint64_t random;
    struct troupe_port *port;
    struct numbering numbering;
};

static uint64_t next_random(struct foreign *foreign)
{
    foreign->random = foreign->random * 6364136223846793005u + 1442695040888963407u;
    return foreign->random >> 33;
}

static enum troupe_status send_one(struct foreign *foreign)
{
    uint32_t place = (uint32_t)(next_random(foreign) % PLACES);
    struct numbered numbered = {.from_place = PLACES + foreign->index};
    troupe_ref to = number_next(&foreign->numbering, place, &numbered);
    struct troupe_msg *msg = troupe_port_msg_new(foreign->port, MSG_NUMBER, sizeof(numbered));
    if (msg == NULL) {
        return TROUPE_ENOMEM;
    }
    memcpy(troupe_msg_data(msg), &numbered, sizeof(numbered));
    enum troupe_status status = troupe_port_send(foreign->port, to, &msg);
    if (status == TROUPE_OK) {
        number_used(&foreign->numbering, place);
    } else {
        troupe_port_msg_free(foreign->port, msg);
    }
    return status;
}

void *foreign_main(void *arg)
{
    struct foreign foreign = {.index = (uint32_t)(uintptr_t)arg};
    foreign.random = unique_number();
    TROUPE_ASSERT(troupe_port_open(book.pool, &foreign.port) == TROUPE_OK);
    for (;;) {
        enum troupe_status status = send_one(&foreign);
        if (status == TROUPE_ECLOSED) {
            break;
        }
        if (status != TROUPE_OK) {
            count(COUNT_REFUSED);
        }
        if (next_random(&foreign) % 16 == 0) {
            rest(50000); /* some load, not all of a processor */
        }
        if (next_random(&foreign) % 4096 == 0) {
            troupe_port_close(foreign.port);
            TROUPE_ASSERT(troupe_port_open(book.pool, &foreign.port) == TROUPE_OK);
        }
    }
    troupe_port_close(foreign.port);
    return NULL;
}

/* --- the server of connections --- */

static enum troupe_status begin_server(struct troupe_ctx *ctx, void *state, const void *arg)
{
    troupe_conn_accept(ctx, state, arg, NULL);
    return TROUPE_OK;
}

static enum troupe_verdict serve(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct troupe_conn *conn = state;
    struct troupe_conn_event event;
    if (!troupe_conn_receive(ctx, conn, msg, &event)) {
        return TROUPE_CONTINUE;
    }
    if (event.kind == TROUPE_CONN_DATA) {
        struct troupe_buf *buf = troupe_buf_new(ctx, (uint32_t)event.data.len);
        if (buf == NULL) {
            troupe_conn_abort(ctx, conn);
            return TROUPE_CONTINUE;
        }
        memcpy(buf->data, event.data.data, event.data.len);
        buf->size = (uint32_t)event.data.len;
        if (troupe_conn_send(ctx, conn, buf) != TROUPE_OK) {
            troupe_conn_abort(ctx, conn);
        }
        troupe_buf_release(buf);
        troupe_conn_flush(ctx, conn);
    } else if (event.kind == TROUPE_CONN_END) {
        troupe_conn_close(ctx, conn);
    }
    return event.kind == TROUPE_CONN_CLOSED ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void end_server(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)reason;
    troupe_conn_fini(ctx, state);
}

const struct troupe_actor_type echo_server_type = {.name = "echo server",
                                                   .state_size = sizeof(struct troupe_conn),
                                                   .init_cb = begin_server,
                                                   .receive_cb = serve,
                                                   .terminate_cb = end_server};

/* --- its clients --- */

#define REQUEST_MAX 8000u

struct client {
    struct troupe_conn conn;
    struct troupe_timer tick;
    bool is_open;      /* between the connect and CLOSED */
    uint32_t sent;     /* bytes on this connection */
    uint32_t received; /* of them, back */
};

static uint8_t byte_at(uint32_t offset)
{
    return (uint8_t)(offset * 7 + (offset >> 8));
}

static void send_request(struct troupe_ctx *ctx, struct client *client)
{
    uint32_t size = 1 + (uint32_t)(troupe_random(ctx) % REQUEST_MAX);
    struct troupe_buf *buf = troupe_buf_new(ctx, size);
    if (buf == NULL) {
        troupe_conn_abort(ctx, &client->conn);
        return;
    }
    for (uint32_t i = 0; i < size; i++) {
        buf->data[i] = byte_at(client->sent + i);
    }
    buf->size = size;
    if (troupe_conn_send(ctx, &client->conn, buf) == TROUPE_OK) {
        client->sent += size;
        troupe_conn_flush(ctx, &client->conn);
    } else {
        troupe_conn_abort(ctx, &client->conn);
    }
    troupe_buf_release(buf);
}

static void
check_echo(struct troupe_ctx *ctx, struct client *client, const struct troupe_span *data)
{
    const char *bytes = data->data;
    for (size_t i = 0; i < data->len; i++) {
        TROUPE_ASSERT((uint8_t)bytes[i] == byte_at(client->received + (uint32_t)i));
    }
    client->received += (uint32_t)data->len;
    TROUPE_ASSERT(client->received <= client->sent);
    if (client->received < client->sent) {
        return;
    }
    count(COUNT_ECHOES);
    switch (troupe_random(ctx) % 16) {
    case 0:
        troupe_conn_close(ctx, &client->conn);
        break;
    case 1:
        send_request(ctx, client);
        troupe_conn_abort(ctx, &client->conn); /* in the middle */
        break;
    default:
        send_request(ctx, client);
        break;
    }
}

static void connect_soon(struct troupe_ctx *ctx, struct client *client)
{
    troupe_timer_start(ctx, &client->tick, 1000000 + troupe_random(ctx) % 5000000, 0, MSG_TICK);
}

static enum troupe_status begin_client(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)arg;
    connect_soon(ctx, state);
    return TROUPE_OK;
}

static void connect_now(struct troupe_ctx *ctx, struct client *client)
{
    TROUPE_ASSERT(!client->is_open);
    client->sent = 0;
    client->received = 0;
    if (troupe_conn_connect(ctx, &client->conn, book.address, 2000000000u, NULL) == TROUPE_OK) {
        client->is_open = true;
    } else {
        connect_soon(ctx, client);
    }
}

static enum troupe_verdict run_client(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct client *client = state;
    struct troupe_conn_event event;
    if (!troupe_conn_receive(ctx, &client->conn, msg, &event)) {
        if (msg->type == MSG_TICK) {
            connect_now(ctx, client);
        }
        return TROUPE_CONTINUE;
    }
    switch (event.kind) {
    case TROUPE_CONN_CONNECTED:
        send_request(ctx, client);
        break;
    case TROUPE_CONN_DATA:
        check_echo(ctx, client, &event.data);
        break;
    case TROUPE_CONN_CLOSED:
        TROUPE_ASSERT(client->is_open); /* exactly once */
        client->is_open = false;
        connect_soon(ctx, client);
        break;
    case TROUPE_CONN_NONE:
    case TROUPE_CONN_END:
    case TROUPE_CONN_DRAINED:
        break;
    }
    return TROUPE_CONTINUE;
}

static void end_client(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct client *client = state;
    (void)reason;
    troupe_conn_fini(ctx, &client->conn);
}

static const struct troupe_actor_type client_type = {.name = "echo client",
                                                     .state_size = sizeof(struct client),
                                                     .init_cb = begin_client,
                                                     .receive_cb = run_client,
                                                     .terminate_cb = end_client};

void echo_clients_spawn(struct troupe_pool *pool, uint32_t per_worker)
{
    for (uint32_t i = 0; i < per_worker * troupe_pool_workers(pool); i++) {
        troupe_ref ref;
        TROUPE_ASSERT(troupe_pool_spawn(pool, &ref, i % troupe_pool_workers(pool), &client_type,
                                        NULL) == TROUPE_OK);
    }
}
