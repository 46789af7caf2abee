/* What holds between any two steps of a simulation; see trp_sim_check. */

#include "pool/sim_parts.h"

/* What was found on the way. */
struct census {
    uint64_t visited;
    uint64_t messages;  /* that somebody sent and that wait */
    uint64_t in_inbox;  /* of any kind, in inboxes */
    uint64_t end_nodes; /* on their way or in a control lane */
    uint64_t end_bits;  /* cells that say so */
};

/* Of one worker. */
struct roll {
    uint64_t alive;
    uint64_t free_cells;
    uint64_t scheduled;
    uint64_t armed; /* timers in the wheel */
};

/* Data messages on their way to one worker. */
struct transit {
    uint32_t from[TROUPE_WORKERS_MAX];
    uint32_t foreign;
};

static void count_message(struct census *census, const struct troupe_msg *msg)
{
    census->visited++;
    if ((msg->flags & TROUPE_MSG_EMBEDDED) == 0) {
        census->messages++;
    } else if (msg->type == TRP_MSG_STOP) {
        census->end_nodes++;
    }
}

static void
count_transit(struct census *census, struct transit *transit, const struct troupe_msg *msg)
{
    count_message(census, msg);
    if (troupe_msg_lane(msg) != TROUPE_LANE_DATA) {
        return;
    }
    if (msg->from == TROUPE_NOBODY) {
        transit->foreign++;
    } else {
        transit->from[troupe_ref_worker(msg->from)]++;
    }
}

static void
check_inbox(const struct trp_worker *worker, struct census *census, struct transit *transit)
{
    if (!trp_inbox_has_work(&worker->inbox)) {
        return;
    }
    for (struct troupe_msg *msg = worker->inbox.head; msg != NULL; msg = msg->next) {
        struct troupe_msg *one = msg;
        struct troupe_msg **messages = &one;
        uint32_t count = 1;
        if (msg->type == TRP_MSG_BATCH) {
            messages = troupe_msg_data(msg);
            count = trp_batch_count(msg);
        }
        for (uint32_t i = 0; i < count; i++) {
            TROUPE_ASSERT(troupe_ref_worker(messages[i]->to) == worker->index);
            count_transit(census, transit, messages[i]);
        }
        census->in_inbox += count;
    }
}

/* What is on its way to one worker is what the counters at both ends say. */
static void check_window(struct trp_sim *sim, uint32_t to, struct census *census)
{
    const struct trp_worker *receiver = &sim->pool->workers[to];
    struct transit transit = {{0}, 0};
    check_inbox(receiver, census, &transit);
    for (uint32_t i = 0; i < sim->pool->worker_count; i++) {
        const struct trp_outgoing *out = &sim->pool->workers[i].out[to];
        TROUPE_ASSERT(out->count < TRP_OUT_BATCH);
        for (uint32_t n = 0; n < out->count; n++) {
            TROUPE_ASSERT(troupe_ref_worker(out->messages[n]->to) == to);
            count_transit(census, &transit, out->messages[n]);
        }
        TROUPE_ASSERT(out->data_sent - receiver->dealt[i] == transit.from[i]);
        TROUPE_ASSERT(transit.from[i] <= TRP_WINDOW);
        TROUPE_ASSERT(receiver->dealt_now[i] == 0);
    }
    TROUPE_ASSERT(receiver->foreign_sent - receiver->foreign_dealt == transit.foreign);
    TROUPE_ASSERT(transit.foreign <= TRP_WINDOW);
}

/* Returns the messages in a lane, *weight the bytes and *timers the fired timers among them. */
static uint32_t check_lane(const struct trp_cell *cell,
                           const struct trp_lane *lane,
                           enum troupe_lane kind,
                           struct census *census,
                           uint64_t *weight,
                           uint32_t *timers)
{
    uint32_t count = 0;
    const struct troupe_msg *msg = lane->tail;
    if (msg == NULL) {
        return 0;
    }
    do {
        msg = msg->next;
        TROUPE_ASSERT(msg->to == cell->ref);
        TROUPE_ASSERT(troupe_msg_lane(msg) == kind);
        TROUPE_ASSERT(msg->type != TRP_MSG_BATCH);
        count_message(census, msg);
        *weight += trp_msg_weight(msg);
        bool is_other =
            msg->type == TRP_MSG_OP || msg->type == TRP_MSG_RX || msg->type == TRP_MSG_NOTE;
        if (kind == TROUPE_LANE_REPLY && (msg->flags & TROUPE_MSG_EMBEDDED) != 0 && !is_other) {
            TROUPE_ASSERT(((const struct troupe_timer *)msg)->is_queued);
            (*timers)++;
        }
        count++;
    } while (msg != lane->tail);
    return count;
}

