/*
 * The crowd: actors that do everything at random, to each other and to themselves, and gardeners
 * who fill the places of those that ended. Each checks what it can see: order per sender, one
 * answer per ask, one notice per monitor.
 */

#include "tests/stress/stress.h"

#include <string.h>

#define QUESTIONS   8u
#define WATCHES     8u
#define PATIENCE_NS 20000000000u /* beyond its deadline nothing may be missing so long */
#define COOKIE_BITS 24u          /* below the life in a cookie */

struct question {
    uint64_t cookie; /* 0 = free */
    uint64_t x;      /* what was asked */
    uint64_t until_ns;
};

struct watch {
    uint64_t cookie; /* 0 = free */
    troupe_monitor_id id;
};

struct member {
    uint32_t place;
    uint64_t life;
    uint64_t cookies;
    struct numbering numbering;
    uint64_t streams[SENDERS]; /* the one that each sender writes now */
    uint64_t expected[SENDERS];
    uint64_t excused[SENDERS]; /* reported messages of that stream that a gap was explained with */
    struct question questions[QUESTIONS];
    struct watch watches[WATCHES];
    struct troupe_timer tick;
    struct troupe_timer kick;
    bool is_kicked; /* armed, or fired and not seen yet */
};

struct member_arg {
    uint32_t place;
};

/* Payload of questions and jobs. */
struct job {
    uint64_t x;
    uint64_t y; /* x * x + 1 when done */
};

static const struct troupe_actor_type member_type;

static uint32_t below(struct troupe_ctx *ctx, uint32_t bound)
{
    return (uint32_t)(troupe_random(ctx) % bound);
}

static troupe_ref somebody(struct troupe_ctx *ctx)
{
    return trp_load_acquire_u64(&book.refs[below(ctx, PLACES)]); /* partner: begin */
}

static uint64_t new_cookie(struct member *member)
{
    return member->life << COOKIE_BITS | ++member->cookies;
}

/* --- numbered messages --- */

static struct troupe_msg *make_numbered(struct troupe_ctx *ctx, const struct numbered *numbered)
{
    struct troupe_msg *msg;
    struct troupe_buf *buf = below(ctx, 8) == 0 ? troupe_buf_new(ctx, 1 + below(ctx, 6000)) : NULL;
    if (buf != NULL) {
        buf->size = buf->capacity;
        memset(buf->data, (int)(numbered->number & 0xFF), buf->size);
        msg = troupe_msg_new_buf(ctx, MSG_NUMBER, sizeof(*numbered), buf);
        if (msg == NULL) {
            troupe_buf_release(buf);
        }
    } else {
        msg = troupe_msg_new(ctx, MSG_NUMBER, sizeof(*numbered));
    }
    if (msg != NULL) {
        struct numbered *payload = troupe_msg_data(msg);
        *payload = *numbered;
        payload->buf = buf;
    }
    return msg;
}

static enum troupe_status
send_number(struct troupe_ctx *ctx, struct member *member, uint32_t place, bool is_last)
{
    struct numbered numbered = {.from_place = member->place};
    troupe_ref to = number_next(&member->numbering, place, &numbered);
    struct troupe_msg *msg = make_numbered(ctx, &numbered);
    if (msg == NULL) {
        return TROUPE_ENOMEM;
    }
    enum troupe_status status;
    if (is_last) {
        msg->type = MSG_LAST;
        status = troupe_stop_after(ctx, to, &msg);
    } else {
        status = troupe_send(ctx, to, &msg);
    }
    if (status == TROUPE_OK) {
        number_used(&member->numbering, place);
    } else {
        count(COUNT_REFUSED);
        troupe_msg_free(ctx, msg);
    }
    return status;
}

/* A child that drains refuses what comes from elsewhere; when its drain is cut short, it is
 * restarted with what it had and hears what comes after. Each message of the gap was reported. */
static void check_gap(struct member *member, const struct numbered *numbered)
{
    uint32_t from = numbered->from_place;
    uint64_t gap = numbered->number - member->expected[from];
    uint64_t lost =
        trp_load_relaxed_u64(&book.lost[numbered->stream % STREAMS]); /* partner: on_dead_letter */
    TROUPE_ASSERT(numbered->number > member->expected[from]);
    member->excused[from] += gap;
    TROUPE_ASSERT(member->excused[from] <= lost);
    for (; gap > 0; gap--) {
        count(COUNT_GAPS);
    }
    member->expected[from] = numbered->number;
}

