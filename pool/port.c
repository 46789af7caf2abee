/* Ports: how foreign threads send. */

#include "pool/worker.h"

#include <stdlib.h>
#include <troupe/assert.h>

struct troupe_port {
    struct trp_heap heap;
    struct troupe_pool *pool;
    struct troupe_port *next;
    uint64_t accepted; /* written by the port's thread, summed by troupe_pool_stats of worker 0 */
};

enum troupe_status troupe_port_open(struct troupe_pool *pool, struct troupe_port **port)
{
    struct troupe_port *made = aligned_alloc(TRP_CACHE_LINE, sizeof(*made));
    if (made == NULL) {
        return TROUPE_ENOMEM;
    }
    trp_heap_init(&made->heap, pool->config.memory_max);
    made->pool = pool;
    made->accepted = 0;
    pthread_mutex_lock(&pool->lock);
    made->next = pool->ports;
    pool->ports = made;
    pthread_mutex_unlock(&pool->lock);
    *port = made;
    return TROUPE_OK;
}

/* Nothing to undo: messages under way live in the port's heap until the pool is destroyed. */
void troupe_port_close(struct troupe_port *port)
{
    (void)port;
}

void trp_ports_free(struct troupe_pool *pool)
{
    while (pool->ports != NULL) {
        struct troupe_port *next = pool->ports->next;
        trp_heap_fini(&pool->ports->heap);
        free(pool->ports);
        pool->ports = next;
    }
}

uint64_t trp_ports_accepted(struct troupe_pool *pool)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&pool->lock);
    for (const struct troupe_port *port = pool->ports; port != NULL; port = port->next) {
        sum += trp_load_relaxed_u64(&port->accepted);
    }
    pthread_mutex_unlock(&pool->lock);
    return sum;
}

struct troupe_msg *troupe_port_msg_new(struct troupe_port *port, uint16_t type, uint32_t size)
{
    TROUPE_ASSERT(type < TROUPE_MSG_RESERVED);
    struct trp_heap *saved = trp_heap_current;
    trp_heap_current = &port->heap;
    struct troupe_msg *msg = trp_msg_alloc(&port->heap, type, size, false);
    trp_heap_current = saved;
    return msg;
}

void troupe_port_msg_free(struct troupe_port *port, struct troupe_msg *msg)
{
    struct trp_heap *saved = trp_heap_current;
    trp_heap_current = &port->heap;
    if (msg != NULL) {
        trp_msg_free(msg);
    }
    trp_heap_current = saved;
}

enum troupe_status
troupe_port_send(struct troupe_port *port, troupe_ref to, struct troupe_msg **msg_ptr)
{
    struct troupe_pool *pool = port->pool;
    struct troupe_msg *msg = *msg_ptr;
    uint32_t target = troupe_ref_worker(to);
    if (target >= pool->worker_count) {
        return TROUPE_EDEAD;
    }
    struct trp_worker *receiver = &pool->workers[target];
    if (trp_load_relaxed_u32(&pool->is_stopping) != 0) {
        return TROUPE_ECLOSED; /* partner: troupe_pool_stop */
    }
    if (trp_cells_is_full_hint(&receiver->cells, to)) {
        return TROUPE_EBUSY;
    }
    msg->to = to;
    msg->from = TROUPE_NOBODY;
    msg->flags &= (uint8_t)~TROUPE_MSG_LANE_MASK;
    if (!trp_inbox_push(&receiver->inbox, msg, msg)) {
        return TROUPE_ECLOSED;
    }
    trp_count(&port->accepted, 1);
    *msg_ptr = NULL;
    trp_worker_wake(receiver, NULL);
    return TROUPE_OK;
}
