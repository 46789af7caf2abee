/* An actor of the crowd: begins, acts on each tick, looks closely at what it receives. */

#include "tests/sim/crowd.h"

static enum troupe_status begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct member *member = state;
    struct member_arg mine;
    memcpy(&mine, arg, sizeof(mine));
    member->place = mine.place;
    member->life = crowd_life_begins(troupe_self(ctx));
    if (member->life == 0) {
        return TROUPE_EBUSY;
    }
    book.restarts += book.refs[member->place] == troupe_self(ctx) ? 1 : 0;
    book.refs[member->place] = troupe_self(ctx);
    member->actions_left = book.actions;
    troupe_timer_start(ctx, &member->tick, below(ctx, 4 * MS), 0, MSG_TICK);
    if (one_in(ctx, 8)) {
        (void)crowd_act(ctx, member);
    }
    return one_in(ctx, 20) ? TROUPE_EIO : TROUPE_OK;
}

static void end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct member *member = state;
    TROUPE_ASSERT(reason != TROUPE_DOWN_KILLED); /* then there are no last words */
    if (member->life == 0) {
        return;
    }
    if (one_in(ctx, 3)) {
        (void)crowd_act(ctx, member);
    }
    crowd_drop_kept(ctx, member->life);
    crowd_life_ends(member->life);
}

/* --- receiving --- */

/* Passes the borrowed message on: a new one for the book. */
static void pass_on(struct troupe_ctx *ctx, struct member *member, struct troupe_msg *msg)
{
    uint32_t place = below(ctx, book.places);
    struct tag tag;
    memcpy(&tag, troupe_msg_data(msg), sizeof(tag));
    uint64_t deadline_ns = book.records[tag.id].deadline_ns;
    tag.id = crowd_record(book.refs[place], &member->lines[place], deadline_ns);
    if (tag.id != 0) {
        memcpy(troupe_msg_data(msg), &tag, sizeof(tag));
        crowd_sent(tag.id, troupe_send(ctx, book.refs[place], &msg));
    }
}

/* Takes a message away and frees it itself, now. */
static void take_away(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    troupe_msg_free(ctx, troupe_msg_take(ctx, msg));
}

static struct tag tag_of(const struct troupe_msg *msg)
{
    const struct troupe_buf *buf = troupe_msg_buf(msg);
    struct tag tag;
    memcpy(&tag, buf != NULL ? (const void *)buf->data : troupe_msg_data(msg), sizeof(tag));
    return tag;
}

/* Links with whom the message names, and sometimes ends right after. */
static enum troupe_verdict
pair_up(struct troupe_ctx *ctx, struct member *member, troupe_ref partner)
{
    crowd_link(ctx, member, partner);
    if (one_in(ctx, 6)) {
        troupe_unlink(ctx, partner);
        crowd_unlinked(member->life, partner);
    }
    return one_in(ctx, 8) ? TROUPE_FAIL : TROUPE_CONTINUE;
}

static bool is_deadly(const struct troupe_msg *msg)
{
    struct tag tag = tag_of(msg);
    if (msg->type == MSG_JOB) {
        TROUPE_ASSERT(tag.is_worked == 1); /* offload ran it, once */
    }
    return tag.is_deadly != 0;
}

static enum troupe_verdict
on_tracked(struct troupe_ctx *ctx, struct member *member, struct troupe_msg *msg)
{
    uint32_t id = crowd_received(ctx, msg);
    if (is_deadly(msg)) {
        return TROUPE_FAIL; /* reported, and not seen again */
    }
    troupe_ref partner = msg->type == MSG_NUMBER ? tag_of(msg).partner : TROUPE_NOBODY;
    if (partner != TROUPE_NOBODY && pair_up(ctx, member, partner) == TROUPE_FAIL) {
        return TROUPE_FAIL;
    }
    crowd_handled(id);
    if (msg->type == MSG_QUESTION) {
        crowd_question(ctx, member, msg);
    } else if (msg->type == MSG_NUMBER && one_in(ctx, 10)) {
        pass_on(ctx, member, msg);
    } else if (one_in(ctx, 20)) {
        take_away(ctx, msg);
    }
    return one_in(ctx, 1500) ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void on_exit_of(struct member *member, const struct troupe_msg *msg)
{
    struct troupe_down down;
    TROUPE_ASSERT(member->is_trapping);
    TROUPE_ASSERT(msg->size == sizeof(down));
    memcpy(&down, troupe_msg_data(msg), sizeof(down));
    TROUPE_ASSERT(down.cookie == 0);
    book.exits++;
}

static void on_timer(struct troupe_ctx *ctx, struct member *member, const struct troupe_msg *msg)
{
    uint32_t i = (uint32_t)msg->type - MSG_TIMER;
    TROUPE_ASSERT(i < TIMERS);
    TROUPE_ASSERT(msg == &member->timers[i].msg);
    TROUPE_ASSERT(member->is_expected[i]); /* armed in this life and not cancelled */
    TROUPE_ASSERT(troupe_now(ctx) >= member->due_ns[i]);
    member->is_expected[i] = member->period_ns[i] != 0;
    member->due_ns[i] += member->period_ns[i]; /* or later, when this one came late */
    book.fired++;
}

/* Comes to rest: nothing of it goes on by itself. */
static void rest(struct troupe_ctx *ctx, struct member *member)
{
    for (uint32_t i = 0; i < TIMERS; i++) {
        troupe_timer_cancel(ctx, &member->timers[i]);
        member->is_expected[i] = false;
    }
}

static enum troupe_verdict on_tick(struct troupe_ctx *ctx, struct member *member)
{
    if (member->pursuits_left > 0) {
        crowd_pursue(ctx, member);
        return TROUPE_CONTINUE;
    }
    if (member->actions_left == 0) {
        rest(ctx, member);
        return TROUPE_CONTINUE;
    }
    member->actions_left--;
    troupe_timer_start(ctx, &member->tick, below(ctx, 3 * MS), 0, MSG_TICK);
    return crowd_act(ctx, member);
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct member *member = state;
    TROUPE_ASSERT(book.lives[member->life].ref == troupe_self(ctx));
    TROUPE_ASSERT(!book.lives[member->life].is_over);
    switch (msg->type) {
    case MSG_DOWN:
        crowd_down(member->life, msg);
        return one_in(ctx, 40) ? TROUPE_FAIL : TROUPE_CONTINUE;
    case MSG_EXIT:
        on_exit_of(member, msg);
        return TROUPE_CONTINUE;
    case MSG_ROOM:
        return crowd_told(ctx, member, msg);
    case MSG_TICK:
        return on_tick(ctx, member);
    case MSG_NUMBER:
    case MSG_LAST:
    case MSG_QUESTION:
    case MSG_SHARED:
    case MSG_JOB:
        return on_tracked(ctx, member, msg);
    default:
        on_timer(ctx, member, msg);
        return TROUPE_CONTINUE;
    }
}

#define MEMBER                                                                                     \
    .state_size = sizeof(struct member), .init_cb = begin, .receive_cb = receive,                  \
    .terminate_cb = end

const struct troupe_actor_type member_types[MEMBER_TYPES] = {
    {.name = "short", .data_count_max = 12, MEMBER},
    {.name = "narrow", .data_bytes_max = 6000, MEMBER},
    {.name = "wide", MEMBER},
};
