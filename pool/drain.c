/* Draining a pool, and the report of how it ended; the invariant is in drain.h. */

#include "pool/drain.h"

#include "pool/futex.h"
#include "pool/worker.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

enum troupe_status trp_drain_init(struct troupe_pool *pool)
{
    pool->drain.deadline_ns = UINT64_MAX;
    pool->drain.ends = calloc(pool->worker_count, sizeof(pool->drain.ends[0]));
    return pool->drain.ends == NULL ? TROUPE_ENOMEM : TROUPE_OK;
}

void trp_drain_fini(struct troupe_pool *pool)
{
    free(pool->drain.ends);
    pool->drain.ends = NULL;
}

/* The workers' clock, from any thread. */
static uint64_t clock_ns(struct troupe_pool *pool)
{
    if (pool->is_simulated) {
        struct trp_worker *worker = &pool->workers[0];
        return worker->driver_state != NULL ? worker->driver->now(worker->driver_state) : 0;
    }
    return trp_monotonic_ns();
}

static bool decide(struct troupe_pool *pool, enum trp_drain_outcome outcome)
{
    uint32_t seen = TRP_DRAIN_OPEN;
    /* partner: itself, of several deciders one wins */
    if (!trp_cas_u32(&pool->drain.outcome, &seen, (uint32_t)outcome)) {
        return false;
    }
    /* relaxed: read after the join */
    trp_store_relaxed_u64(&pool->drain.ended_ns, clock_ns(pool));
    return true;
}

static bool is_over(struct troupe_pool *pool)
{
    return trp_load_acquire_u32(&pool->is_stopping) != 0; /* pairs with troupe_pool_stop */
}

static void wake_all(struct troupe_pool *pool)
{
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        trp_worker_wake(&pool->workers[i], NULL); /* one without a driver yet is not parked */
    }
}

void troupe_pool_drain(struct troupe_pool *pool, uint64_t timeout_ns)
{
    struct trp_drain *drain = &pool->drain;
    if (is_over(pool)) {
        return;
    }
    uint64_t now_ns = clock_ns(pool);
    uint64_t deadline_ns = timeout_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + timeout_ns;
    uint64_t seen = trp_load_relaxed_u64(&drain->deadline_ns);
    /* partner: trp_drain_tick */
    while (deadline_ns < seen && !trp_cas_u64(&drain->deadline_ns, &seen, deadline_ns)) {
    }
    seen = 0;
    (void)trp_cas_u64(&drain->began_ns, &seen, now_ns); /* the first call counts */
    /* Full barrier: a port that takes its ticket after this sees the flag and gives it back
     * (troupe_port_send); a worker that parks after this looks (trp_worker_announce_park). */
    trp_fas_u32(&drain->is_on, 1);
    wake_all(pool);
}

void troupe_pool_stop(struct troupe_pool *pool)
{
    if (trp_load_acquire_u32(&pool->drain.is_on) != 0) { /* pairs with troupe_pool_drain */
        (void)decide(pool, TRP_DRAIN_STOPPED);
    }
    /* full barrier before the wakes: a worker that parks after this sees the flag
     * (trp_worker_announce_park) */
    trp_fas_u32(&pool->is_stopping, 1);
    wake_all(pool);
}

void trp_drain_tick(struct trp_worker *worker)
{
    struct troupe_pool *pool = worker->pool;
    /* partner: troupe_pool_drain */
    if (worker->now_ns >= trp_load_relaxed_u64(&pool->drain.deadline_ns) && !is_over(pool)) {
        (void)decide(pool, TRP_DRAIN_LATE);
        troupe_pool_stop(pool);
    }
}

/* What the first look saw. */
struct look {
    uint64_t jobs;
    uint64_t turns[TROUPE_WORKERS_MAX];
};

static bool is_asleep(const struct trp_worker *worker)
{
    /* acquire: pairs with the announcement, so that the turns before it are seen */
    return trp_load_acquire_u32(&worker->park_word) == TRP_PARKED &&
           !trp_inbox_has_work(&worker->inbox);
}

/* All foreign messages that were accepted have reached their lanes. */
static bool is_foreign_dealt(struct troupe_pool *pool)
{
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        const struct trp_worker *worker = &pool->workers[i];
        /* partners: troupe_port_send, trp_worker_deal_inbox */
        uint32_t dealt = trp_load_acquire_u32(&worker->foreign_dealt);
        if (trp_load_acquire_u32(&worker->foreign_sent) != dealt) {
            return false;
        }
    }
    return true;
}

