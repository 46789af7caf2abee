#include "actors/mcp/processes.h"

#include "actors/core/log.h"
#include "actors/mcp/service.h"
#include "mailbox/atomic.h"
#include "pool/driver.h"
#include "pool/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <troupe/assert.h>
#include <troupe/relations.h>
#include <unistd.h>

enum { MSG_INSTANCE_DOWN = 0x288, MSG_TICK = 0x289, MSG_RETRY = 0x28A, MSG_READ = 0x28B };

#define TICK_NS         UINT64_C(100000000) /* while something waits or starts */
#define SEND_RETRY_NS   UINT64_C(5000000)   /* while the spawner's socket is full */
#define INSTANCES_SPARE 2048u               /* waiting, or over but not gone */

enum state {
    STATE_FREE,
    STATE_WAITING,  /* for a place, in the queue */
    STATE_STARTING, /* asked for; holds a place */
    STATE_RUNNING,  /* holds a place */
    STATE_OVER,     /* no process; the instance still lives */
};

struct trp_process {
    uint64_t id; /* generation and slot */
    troupe_ref instance;
    uint64_t since_ns;        /* waiting, starting or running since */
    struct trp_process *next; /* free list, or queue */
    enum state state;
    bool is_told;       /* the instance knows that it is over */
    bool is_gone;       /* the instance has ended */
    bool is_spawn_sent; /* STARTING */
    bool is_asked;      /* we end it: its end is no crash */
    bool is_stop_due;   /* still to be sent */
    bool is_kill_due;
    uint32_t fds[3]; /* of the child, until somebody takes them; ~0 = none */
};

struct trp_processes {
    struct trp_mcp_service *service;
    struct trp_spawner *spawner;
    troupe_ref actor;
    struct trp_process *records;
    uint32_t record_count;
    struct trp_process *free_list;
    struct trp_process *queue_head; /* waiting, oldest first */
    struct trp_process *queue_tail;
    uint32_t starting;
    uint32_t alive; /* starting, running */
    uint32_t waiting;
    /* copies for other threads */
    uint32_t alive_now;
    uint32_t alive_peak;
    uint32_t waiting_now;
    uint32_t failures;
    uint64_t backoff_until_ns;
    char backoff_reason[TRP_BACKEND_REASON_MAX];
    bool is_closed; /* the spawner is gone */
    struct trp_op poll;
    struct troupe_timer tick;
    struct troupe_timer retry;
};

#define NO_FD UINT32_MAX

int trp_process_take_fd(struct trp_process *process, unsigned which)
{
    /* full barrier: pairs with the same exchange in close_fds, whoever comes first has it */
    return (int)trp_fas_u32(&process->fds[which], NO_FD);
}

static void close_fds(struct trp_process *process)
{
    for (unsigned i = 0; i < 3; i++) {
        int fd = trp_process_take_fd(process, i);
        if (fd >= 0) {
            close(fd);
        }
    }
}

/* --- telling instances --- */

static void post(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg *msg)
{
    msg->from = troupe_self(ctx);
    trp_worker_post(trp_ctx_worker(ctx), to, TROUPE_LANE_REPLY, msg);
}

static bool tell(struct troupe_ctx *ctx,
                 const struct trp_process *process,
                 uint16_t type,
                 const void *payload,
                 uint32_t size)
{
    if (process->is_gone) {
        return true;
    }
    struct troupe_msg *msg = troupe_msg_new(ctx, type, size);
    if (msg == NULL) {
        trp_log_error("out of memory for a backend's news");
        return false;
    }
    memcpy(troupe_msg_data(msg), payload, size);
    post(ctx, process->instance, msg);
    return true;
}

static void tell_over(struct troupe_ctx *ctx,
                      struct trp_process *process,
                      uint16_t type,
                      const struct trp_backend_down *down)
{
    if (!process->is_told) {
        process->is_told = true;
        (void)tell(ctx, process, type, down, (uint32_t)sizeof(*down));
    }
}

static struct trp_backend_down down_of(const char *reason)
{
    struct trp_backend_down down = {0};
    (void)snprintf(down.reason, sizeof(down.reason), "%s", reason);
    return down;
}

