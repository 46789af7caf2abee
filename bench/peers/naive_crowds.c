/* The kernels of the naive pool with many actors: fjcreate, big, chameneos. */

#include "bench/peers/naive_kernels.h"

#include <stddef.h>

enum { GO = TRP_NAIVE_FIRST, DONE, PING, PONG, MEET, MEETING, FADED };

/* --- fjcreate --- */

static bool receive_child(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    trp_naive_send(self, self->run->main, DONE, msg->value);
    return false;
}

static void spawn_wave(struct trp_naive_actor *parent)
{
    struct trp_naive_run *run = parent->run;
    for (uint32_t i = 0; i < run->work->actors; i++) {
        struct trp_naive_actor *child = trp_naive_spawn(run->pool, receive_child, run);
        if (child == NULL) {
            return;
        }
        trp_naive_send(parent, child, GO, i);
    }
}

/* left: waves to come; state: children that still live. */
static bool receive_parent(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    struct trp_naive_run *run = self->run;
    if (msg->type == TRP_NAIVE_START) {
        self->left = run->work->each;
    } else {
        self->sum += msg->value;
        self->state--;
    }
    if (self->state > 0) {
        return true;
    }
    if (self->left == 0) {
        trp_naive_pool_finish(run->pool);
    } else {
        self->left--;
        self->state = run->work->actors;
        spawn_wave(self);
    }
    return true;
}

static bool is_fjcreate_right(const struct trp_naive_run *run)
{
    uint64_t actors = run->work->actors;
    return run->main->left == 0 && run->main->state == 0 &&
           run->main->sum == actors * (actors - 1) / 2 * run->work->each;
}

const struct trp_naive_kernel trp_naive_fjcreate = {receive_parent, NULL, is_fjcreate_right};

/* --- big --- */

static void ping_other(struct trp_naive_actor *self)
{
    struct trp_naive_run *run = self->run;
    self->left--;
    self->state = trp_peer_random(self->state);
    trp_naive_send(self, run->actors[trp_peer_other(self->state, self->place, run->work->actors)],
                   PING, 0);
}

static bool receive_big(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    if (msg->type == PING) {
        trp_naive_send(self, msg->from, PONG, 0);
        return true;
    }
    if (msg->type == GO) {
        self->left = self->run->work->each;
        self->state = trp_peer_seed(self->place);
    } else {
        self->sum++;
    }
    if (self->left > 0) {
        ping_other(self);
    } else {
        trp_naive_send(self, self->run->main, DONE, self->sum);
    }
    return true;
}

static bool receive_sink(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    struct trp_naive_run *run = self->run;
    if (msg->type == TRP_NAIVE_START) {
        self->state = run->work->actors;
        for (uint32_t i = 0; i < run->work->actors; i++) {
            trp_naive_send(self, run->actors[i], GO, 0);
        }
        return true;
    }
    self->sum += msg->value;
    if (--self->state == 0) {
        trp_naive_pool_finish(run->pool);
    }
    return true;
}

static bool is_big_right(const struct trp_naive_run *run)
{
    return run->main->state == 0 && run->main->sum == run->work->ops;
}

const struct trp_naive_kernel trp_naive_big = {receive_sink, receive_big, is_big_right};

/* --- chameneos --- */

static bool receive_creature(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    struct trp_naive_actor *mall = self->run->main;
    if (msg->type == FADED) {
        trp_naive_send(self, mall, DONE, self->sum);
        return true;
    }
    if (msg->type == GO) {
        self->state = self->place % 3;
    } else {
        self->sum++;
        self->state = trp_peer_complement(self->state, (uint32_t)msg->value);
    }
    trp_naive_send(self, mall, MEET, self->state);
    return true;
}

static void meet(struct trp_naive_actor *mall, const struct trp_naive_msg *msg)
{
    struct trp_naive_run *run = mall->run;
    if (mall->left == 0) {
        trp_naive_send(mall, msg->from, FADED, 0);
    } else if (run->waiting == NULL) {
        run->waiting = msg->from;
        run->waiting_colour = (uint32_t)msg->value;
    } else {
        mall->left--;
        trp_naive_send(mall, run->waiting, MEETING, msg->value);
        trp_naive_send(mall, msg->from, MEETING, run->waiting_colour);
        run->waiting = NULL;
    }
}

/* left: meetings to come; state: creatures that have not counted up yet. */
static bool receive_mall(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    if (msg->type == MEET) {
        meet(self, msg);
        return true;
    }
    if (msg->type == TRP_NAIVE_START) {
        self->left = self->run->work->each;
    }
    return receive_sink(self, msg); /* tells all to go, adds up what they have counted */
}

static bool is_chameneos_right(const struct trp_naive_run *run)
{
    return run->main->state == 0 && run->main->sum == 2 * run->work->each;
}

const struct trp_naive_kernel trp_naive_chameneos = {receive_mall, receive_creature,
                                                     is_chameneos_right};