static bool look_first(struct troupe_pool *pool, struct look *look)
{
    if (!is_foreign_dealt(pool) || !trp_offload_is_idle(pool, &look->jobs)) {
        return false;
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        const struct trp_worker *worker = &pool->workers[i];
        look->turns[i] = trp_load_acquire_u64(&worker->stats.turns);
        if (!is_asleep(worker)) {
            return false;
        }
    }
    return true;
}

static bool look_again(struct troupe_pool *pool, const struct look *look)
{
    uint64_t jobs;
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        const struct trp_worker *worker = &pool->workers[i];
        if (!is_asleep(worker) || trp_load_acquire_u64(&worker->stats.turns) != look->turns[i]) {
            return false;
        }
    }
    return trp_offload_is_idle(pool, &jobs) && jobs == look->jobs;
}

/* --- messages of suspended actors --- */

enum mail { MAIL_UNKNOWN, MAIL_NONE, MAIL_SOME };

static enum mail mail_of(struct troupe_pool *pool, uint32_t i, const struct look *look)
{
    uint64_t said = trp_load_acquire_u64(&pool->drain.mails[i].said); /* partner: say_mail */
    if (said >> 1 != look->turns[i]) {
        return MAIL_UNKNOWN;
    }
    return (said & 1) != 0 ? MAIL_SOME : MAIL_NONE;
}

static bool has_mail(const struct trp_cell_table *cells, uint32_t slot)
{
    if (slot >= cells->used) {
        return false;
    }
    const struct trp_cell *cell = trp_cells_at(cells, slot);
    return cell->status == TRP_CELL_SUSPENDED && trp_cell_has_messages(cell);
}

/* Walks over the worker's own actors, unless the one found last time still waits. */
static void say_mail(struct trp_worker *worker)
{
    struct trp_drain_mail *mail = &worker->pool->drain.mails[worker->index];
    const struct trp_cell_table *cells = &worker->cells;
    if (!has_mail(cells, mail->slot)) {
        mail->slot = 0;
        while (mail->slot < cells->used && !has_mail(cells, mail->slot)) {
            mail->slot++;
        }
    }
    uint64_t is_some = mail->slot < cells->used ? 1 : 0;
    /* full barrier before the looks at the others; partner: mail_of */
    trp_fas_u64(&mail->said, worker->stats.turns << 1 | is_some);
}

static void ask_for_mail(struct troupe_pool *pool, uint32_t i)
{
    trp_fas_u32(&pool->drain.mails[i].is_asked, 1); /* partner: answer_for_mail */
    trp_worker_wake(&pool->workers[i], NULL);
}

/* The worker was woken only to look at its actors. */
static void answer_for_mail(struct trp_worker *worker)
{
    struct trp_drain_mail *mail = &worker->pool->drain.mails[worker->index];
    /* partner: ask_for_mail */
    if (trp_load_acquire_u32(&mail->is_asked) != 0) {
        trp_fas_u32(&mail->is_asked, 0);
        say_mail(worker);
    }
}

/* True when nobody has any; asks those that have not said yet. */
static bool is_without_mail(struct trp_worker *worker, const struct look *look)
{
    struct troupe_pool *pool = worker->pool;
    bool is_known = true;
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        if (mail_of(pool, i, look) == MAIL_SOME) {
            return false; /* spares us, and the others, the walk */
        }
    }
    if (mail_of(pool, worker->index, look) == MAIL_UNKNOWN) {
        say_mail(worker);
    }
    if (mail_of(pool, worker->index, look) == MAIL_SOME) {
        return false;
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        enum mail mail = mail_of(pool, i, look);
        is_known = is_known && mail == MAIL_NONE;
        if (mail == MAIL_UNKNOWN) {
            ask_for_mail(pool, i);
        }
    }
    return is_known;
}

bool trp_drain_look(struct trp_worker *worker, uint64_t *deadline_ns)
{
    struct troupe_pool *pool = worker->pool;
    struct look look;
    answer_for_mail(worker);
    if (!is_over(pool) && look_first(pool, &look) && is_without_mail(worker, &look) &&
        look_again(pool, &look)) {
        (void)decide(pool, TRP_DRAIN_QUIET);
        troupe_pool_stop(pool);
    }
    if (is_over(pool)) {
        return true;
    }
    uint64_t ours_ns = trp_load_relaxed_u64(&pool->drain.deadline_ns);
    *deadline_ns = ours_ns < *deadline_ns ? ours_ns : *deadline_ns;
    return false;
}