/* --- records --- */

static void publish(struct trp_processes *all)
{
    trp_store_relaxed_u32(&all->alive_now, all->alive);
    trp_store_relaxed_u32(&all->waiting_now, all->waiting);
    if (all->alive > all->alive_peak) {
        trp_store_relaxed_u32(&all->alive_peak, all->alive);
    }
}

static struct trp_process *find(struct trp_processes *all, uint64_t id)
{
    uint32_t slot = (uint32_t)(id & UINT32_MAX);
    if (slot >= all->record_count || all->records[slot].id != id ||
        all->records[slot].state == STATE_FREE) {
        return NULL;
    }
    return &all->records[slot];
}

static void release_if_done(struct trp_processes *all, struct trp_process *process)
{
    if (process->state == STATE_OVER && process->is_gone) {
        close_fds(process);
        process->state = STATE_FREE;
        process->next = all->free_list;
        all->free_list = process;
    }
}

/* The process is gone or never came: its place is free. */
static void set_over(struct trp_processes *all, struct trp_process *process)
{
    if (process->state == STATE_STARTING) {
        all->starting--;
    }
    if (process->state == STATE_STARTING || process->state == STATE_RUNNING) {
        all->alive--;
    }
    process->state = STATE_OVER;
    process->is_stop_due = false;
    process->is_kill_due = false;
    publish(all);
}

static void unqueue(struct trp_processes *all, struct trp_process *process)
{
    struct trp_process **link = &all->queue_head;
    struct trp_process *before = NULL;
    while (*link != process) {
        before = *link;
        link = &(*link)->next;
    }
    *link = process->next;
    if (all->queue_tail == process) {
        all->queue_tail = before;
    }
    process->next = NULL;
    all->waiting--;
}

/* A waiting instance gets nothing. */
static void give_up_waiting(struct troupe_ctx *ctx,
                            struct trp_processes *all,
                            struct trp_process *process,
                            const struct trp_backend_down *down)
{
    unqueue(all, process);
    set_over(all, process);
    tell_over(ctx, process, TRP_PROC_MSG_FAILED, down);
    release_if_done(all, process);
}

/* --- backoff --- */

static void bump_backoff(struct troupe_ctx *ctx, struct trp_processes *all, const char *reason)
{
    const struct trp_mcp_config *config = &all->service->config;
    uint64_t delay_ns = config->backoff_first_ns;
    for (uint32_t i = 0; i < all->failures && delay_ns < config->backoff_max_ns; i++) {
        delay_ns *= 2;
    }
    if (delay_ns > config->backoff_max_ns) {
        delay_ns = config->backoff_max_ns;
    }
    all->failures++;
    delay_ns = delay_ns / 4 * 3 + troupe_random(ctx) % (delay_ns / 2 + 1); /* +-25 % */
    uint64_t until_ns = troupe_now(ctx) + delay_ns;
    if (until_ns > all->backoff_until_ns) {
        all->backoff_until_ns = until_ns;
    }
    (void)snprintf(all->backoff_reason, sizeof(all->backoff_reason), "%s", reason);
    trp_mcp_count(trp_mcp_here(all->service, ctx), backoffs);
    trp_log_warn("backend command is in backoff", trp_log_str("reason", reason),
                 trp_log_u64("ms", delay_ns / 1000000));
}

static uint32_t backoff_left_ms(struct troupe_ctx *ctx, const struct trp_processes *all)
{
    uint64_t now_ns = troupe_now(ctx);
    return all->backoff_until_ns > now_ns
               ? (uint32_t)((all->backoff_until_ns - now_ns + 999999) / 1000000)
               : 0;
}

static void fail_waiting_in_backoff(struct troupe_ctx *ctx, struct trp_processes *all)
{
    struct trp_backend_down down = {.retry_after_ms = backoff_left_ms(ctx, all)};
    if (down.retry_after_ms == 0) {
        return;
    }
    (void)snprintf(down.reason, sizeof(down.reason), "Backend is in backoff: %.120s",
                   all->backoff_reason);
    while (all->queue_head != NULL) {
        give_up_waiting(ctx, all, all->queue_head, &down);
    }
}