/* Each timer is armed, or fired and in the lane. */
static void check_timers(const struct trp_cell *cell,
                         uint32_t in_lane,
                         struct census *census,
                         struct roll *roll)
{
    uint32_t queued = 0;
    for (const struct troupe_timer *timer = cell->timers; timer != NULL;
         timer = timer->owned_next) {
        bool is_armed = troupe_timer_is_armed(timer);
        TROUPE_ASSERT(timer->msg.to == cell->ref);
        TROUPE_ASSERT(is_armed || timer->is_queued);
        queued += timer->is_queued ? 1 : 0;
        roll->armed += is_armed ? 1 : 0;
        census->visited++;
    }
    TROUPE_ASSERT(queued == in_lane);
}

/* The flag of a full lane, its own and the published one. */
static void check_full(const struct trp_cell_table *table, const struct trp_cell *cell)
{
    bool is_full = (cell->gate & TRP_GATE_FULL) != 0;
    TROUPE_ASSERT(trp_cells_is_full_hint(table, cell->ref) == is_full);
    if (cell->status != TRP_CELL_FREE && cell->status != TRP_CELL_ZOMBIE) {
        TROUPE_ASSERT(trp_cell_is_at_bound(cell) == is_full);
    } else {
        TROUPE_ASSERT(!is_full);
    }
}

/* Filled to more than half of one of its bounds. */
static bool is_over_half(const struct trp_cell *cell)
{
    return trp_cell_depth(cell) > (uint32_t)trp_cell_count_max(cell) / 2 ||
           trp_cell_bytes(cell) > (uint64_t)trp_cell_bytes_max(cell) / 2;
}

/* Who waits for room, and that those who could be told were. */
static void
check_waiters(const struct trp_worker *worker, const struct trp_cell *cell, struct census *census)
{
    const struct troupe_msg *msg = cell->extra.waiters.tail;
    TROUPE_ASSERT((msg != NULL) == ((cell->gate & TRP_GATE_AWAITED) != 0));
    if (msg == NULL) {
        return;
    }
    do {
        msg = msg->next;
        TROUPE_ASSERT(msg->to == cell->ref);
        TROUPE_ASSERT(msg->type >= TRP_MSG_CORE);
        census->visited++;
    } while (msg != cell->extra.waiters.tail);
    TROUPE_ASSERT(cell->status == TRP_CELL_ALIVE || cell->status == TRP_CELL_SUSPENDED ||
                  worker->is_stopping);
    /* one that has a turn before it looks at the end of that */
    TROUPE_ASSERT(cell->status != TRP_CELL_ALIVE || cell->room_told > 0 || cell->is_scheduled ||
                  is_over_half(cell) || worker->is_stopping);
}

/* What goes with each status. */
static void check_status(const struct trp_worker *worker, const struct trp_cell *cell)
{
    switch ((enum trp_cell_status)cell->status) {
    case TRP_CELL_FREE:
    case TRP_CELL_ZOMBIE:
        TROUPE_ASSERT(!cell->is_scheduled);
        TROUPE_ASSERT(cell->timers == NULL);
        TROUPE_ASSERT(cell->relations == 0);
        TROUPE_ASSERT(cell->extra.watchers == NULL);
        TROUPE_ASSERT(trp_lane_is_empty(&cell->extra.waiters));
        TROUPE_ASSERT(!trp_cell_has_messages(cell));
        TROUPE_ASSERT((cell->status == TRP_CELL_ZOMBIE) ==
                      (cell->ops != NULL || cell->is_end_coming));
        break;
    case TRP_CELL_RESERVED:
        TROUPE_ASSERT(!cell->is_scheduled);
        break;
    case TRP_CELL_SUSPENDED:
        TROUPE_ASSERT(!cell->is_scheduled);
        TROUPE_ASSERT(cell->timers == NULL);
        TROUPE_ASSERT(trp_lane_is_empty(&cell->control)); /* these never wait */
        break;
    case TRP_CELL_DRAINING:
        /* it ends in the turn that finds its lane empty, so it has one before it */
        TROUPE_ASSERT(cell->is_scheduled || worker->is_stopping);
        break;
    case TRP_CELL_ALIVE:
        TROUPE_ASSERT(cell->is_scheduled || !trp_cell_has_messages(cell) || worker->is_stopping);
        break;
    }
    TROUPE_ASSERT(((cell->gate & TRP_GATE_STATUS) == 0) == (cell->status == TRP_CELL_ALIVE) ||
                  cell->status == TRP_CELL_FREE);
    TROUPE_ASSERT(cell->priority != 0 ||
                  (trp_lane_is_empty(&cell->control) && trp_lane_is_empty(&cell->reply)));
}

