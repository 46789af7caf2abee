/* The kernels of the floor with many actors: fjcreate, big, chameneos. */

#include "bench/peers/floor_core.h"

static uint64_t one_each(const struct trp_peer_work *work)
{
    return work->actors + 1;
}

static uint64_t one_actor_each(const struct trp_peer_work *work)
{
    return work->actors;
}

/* --- fjcreate: a wave of actors, each gets a message, tells the parent and ends --- */

static bool
receive_child(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    msg->from = self;
    trp_floor_post(floor, self->peer, msg);
    return false;
}

static void spawn_wave(struct trp_floor *floor, struct trp_floor_actor *parent)
{
    for (uint32_t i = 0; i < floor->work->actors; i++) {
        struct trp_floor_actor *child = trp_floor_spawn(floor, receive_child, parent);
        struct trp_floor_msg *msg = trp_floor_take(floor);
        msg->from = parent;
        msg->type = 0;
        msg->value = i;
        trp_floor_post(floor, child, msg);
    }
}

/* left: waves to come; state: children that still live. The first message comes from nobody. */
static bool
receive_parent(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    if (msg->from != NULL) {
        self->sum += msg->value;
        self->state--;
    }
    trp_floor_give(floor, msg);
    if (self->state == 0 && self->left > 0) {
        self->left--;
        self->state = floor->work->actors;
        spawn_wave(floor, self);
    }
    return true;
}

static void start_fjcreate(struct trp_floor *floor)
{
    struct trp_floor_msg *msg = trp_floor_take(floor);
    trp_floor_init(floor->main, receive_parent, NULL);
    floor->main->left = floor->work->each;
    msg->from = NULL;
    trp_floor_post(floor, floor->main, msg);
}

static bool is_fjcreate_right(const struct trp_floor *floor)
{
    uint64_t actors = floor->work->actors;
    return floor->main->left == 0 && floor->main->state == 0 &&
           floor->main->sum == actors * (actors - 1) / 2 * floor->work->each;
}

const struct trp_floor_kernel trp_floor_fjcreate = {.messages = one_each,
                                                    .short_lived = one_actor_each,
                                                    .start = start_fjcreate,
                                                    .is_right = is_fjcreate_right};

/* --- big: everybody pings somebody, again and again --- */

enum { BIG_PING, BIG_PONG };

static void
ping_other(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    uint32_t own = (uint32_t)(self - floor->actors);
    self->left--;
    self->state = trp_peer_random(self->state);
    msg->from = self;
    msg->type = BIG_PING;
    trp_floor_post(floor, &floor->actors[trp_peer_other(self->state, own, floor->work->actors)],
                   msg);
}

static bool
receive_big(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    if (msg->type == BIG_PING) {
        struct trp_floor_actor *to = msg->from;
        msg->from = self;
        msg->type = BIG_PONG;
        trp_floor_post(floor, to, msg);
        return true;
    }
    self->sum++;
    if (self->left > 0) {
        ping_other(floor, self, msg);
    } else {
        msg->value = self->sum;
        trp_floor_post(floor, floor->main, msg);
    }
    return true;
}

static bool
receive_report(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    self->left--;
    self->sum += msg->value;
    trp_floor_give(floor, msg);
    return true;
}

static void start_big(struct trp_floor *floor)
{
    trp_floor_init(floor->main, receive_report, NULL);
    floor->main->left = floor->work->actors;
    for (uint32_t i = 0; i < floor->work->actors; i++) {
        struct trp_floor_actor *actor = &floor->actors[i];
        trp_floor_init(actor, receive_big, NULL);
        actor->left = floor->work->each;
        actor->state = trp_peer_seed(i);
    }
    for (uint32_t i = 0; i < floor->work->actors; i++) {
        ping_other(floor, &floor->actors[i], trp_floor_take(floor));
    }
}

static bool is_big_right(const struct trp_floor *floor)
{
    return floor->main->left == 0 && floor->main->sum == floor->work->ops;
}

const struct trp_floor_kernel trp_floor_big = {
    .messages = one_each, .start = start_big, .is_right = is_big_right};

/* --- chameneos: creatures meet in a mall and change their colours --- */

enum { MEET, FADED, COUNTED };

static bool
receive_creature(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    if (msg->type == MEET) {
        self->sum++;
        self->state = trp_peer_complement(self->state, (uint32_t)msg->value);
        msg->value = self->state;
    } else {
        msg->type = COUNTED;
        msg->value = self->sum;
    }
    msg->from = self;
    trp_floor_post(floor, self->peer, msg);
    return true;
}

static void
introduce(struct trp_floor *floor, struct trp_floor_msg *first, struct trp_floor_msg *second)
{
    uint64_t colour = first->value;
    first->value = second->value;
    second->value = colour;
    trp_floor_post(floor, first->from, first);
    trp_floor_post(floor, second->from, second);
}

/* left: meetings to come; state: creatures that have not counted up yet. */
static bool
receive_mall(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    if (msg->type == COUNTED) {
        self->sum += msg->value;
        self->state--;
        trp_floor_give(floor, msg);
    } else if (self->left == 0) {
        msg->type = FADED;
        trp_floor_post(floor, msg->from, msg);
    } else if (floor->waiting == NULL) {
        floor->waiting = msg;
    } else {
        struct trp_floor_msg *first = floor->waiting;
        floor->waiting = NULL;
        self->left--;
        introduce(floor, first, msg);
    }
    return true;
}

static void start_chameneos(struct trp_floor *floor)
{
    floor->waiting = NULL;
    trp_floor_init(floor->main, receive_mall, NULL);
    floor->main->left = floor->work->each;
    floor->main->state = floor->work->actors;
    for (uint32_t i = 0; i < floor->work->actors; i++) {
        struct trp_floor_actor *creature = &floor->actors[i];
        struct trp_floor_msg *msg = trp_floor_take(floor);
        trp_floor_init(creature, receive_creature, floor->main);
        creature->state = i % 3;
        msg->from = creature;
        msg->type = MEET;
        msg->value = creature->state;
        trp_floor_post(floor, floor->main, msg);
    }
}

static bool is_chameneos_right(const struct trp_floor *floor)
{
    return floor->main->state == 0 && floor->main->sum == 2 * floor->work->each;
}

const struct trp_floor_kernel trp_floor_chameneos = {
    .messages = one_each, .start = start_chameneos, .is_right = is_chameneos_right};