/* --- orders to the spawner --- */

static enum troupe_status send_spawn(struct trp_processes *all, struct trp_process *process)
{
    const struct trp_command *command = &all->service->command;
    struct trp_spawn_request request = {
        .argv = (const char *const *)command->argv,
        .argc = command->argc,
        .stderr_mode = TRP_SPAWN_STDERR_PIPE,
    };
    return trp_spawner_send_spawn(all->spawner, process->id, &request);
}

static enum troupe_status send_orders(struct trp_processes *all, struct trp_process *process)
{
    enum troupe_status status = TROUPE_OK;
    if (process->state == STATE_STARTING && !process->is_spawn_sent) {
        status = send_spawn(all, process);
        process->is_spawn_sent = status == TROUPE_OK;
    }
    if (status == TROUPE_OK && process->is_kill_due) {
        status = trp_spawner_send_kill(all->spawner, process->id);
        process->is_kill_due = status != TROUPE_OK;
    }
    if (status == TROUPE_OK && process->is_stop_due) {
        status =
            trp_spawner_send_stop(all->spawner, process->id, all->service->config.stop_grace_ms);
        process->is_stop_due = status != TROUPE_OK;
    }
    return status;
}

static void send_due(struct troupe_ctx *ctx, struct trp_processes *all)
{
    for (uint32_t i = 0; i < all->record_count; i++) {
        struct trp_process *process = &all->records[i];
        if (process->state != STATE_STARTING && process->state != STATE_RUNNING) {
            continue;
        }
        enum troupe_status status = send_orders(all, process);
        if (status == TROUPE_EBUSY) {
            troupe_timer_start(ctx, &all->retry, SEND_RETRY_NS, 0, MSG_RETRY);
            return;
        }
        if (status == TROUPE_OK || status == TROUPE_ECLOSED) {
            continue; /* closed: the event tells everybody */
        }
        struct trp_backend_down down = down_of(troupe_status_text(status));
        set_over(all, process);
        tell_over(ctx, process, TRP_PROC_MSG_FAILED, &down);
        release_if_done(all, process);
    }
}

static void pump(struct troupe_ctx *ctx, struct trp_processes *all)
{
    const struct trp_mcp_config *config = &all->service->config;
    fail_waiting_in_backoff(ctx, all);
    while (!all->is_closed && all->queue_head != NULL && all->starting < config->starting_max &&
           all->alive < config->backend_max) {
        struct trp_process *process = all->queue_head;
        unqueue(all, process);
        process->state = STATE_STARTING;
        process->since_ns = troupe_now(ctx);
        all->starting++;
        all->alive++;
    }
    publish(all);
    send_due(ctx, all);
    if ((all->waiting != 0 || all->starting != 0) && !troupe_timer_is_armed(&all->tick)) {
        troupe_timer_start(ctx, &all->tick, TICK_NS, 0, MSG_TICK);
    }
}

/* Ends a child; the record stays until the spawner says that it is gone. */
static void end_child(struct trp_process *process, bool is_kill)
{
    if (process->state == STATE_STARTING || process->state == STATE_RUNNING) {
        process->is_stop_due = process->is_stop_due || !is_kill;
        process->is_kill_due = process->is_kill_due || is_kill;
    }
}

static void tick(struct troupe_ctx *ctx, struct trp_processes *all)
{
    uint64_t now_ns = troupe_now(ctx);
    uint64_t limit_ns = all->service->config.start_timeout_ns;
    while (all->queue_head != NULL && now_ns - all->queue_head->since_ns >= limit_ns) {
        struct trp_backend_down down = down_of("No backend process came free");
        down.is_busy = true;
        down.retry_after_ms = (uint32_t)trp_mcp_retry_after(ctx, all->service);
        give_up_waiting(ctx, all, all->queue_head, &down);
    }
    for (uint32_t i = 0; all->starting != 0 && i < all->record_count; i++) {
        struct trp_process *process = &all->records[i];
        if (process->state == STATE_STARTING && now_ns - process->since_ns >= limit_ns &&
            !process->is_told) {
            struct trp_backend_down down = down_of("Backend did not start in time");
            down.was_early = true;
            process->is_asked = true;
            end_child(process, true);
            bump_backoff(ctx, all, down.reason);
            down.retry_after_ms = backoff_left_ms(ctx, all);
            trp_mcp_count(trp_mcp_here(all->service, ctx), processes_failed);
            tell_over(ctx, process, TRP_PROC_MSG_FAILED, &down);
        }
    }
    pump(ctx, all);
}

