/* What an actor of the crowd may do by itself, chosen at random. */

#include "tests/sim/crowd.h"

/* --- ties --- */

static void watch(struct troupe_ctx *ctx, struct member *member, troupe_ref target)
{
    uint32_t index = crowd_watch_new(member->life, target);
    if (index == 0) {
        return;
    }
    struct watch *watch = &book.watches[index];
    enum troupe_status status = troupe_monitor(ctx, target, MSG_DOWN, index, &watch->id);
    crowd_refused(status);
    if (status != TROUPE_OK) {
        watch->state = OPEN_TAKEN_BACK;
    } else if (one_in(ctx, 5)) {
        troupe_demonitor(ctx, watch->id);
        watch->state = OPEN_TAKEN_BACK;
    }
}

/* Takes one of its open monitors away, whatever is under way. */
static void unwatch(struct troupe_ctx *ctx, struct member *member)
{
    uint32_t from = 1 + below(ctx, book.watch_count);
    for (uint32_t i = from; i < book.watch_count; i++) {
        struct watch *watch = &book.watches[i];
        if (watch->life == member->life && watch->state == OPEN_YES) {
            troupe_demonitor(ctx, watch->id);
            watch->state = OPEN_TAKEN_BACK;
            return;
        }
    }
}

void crowd_link(struct troupe_ctx *ctx, struct member *member, troupe_ref other)
{
    enum troupe_status status = troupe_link(ctx, other);
    crowd_refused(status);
    if (status == TROUPE_OK) {
        crowd_linked(member->life, other);
    }
}

static void tie(struct troupe_ctx *ctx, struct member *member, uint32_t place)
{
    switch (below(ctx, 6)) {
    case 0:
        troupe_unlink(ctx, book.refs[place]);
        crowd_unlinked(member->life, book.refs[place]);
        break;
    case 1:
        member->is_trapping = troupe_trap_exits(ctx, MSG_EXIT) == TROUPE_OK || member->is_trapping;
        break;
    case 2:
        TROUPE_ASSERT(troupe_trap_exits(ctx, TROUPE_TRAP_NONE) == TROUPE_OK);
        member->is_trapping = false;
        break;
    case 3:
        crowd_link(ctx, member, book.refs[place]);
        break;
    default:
        crowd_match(ctx, member);
        break;
    }
}

/* --- names --- */

static void use_name(struct troupe_ctx *ctx)
{
    char text[8];
    int len = snprintf(text, sizeof(text), "n%u", below(ctx, NAMES));
    struct troupe_span span = troupe_span(text, (size_t)len);
    troupe_ref before = troupe_whereis(ctx, span);
    if (one_in(ctx, 3)) {
        troupe_unregister(ctx, span);
        troupe_ref after = troupe_whereis(ctx, span);
        TROUPE_ASSERT(after == (before == troupe_self(ctx) ? TROUPE_NOBODY : before));
    } else {
        enum troupe_status status = troupe_register(ctx, span);
        TROUPE_ASSERT((status == TROUPE_EEXIST) == (before != TROUPE_NOBODY) ||
                      status == TROUPE_ENOMEM);
        TROUPE_ASSERT(status != TROUPE_OK || troupe_whereis(ctx, span) == troupe_self(ctx));
    }
    /* a name goes with its bearer's life */
    const struct trp_cell *cell = before != TROUPE_NOBODY ? crowd_cell(before) : NULL;
    TROUPE_ASSERT(before == TROUPE_NOBODY || cell != NULL);
    TROUPE_ASSERT(cell == NULL || cell->status != TRP_CELL_SUSPENDED);
}

/* --- timers --- */

static void set_timer(struct troupe_ctx *ctx, struct member *member)
{
    uint32_t i = below(ctx, TIMERS);
    struct troupe_timer *timer = &member->timers[i];
    if (one_in(ctx, 4)) {
        troupe_timer_cancel(ctx, timer);
        member->is_expected[i] = false;
        return;
    }
    uint64_t after_ns = below(ctx, 3) * below(ctx, 10 * MS);
    uint64_t period_ns = one_in(ctx, 3) ? 1 + below(ctx, 5 * MS) : 0;
    if (one_in(ctx, 2)) {
        troupe_timer_start_slack(ctx, timer, after_ns, period_ns, below(ctx, 8) * MS,
                                 (uint16_t)(MSG_TIMER + i));
    } else {
        troupe_timer_start(ctx, timer, after_ns, period_ns, (uint16_t)(MSG_TIMER + i));
    }
    member->is_expected[i] = true;
    member->period_ns[i] = period_ns;
    member->due_ns[i] = trp_sim_now(book.sim) + after_ns;
}

/* --- lives --- */

static enum troupe_verdict
on_spawned(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct member *member = state;
    crowd_ask_ended((uint32_t)cookie, member->life, answer);
    if (answer->msg != NULL && one_in(ctx, 3)) {
        troupe_ref ref;
        memcpy(&ref, troupe_msg_data(answer->msg), sizeof(ref));
        watch(ctx, member, ref);
        troupe_drain(ctx, ref);
    }
    return TROUPE_CONTINUE;
}