static void check_number(struct member *member, const struct troupe_msg *msg)
{
    const struct numbered *numbered = troupe_msg_data(msg);
    uint32_t from = numbered->from_place;
    TROUPE_ASSERT(from < SENDERS);
    if (member->streams[from] != numbered->stream) {
        member->streams[from] = numbered->stream;
        member->expected[from] = numbered->number; /* what came before went to another life */
        member->excused[from] = 0;
    }
    if (member->expected[from] != numbered->number) {
        check_gap(member, numbered);
    }
    member->expected[from]++;
    if (numbered->buf != NULL) {
        uint8_t byte = (uint8_t)(numbered->number & 0xFF);
        TROUPE_ASSERT(numbered->buf->data[0] == byte);
        TROUPE_ASSERT(numbered->buf->data[numbered->buf->size - 1] == byte);
    }
}

/* --- asks --- */

static enum troupe_verdict
on_answer(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct member *member = state;
    (void)ctx;
    TROUPE_ASSERT(cookie >> COOKIE_BITS == member->life);
    uint32_t i = 0;
    while (i < QUESTIONS && member->questions[i].cookie != cookie) {
        i++;
    }
    TROUPE_ASSERT(i < QUESTIONS); /* an answer, and only one */
    member->questions[i].cookie = 0;
    if (answer->status == TROUPE_OK) {
        struct job job;
        TROUPE_ASSERT(answer->msg->size >= sizeof(job));
        memcpy(&job, troupe_msg_data(answer->msg), sizeof(job));
        TROUPE_ASSERT(job.x == member->questions[i].x); /* the answer to this very question */
        TROUPE_ASSERT(job.y == job.x * job.x + 1);
    }
    count(COUNT_ANSWERS);
    return TROUPE_CONTINUE;
}

static void ask(struct troupe_ctx *ctx, struct member *member)
{
    uint32_t i = 0;
    while (i < QUESTIONS && member->questions[i].cookie != 0) {
        i++;
    }
    if (i == QUESTIONS) {
        return;
    }
    char payload[900] = {0};
    struct job job = {.x = troupe_random(ctx) & 0xFFFF};
    memcpy(payload, &job, sizeof(job));
    size_t len = below(ctx, 2) == 0 ? sizeof(job) : sizeof(payload);
    uint64_t timeout_ns = 1000000 + below(ctx, 50000000);
    uint64_t cookie = new_cookie(member);
    if (troupe_ask(ctx, somebody(ctx), MSG_QUESTION, troupe_span(payload, len), timeout_ns,
                   on_answer, cookie) == TROUPE_OK) {
        member->questions[i].cookie = cookie;
        member->questions[i].x = job.x;
        member->questions[i].until_ns = troupe_now(ctx) + timeout_ns + PATIENCE_NS;
        count(COUNT_ASKS);
    }
}

static void work(void *payload)
{
    struct job *job = payload;
    for (uint64_t i = job->x; i > 0; i--) {
        trp_spin_pause();
    }
    job->y = job->x * job->x + 1;
}

static enum troupe_verdict reply(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    struct job job;
    memcpy(&job, troupe_msg_data(msg), sizeof(job));
    if (job.y == 0 && below(ctx, 16) == 0) {
        struct troupe_msg *own = troupe_msg_take(ctx, msg);
        if (troupe_offload(ctx, &own, work) != TROUPE_OK) {
            troupe_msg_free(ctx, own); /* the asker hears that there is no reply */
        }
        return TROUPE_CONTINUE; /* it comes back to receive */
    }
    job.y = job.x * job.x + 1;
    char large[1000] = {0};
    memcpy(large, &job, sizeof(job));
    size_t len = below(ctx, 2) == 0 ? sizeof(job) : sizeof(large);
    if (below(ctx, 8) != 0) {
        (void)!troupe_reply(ctx, msg, MSG_QUESTION, troupe_span(large, len));
    }
    return below(ctx, 500) == 0 ? TROUPE_FAIL : TROUPE_CONTINUE;
}