/* --- events of the spawner --- */

static void child_started(struct troupe_ctx *ctx,
                          struct trp_processes *all,
                          struct trp_process *process,
                          const struct trp_spawn_event *event)
{
    struct trp_process_started started = {process->id, process, event->pid};
    struct trp_backend_down down = down_of("Server has no descriptor left for the backend");
    all->starting--;
    process->state = STATE_RUNNING;
    process->since_ns = troupe_now(ctx);
    process->fds[0] = (uint32_t)event->stdin_fd;
    process->fds[1] = (uint32_t)event->stdout_fd;
    process->fds[2] = (uint32_t)event->stderr_fd;
    trp_mcp_count(trp_mcp_here(all->service, ctx), processes_started);
    if (process->is_told || process->is_gone) {
        close_fds(process);
        return; /* its end is under way */
    }
    if (event->error != 0) {
        process->is_asked = true;
        end_child(process, true);
        tell_over(ctx, process, TRP_PROC_MSG_FAILED, &down);
    } else if (!tell(ctx, process, TRP_PROC_MSG_STARTED, &started, (uint32_t)sizeof(started))) {
        process->is_asked = true;
        end_child(process, true);
    }
}

static void child_failed(struct troupe_ctx *ctx,
                         struct trp_processes *all,
                         struct trp_process *process,
                         const struct trp_spawn_event *event)
{
    struct trp_backend_down down = {.was_early = true};
    (void)snprintf(down.reason, sizeof(down.reason), "Backend could not be started: %.120s",
                   event->text);
    trp_mcp_count(trp_mcp_here(all->service, ctx), processes_failed);
    set_over(all, process);
    if (!process->is_told && !process->is_gone) {
        bump_backoff(ctx, all, down.reason);
        down.retry_after_ms = backoff_left_ms(ctx, all);
    }
    tell_over(ctx, process, TRP_PROC_MSG_FAILED, &down);
    release_if_done(all, process);
}

static void child_exited(struct troupe_ctx *ctx,
                         struct trp_processes *all,
                         struct trp_process *process,
                         const struct trp_spawn_event *event)
{
    struct trp_backend_down down = {0};
    (void)snprintf(down.reason, sizeof(down.reason), "Backend %s %d",
                   event->exit_kind == TRP_SPAWN_EXIT_SIGNAL ? "was killed by signal"
                                                             : "exited with status",
                   event->value);
    trp_mcp_count(trp_mcp_here(all->service, ctx), processes_ended);
    bool is_long = troupe_now(ctx) - process->since_ns >= all->service->config.early_ns;
    set_over(all, process);
    if (is_long) {
        all->failures = 0;
    } else if (!process->is_asked) {
        bump_backoff(ctx, all, down.reason);
        down.was_early = true;
        down.retry_after_ms = backoff_left_ms(ctx, all);
    }
    tell_over(ctx, process, TRP_PROC_MSG_EXITED, &down);
    release_if_done(all, process);
}

static void spawner_closed(struct troupe_ctx *ctx, struct trp_processes *all)
{
    struct trp_backend_down down = down_of("Process spawner ended");
    trp_log_error("the process spawner ended: no backend process can run any more");
    all->is_closed = true;
    while (all->queue_head != NULL) {
        give_up_waiting(ctx, all, all->queue_head, &down);
    }
    for (uint32_t i = 0; i < all->record_count; i++) {
        struct trp_process *process = &all->records[i];
        if (process->state == STATE_STARTING || process->state == STATE_RUNNING) {
            uint16_t type =
                process->state == STATE_RUNNING ? TRP_PROC_MSG_EXITED : TRP_PROC_MSG_FAILED;
            set_over(all, process);
            tell_over(ctx, process, type, &down);
            release_if_done(all, process);
        }
    }
    const struct trp_mcp_config *config = &all->service->config;
    if (config->spawner_lost_cb != NULL) {
        config->spawner_lost_cb(ctx, config->spawner_lost_arg);
    }
}

