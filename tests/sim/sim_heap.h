#ifndef TESTS_SIM_SIM_HEAP_H
#define TESTS_SIM_SIM_HEAP_H

/*
 * After trp_sim_stop: asserts that the workers' memory is free again. Buffers above 64 KiB always;
 * small nodes (messages, states, queue entries) in builds with AddressSanitizer.
 */

#include "pool/sim.h"

#include <troupe/assert.h>

/* Free nodes are poisoned behind their first word. */
static inline void sim_check_heap(struct trp_heap *heap)
{
    TROUPE_ASSERT(heap->large_bytes == 0);
#if defined(__SANITIZE_ADDRESS__)
    for (struct trp_slab_chunk *chunk = heap->chunks; chunk != NULL; chunk = chunk->next) {
        char *node = (char *)(chunk + 1);
        char *end = (char *)chunk + TRP_SLAB_CHUNK_BYTES;
        for (; node + chunk->node_bytes <= end; node += chunk->node_bytes) {
            TROUPE_ASSERT(__asan_address_is_poisoned(node + sizeof(void *)));
        }
    }
#endif
}

static inline void sim_check_heaps(struct trp_sim *sim)
{
    struct troupe_pool *pool = trp_sim_pool(sim);
    for (uint32_t pass = 0; pass < 2; pass++) { /* what one sends home, another takes in */
        for (uint32_t i = 0; i < troupe_pool_workers(pool); i++) {
            trp_heap_current = &pool->workers[i].heap;
            trp_heap_settle(trp_heap_current);
        }
    }
    trp_heap_current = NULL;
    for (uint32_t i = 0; i < troupe_pool_workers(pool); i++) {
        sim_check_heap(&pool->workers[i].heap);
    }
}

#endif