static void begin_job(struct troupe_ctx *ctx)
{
    struct troupe_msg *msg = troupe_msg_new(ctx, MSG_JOB, sizeof(struct job));
    if (msg == NULL) {
        return;
    }
    *(struct job *)troupe_msg_data(msg) = (struct job){.x = troupe_random(ctx) & 0x7FF};
    if (troupe_offload(ctx, &msg, work) != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
    }
}

/* --- monitors --- */

static void watch(struct troupe_ctx *ctx, struct member *member)
{
    struct watch *one = &member->watches[below(ctx, WATCHES)];
    if (one->cookie != 0) {
        troupe_demonitor(ctx, one->id); /* and nothing is heard of it any more */
        one->cookie = 0;
        return;
    }
    uint64_t cookie = new_cookie(member);
    if (troupe_monitor(ctx, somebody(ctx), MSG_DOWN, cookie, &one->id) == TROUPE_OK) {
        one->cookie = cookie;
    }
}

static void check_down(struct member *member, const struct troupe_msg *msg)
{
    struct troupe_down down;
    memcpy(&down, troupe_msg_data(msg), sizeof(down));
    TROUPE_ASSERT(down.cookie >> COOKIE_BITS == member->life);
    uint32_t i = 0;
    while (i < WATCHES && member->watches[i].cookie != down.cookie) {
        i++;
    }
    TROUPE_ASSERT(i < WATCHES); /* a notice, and only one */
    member->watches[i].cookie = 0;
    count(COUNT_DOWNS);
}

/* --- a member --- */

static enum troupe_status begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct member *member = state;
    const struct member_arg *given = arg;
    if (below(ctx, 64) == 0) {
        return TROUPE_EIO; /* whoever spawned it has to cope */
    }
    member->place = given->place;
    member->life = unique_number();
    /* release: partner somebody */
    trp_store_release_u64(&book.refs[member->place], troupe_self(ctx));
    count(COUNT_BIRTHS);
    troupe_timer_start(ctx, &member->tick, 1000000 + below(ctx, 3000000), 0, MSG_TICK);
    return TROUPE_OK;
}

static void end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct member *member = state;
    if (reason != TROUPE_DOWN_SHUTDOWN) {
        (void)!send_number(ctx, member, below(ctx, PLACES), false);
    }
}

static void end_somebody(struct troupe_ctx *ctx, struct member *member)
{
    switch (below(ctx, 32)) {
    case 0:
        troupe_stop(ctx, somebody(ctx));
        break;
    case 1:
        troupe_drain(ctx, somebody(ctx));
        break;
    case 2:
        troupe_kill(ctx, somebody(ctx));
        break;
    case 3:
        (void)!send_number(ctx, member, below(ctx, PLACES), true);
        break;
    default:
        break;
    }
}

static void relate(struct troupe_ctx *ctx, struct member *member)
{
    char name[] = {'n', (char)('a' + below(ctx, 20))};
    struct troupe_span span = troupe_span(name, sizeof(name));
    switch (below(ctx, 12)) {
    case 0:
        (void)!troupe_link(ctx, somebody(ctx));
        break;
    case 1:
    case 2:
        troupe_unlink(ctx, somebody(ctx));
        break;
    case 3:
        (void)!troupe_trap_exits(ctx, below(ctx, 4) == 0 ? TROUPE_TRAP_NONE : MSG_EXIT);
        break;
    case 4:
        (void)!troupe_register(ctx, span);
        break;
    case 5:
        troupe_unregister(ctx, span);
        break;
    case 6:
        troupe_stop(ctx, below(ctx, 16) == 0 ? troupe_whereis(ctx, span) : TROUPE_NOBODY);
        break;
    case 7:
        troupe_timer_start_slack(ctx, &member->kick, below(ctx, 9000000), 0, below(ctx, 5000000),
                                 MSG_KICK);
        member->is_kicked = true;
        break;
    case 8:
        troupe_timer_cancel(ctx, &member->kick);
        member->is_kicked = false;
        break;
    case 9:
        begin_job(ctx);
        break;
    default:
        watch(ctx, member);
        break;
    }
}

