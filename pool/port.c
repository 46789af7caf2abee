/* Ports: how foreign threads send. */

#include "pool/foreign.h"
#include "pool/worker.h"

#include <stdlib.h>
#include <troupe/assert.h>

struct troupe_port {
    struct trp_heap heap;
    struct troupe_pool *pool;
    struct troupe_port *next;        /* all ports of the pool */
    struct troupe_port *closed_next; /* those that are closed */
    bool is_open;
    /* over all that used it; written by the port's thread, summed by troupe_pool_stats of worker 0
     */
    uint64_t accepted;
    uint64_t refused; /* answered TROUPE_EBUSY */
};

static struct troupe_port *make_port(struct troupe_pool *pool)
{
    struct troupe_port *port = aligned_alloc(TRP_CACHE_LINE, sizeof(*port));
    if (port != NULL) {
        trp_heap_init(&port->heap, pool->config.memory_max);
        port->pool = pool;
        port->closed_next = NULL;
        port->accepted = 0;
        port->refused = 0;
    }
    return port;
}

enum troupe_status troupe_port_open(struct troupe_pool *pool, struct troupe_port **out)
{
    enum troupe_status status = TROUPE_OK;
    pthread_mutex_lock(&pool->lock);
    struct troupe_port *port = pool->closed_ports;
    if (port != NULL) {
        pool->closed_ports = port->closed_next;
        port->closed_next = NULL;
    } else {
        port = make_port(pool);
        if (port == NULL) {
            status = TROUPE_ENOMEM;
        } else {
            port->next = pool->ports;
            pool->ports = port;
        }
    }
    if (status == TROUPE_OK) {
        port->is_open = true;
        *out = port;
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}

/* Messages under way live in the port's heap; the next one who opens it goes on with that heap: the
 * lock hands it over. */
void troupe_port_close(struct troupe_port *port)
{
    if (port == NULL) {
        return;
    }
    struct troupe_pool *pool = port->pool;
    trp_heap_settle(&port->heap); /* what it frees for others goes home now */
    pthread_mutex_lock(&pool->lock);
    TROUPE_ASSERT(port->is_open);
    port->is_open = false;
    port->closed_next = pool->closed_ports;
    pool->closed_ports = port;
    pthread_mutex_unlock(&pool->lock);
}

void trp_ports_free(struct troupe_pool *pool)
{
    pool->closed_ports = NULL;
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

uint64_t trp_ports_refused(struct troupe_pool *pool)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&pool->lock);
    for (const struct troupe_port *port = pool->ports; port != NULL; port = port->next) {
        sum += trp_load_relaxed_u64(&port->refused); /* partner: refuse */
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

static bool is_closed(const struct troupe_pool *pool)
{
    return trp_load_relaxed_u32(&pool->is_stopping) != 0 ||
           trp_load_relaxed_u32(&pool->drain.is_on) != 0;
}

/*
 * A place in the window of all foreign threads towards one worker. Each ticket is unique among
 * those not given back, and `dealt` only lags behind: never more than TRP_WINDOW are held and not
 * dealt.
 *
 * The ticket is a full barrier before the look at the flag, as raising the flag is one before the
 * drain looks at the tickets: either we see the drain, or it sees our ticket and waits for it.
 */
static enum troupe_status take_ticket(struct trp_worker *receiver)
{
    uint32_t before = trp_faa_u32(&receiver->foreign_sent, 1); /* partner: trp_drain_look */
    /* acquire: pairs with the publishing in trp_worker_deal_inbox; an old value only refuses */
    uint32_t dealt = trp_load_acquire_u32(&receiver->foreign_dealt);
    if (is_closed(receiver->pool)) {
        return TROUPE_ECLOSED;
    }
    return (int32_t)(before - dealt) >= (int32_t)TRP_WINDOW ? TROUPE_EBUSY : TROUPE_OK;
}

static void give_ticket_back(struct trp_worker *receiver)
{
    trp_faa_u32(&receiver->foreign_sent, (uint32_t)-1); /* partner: trp_drain_look */
    trp_drain_nudge(receiver);
}

/* The answer of a send that is not accepted. */
static enum troupe_status refuse(struct troupe_port *port, enum troupe_status status)
{
    if (status == TROUPE_EBUSY) {
        trp_count(&port->refused, 1);
    }
    return status;
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
    if (is_closed(pool)) {
        return TROUPE_ECLOSED; /* partners: troupe_pool_stop, troupe_pool_drain */
    }
    if (trp_cells_is_full_hint(&receiver->cells, to)) {
        return refuse(port, TROUPE_EBUSY);
    }
    enum troupe_status status = take_ticket(receiver);
    if (status != TROUPE_OK) {
        give_ticket_back(receiver);
        return refuse(port, status);
    }
    msg->to = to;
    msg->from = TROUPE_NOBODY;
    msg->flags &= (uint8_t)~TROUPE_MSG_LANE_MASK;
    if (!trp_inbox_push(&receiver->inbox, msg, msg)) {
        give_ticket_back(receiver);
        return TROUPE_ECLOSED;
    }
    trp_count(&port->accepted, 1);
    *msg_ptr = NULL;
    trp_worker_wake(receiver, NULL);
    return TROUPE_OK;
}
