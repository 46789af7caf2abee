/* How a worker goes down: end all actors, say so, close the inbox; nothing accepted is lost. */

#include "pool/worker.h"

#include <troupe/assert.h>

static bool has_to_end(const struct trp_cell *cell)
{
    switch ((enum trp_cell_status)cell->status) {
    case TRP_CELL_ALIVE:
    case TRP_CELL_DRAINING:
    case TRP_CELL_SUSPENDED: /* also one that its supervisor has just kept */
        return true;
    case TRP_CELL_FREE:
    case TRP_CELL_RESERVED:
    case TRP_CELL_ZOMBIE:
        break;
    }
    return false;
}

/* Nobody runs any more: a queue must not point at a cell that is given back. */
static void empty_queues(struct trp_worker *worker)
{
    worker->urgent.head = NULL;
    worker->normal.head = NULL;
}

static void end_actors(struct trp_worker *worker)
{
    empty_queues(worker);
    for (uint32_t slot = 0; slot < worker->cells.used; slot++) {
        struct trp_cell *cell = trp_cells_at(&worker->cells, slot);
        if (has_to_end(cell)) {
            trp_count(&worker->heartbeat, 1); /* a million of them is not a stall */
            trp_cell_end(worker, cell, TROUPE_DOWN_SHUTDOWN);
            empty_queues(worker);
        }
    }
}

bool trp_worker_shut_actors(struct trp_worker *worker)
{
    if (!worker->is_stopping) {
        worker->is_stopping = true;
        trp_drain_shutdown_begins(worker);
    }
    end_actors(worker);
    trp_worker_read_clock(worker);
    trp_worker_deal_inbox(worker);
    worker->driver->poll(worker->driver_state);
    trp_worker_flush(worker);
    worker->driver->flush(worker->driver_state);
    for (uint32_t slot = 0; slot < worker->cells.used; slot++) {
        if (trp_cells_at(&worker->cells, slot)->status != TRP_CELL_FREE) {
            return false;
        }
    }
    return true;
}

bool trp_worker_shut_inbox(struct trp_worker *worker)
{
    if (trp_load_acquire_u32(&worker->pool->quiet_workers) < worker->pool->worker_count) {
        return false; /* acquire: pairs with the add in trp_worker_say_quiet */
    }
    uint32_t dropped = trp_worker_drop_chain(worker, trp_inbox_close(&worker->inbox));
    trp_count(&worker->stats.remote_in, dropped);
    trp_worker_flush(worker); /* answers to asks just dropped */
    trp_heap_settle(&worker->heap);
    trp_drain_shutdown_ended(worker);
    return true;
}

void trp_worker_say_quiet(struct trp_worker *worker)
{
    struct troupe_pool *pool = worker->pool;
    trp_worker_flush(worker);
    /* full barrier: everything sent is in the inboxes before the count; pairs with shut_inbox */
    trp_faa_u32(&pool->quiet_workers, 1);
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        trp_worker_wake(&pool->workers[i], worker);
    }
    worker->driver->flush(worker->driver_state);
}

/* Sleeps until a wake or a completion, with an early look every 10 ms as a safety net. */
static void park_in_shutdown(struct trp_worker *worker, bool (*is_done)(struct trp_worker *))
{
    trp_fas_u32(&worker->park_word, TRP_PARKED);
    if (!trp_inbox_has_work(&worker->inbox) && !is_done(worker)) {
        uint64_t now_ns = worker->driver->now(worker->driver_state);
        worker->driver->park(worker->driver_state, now_ns + 10000000u);
    }
    trp_worker_unpark(worker);
}

static bool all_quiet(struct trp_worker *worker)
{
    return trp_load_acquire_u32(&worker->pool->quiet_workers) == worker->pool->worker_count;
}

static bool never(struct trp_worker *worker)
{
    (void)worker;
    return false;
}

void trp_worker_shut_down(struct trp_worker *worker)
{
    while (!trp_worker_shut_actors(worker)) {
        park_in_shutdown(worker, never);
    }
    trp_worker_say_quiet(worker);
    while (!trp_worker_shut_inbox(worker)) {
        trp_worker_deal_inbox(worker);
        park_in_shutdown(worker, all_quiet);
    }
}