static void check_cell(const struct trp_worker *worker,
                       const struct trp_cell *cell,
                       struct census *census,
                       struct roll *roll)
{
    uint64_t data_bytes = 0;
    uint64_t other_bytes = 0;
    uint32_t timers = 0;
    census->visited++;
    check_status(worker, cell);
    uint32_t depth = check_lane(cell, &cell->data, TROUPE_LANE_DATA, census, &data_bytes, &timers);
    check_lane(cell, &cell->reply, TROUPE_LANE_REPLY, census, &other_bytes, &timers);
    check_lane(cell, &cell->control, TROUPE_LANE_CONTROL, census, &other_bytes, &timers);
    check_timers(cell, timers, census, roll);
    check_full(&worker->cells, cell);
    check_waiters(worker, cell, census);
    if (cell->status == TRP_CELL_FREE) {
        roll->free_cells++;
        return;
    }
    census->end_bits += (trp_load_relaxed_u64(&cell->end_word) & TRP_END_QUEUED) != 0 ? 1 : 0;
    if (cell->status != TRP_CELL_ZOMBIE) {
        TROUPE_ASSERT(depth == trp_cell_depth(cell));
        TROUPE_ASSERT(data_bytes == trp_cell_bytes(cell));
        roll->alive += cell->status != TRP_CELL_RESERVED ? 1 : 0;
    }
    roll->scheduled += cell->is_scheduled;
}

/* Returns how many cells wait in the queue. */
static uint64_t check_run_queue(const struct trp_worker *worker, const struct trp_run_queue *queue)
{
    uint64_t count = 0;
    for (const struct trp_cell *cell = queue->head; cell != NULL; cell = cell->run_next) {
        TROUPE_ASSERT(cell->is_scheduled);
        TROUPE_ASSERT(cell->status == TRP_CELL_ALIVE || cell->status == TRP_CELL_DRAINING);
        TROUPE_ASSERT(cell->run_next != NULL || cell == queue->tail);
        TROUPE_ASSERT(count < worker->cells.used); /* no circle */
        count++;
    }
    return count;
}

/* The timers in the wheel, of whoever they are. */
static uint64_t count_wheel(const struct trp_wheel *wheel)
{
    uint64_t count = 0;
    for (uint32_t level = 0; level < TRP_WHEEL_LEVELS; level++) {
        uint64_t bits = wheel->occupied[level];
        for (; bits != 0; bits &= bits - 1) {
            const struct troupe_timer *timer = wheel->slots[level][(uint32_t)__builtin_ctzll(bits)];
            TROUPE_ASSERT(timer != NULL);
            for (; timer != NULL; timer = timer->next) {
                count++;
            }
        }
    }
    return count;
}

/* The lists of cells; nobody spawns or runs any more on a worker that goes down. */
static void check_lists(const struct trp_worker *worker, const struct roll *roll)
{
    uint64_t listed = 0;
    for (const struct trp_cell *cell = worker->cells.free_cells; cell != NULL;
         cell = cell->run_next) {
        TROUPE_ASSERT(cell->status == TRP_CELL_FREE);
        TROUPE_ASSERT(listed < worker->cells.used); /* no circle: none was given back twice */
        listed++;
    }
    TROUPE_ASSERT(listed == roll->free_cells);
    if (worker->is_stopping) {
        return;
    }
    uint64_t queued = check_run_queue(worker, &worker->urgent);
    queued += check_run_queue(worker, &worker->normal);
    TROUPE_ASSERT(queued == roll->scheduled);
}

static void check_cells(const struct trp_worker *worker, struct census *census)
{
    struct roll roll = {0, 0, 0, 0};
    for (uint32_t slot = 1; slot < worker->cells.used; slot++) {
        check_cell(worker, trp_cells_at(&worker->cells, slot), census, &roll);
    }
    TROUPE_ASSERT(roll.alive == worker->stats.alive);
    TROUPE_ASSERT(roll.armed == count_wheel(&worker->wheel));
    check_lists(worker, &roll);
}

/* Asleep, rung and awake are what the park word says; nobody oversleeps. */
static void check_park(const struct trp_sim_worker *mine)
{
    const struct trp_worker *worker = mine->worker;
    uint32_t word = trp_load_relaxed_u32(&worker->park_word);
    TROUPE_ASSERT(mine->is_parked == (word != TRP_RUNNING));
    TROUPE_ASSERT(mine->is_rung == (word == TRP_NOTIFIED));
    if (mine->is_parked) {
        TROUPE_ASSERT(mine->deadline_ns <= trp_wheel_next_ns(&worker->wheel));
    }
}

