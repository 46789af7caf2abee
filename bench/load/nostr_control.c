/* The control actor and the lateness probes. */

#include "bench/load/nostr_run.h"

#include "bench/report/machine.h"

#define PROBE_NS 10000000u

/* --- control --- */

struct control {
    struct load_run *run;
    uint32_t ready_count;
    uint32_t done_count;
    uint32_t readings; /* CPU readings asked for */
    uint32_t returned; /* and come back */
    struct troupe_timer timer;
};

static enum troupe_status init_control(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct control *control = state;
    control->run = (struct load_run *)(uintptr_t)arg;
    troupe_timer_start(ctx, &control->timer, LOAD_SETUP_NS, 0, LOAD_MSG_TICK);
    return TROUPE_OK;
}

/* On an offload thread: it reads a file. */
static void read_cpu(void *payload)
{
    struct load_cpu *cpu = payload;
    cpu->now_ns = trp_machine_now_ns();
    cpu->own_ns = trp_machine_own_cpu_ns();
    cpu->has_server = cpu->pid != 0 && trp_machine_process_cpu_ns(cpu->pid, &cpu->server_ns);
}

static void ask_cpu(struct troupe_ctx *ctx, struct control *control)
{
    struct troupe_msg *msg = troupe_msg_new(ctx, LOAD_MSG_CPU, sizeof(struct load_cpu));
    struct load_cpu cpu = {.pid = control->run->options.server_pid, .which = control->readings++};
    if (msg != NULL) {
        memcpy(troupe_msg_data(msg), &cpu, sizeof(cpu));
        if (troupe_offload(ctx, &msg, read_cpu) == TROUPE_OK) {
            return;
        }
        troupe_msg_free(ctx, msg);
    }
    trp_load_fail(control->run, &control->run->workers[troupe_self_worker(ctx)],
                  "cannot take the CPU time");
}

static void
send_window(struct troupe_ctx *ctx, struct control *control, const troupe_ref *refs, uint32_t count)
{
    struct load_run *run = control->run;
    for (uint32_t i = 0; i < count; i++) {
        if (troupe_send_copy(ctx, refs[i], LOAD_MSG_START, &run->window, sizeof(run->window)) !=
            TROUPE_OK) {
            trp_load_fail(run, &run->workers[troupe_self_worker(ctx)], "cannot start a connection");
        }
    }
}

static void start(struct troupe_ctx *ctx, struct control *control)
{
    struct load_run *run = control->run;
    uint64_t now_ns = trp_machine_now_ns();

    run->window.begin_ns = now_ns + run->options.warmup_ns;
    run->window.end_ns = run->window.begin_ns + run->options.duration_ns;
    send_window(ctx, control, run->conns, run->options.connections);
    send_window(ctx, control, run->probes, run->options.workers);
    troupe_timer_start(ctx, &control->timer, run->options.warmup_ns, 0, LOAD_MSG_TICK);
}

static void control_tick(struct troupe_ctx *ctx, struct control *control)
{
    struct load_run *run = control->run;

    if (run->window.end_ns == 0) {
        trp_load_fail(run, &run->workers[troupe_self_worker(ctx)],
                      "only %u of %u connections had all clients initialised after %llu s",
                      control->ready_count, run->options.connections,
                      (unsigned long long)(LOAD_SETUP_NS / 1000000000u));
        return;
    }
    ask_cpu(ctx, control);
    if (control->readings == 1) {
        troupe_timer_start(ctx, &control->timer, run->options.duration_ns, 0, LOAD_MSG_TICK);
    }
}

static void stop_when_done(struct control *control)
{
    struct load_run *run = control->run;
    if (control->done_count == run->options.connections && control->returned == 2) {
        run->is_complete = true;
        troupe_pool_stop(run->pool);
    }
}

static enum troupe_verdict
receive_control(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct control *control = state;
    struct load_cpu cpu;

    switch ((enum load_msg)msg->type) {
    case LOAD_MSG_READY:
        if (++control->ready_count == control->run->options.connections) {
            start(ctx, control);
        }
        break;
    case LOAD_MSG_TICK:
        control_tick(ctx, control);
        break;
    case LOAD_MSG_CPU:
        memcpy(&cpu, troupe_msg_data(msg), sizeof(cpu));
        control->run->cpu[cpu.which & 1] = cpu;
        control->returned++;
        stop_when_done(control);
        break;
    case LOAD_MSG_DONE:
        control->done_count++;
        stop_when_done(control);
        break;
    case LOAD_MSG_START:
        break;
    }
    return TROUPE_CONTINUE;
}

const struct troupe_actor_type trp_load_control_type = {
    .name = "load-control",
    .state_size = sizeof(struct control),
    .init_cb = init_control,
    .receive_cb = receive_control,
};

/* --- probe --- */

struct probe {
    struct load_worker *worker;
    struct load_run *run;
    struct load_window window;
    uint64_t last_ns;
    struct troupe_timer timer;
};

static enum troupe_status init_probe(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct probe *probe = state;
    probe->run = (struct load_run *)(uintptr_t)arg;
    probe->worker = &probe->run->workers[troupe_self_worker(ctx)];
    return TROUPE_OK;
}

/* How much later than asked for a timer comes is how long other work kept this one waiting. */
static enum troupe_verdict
receive_probe(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct probe *probe = state;
    uint64_t now_ns = trp_machine_now_ns();

    if (msg->type == LOAD_MSG_START) {
        memcpy(&probe->window, troupe_msg_data(msg), sizeof(probe->window));
    } else if (now_ns >= probe->window.begin_ns && now_ns < probe->window.end_ns) {
        uint64_t gap_ns = now_ns - probe->last_ns;
        trp_hist_record(&probe->worker->lateness, gap_ns > PROBE_NS ? gap_ns - PROBE_NS : 0, 1);
    }
    probe->last_ns = now_ns;
    troupe_timer_start(ctx, &probe->timer, PROBE_NS, 0, LOAD_MSG_TICK);
    return TROUPE_CONTINUE;
}

const struct troupe_actor_type trp_load_probe_type = {
    .name = "load-probe",
    .state_size = sizeof(struct probe),
    .init_cb = init_probe,
    .receive_cb = receive_probe,
};
