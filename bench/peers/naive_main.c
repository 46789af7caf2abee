/* The naive pool as a peer program. */

#include <stdlib.h>

#include "bench/peers/naive_kernels.h"

static const struct trp_naive_kernel *const kernels[TRP_PEER_KERNELS] = {
    [TRP_PEER_PINGPONG] = &trp_naive_pingpong,
    [TRP_PEER_COUNT] = &trp_naive_flow,
    [TRP_PEER_FANIN8] = &trp_naive_flow,
    [TRP_PEER_FANIN64] = &trp_naive_flow,
    [TRP_PEER_FANIN1000] = &trp_naive_flow,
    [TRP_PEER_FJTHRPUT] = &trp_naive_fjthrput,
    [TRP_PEER_FJCREATE] = &trp_naive_fjcreate,
    [TRP_PEER_FJCREATE_WAVES] = &trp_naive_fjcreate,
    [TRP_PEER_THREADRING100] = &trp_naive_threadring,
    [TRP_PEER_THREADRING503] = &trp_naive_threadring,
    [TRP_PEER_BIG] = &trp_naive_big,
    [TRP_PEER_CHAMENEOS] = &trp_naive_chameneos,
};

static bool
make_actors(struct trp_naive_run *run, const struct trp_naive_kernel *kernel, uint32_t count)
{
    run->main = trp_naive_spawn(run->pool, kernel->receive_main, run);
    for (uint32_t i = 0; i < count; i++) {
        run->actors[i] = trp_naive_spawn(run->pool, kernel->receive, run);
        if (run->actors[i] == NULL) {
            return false;
        }
        run->actors[i]->place = i;
    }
    return run->main != NULL;
}

static bool run_round(struct trp_naive_pool *pool,
                      const struct trp_peer_work *work,
                      struct trp_peer_result *result)
{
    const struct trp_naive_kernel *kernel = kernels[work->kernel];
    uint32_t count = kernel->receive != NULL ? work->actors : 0;
    struct trp_naive_run run = {.pool = pool, .work = work};
    bool is_good = false;

    run.actors = calloc(count + 1, sizeof(struct trp_naive_actor *));
    if (run.actors == NULL) {
        return false;
    }
    if (make_actors(&run, kernel, count)) {
        uint64_t end_ns;
        uint64_t begin_ns = trp_peer_now_ns();
        trp_naive_send(NULL, run.main, TRP_NAIVE_START, 0);
        is_good = trp_naive_pool_wait(pool, &end_ns) && kernel->is_right(&run);
        result->ns = end_ns - begin_ns;
        result->ops = work->ops;
    }
    for (uint32_t i = 0; i < count; i++) {
        trp_naive_free(run.actors[i]);
    }
    trp_naive_free(run.main);
    free(run.actors);
    return is_good;
}

static bool
run_naive(const struct trp_peer_work *work, uint32_t threads, struct trp_peer_result *result)
{
    struct trp_naive_pool *pool = trp_naive_pool_create(threads);
    if (pool == NULL) {
        return false;
    }
    bool is_good = run_round(pool, work, result) && run_round(pool, work, result);
    trp_naive_pool_destroy(pool);
    return is_good;
}

int main(int argc, char **argv)
{
    return trp_peer_main(argc, argv, run_naive);
}