/* A place that nobody lives in gets somebody, here or on another worker. */
static void refill(struct troupe_ctx *ctx, struct member *member)
{
    uint32_t place = book.leaves + below(ctx, book.places - book.leaves);
    const struct troupe_actor_type *type = &member_types[below(ctx, MEMBER_TYPES)];
    struct member_arg arg = {place};
    troupe_ref ref;
    if (crowd_cell(book.refs[place]) != NULL || book.life_count > LIVES_MAX / 2) {
        return;
    }
    switch (below(ctx, 3)) {
    case 0:
        (void)!troupe_spawn(ctx, &ref, type, &arg);
        break;
    case 1:
        (void)!troupe_spawn_link(ctx, &ref, type, &arg);
        break;
    default: {
        uint32_t ask = crowd_ask_new(member->life, UINT64_MAX);
        if (ask != 0 &&
            troupe_spawn_on(ctx, below(ctx, troupe_worker_count(ctx)), type,
                            troupe_span(&arg, sizeof(arg)), on_spawned, ask) != TROUPE_OK) {
            book.asks[ask].state = OPEN_TAKEN_BACK;
        }
        break;
    }
    }
}

/* Goes on sending to whom it told to drain, in turns that follow at once. */
void crowd_pursue(struct troupe_ctx *ctx, struct member *member)
{
    member->pursuits_left--;
    for (uint32_t n = below(ctx, 4); n > 0; n--) {
        (void)crowd_send(ctx, member, member->quarry);
    }
    troupe_timer_start(ctx, &member->tick, 0, 0, MSG_TICK);
}

/* One of another worker, with so much to do that it mostly takes more than one turn. */
static void drain(struct troupe_ctx *ctx, struct member *member, uint32_t place)
{
    if (troupe_ref_worker(book.refs[place]) != troupe_self_worker(ctx)) {
        for (uint32_t n = below(ctx, 20); n > 0; n--) {
            (void)crowd_send(ctx, member, place);
        }
        member->quarry = place;
        member->pursuits_left = below(ctx, 6);
    }
    troupe_drain(ctx, book.refs[place]);
}

static void end_somebody(struct troupe_ctx *ctx, struct member *member, uint32_t place)
{
    troupe_ref ref = one_in(ctx, 30) ? book.top : book.refs[place];
    switch (below(ctx, 8)) {
    case 0:
    case 1:
        troupe_stop(ctx, ref);
        break;
    case 2:
        troupe_drain(ctx, ref);
        break;
    case 3:
        drain(ctx, member, place);
        break;
    case 4:
        troupe_kill(ctx, ref);
        break;
    default:
        break;
    }
}

static void end_pool(struct troupe_ctx *ctx)
{
    if (!book.may_end_pool || !one_in(ctx, 60)) {
        return;
    }
    if (one_in(ctx, 3)) {
        troupe_pool_stop(book.pool);
    } else {
        troupe_pool_drain(book.pool, one_in(ctx, 2) ? UINT64_MAX : below(ctx, 30 * MS));
    }
}

/* --- all of it --- */

enum act {
    ACT_ASK,
    ACT_WATCH,
    ACT_UNWATCH,
    ACT_AWAIT,
    ACT_TIE,
    ACT_NAME,
    ACT_TIME,
    ACT_REFILL,
    ACT_END,
    ACT_END_POOL,
    ACT_SHARE,
    ACT_LAST,
    ACT_OFFLOAD,
    ACT_ANSWER,
    ACT_SUPERVISE,
    ACT_FAIL,
    ACT_FLOOD,
    ACT_SEND, /* and everything from here on */
    ACTS = ACT_SEND + 8,
};

/* One that drains, of those from this place on; the place itself when none does. */
static uint32_t draining_place(uint32_t place)
{
    for (uint32_t n = 0; n < book.places; n++) {
        uint32_t other = (place + n) % book.places;
        if (crowd_life_of(book.refs[other], TRP_CELL_DRAINING) != 0) {
            return other;
        }
    }
    return place;
}

static void send_some(struct troupe_ctx *ctx, struct member *member, uint32_t place)
{
    place = one_in(ctx, 3) ? draining_place(place) : place;
    for (uint32_t n = below(ctx, 24); n > 0; n--) {
        (void)crowd_send(ctx, member, one_in(ctx, 4) ? below(ctx, book.places) : place);
    }
}

enum troupe_verdict crowd_act(struct troupe_ctx *ctx, struct member *member)
{
    uint32_t place = below(ctx, book.places);
    switch (below(ctx, ACTS)) {
    case ACT_ASK:
        (void)crowd_ask(ctx, member, place);
        break;
    case ACT_WATCH:
        watch(ctx, member, one_in(ctx, 12) ? book.top : book.refs[place]);
        break;
    case ACT_UNWATCH:
        unwatch(ctx, member);
        break;
    case ACT_AWAIT:
        crowd_await(ctx, member, one_in(ctx, 12) ? book.top : book.refs[place]);
        break;
    case ACT_TIE:
        tie(ctx, member, place);
        break;
    case ACT_NAME:
        use_name(ctx);
        break;
    case ACT_TIME:
        set_timer(ctx, member);
        break;
    case ACT_REFILL:
        refill(ctx, member);
        break;
    case ACT_END:
        end_somebody(ctx, member, place);
        break;
    case ACT_END_POOL:
        end_pool(ctx);
        break;
    case ACT_SHARE:
        crowd_share(ctx, member);
        break;
    case ACT_LAST:
        if (one_in(ctx, 3)) {
            crowd_send_last(ctx, member, place);
        }
        break;
    case ACT_OFFLOAD:
        crowd_offload(ctx, member);
        break;
    case ACT_ANSWER:
        crowd_settle_kept(ctx, member);
        break;
    case ACT_SUPERVISE:
        crowd_supervise(ctx, member);
        break;
    case ACT_FAIL:
        return one_in(ctx, 12) ? TROUPE_FAIL : one_in(ctx, 12) ? TROUPE_STOP : TROUPE_CONTINUE;
    case ACT_FLOOD:
        if (one_in(ctx, 400)) {
            crowd_flood(ctx, member);
        }
        break;
    default:
        send_some(ctx, member, place);
        break;
    }
    return TROUPE_CONTINUE;
}
