#include "bench/peers/floor.h"

#include <stdlib.h>
#include <string.h>

#include "bench/peers/floor_core.h"

#define LINE 64u /* bytes */

static const struct trp_floor_kernel *const kernels[TRP_PEER_KERNELS] = {
    [TRP_PEER_PINGPONG] = &trp_floor_pingpong,
    [TRP_PEER_COUNT] = &trp_floor_flow,
    [TRP_PEER_FANIN8] = &trp_floor_flow,
    [TRP_PEER_FANIN64] = &trp_floor_flow,
    [TRP_PEER_FANIN1000] = &trp_floor_flow,
    [TRP_PEER_FJTHRPUT] = &trp_floor_fjthrput,
    [TRP_PEER_FJCREATE] = &trp_floor_fjcreate,
    [TRP_PEER_FJCREATE_WAVES] = &trp_floor_fjcreate,
    [TRP_PEER_THREADRING100] = &trp_floor_threadring,
    [TRP_PEER_THREADRING503] = &trp_floor_threadring,
    [TRP_PEER_BIG] = &trp_floor_big,
    [TRP_PEER_CHAMENEOS] = &trp_floor_chameneos,
};

static void end_actor(struct trp_floor *floor, struct trp_floor_actor *actor)
{
    while (actor->head != NULL) {
        struct trp_floor_msg *msg = actor->head;
        actor->head = msg->next;
        trp_floor_give(floor, msg);
    }
    actor->next = floor->free_actors;
    floor->free_actors = actor;
}

static inline void run_turn(struct trp_floor *floor, struct trp_floor_actor *actor)
{
    struct trp_floor_msg *msg = actor->head;
    for (uint32_t i = 0; i < TRP_FLOOR_TURN_MAX && msg != NULL; i++) {
        actor->head = msg->next;
        if (actor->head == NULL) {
            actor->tail = &actor->head;
        }
        if (!actor->receive(floor, actor, msg)) {
            end_actor(floor, actor);
            return;
        }
        msg = actor->head;
    }
    actor->is_queued = false;
    if (msg != NULL) {
        trp_floor_queue(floor, actor);
    }
}

static void run_all(struct trp_floor *floor)
{
    struct trp_floor_actor *actor;
    while ((actor = floor->run_head) != NULL) {
        floor->run_head = actor->next;
        if (floor->run_head == NULL) {
            floor->run_tail = &floor->run_head;
        }
        run_turn(floor, actor);
    }
}

/* Memory in the order of its addresses, so that the first round finds it so. NULL: there is none.
 */
static void *make_msgs(struct trp_floor *floor, uint64_t count, bool is_line)
{
    size_t size = is_line ? LINE : sizeof(struct trp_floor_msg);
    char *msgs = is_line ? aligned_alloc(LINE, count * size) : calloc(count, size);
    for (uint64_t i = msgs != NULL ? count : 0; i > 0; i--) {
        trp_floor_give(floor, (struct trp_floor_msg *)(void *)(msgs + (i - 1) * size));
    }
    return msgs;
}

static void
list_actors(struct trp_floor *floor, struct trp_floor_actor *actors, uint64_t actor_count)
{
    for (uint64_t i = actor_count; i > 0; i--) {
        actors[i - 1].next = floor->free_actors;
        floor->free_actors = &actors[i - 1];
    }
}

static bool run_rounds(struct trp_floor *floor,
                       const struct trp_floor_kernel *kernel,
                       struct trp_peer_result *result)
{
    for (int round = 0; round < 2; round++) {
        floor->run_head = NULL;
        floor->run_tail = &floor->run_head;
        kernel->start(floor);
        uint64_t begin_ns = trp_peer_now_ns();
        run_all(floor);
        result->ns = trp_peer_now_ns() - begin_ns;
        if (!kernel->is_right(floor)) {
            return false;
        }
    }
    result->ops = floor->work->ops;
    return true;
}

bool trp_floor_run_shaped(const struct trp_peer_work *work,
                          const struct trp_floor_shape *shape,
                          struct trp_peer_result *result)
{
    const struct trp_floor_kernel *kernel = kernels[work->kernel];
    bool is_spawning = kernel->short_lived != NULL;
    uint64_t msg_count = kernel->messages(work);
    uint64_t short_lived = is_spawning ? kernel->short_lived(work) : 0;
    uint64_t actor_count = 1 + (is_spawning ? 0 : work->actors) + short_lived;
    struct trp_floor floor = {.work = work,
                              .deal_max = shape->deal_max != 0 ? shape->deal_max : UINT64_MAX};
    bool is_good = false;

    void *msgs = make_msgs(&floor, msg_count, shape->is_line);
    struct trp_floor_actor *actors = aligned_alloc(LINE, actor_count * sizeof(*actors));
    if (msgs != NULL && actors != NULL) {
        memset(actors, 0, actor_count * sizeof(*actors));
        floor.main = &actors[0];
        floor.actors = &actors[1];
        list_actors(&floor, &actors[actor_count - short_lived], short_lived);
        is_good = run_rounds(&floor, kernel, result);
    }
    free(actors);
    free(msgs);
    return is_good;
}

bool trp_floor_run(const struct trp_peer_work *work,
                   uint32_t threads,
                   struct trp_peer_result *result)
{
    static const struct trp_floor_shape plain = {0};
    (void)threads;
    return trp_floor_run_shaped(work, &plain, result);
}
