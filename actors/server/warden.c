#include "actors/server/warden.h"

#include "actors/core/log.h"
#include "actors/server/ready.h"

#include <unistd.h>

#define READY_LIMIT_NS  10000000000ull /* then it says ready anyway, and warns */
#define DRAIN_LIMIT_NS  20000000000ull /* for running requests after SIGTERM */
#define END_LIMIT_NS    2000000000ull  /* for the clients of those that are then given up */
#define FLUSH_LIMIT_NS  2000000000ull  /* for answers on their way to relays */
#define FRONT_LIMIT_NS  10000000000ull /* for that and for relays that do not even close */
#define SETTLE_NS       50000000ull    /* for answers on their way to clients of our own relay */
#define RELAY_STEP_NS   10000000ull
#define RELAY_LIMIT_NS  1000000000ull
#define REPORT_EVERY_NS 60000000000ull

enum {
    MSG_READY_LIMIT = 0x10,
    MSG_CLIENTS_DONE,
    MSG_DRAIN_LIMIT,
    MSG_END_LIMIT,
    MSG_FRONT_DONE,
    MSG_FRONT_LIMIT,
    MSG_SETTLED,
    MSG_LOOK_AT_RELAY,
    MSG_REPORT,
};

enum phase { STARTING, SERVING, DRAINING, FLUSHING, SETTLING, CLOSING, OVER };

struct warden {
    struct trp_server *server;
    enum phase phase;
    struct troupe_timer timer;  /* of the phase */
    struct troupe_timer report; /* suppressed log lines */
    uint64_t give_up_ns;
};

/* --- ready --- */

/* For people who started it by hand. */
static void print_hints(const struct trp_server *server)
{
    if (server->relay == NULL) {
        return;
    }
    const uint8_t *pubkey = trp_nostr_front_pubkey(server->front);
    char hex[64];
    struct trp_text text = trp_text_init(hex, sizeof(hex));
    char out[2048];
    struct trp_text lines = trp_text_init(out, sizeof(out));
    trp_text_hex(&text, pubkey, 32);
    trp_text_cstr(&lines, "\ntry, in another terminal:\n\n");
    static const char *const calls[] = {
        "tools/list", "tools/call '{\"name\":\"echo\",\"arguments\":{\"message\":\"hello\"}}'"};
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        trp_text_cstr(&lines, "  build/troupe call --relay ");
        trp_text_cstr(&lines, trp_relay_url(server->relay));
        trp_text_cstr(&lines, " --server ");
        trp_text_bytes(&lines, hex, sizeof(hex));
        trp_text_cstr(&lines, " ");
        trp_text_cstr(&lines, calls[i]);
        trp_text_cstr(&lines, "\n");
    }
    trp_text_cstr(&lines, "\n");
    (void)!write(STDERR_FILENO, out, lines.len);
}

static void become_ready(struct troupe_ctx *ctx, struct warden *warden)
{
    const struct trp_server *server = warden->server;
    if (warden->phase != STARTING) {
        return;
    }
    warden->phase = SERVING;
    troupe_timer_cancel(ctx, &warden->timer);
    struct trp_ready ready = {trp_nostr_front_pubkey(server->front), server->relay_urls,
                              server->relay_count, troupe_worker_count(ctx)};
    trp_ready_print(&ready);
    print_hints(server);
}

static enum troupe_status init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct warden *warden = state;
    warden->server = (struct trp_server *)(uintptr_t)arg;
    troupe_timer_start(ctx, &warden->report, REPORT_EVERY_NS, REPORT_EVERY_NS, MSG_REPORT);
    if (warden->server->relay != NULL) {
        become_ready(ctx, warden); /* its own relay is there by construction */
    } else {
        troupe_timer_start(ctx, &warden->timer, READY_LIMIT_NS, 0, MSG_READY_LIMIT);
    }
    return TROUPE_OK;
}

/* --- the way down --- */

static void start_drain(struct troupe_ctx *ctx, struct warden *warden)
{
    if (warden->phase >= DRAINING) {
        return;
    }
    warden->phase = DRAINING;
    /* The front end goes on taking events: admission refuses newcomers with an answer, which is
     * better than silence. It stops with start_flush. */
    trp_log_info("draining");
    troupe_admission_drain(ctx, warden->server->mcp->admission, troupe_self(ctx), MSG_CLIENTS_DONE);
    troupe_timer_start(ctx, &warden->timer, DRAIN_LIMIT_NS, 0, MSG_DRAIN_LIMIT);
}

static void start_flush(struct troupe_ctx *ctx, struct warden *warden)
{
    if (warden->phase != DRAINING) {
        return;
    }
    warden->phase = FLUSHING;
    troupe_timer_start(ctx, &warden->timer, FRONT_LIMIT_NS, 0, MSG_FRONT_LIMIT);
    trp_nostr_front_stop(ctx, warden->server->front, FLUSH_LIMIT_NS, troupe_self(ctx),
                         MSG_FRONT_DONE);
}

