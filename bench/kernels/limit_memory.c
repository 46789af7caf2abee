/* Limits of the memory system: a locked instruction, and a cache line between two cores. */

#include "bench/kernels/limit.h"

#include <math.h>

#include "mailbox/atomic.h"

#define RMW_OPS 4000000u
#define HOP_OPS 400000u

struct rmw {
    uint64_t word;
    uint64_t took_ns;
};

static void add_up(void *arg)
{
    struct rmw *rmw = arg;
    uint64_t begin_ns = trp_machine_now_ns();
    for (uint32_t i = 0; i < RMW_OPS; i++) {
        trp_faa_u64(&rmw->word, 1);
    }
    rmw->took_ns = trp_machine_now_ns() - begin_ns;
}

double trp_limit_rmw(const struct trp_machine *machine)
{
    struct rmw rmw = {0};
    if (!trp_limit_on_cpu(machine->first_cpu, add_up, &rmw)) {
        return NAN;
    }
    return (double)rmw.took_ns / RMW_OPS;
}

/* The two sides write in turns: even values are the first one's move. */
struct hop {
    _Alignas(2 * TRP_CACHE_LINE) uint64_t turn;
    _Alignas(2 * TRP_CACHE_LINE) uint64_t took_ns;
};

static void wait_turn(const uint64_t *turn, uint64_t wanted)
{
    /* acquire: pairs with the release store of the other side */
    while (trp_load_acquire_u64(turn) != wanted) {
        trp_spin_pause();
    }
}

static void serve(void *arg)
{
    struct hop *hop = arg;
    uint64_t begin_ns = 0;
    for (uint64_t i = 0; i < HOP_OPS; i++) {
        wait_turn(&hop->turn, 2 * i);
        if (i == 1) {
            begin_ns = trp_machine_now_ns(); /* both are awake by now */
        }
        trp_store_release_u64(&hop->turn, 2 * i + 1); /* pairs with wait_turn */
    }
    hop->took_ns = trp_machine_now_ns() - begin_ns;
}

static void give_back(void *arg)
{
    struct hop *hop = arg;
    for (uint64_t i = 0; i < HOP_OPS; i++) {
        wait_turn(&hop->turn, 2 * i + 1);
        trp_store_release_u64(&hop->turn, 2 * i + 2); /* pairs with wait_turn */
    }
}

double trp_limit_hop(const struct trp_machine *machine)
{
    struct hop hop = {0};
    if (!trp_limit_on_two(machine, serve, give_back, &hop)) {
        return NAN;
    }
    return (double)hop.took_ns / (HOP_OPS - 1);
}