static void
handle_event(struct troupe_ctx *ctx, struct trp_processes *all, const struct trp_spawn_event *event)
{
    if (event->type == TRP_SPAWN_EVENT_CLOSED) {
        spawner_closed(ctx, all);
        return;
    }
    struct trp_process *process = find(all, event->id);
    if (process == NULL) {
        trp_log_error("the spawner speaks of an unknown process", trp_log_u64("id", event->id));
        return;
    }
    switch (event->type) {
    case TRP_SPAWN_EVENT_STARTED:
        child_started(ctx, all, process, event);
        break;
    case TRP_SPAWN_EVENT_FAILED:
        child_failed(ctx, all, process, event);
        break;
    case TRP_SPAWN_EVENT_EXITED:
        child_exited(ctx, all, process, event);
        break;
    case TRP_SPAWN_EVENT_CLOSED:
        break;
    }
}

static void read_events(struct troupe_ctx *ctx, struct trp_processes *all)
{
    struct trp_spawn_event event;
    while (trp_spawner_receive(all->spawner, &event) == TROUPE_OK) {
        handle_event(ctx, all, &event);
    }
    if (!all->poll.is_armed && !all->is_closed) {
        trp_op_submit(ctx, &all->poll);
    } else if (all->is_closed) {
        trp_op_cancel(ctx, &all->poll);
    }
    pump(ctx, all);
}

/* --- instances --- */

static void start(struct troupe_ctx *ctx, struct trp_processes *all, troupe_ref instance)
{
    struct trp_process stranger = {.instance = instance};
    struct trp_process *process = all->free_list;
    struct trp_backend_down down = down_of("Too many backend instances");
    down.is_busy = true;
    down.retry_after_ms = (uint32_t)trp_mcp_retry_after(ctx, all->service);
    if (all->is_closed) {
        down = down_of("Process spawner ended");
        process = NULL;
    }
    if (process == NULL) {
        tell_over(ctx, &stranger, TRP_PROC_MSG_FAILED, &down);
        return;
    }
    uint64_t id = process->id + (UINT64_C(1) << 32);
    if (troupe_monitor(ctx, instance, MSG_INSTANCE_DOWN, id, NULL) != TROUPE_OK) {
        tell_over(ctx, &stranger, TRP_PROC_MSG_FAILED, &down);
        return;
    }
    all->free_list = process->next;
    *process = (struct trp_process){
        .id = id,
        .instance = instance,
        .since_ns = troupe_now(ctx),
        .state = STATE_WAITING,
        .fds = {NO_FD, NO_FD, NO_FD},
    };
    if (all->queue_tail != NULL && all->queue_head != NULL) {
        all->queue_tail->next = process;
    } else {
        all->queue_head = process;
    }
    all->queue_tail = process;
    all->waiting++;
    pump(ctx, all);
}

static void instance_down(struct troupe_ctx *ctx, struct trp_processes *all, uint64_t id)
{
    struct trp_process *process = find(all, id);
    if (process == NULL) {
        return;
    }
    process->is_gone = true;
    process->is_asked = true;
    close_fds(process);
    if (process->state == STATE_WAITING) {
        unqueue(all, process);
        set_over(all, process);
    }
    end_child(process, false);
    release_if_done(all, process);
    pump(ctx, all);
}

static void
kill_child(struct troupe_ctx *ctx, struct trp_processes *all, const struct trp_process_kill *kill)
{
    struct trp_process *process = find(all, kill->id);
    if (process != NULL) {
        process->is_asked = process->is_asked || !kill->is_fault;
        end_child(process, true);
        pump(ctx, all);
    }
}

/* --- the actor --- */

static enum troupe_status processes_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct trp_processes *all = *(struct trp_processes *const *)arg;
    *(struct trp_processes **)state = all;
    /* the operation and the timers live in all, which outlives this actor */
    all->poll.kind = TRP_OP_POLL;
    all->poll.fd = trp_spawner_fd(all->spawner);
    trp_op_submit(ctx, &all->poll);
    return TROUPE_OK;
}