void trp_drain_nudge(struct trp_worker *worker)
{
    /* the caller's last step was a full barrier; pairs with troupe_pool_drain */
    if (trp_load_acquire_u32(&worker->pool->drain.is_on) != 0) {
        trp_worker_wake(worker, NULL);
    }
}

/* --- what is left behind --- */

void trp_drain_shutdown_begins(struct trp_worker *worker)
{
    struct trp_worker_end *end = &worker->pool->drain.ends[worker->index];
    end->reported_before = worker->stats.reported;
    end->began_ns = worker->driver->now(worker->driver_state);
}

void trp_drain_shutdown_ended(struct trp_worker *worker)
{
    struct trp_worker_end *end = &worker->pool->drain.ends[worker->index];
    end->ended_ns = worker->driver->now(worker->driver_state);
}

/* Keeps the worst: the new one replaces the least when there is no place left. */
static void
note_abandoned(struct troupe_abandoned *actors, uint32_t *count, const struct troupe_abandoned *one)
{
    if (*count < TROUPE_ABANDONED_MAX) {
        actors[(*count)++] = *one;
        return;
    }
    struct troupe_abandoned *least = &actors[0];
    for (uint32_t i = 1; i < TROUPE_ABANDONED_MAX; i++) {
        least = actors[i].messages < least->messages ? &actors[i] : least;
    }
    if (one->messages > least->messages) {
        *least = *one;
    }
}

void trp_report_abandoned(struct trp_worker *worker, const struct trp_cell *cell, uint32_t messages)
{
    if (messages == 0 || !worker->is_stopping) {
        return;
    }
    struct trp_worker_end *end = &worker->pool->drain.ends[worker->index];
    struct troupe_abandoned one = {cell->type->name, trp_cell_ref(cell), messages};
    note_abandoned(end->actors, &end->actor_count, &one);
}

static int by_messages(const void *a, const void *b)
{
    const struct troupe_abandoned *one = a;
    const struct troupe_abandoned *other = b;
    if (one->messages != other->messages) {
        return one->messages > other->messages ? -1 : 1;
    }
    return one->ref < other->ref ? -1 : one->ref > other->ref;
}

static void add_worker(struct troupe_pool *pool, struct troupe_pool_report *report, uint32_t i)
{
    const struct trp_worker_end *end = &pool->drain.ends[i];
    struct troupe_worker_stats stats;
    troupe_pool_stats(pool, i, &stats);
    report->accepted += stats.accepted;
    report->processed += stats.processed;
    report->reported += stats.reported;
    for (uint32_t reason = 0; reason < TROUPE_DROP_REASONS; reason++) {
        report->dropped[reason] += stats.dropped[reason];
    }
    if (end->began_ns != 0) {
        report->abandoned += stats.reported - end->reported_before;
    }
    for (uint32_t n = 0; n < end->actor_count; n++) {
        note_abandoned(report->actors, &report->actor_count, &end->actors[n]);
    }
}

void troupe_pool_report(struct troupe_pool *pool, struct troupe_pool_report *report)
{
    const struct trp_drain *drain = &pool->drain;
    uint64_t began_ns = UINT64_MAX;
    uint64_t ended_ns = 0;
    TROUPE_ASSERT(!pool->is_running);
    memset(report, 0, sizeof(*report));
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        const struct trp_worker_end *end = &drain->ends[i];
        add_worker(pool, report, i);
        if (end->began_ns != 0) {
            began_ns = end->began_ns < began_ns ? end->began_ns : began_ns;
            ended_ns = end->ended_ns > ended_ns ? end->ended_ns : ended_ns;
        }
    }
    qsort(report->actors, report->actor_count, sizeof(report->actors[0]), by_messages);
    report->was_drained = drain->is_on != 0;
    report->is_drained_in_time = drain->outcome == TRP_DRAIN_QUIET;
    report->drain_ns = drain->outcome == TRP_DRAIN_OPEN ? 0 : drain->ended_ns - drain->began_ns;
    report->stop_ns = ended_ns > began_ns ? ended_ns - began_ns : 0;
}
