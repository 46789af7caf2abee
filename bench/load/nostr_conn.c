/* A relay connection and the clients that share it. */

#include "bench/load/nostr_run.h"

#include "bench/report/machine.h"

#define TICK_NS 20000000u
#define SCAN_NS 500000000u /* between two looks for timeouts */

static void on_open(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws)
{
    struct load_conn *conn = owner;
    (void)ws;
    conn->is_open = true;
    for (uint32_t i = 0; i < conn->client_count; i++) {
        if (!trp_load_subscribe(ctx, conn, &conn->clients[i])) {
            return;
        }
    }
}

/* After the end of the window, with nothing in flight. */
static void close_when_done(struct troupe_ctx *ctx, struct load_conn *conn, uint64_t now_ns)
{
    if (conn->is_closing || conn->window.end_ns == 0 || now_ns < conn->window.end_ns ||
        conn->in_flight > 0) {
        return;
    }
    conn->is_closing = true;
    trp_ws_conn_close(ctx, &conn->ws, 1000, troupe_span(NULL, 0));
}

static void on_message(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       struct troupe_span payload,
                       bool is_text)
{
    struct load_conn *conn = owner;
    uint64_t now_ns = trp_machine_now_ns();
    (void)ws;
    (void)is_text;
    if (trp_load_receive(ctx, conn, payload, now_ns)) {
        close_when_done(ctx, conn, now_ns);
    }
}

static void
on_close(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws, const struct trp_ws_end *end)
{
    struct load_conn *conn = owner;
    (void)ws;
    conn->is_gone = true;
    if (!conn->is_closing) {
        trp_load_fail(conn->run, conn->worker, "%s the relay %s: %s %.*s",
                      conn->is_open ? "lost" : "cannot reach", conn->run->options.relay,
                      troupe_status_text(end->status),
                      (int)(end->reason.len < 100 ? end->reason.len : 100),
                      end->reason.len > 0 ? end->reason.data : "");
    } else if (troupe_send_copy(ctx, conn->run->control, LOAD_MSG_DONE, NULL, 0) != TROUPE_OK) {
        trp_load_fail(conn->run, conn->worker, "the control actor is gone");
    }
}

void trp_load_ws_config(struct trp_ws_config *ws)
{
    trp_ws_config_default(ws);
    ws->callbacks = (struct trp_ws_callbacks){
        .open_cb = on_open, .message_cb = on_message, .close_cb = on_close};
    /* A closed loop bounds what is queued: a full queue would only hide requests. */
    ws->stream.queue_entries_max = UINT32_MAX / 2;
    ws->stream.queue_bytes_max = UINT32_MAX / 2;
}

static enum troupe_status init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    const struct load_conn_arg *given = arg;
    struct load_conn *conn = state;
    struct load_run *run = given->run;
    const char *error = "";

    conn->run = run;
    conn->worker = &run->workers[troupe_self_worker(ctx)];
    conn->clients = &run->clients[given->first_client];
    conn->client_count = given->client_count;
    if (!trp_slot_table_init(&conn->table, given->client_count * run->options.inflight)) {
        trp_load_fail(run, conn->worker, "out of memory");
        return TROUPE_ENOMEM;
    }
    enum troupe_status status = trp_ws_conn_connect(
        ctx, &conn->ws, troupe_span_cstr(run->options.relay), &run->ws, conn, &error);
    if (status != TROUPE_OK) {
        trp_load_fail(run, conn->worker, "cannot connect to %s: %s %s", run->options.relay,
                      troupe_status_text(status), status == TROUPE_EINVAL ? error : "");
        return status;
    }
    troupe_timer_start(ctx, &conn->timer, TICK_NS, TICK_NS, LOAD_MSG_TICK);
    return TROUPE_OK;
}

static void time_out(struct load_conn *conn,
                     struct load_client *client,
                     struct load_slot *slot,
                     uint64_t now_ns)
{
    struct load_counts *counts = &conn->worker->counts;
    client->timeouts++;
    if (slot->is_accepted) {
        counts->lost++;
    } else {
        counts->unconfirmed++;
    }
    if (slot->is_call && trp_load_is_measured(&conn->window, now_ns)) {
        trp_hist_record(&conn->worker->latency, now_ns - slot->sent_ns, 1);
    }
    trp_load_slot_free(conn, client, slot);
}

static void scan_timeouts(struct load_conn *conn, uint64_t now_ns)
{
    if (now_ns - conn->scanned_ns < SCAN_NS) {
        return;
    }
    conn->scanned_ns = now_ns;
    for (uint32_t i = 0; i < conn->client_count; i++) {
        struct load_client *client = &conn->clients[i];
        for (uint32_t k = 0; client->in_flight > 0 && k < conn->run->options.inflight; k++) {
            struct load_slot *slot = &client->slots[k];
            if (slot->is_busy && now_ns - slot->sent_ns >= conn->run->options.timeout_ns) {
                time_out(conn, client, slot, now_ns);
            }
        }
    }
}

/* Clients that were asked for patience, and the end. */
static void tick(struct troupe_ctx *ctx, struct load_conn *conn)
{
    uint64_t now_ns = trp_machine_now_ns();
    if (!conn->is_open || conn->is_closing) {
        return;
    }
    scan_timeouts(conn, now_ns);
    for (uint32_t i = 0; i < conn->client_count; i++) {
        if (!trp_load_fill(ctx, conn, &conn->clients[i], now_ns)) {
            return;
        }
    }
    close_when_done(ctx, conn, now_ns);
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct load_conn *conn = state;

    if (trp_ws_conn_receive(ctx, &conn->ws, msg)) {
        return conn->is_gone ? TROUPE_STOP : TROUPE_CONTINUE;
    }
    if (msg->type == LOAD_MSG_START) {
        memcpy(&conn->window, troupe_msg_data(msg), sizeof(conn->window));
        tick(ctx, conn);
    } else if (msg->type == LOAD_MSG_TICK) {
        tick(ctx, conn);
    }
    trp_ws_conn_flush(ctx, &conn->ws);
    return TROUPE_CONTINUE;
}

static void terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct load_conn *conn = state;
    (void)reason;
    trp_ws_conn_fini(ctx, &conn->ws);
    trp_slot_table_fini(&conn->table);
}

const struct troupe_actor_type trp_load_conn_type = {
    .name = "load-connection",
    .state_size = sizeof(struct load_conn),
    .init_cb = init,
    .receive_cb = receive,
    .terminate_cb = terminate,
};