void trp_sim_sum(struct trp_sim *sim, struct troupe_worker_stats *sum)
{
    *sum = (struct troupe_worker_stats){0};
    for (uint32_t i = 0; i < sim->pool->worker_count; i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(sim->pool, i, &stats);
        sum->accepted += stats.accepted;
        sum->processed += stats.processed;
        sum->reported += stats.reported;
        sum->remote_out += stats.remote_out;
        sum->remote_in += stats.remote_in;
        sum->alive += stats.alive;
        for (uint32_t reason = 0; reason < TROUPE_DROP_REASONS; reason++) {
            sum->dropped[0] += stats.dropped[reason];
        }
    }
}

static void check_counters(struct trp_sim *sim, const struct census *census)
{
    struct troupe_worker_stats sum;
    trp_sim_sum(sim, &sum);
    TROUPE_ASSERT(sum.accepted == sum.processed + sum.reported + census->messages);
    TROUPE_ASSERT(sum.dropped[0] == sum.reported);
    TROUPE_ASSERT(sum.remote_out + trp_ports_accepted(sim->pool) ==
                  sum.remote_in + census->in_inbox);
}

void trp_sim_check(struct trp_sim *sim)
{
    struct census census = {0, 0, 0, 0, 0};
    bool is_stopping = trp_load_relaxed_u32(&sim->pool->is_stopping) != 0;
    for (uint32_t i = 0; i < sim->pool->worker_count; i++) {
        check_cells(&sim->pool->workers[i], &census);
        check_window(sim, i, &census);
        if (!is_stopping) {
            check_park(&sim->workers[i]);
        }
    }
    TROUPE_ASSERT(census.end_nodes == census.end_bits);
    check_counters(sim, &census);
    sim->check_cost = census.visited;
}

void trp_sim_set_check_budget(struct trp_sim *sim, uint32_t nodes_per_step)
{
    sim->check_budget = nodes_per_step;
    sim->check_credit = 0;
}

void trp_sim_check_sometimes(struct trp_sim *sim)
{
    sim->check_credit += sim->check_budget;
    if (sim->check_budget != 0 &&
        (sim->check_credit >= sim->check_cost || sim->check_budget == UINT32_MAX)) {
        sim->check_credit = 0;
        trp_sim_check(sim);
    }
}

/* --- memory --- */

/* Nodes of one class that were cut and are not free. */
static uint64_t count_live(const struct trp_heap *heap, uint32_t size_class)
{
    uint64_t live = 0;
    for (const struct trp_slab_chunk *chunk = heap->chunks; chunk != NULL; chunk = chunk->next) {
        if (chunk->size_class == size_class) {
            live += (TRP_SLAB_CHUNK_BYTES - sizeof(*chunk)) / chunk->node_bytes;
        }
    }
    for (struct trp_slab_node *node = heap->free_nodes[size_class]; node != NULL;
         node = node->next) {
        live--;
    }
    if (heap->fresh[size_class] != heap->fresh_end[size_class]) {
        uint32_t bytes = trp_slab_chunk_of(heap->fresh[size_class])->node_bytes;
        live -= (uint64_t)(heap->fresh_end[size_class] - heap->fresh[size_class]) / bytes;
    }
    return live;
}

uint64_t trp_sim_live_nodes(struct trp_sim *sim, uint32_t bytes_max)
{
    uint64_t live = 0;
    for (uint32_t i = 0; i < sim->pool->worker_count; i++) {
        trp_heap_settle(&trp_sim_enter(sim, i)->heap); /* sends home what it has of the others */
    }
    for (uint32_t i = 0; i < sim->pool->worker_count; i++) {
        struct trp_heap *heap = &trp_sim_enter(sim, i)->heap;
        trp_heap_settle(heap);
        for (const struct trp_slab_chunk *chunk = heap->chunks; chunk != NULL;
             chunk = chunk->next) {
            bool is_first = true; /* of its class */
            for (const struct trp_slab_chunk *other = heap->chunks; other != chunk;
                 other = other->next) {
                is_first = is_first && other->size_class != chunk->size_class;
            }
            if (is_first && chunk->node_bytes <= bytes_max) {
                live += count_live(heap, chunk->size_class);
            }
        }
        live += trp_load_relaxed_u64(&heap->large_bytes) != 0 ? 1 : 0;
    }
    trp_sim_leave();
    return live;
}
