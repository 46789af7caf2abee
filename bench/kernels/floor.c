/*
 * The floor: the least any actor runtime has to do on one core. One thread, no atomics, messages
 * from a free list, an intrusive mailbox per actor, an intrusive run queue, at most 64 messages a
 * turn, an indirect call per message. No bounds, no accounting, no timers, no other threads.
 */

#include "bench/kernels/limit.h"

#include <math.h>
#include <stdlib.h>

#define OPS           1000000u /* round trips, or messages */
#define FANIN_SENDERS 64u
#define TURN_MAX      64u

struct floor;
struct floor_actor;

struct floor_msg {
    struct floor_msg *next;
    struct floor_actor *from;
    uint64_t value;
    uint64_t padding; /* as large as a message of the pool with 8 bytes of payload */
    uint64_t more;
};

struct floor_actor {
    struct floor_msg *head;
    struct floor_msg **tail;
    struct floor_actor *next_run;
    bool is_queued;
    void (*receive)(struct floor *floor, struct floor_actor *self, struct floor_msg *msg);
    struct floor_actor *peer;
    uint64_t left;
};

struct floor {
    struct floor_msg *free;
    struct floor_actor *run_head;
    struct floor_actor **run_tail;
    struct floor_msg *memory;
    uint64_t took_ns;
};

static void
floor_actor_init(struct floor_actor *actor,
                 void (*receive)(struct floor *, struct floor_actor *, struct floor_msg *),
                 struct floor_actor *peer,
                 uint64_t left)
{
    *actor = (struct floor_actor){.receive = receive, .peer = peer, .left = left};
    actor->tail = &actor->head;
}

static bool floor_init(struct floor *floor, uint32_t messages)
{
    *floor = (struct floor){.memory = malloc(messages * sizeof(struct floor_msg))};
    floor->run_tail = &floor->run_head;
    if (floor->memory == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < messages; i++) {
        floor->memory[i].next = i + 1 < messages ? &floor->memory[i + 1] : NULL;
    }
    floor->free = floor->memory;
    return true;
}

static struct floor_msg *take(struct floor *floor)
{
    struct floor_msg *msg = floor->free;
    floor->free = msg->next;
    return msg;
}

static void give(struct floor *floor, struct floor_msg *msg)
{
    msg->next = floor->free;
    floor->free = msg;
}

static void post(struct floor *floor, struct floor_actor *to, struct floor_msg *msg)
{
    msg->next = NULL;
    *to->tail = msg;
    to->tail = &msg->next;
    if (!to->is_queued) {
        to->is_queued = true;
        to->next_run = NULL;
        *floor->run_tail = to;
        floor->run_tail = &to->next_run;
    }
}

static struct floor_actor *pop_actor(struct floor *floor)
{
    struct floor_actor *actor = floor->run_head;
    if (actor != NULL) {
        floor->run_head = actor->next_run;
        if (floor->run_head == NULL) {
            floor->run_tail = &floor->run_head;
        }
    }
    return actor;
}

static void run_turn(struct floor *floor, struct floor_actor *actor)
{
    for (uint32_t i = 0; i < TURN_MAX && actor->head != NULL; i++) {
        struct floor_msg *msg = actor->head;
        actor->head = msg->next;
        if (actor->head == NULL) {
            actor->tail = &actor->head;
        }
        actor->receive(floor, actor, msg);
    }
    actor->is_queued = false;
    if (actor->head != NULL) {
        actor->is_queued = true;
        actor->next_run = NULL;
        *floor->run_tail = actor;
        floor->run_tail = &actor->next_run;
    }
}

static void run_all(struct floor *floor)
{
    struct floor_actor *actor;
    uint64_t begin_ns = trp_machine_now_ns();
    while ((actor = pop_actor(floor)) != NULL) {
        run_turn(floor, actor);
    }
    floor->took_ns = trp_machine_now_ns() - begin_ns;
}

/* A message back and forth. */
static void receive_ball(struct floor *floor, struct floor_actor *self, struct floor_msg *msg)
{
    if (self->left == 0) {
        give(floor, msg);
        return;
    }
    self->left--;
    struct floor_actor *to = msg->from;
    msg->from = self;
    post(floor, to, msg);
}

static void run_pingpong(void *arg)
{
    struct floor *floor = arg;
    struct floor_actor actors[2];

    floor_actor_init(&actors[0], receive_ball, NULL, OPS);
    floor_actor_init(&actors[1], receive_ball, NULL, OPS);
    struct floor_msg *ball = take(floor);
    ball->from = &actors[1];
    post(floor, &actors[0], ball);
    run_all(floor);
}

/* A sender posts its whole share in one go, as the kernels on the pool do. */
static void receive_go(struct floor *floor, struct floor_actor *self, struct floor_msg *msg)
{
    give(floor, msg);
    while (self->left > 0) {
        struct floor_msg *out = take(floor);
        out->from = self;
        out->value = self->left--;
        post(floor, self->peer, out);
    }
}

static void receive_count(struct floor *floor, struct floor_actor *self, struct floor_msg *msg)
{
    self->left += msg->value;
    give(floor, msg);
}

static void run_flow(struct floor *floor, uint32_t senders)
{
    static struct floor_actor actors[FANIN_SENDERS]; /* one measurement at a time */
    struct floor_actor sink;

    floor_actor_init(&sink, receive_count, NULL, 0);
    for (uint32_t i = 0; i < senders; i++) {
        floor_actor_init(&actors[i], receive_go, &sink, OPS / senders);
        post(floor, &actors[i], take(floor));
    }
    run_all(floor);
}

static void run_count(void *arg)
{
    run_flow(arg, 1);
}

static void run_fanin(void *arg)
{
    run_flow(arg, FANIN_SENDERS);
}

static double measure(const struct trp_machine *machine, void (*work)(void *arg), uint32_t messages)
{
    struct floor floor;
    double result = NAN;
    if (!floor_init(&floor, messages)) {
        return NAN;
    }
    if (trp_limit_on_cpu(machine->first_cpu, work, &floor)) {
        result = (double)floor.took_ns / OPS;
    }
    free(floor.memory);
    return result;
}

double trp_limit_floor_pingpong(const struct trp_machine *machine)
{
    return measure(machine, run_pingpong, 1);
}

double trp_limit_floor_count(const struct trp_machine *machine)
{
    return measure(machine, run_count, OPS + 1);
}

double trp_limit_floor_fanin(const struct trp_machine *machine)
{
    return measure(machine, run_fanin, OPS + FANIN_SENDERS);
}
