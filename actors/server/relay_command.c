#include "actors/server/relay_command.h"

#include "actors/core/log.h"
#include "actors/relay/relay.h"
#include "actors/server/control.h"
#include "actors/server/ready.h"
#include "actors/server/worker_names.h"

#include <stdio.h>
#include <string.h>
#include <troupe/io.h>

#define CLOSE_STEP_NS  10000000ull
#define CLOSE_LIMIT_NS 1000000000ull

enum { MSG_TERMINATE = 1, MSG_LOOK };

/* The program: pool, relay and the actor that ends them. */
struct program {
    struct troupe_pool *pool;
    struct trp_relay *relay;
    struct trp_control control;
    troupe_ref warden;
};

struct warden {
    struct program *program;
    struct troupe_timer look;
    uint64_t give_up_ns;
};

static enum troupe_status warden_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct warden *warden = state;
    struct program *program = (struct program *)(uintptr_t)arg;
    const char *url = trp_relay_url(program->relay);
    struct trp_ready ready = {NULL, &url, 1, troupe_worker_count(ctx)};
    warden->program = program;
    trp_ready_print(&ready);
    return TROUPE_OK;
}

static enum troupe_verdict
warden_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct warden *warden = state;
    struct program *program = warden->program;
    if (msg->type == MSG_TERMINATE) {
        trp_relay_stop(ctx, program->relay);
        warden->give_up_ns = troupe_now(ctx) + CLOSE_LIMIT_NS;
        troupe_timer_start(ctx, &warden->look, CLOSE_STEP_NS, CLOSE_STEP_NS, MSG_LOOK);
        return TROUPE_CONTINUE;
    }
    struct trp_relay_stats stats;
    trp_relay_stats(program->relay, &stats);
    if (stats.connections == 0 || troupe_now(ctx) >= warden->give_up_ns) {
        troupe_timer_cancel(ctx, &warden->look);
        trp_control_done(&program->control);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type warden_type = {.name = "relay-warden",
                                                     .state_size = sizeof(struct warden),
                                                     .init_cb = warden_init,
                                                     .receive_cb = warden_receive};

static enum troupe_status
build(struct program *program, const struct trp_options *options, char *error, size_t error_cap)
{
    char address[256];
    struct troupe_pool_config config = {
        .workers = options->workers, .pin = options->pin, .driver = troupe_ring_driver()};
    enum troupe_status status = troupe_pool_create(&program->pool, &config, error, error_cap);
    if (status != TROUPE_OK) {
        return status;
    }
    status = trp_worker_names_set(program->pool);
    if (status != TROUPE_OK) {
        snprintf(error, error_cap, "%s", troupe_status_text(status));
        return status;
    }
    struct trp_relay_config relay;
    trp_relay_config_default(&relay);
    trp_listen_write(address, sizeof(address), &options->listen.listen);
    relay.address = address;
    relay.version = TROUPE_VERSION;
    status = trp_relay_create(&program->relay, program->pool, &relay, error, error_cap);
    if (status == TROUPE_OK) {
        status = troupe_pool_spawn(program->pool, &program->warden, 0, &warden_type, program);
    }
    return status == TROUPE_OK ? troupe_pool_start(program->pool, error, error_cap) : status;
}

/* Waits for the first signal, asks for the end, waits for that or for a second signal. */
static void wait_for_end(struct program *program)
{
    struct troupe_port *port;
    if (trp_control_wait(&program->control) == TRP_CONTROL_TERMINATE &&
        troupe_port_open(program->pool, &port) == TROUPE_OK) {
        struct troupe_msg *msg = troupe_port_msg_new(port, MSG_TERMINATE, 0);
        if (msg != NULL && troupe_port_send(port, program->warden, &msg) == TROUPE_OK) {
            (void)trp_control_wait(&program->control);
        }
        troupe_port_close(port);
    }
}

int trp_relay_command_run(const struct trp_options *options)
{
    struct program program = {.control = {-1, -1, 0}};
    char error[512] = "";
    if (!trp_control_open(&program.control)) {
        fprintf(stderr, "troupe relay: cannot set up signals\n");
        return 1;
    }
    enum troupe_status status = build(&program, options, error, sizeof(error));
    if (status == TROUPE_OK) {
        wait_for_end(&program);
        troupe_pool_stop(program.pool);
        troupe_pool_join(program.pool);
    } else {
        fprintf(stderr, "troupe relay: %s\n", error);
    }
    trp_relay_destroy(program.relay);
    troupe_pool_destroy(program.pool);
    trp_control_close(&program.control);
    trp_log_flush_suppressed();
    return status == TROUPE_OK ? 0 : 1;
}