static enum troupe_verdict
processes_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct trp_processes *all = *(struct trp_processes **)state;
    const struct troupe_down *down;
    switch (msg->type) {
    case TRP_MSG_OP:
        /* The order to end a child was given before the child could see its input closed, but may
         * still lie in the inbox: it has to be heard first, or an orderly end is a crash. The next
         * turn comes after a look there. */
        if (troupe_send_copy(ctx, troupe_self(ctx), MSG_READ, NULL, 0) == TROUPE_OK) {
            return TROUPE_YIELD;
        }
        read_events(ctx, all);
        break;
    case MSG_READ:
        read_events(ctx, all);
        break;
    case TRP_PROC_MSG_START:
        start(ctx, all, msg->from);
        break;
    case TRP_PROC_MSG_KILL:
        kill_child(ctx, all, troupe_msg_data(msg));
        break;
    case MSG_INSTANCE_DOWN:
        down = troupe_msg_data(msg);
        instance_down(ctx, all, down->cookie);
        break;
    case MSG_TICK:
        tick(ctx, all);
        break;
    case MSG_RETRY:
        pump(ctx, all);
        break;
    default:
        break;
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type processes_type = {
    .name = "mcp processes",
    .state_size = sizeof(struct trp_processes *),
    .init_cb = processes_init,
    .receive_cb = processes_receive,
};

/* --- outside --- */

struct trp_processes *trp_processes_create(struct trp_mcp_service *service,
                                           struct trp_spawner *spawner)
{
    struct trp_processes *all = calloc(1, sizeof(*all));
    if (all == NULL) {
        return NULL;
    }
    all->service = service;
    all->spawner = spawner;
    all->record_count = service->config.backend_max + INSTANCES_SPARE;
    all->records = calloc(all->record_count, sizeof(*all->records));
    if (all->records == NULL) {
        free(all);
        return NULL;
    }
    for (uint32_t i = all->record_count; i-- > 0;) {
        struct trp_process *process = &all->records[i];
        process->id = i;
        process->next = all->free_list;
        all->free_list = process;
        for (unsigned fd = 0; fd < 3; fd++) {
            process->fds[fd] = NO_FD;
        }
    }
    /* init gets the address of this: it must live until then */
    service->processes = all;
    if (troupe_pool_spawn(service->pool, &all->actor, 0, &processes_type, &service->processes) !=
        TROUPE_OK) {
        service->processes = NULL;
        free(all->records);
        free(all);
        return NULL;
    }
    return all;
}

void trp_processes_destroy(struct trp_processes *processes)
{
    if (processes == NULL) {
        return;
    }
    for (uint32_t i = 0; i < processes->record_count; i++) {
        close_fds(&processes->records[i]);
    }
    free(processes->records);
    free(processes);
}

bool trp_processes_start(struct troupe_ctx *ctx, struct trp_processes *processes)
{
    struct troupe_msg *msg = troupe_msg_new(ctx, TRP_PROC_MSG_START, 0);
    if (msg != NULL) {
        post(ctx, processes->actor, msg);
    }
    return msg != NULL;
}

void trp_processes_kill(struct troupe_ctx *ctx,
                        struct trp_processes *processes,
                        uint64_t id,
                        bool is_fault)
{
    struct trp_process_kill kill = {id, is_fault};
    struct troupe_msg *msg = troupe_msg_new(ctx, TRP_PROC_MSG_KILL, (uint32_t)sizeof(kill));
    if (msg != NULL) {
        memcpy(troupe_msg_data(msg), &kill, sizeof(kill));
        post(ctx, processes->actor, msg);
    }
}

void trp_processes_counts(const struct trp_processes *processes,
                          uint32_t *alive,
                          uint32_t *peak,
                          uint32_t *waiting)
{
    *alive = trp_load_relaxed_u32(&processes->alive_now);
    *peak = trp_load_relaxed_u32(&processes->alive_peak);
    *waiting = trp_load_relaxed_u32(&processes->waiting_now);
}