static void check_patience(struct troupe_ctx *ctx, const struct member *member)
{
    for (uint32_t i = 0; i < QUESTIONS; i++) {
        TROUPE_ASSERT(member->questions[i].cookie == 0 ||
                      troupe_now(ctx) < member->questions[i].until_ns);
    }
}

static enum troupe_verdict act(struct troupe_ctx *ctx, struct member *member)
{
    check_patience(ctx, member);
    troupe_timer_start(ctx, &member->tick, below(ctx, 4000000), 0, MSG_TICK);
    switch (below(ctx, 8)) {
    case 0:
    case 1:
        ask(ctx, member);
        break;
    case 2:
        end_somebody(ctx, member);
        break;
    case 3:
    case 4:
        relate(ctx, member);
        break;
    case 5:
        if (below(ctx, 64) == 0) {
            return below(ctx, 2) == 0 ? TROUPE_FAIL : TROUPE_STOP;
        }
        break;
    default: {
        uint32_t place = below(ctx, PLACES);
        for (uint32_t n = below(ctx, 200); n > 0; n--) {
            if (send_number(ctx, member, place, false) != TROUPE_OK) {
                break;
            }
        }
        break;
    }
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct member *member = state;
    switch (msg->type) {
    case MSG_NUMBER:
    case MSG_LAST:
        if (below(ctx, 20000) == 0) {
            return TROUPE_FAIL; /* then it is reported */
        }
        check_number(member, msg);
        count(COUNT_HANDLED);
        return below(ctx, 16) == 0 ? TROUPE_YIELD : TROUPE_CONTINUE;
    case MSG_TICK:
        return act(ctx, member);
    case MSG_KICK:
        TROUPE_ASSERT(member->is_kicked); /* never after a cancel */
        member->is_kicked = false;
        return TROUPE_CONTINUE;
    case MSG_QUESTION:
        return reply(ctx, msg);
    case MSG_DOWN:
        check_down(member, msg);
        return TROUPE_CONTINUE;
    case MSG_JOB: {
        const struct job *job = troupe_msg_data(msg);
        TROUPE_ASSERT(job->y == job->x * job->x + 1);
        count(COUNT_JOBS);
        return TROUPE_CONTINUE;
    }
    default:
        TROUPE_ASSERT(msg->type == MSG_EXIT);
        return TROUPE_CONTINUE;
    }
}

static const struct troupe_actor_type member_type = {.name = "member",
                                                     .state_size = sizeof(struct member),
                                                     .data_count_max = 64,
                                                     .init_cb = begin,
                                                     .receive_cb = receive,
                                                     .terminate_cb = end};

/* --- gardeners: nobody knows them, so nobody ends them --- */

struct plot {
    bool is_spawning;
    bool is_watched;
    troupe_ref ref;
    uint64_t missing_ns; /* since when its actor is known to be dead without a notice, 0 = not */
};

struct garden {
    uint32_t index;
    uint32_t workers;
    struct plot plots[PLACES]; /* place % workers == index; the supervisor's is place 0 */
    struct troupe_timer care;
};

static enum troupe_verdict
on_born(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct plot *plot = &((struct garden *)state)->plots[cookie];
    TROUPE_ASSERT(plot->is_spawning);
    plot->is_spawning = false;
    if (answer->status == TROUPE_OK) {
        memcpy(&plot->ref, troupe_msg_data(answer->msg), sizeof(plot->ref));
        plot->is_watched = troupe_monitor(ctx, plot->ref, MSG_DOWN, cookie, NULL) == TROUPE_OK;
    }
    return TROUPE_CONTINUE;
}

static void plant_supervisor(struct troupe_ctx *ctx, struct plot *plot)
{
    struct member_arg args[CHILDREN];
    struct troupe_child_spec children[CHILDREN];
    memset(children, 0, sizeof(children));
    for (uint32_t i = 0; i < CHILDREN; i++) {
        args[i].place = i;
        children[i].type = &member_type;
        children[i].arg = &args[i];
        children[i].arg_len = sizeof(args[i]);
        children[i].worker = TROUPE_WORKER_SPREAD;
        children[i].restart = (enum troupe_restart)(i % 2); /* permanent, transient */
        children[i].shutdown = (enum troupe_shutdown)(i % 3);
        children[i].shutdown_ns = 100000 << below(ctx, 11); /* many drains are cut short */
    }
    struct troupe_supervisor_spec spec = {.strategy = (enum troupe_strategy)below(ctx, 3),
                                          .intensity_max = 100,
                                          .period_ns = 1000000000,
                                          .backoff_min_ns = below(ctx, 2) * 2000000,
                                          .backoff_max_ns = 20000000,
                                          .jitter_percent = 50,
                                          .children = children,
                                          .child_count = CHILDREN};
    if (troupe_supervisor_spawn(ctx, &plot->ref, &spec) == TROUPE_OK) {
        plot->is_watched = troupe_monitor(ctx, plot->ref, MSG_DOWN, 0, NULL) == TROUPE_OK;
    }
}

static void plant(struct troupe_ctx *ctx, struct garden *garden, uint32_t place)
{
    struct plot *plot = &garden->plots[place];
    if (place == 0) {
        plant_supervisor(ctx, plot);
        return;
    }
    struct member_arg arg = {place};
    plot->is_spawning =
        troupe_spawn_on(ctx, below(ctx, garden->workers), &member_type,
                        troupe_span(&arg, sizeof(arg)), on_born, place) == TROUPE_OK;
}

/* A notice may be on its way, but not for ever. */
static void check_notice(struct troupe_ctx *ctx, struct plot *plot)
{
    if (troupe_ref_worker(plot->ref) != troupe_self_worker(ctx) ||
        troupe_is_alive_here(ctx, plot->ref)) {
        plot->missing_ns = 0;
        return;
    }
    if (plot->missing_ns == 0) {
        plot->missing_ns = troupe_now(ctx);
    }
    TROUPE_ASSERT(troupe_now(ctx) - plot->missing_ns < PATIENCE_NS);
}

static void care(struct troupe_ctx *ctx, struct garden *garden)
{
    for (uint32_t place = garden->index; place < PLACES; place += garden->workers) {
        struct plot *plot = &garden->plots[place];
        if (place > 0 && place < CHILDREN) {
            continue; /* the supervisor's */
        }
        if (plot->is_watched) {
            check_notice(ctx, plot);
        } else if (!plot->is_spawning) {
            plant(ctx, garden, place);
        }
    }
}

static enum troupe_status begin_garden(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct garden *garden = state;
    (void)arg;
    garden->index = troupe_self_worker(ctx);
    garden->workers = troupe_worker_count(ctx);
    troupe_timer_start(ctx, &garden->care, 0, 2000000, MSG_TICK);
    return TROUPE_OK;
}

static enum troupe_verdict tend(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct garden *garden = state;
    if (msg->type == MSG_TICK) {
        care(ctx, garden);
    } else if (msg->type == MSG_DOWN) {
        struct troupe_down down;
        memcpy(&down, troupe_msg_data(msg), sizeof(down));
        struct plot *plot = &garden->plots[down.cookie];
        TROUPE_ASSERT(plot->is_watched); /* exactly one notice */
        TROUPE_ASSERT(plot->ref == down.ref);
        plot->is_watched = false;
        plot->missing_ns = 0;
        count(COUNT_DOWNS);
    } else if (msg->type == MSG_KICK) {
        troupe_pool_stop(book.pool); /* from inside */
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type gardener_type = {.name = "gardener",
                                                       .state_size = sizeof(struct garden),
                                                       .init_cb = begin_garden,
                                                       .receive_cb = tend};

void crowd_spawn(struct troupe_pool *pool)
{
    for (uint32_t place = 0; place < PLACES; place++) {
        book.refs[place] = TROUPE_NOBODY; /* no thread runs yet */
    }
    for (uint32_t i = 0; i < troupe_pool_workers(pool); i++) {
        troupe_ref ref;
        TROUPE_ASSERT(troupe_pool_spawn(pool, &ref, i, &gardener_type, NULL) == TROUPE_OK);
        if (i == 0) {
            book.stopper = ref;
        }
    }
}
