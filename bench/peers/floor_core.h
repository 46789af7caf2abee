#ifndef BENCH_PEERS_FLOOR_CORE_H
#define BENCH_PEERS_FLOOR_CORE_H

/* The runtime of the floor, inline in its kernels (see floor.h). Threads: one. */

#include <stddef.h>

#include "bench/peers/peer.h"

#define TRP_FLOOR_TURN_MAX 64u

struct trp_floor;
struct trp_floor_actor;

/* A link, the sender, what it is and a word: the least a message consists of. */
struct trp_floor_msg {
    struct trp_floor_msg *next;
    struct trp_floor_actor *from;
    uint64_t type;
    uint64_t value;
};

/* True: the actor goes on. False: it has ended, its memory is free. */
typedef bool trp_floor_receive_fn(struct trp_floor *floor,
                                  struct trp_floor_actor *self,
                                  struct trp_floor_msg *msg);

/* One cache line. */
struct trp_floor_actor {
    struct trp_floor_msg *head;
    struct trp_floor_msg **tail;
    struct trp_floor_actor *next; /* in the run queue, in the free list */
    trp_floor_receive_fn *receive;
    struct trp_floor_actor *peer;
    uint64_t left; /* the kernel's own, like sum and state */
    uint64_t sum;
    uint32_t state;
    bool is_queued;
};

_Static_assert(sizeof(struct trp_floor_actor) == 64, "one cache line");

struct trp_floor {
    struct trp_floor_msg *free_msgs;
    struct trp_floor_actor *free_actors;
    struct trp_floor_actor *run_head;
    struct trp_floor_actor **run_tail;
    const struct trp_peer_work *work;
    struct trp_floor_actor *actors; /* of the kernel, those that live all the time */
    struct trp_floor_actor *main;   /* sink, parent, mall */
    struct trp_floor_msg *waiting;  /* chameneos: the first of the next two */
    uint64_t deal_max;              /* fjthrput: to each receiver at a time */
    struct trp_floor_actor relay;   /* fjthrput: queued behind the receivers, sends to main */
};

/* What a kernel brings along. */
struct trp_floor_kernel {
    uint64_t (*messages)(const struct trp_peer_work *work);    /* at a time, at most */
    uint64_t (*short_lived)(const struct trp_peer_work *work); /* actors, likewise; or NULL */
    void (*start)(struct trp_floor *floor);                    /* before each round */
    bool (*is_right)(const struct trp_floor *floor);           /* after it */
};

extern const struct trp_floor_kernel trp_floor_pingpong;
extern const struct trp_floor_kernel trp_floor_flow;
extern const struct trp_floor_kernel trp_floor_fjthrput;
extern const struct trp_floor_kernel trp_floor_fjcreate;
extern const struct trp_floor_kernel trp_floor_threadring;
extern const struct trp_floor_kernel trp_floor_big;
extern const struct trp_floor_kernel trp_floor_chameneos;

static inline struct trp_floor_msg *trp_floor_take(struct trp_floor *floor)
{
    struct trp_floor_msg *msg = floor->free_msgs;
    floor->free_msgs = msg->next;
    return msg;
}

static inline void trp_floor_give(struct trp_floor *floor, struct trp_floor_msg *msg)
{
    msg->next = floor->free_msgs;
    floor->free_msgs = msg;
}

static inline void trp_floor_init(struct trp_floor_actor *actor,
                                  trp_floor_receive_fn *receive,
                                  struct trp_floor_actor *peer)
{
    actor->head = NULL;
    actor->tail = &actor->head;
    actor->receive = receive;
    actor->peer = peer;
    actor->left = 0;
    actor->sum = 0;
    actor->state = 0;
    actor->is_queued = false;
}

static inline struct trp_floor_actor *trp_floor_spawn(struct trp_floor *floor,
                                                      trp_floor_receive_fn *receive,
                                                      struct trp_floor_actor *peer)
{
    struct trp_floor_actor *actor = floor->free_actors;
    floor->free_actors = actor->next;
    trp_floor_init(actor, receive, peer);
    return actor;
}

static inline void trp_floor_queue(struct trp_floor *floor, struct trp_floor_actor *actor)
{
    actor->is_queued = true;
    actor->next = NULL;
    *floor->run_tail = actor;
    floor->run_tail = &actor->next;
}

static inline void
trp_floor_post(struct trp_floor *floor, struct trp_floor_actor *to, struct trp_floor_msg *msg)
{
    msg->next = NULL;
    *to->tail = msg;
    to->tail = &msg->next;
    if (!to->is_queued) {
        trp_floor_queue(floor, to);
    }
}

#endif