void trp_warden_account(const struct trp_server *server)
{
    struct troupe_admission_stats a;
    struct trp_mcp_stats m;
    troupe_admission_stats(server->mcp->admission, &a);
    trp_mcp_service_stats(server->mcp, &m);
    trp_log_info("admission counters", trp_log_u64("capacity", a.capacity),
                 trp_log_u64("active", a.active), trp_log_u64("active_peak", a.active_peak),
                 trp_log_u64("admitted", a.admitted),
                 trp_log_u64("evicted", a.released[TROUPE_RELEASE_EVICTED]),
                 trp_log_u64("idle_timeout", a.released[TROUPE_RELEASE_IDLE]),
                 trp_log_u64("left", a.released[TROUPE_RELEASE_LEFT]),
                 trp_log_u64("died", a.released[TROUPE_RELEASE_DIED]),
                 trp_log_u64("shutdown", a.released[TROUPE_RELEASE_SHUTDOWN]),
                 trp_log_u64("queued", a.queued), trp_log_u64("delivered", a.delivered),
                 trp_log_u64("handled", a.handled), trp_log_u64("abandoned", a.abandoned),
                 trp_log_u64("refused_busy", a.refused_busy),
                 trp_log_u64("refused_timeout", a.refused_timeout),
                 trp_log_u64("refused_shutdown", a.refused_shutdown));
    trp_log_info("request counters", trp_log_u64("requests", m.requests),
                 trp_log_u64("answered", m.answered), trp_log_u64("too_large", m.too_large),
                 trp_log_u64("timed_out", m.timed_out), trp_log_u64("failed", m.failed),
                 trp_log_u64("busy_late", m.busy_late), trp_log_u64("canceled", m.canceled),
                 trp_log_u64("abandoned", m.abandoned),
                 trp_log_u64("refused_client", m.refused_client),
                 trp_log_u64("refused_total", m.refused_total),
                 trp_log_u64("refused_admission", m.refused_admission),
                 trp_log_u64("processes_peak", m.processes_peak));
}

static void finish(struct troupe_ctx *ctx, struct warden *warden)
{
    warden->phase = OVER;
    troupe_timer_cancel(ctx, &warden->timer);
    trp_control_done(&warden->server->control);
}

/*
 * The front end has nothing left. The order to stop would overtake answers that are still between
 * the workers or in the mailboxes of our own relay's connections.
 */
static void settle(struct troupe_ctx *ctx, struct warden *warden)
{
    if (warden->phase != FLUSHING) {
        return;
    }
    if (warden->server->relay == NULL) {
        finish(ctx, warden);
        return;
    }
    warden->phase = SETTLING;
    troupe_timer_start(ctx, &warden->timer, SETTLE_NS, 0, MSG_SETTLED);
}

static void close_relay(struct troupe_ctx *ctx, struct warden *warden)
{
    warden->phase = CLOSING;
    trp_relay_stop(ctx, warden->server->relay);
    warden->give_up_ns = troupe_now(ctx) + RELAY_LIMIT_NS;
    troupe_timer_start(ctx, &warden->timer, RELAY_STEP_NS, RELAY_STEP_NS, MSG_LOOK_AT_RELAY);
}

static void look_at_relay(struct troupe_ctx *ctx, struct warden *warden)
{
    struct trp_relay_stats stats;
    trp_relay_stats(warden->server->relay, &stats);
    if (stats.connections == 0 || troupe_now(ctx) >= warden->give_up_ns) {
        finish(ctx, warden);
    }
}

/* What still runs is answered with an error; then the clients have nothing left to wait for. */
static void give_up(struct troupe_ctx *ctx, struct warden *warden)
{
    struct troupe_admission_stats stats;
    troupe_admission_stats(warden->server->mcp->admission, &stats);
    trp_log_warn("clients were still busy at the end of the drain",
                 trp_log_u64("clients", stats.active), trp_log_u64("routes", stats.routes));
    trp_mcp_service_give_up(ctx, warden->server->mcp);
    troupe_timer_start(ctx, &warden->timer, END_LIMIT_NS, 0, MSG_END_LIMIT);
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct warden *warden = state;
    switch (msg->type) {
    case TRP_WARDEN_MSG_RELAY_READY:
        become_ready(ctx, warden);
        break;
    case MSG_READY_LIMIT:
        trp_log_warn("no relay answered the subscription yet; going on");
        become_ready(ctx, warden);
        break;
    case TRP_WARDEN_MSG_TERMINATE:
        start_drain(ctx, warden);
        break;
    case MSG_DRAIN_LIMIT:
        give_up(ctx, warden);
        break;
    case MSG_END_LIMIT:
    case MSG_CLIENTS_DONE:
        start_flush(ctx, warden);
        break;
    case MSG_FRONT_LIMIT:
        trp_log_warn("a relay connection did not end in time");
        settle(ctx, warden);
        break;
    case MSG_FRONT_DONE:
        settle(ctx, warden);
        break;
    case MSG_SETTLED:
        close_relay(ctx, warden);
        break;
    case MSG_LOOK_AT_RELAY:
        look_at_relay(ctx, warden);
        break;
    case MSG_REPORT:
        trp_log_flush_suppressed();
        break;
    default:
        break;
    }
    return TROUPE_CONTINUE;
}

const struct troupe_actor_type trp_warden_type = {
    .name = "warden", .state_size = sizeof(struct warden), .init_cb = init, .receive_cb = receive};
