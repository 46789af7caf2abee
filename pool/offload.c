/* Blocking work on threads of its own, with a bound and a way back. */

#include "pool/foreign.h"
#include "pool/futex.h"
#include "pool/worker.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

struct job {
    struct troupe_msg *msg;
    void (*work_cb)(void *payload);
    uint64_t accepted_ns;
};

struct trp_offload {
    struct troupe_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t has_job;
    struct job *jobs; /* ring of `cap` */
    uint32_t cap;
    uint32_t head;
    uint32_t count;
    bool is_closing;
    struct troupe_offload_stats stats; /* queued and threads are filled in when asked for */
    uint64_t begun;                    /* jobs accepted; any thread */
    uint64_t ended; /* jobs whose result is in an inbox or reported; any thread */
    uint32_t thread_count;
    pthread_t threads[];
};

/* Sends the message back to who asked; from a thread that is no worker. */
static void give_back(struct trp_offload *offload, struct troupe_msg *msg)
{
    struct trp_worker *owner = &offload->pool->workers[troupe_ref_worker(msg->to)];
    if (trp_inbox_push(&owner->inbox, msg, msg)) {
        trp_worker_wake(owner, NULL);
        return;
    }
    /* The worker takes nothing any more, but may still be counting: report on the pool's own
     * counter. An asker is gone as well: actors end before the first inbox closes. */
    const struct troupe_pool_config *config = &offload->pool->config;
    trp_faa_u64(&offload->pool->foreign_dropped, 1); /* partner: troupe_pool_stats */
    if (config->dead_letter_cb != NULL) {
        config->dead_letter_cb(config->dead_letter_arg, msg, TROUPE_DROP_SHUTDOWN);
    }
    trp_msg_free(msg);
}

/* The result is on its way: a pool that drains may have been waiting for this job only. */
static void finish(struct trp_offload *offload, struct troupe_msg *msg)
{
    struct trp_worker *owner = &offload->pool->workers[troupe_ref_worker(msg->to)];
    give_back(offload, msg);
    trp_faa_u64(&offload->ended, 1); /* full barrier; partner: trp_offload_is_idle */
    trp_drain_nudge(owner);
}

static void add_time(uint64_t *sum, uint64_t *most, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t taken_ns = to_ns > from_ns ? to_ns - from_ns : 0;
    *sum += taken_ns;
    *most = taken_ns > *most ? taken_ns : *most;
}

/* Runs a job without the lock, which the caller holds before and after. */
static void run_job(struct trp_offload *offload, const struct job *job)
{
    struct troupe_offload_stats *stats = &offload->stats;
    uint64_t started_ns = trp_monotonic_ns();
    add_time(&stats->wait_ns, &stats->wait_max_ns, job->accepted_ns, started_ns);
    stats->running++;
    pthread_mutex_unlock(&offload->lock);
    job->work_cb(troupe_msg_data(job->msg));
    uint64_t done_ns = trp_monotonic_ns();
    pthread_mutex_lock(&offload->lock);
    add_time(&stats->run_ns, &stats->run_max_ns, started_ns, done_ns);
    stats->running--;
    stats->done++;
}

/* Not before every actor has ended: none may take a job that was not run for one that was. */
static bool is_over(const struct trp_offload *offload)
{
    const struct troupe_pool *pool = offload->pool;
    /* acquire: pairs with the add in trp_worker_say_quiet */
    return offload->is_closing || trp_load_acquire_u32(&pool->quiet_workers) == pool->worker_count;
}

static void *offload_main(void *arg)
{
    struct trp_offload *offload = arg;
    pthread_setname_np(pthread_self(), "troupe-offload");
    pthread_mutex_lock(&offload->lock);
    for (;;) {
        while (offload->count == 0 && !offload->is_closing) {
            pthread_cond_wait(&offload->has_job, &offload->lock);
        }
        if (offload->count == 0) {
            break;
        }
        struct job job = offload->jobs[offload->head];
        offload->head = (offload->head + 1) % offload->cap;
        offload->count--;
        if (is_over(offload)) {
            offload->stats.canceled++;
        } else {
            run_job(offload, &job);
        }
        pthread_mutex_unlock(&offload->lock);
        finish(offload, job.msg);
        pthread_mutex_lock(&offload->lock);
    }
    pthread_mutex_unlock(&offload->lock);
    return NULL;
}

struct trp_offload *trp_offload_create(struct troupe_pool *pool, uint32_t threads, uint32_t queue)
{
    struct trp_offload *offload =
        calloc(1, sizeof(*offload) + threads * sizeof(offload->threads[0]));
    if (offload == NULL) {
        return NULL;
    }
    offload->jobs = calloc(queue, sizeof(offload->jobs[0]));
    if (offload->jobs == NULL) {
        free(offload);
        return NULL;
    }
    offload->pool = pool;
    offload->cap = queue;
    pthread_mutex_init(&offload->lock, NULL);
    pthread_cond_init(&offload->has_job, NULL);
    for (uint32_t i = 0; i < threads; i++) {
        if (pthread_create(&offload->threads[i], NULL, offload_main, offload) != 0) {
            trp_offload_destroy(offload);
            return NULL;
        }
        offload->thread_count++;
    }
    return offload;
}

void trp_offload_close(struct trp_offload *offload)
{
    if (offload == NULL || offload->is_closing) {
        return;
    }
    pthread_mutex_lock(&offload->lock);
    offload->is_closing = true;
    pthread_cond_broadcast(&offload->has_job);
    pthread_mutex_unlock(&offload->lock);
    for (uint32_t i = 0; i < offload->thread_count; i++) {
        pthread_join(offload->threads[i], NULL);
    }
}

void trp_offload_destroy(struct trp_offload *offload)
{
    if (offload == NULL) {
        return;
    }
    trp_offload_close(offload);
    pthread_mutex_destroy(&offload->lock);
    pthread_cond_destroy(&offload->has_job);
    free(offload->jobs);
    free(offload);
}

static struct trp_offload *find_offload(struct troupe_pool *pool)
{
    /* acquire: pairs with the release store in get_offload */
    return trp_load_acquire_ptr((void *const *)(uintptr_t)&pool->offload);
}

/* Starts the threads at the first job: most programs never need them. */
static struct trp_offload *get_offload(struct troupe_pool *pool)
{
    struct trp_offload *offload = find_offload(pool);
    if (offload != NULL) {
        return offload;
    }
    pthread_mutex_lock(&pool->lock);
    offload = find_offload(pool);
    if (offload == NULL) {
        /* a simulation does the work at once and needs the counters only */
        offload = trp_offload_create(pool, pool->is_simulated ? 0 : pool->config.offload_threads,
                                     pool->config.offload_queue_max);
        /* release: pairs with find_offload */
        trp_store_release_ptr((void **)&pool->offload, offload);
    }
    pthread_mutex_unlock(&pool->lock);
    return offload;
}

bool trp_offload_is_own_thread(struct troupe_pool *pool)
{
    const struct trp_offload *offload = find_offload(pool);
    for (uint32_t i = 0; offload != NULL && i < offload->thread_count; i++) {
        if (pthread_equal(offload->threads[i], pthread_self())) {
            return true;
        }
    }
    return false;
}

bool trp_offload_is_idle(struct troupe_pool *pool, uint64_t *begun)
{
    const struct trp_offload *offload = find_offload(pool);
    *begun = 0;
    if (offload == NULL) {
        return true;
    }
    /* in this order: both only grow, so equal means that nothing was under way in between */
    uint64_t ended = trp_load_acquire_u64(&offload->ended); /* partner: finish */
    *begun = trp_load_acquire_u64(&offload->begun);         /* partner: enqueue */
    return ended == *begun;
}

void troupe_pool_offload_stats(struct troupe_pool *pool, struct troupe_offload_stats *stats)
{
    struct trp_offload *offload = find_offload(pool);
    memset(stats, 0, sizeof(*stats));
    if (offload != NULL) {
        pthread_mutex_lock(&offload->lock);
        *stats = offload->stats;
        stats->threads = offload->thread_count;
        stats->queued = offload->count;
        pthread_mutex_unlock(&offload->lock);
    }
}

/* In a simulation: one thread, so the work is done at once and its end is seen in a later turn. */
static void run_at_once(struct trp_worker *worker,
                        struct trp_offload *offload,
                        struct troupe_msg *msg,
                        void (*work_cb)(void *payload))
{
    work_cb(troupe_msg_data(msg));
    offload->stats.done++;
    trp_worker_post(worker, msg->to, TROUPE_LANE_REPLY, msg);
}

static enum troupe_status enqueue(struct trp_offload *offload, const struct job *job)
{
    enum troupe_status status = TROUPE_OK;
    pthread_mutex_lock(&offload->lock);
    if (offload->is_closing) {
        status = TROUPE_ECLOSED;
    } else if (offload->count == offload->cap) {
        offload->stats.rejected++;
        status = TROUPE_EBUSY;
    } else {
        trp_faa_u64(&offload->begun, 1); /* partner: trp_offload_is_idle */
        offload->jobs[(offload->head + offload->count) % offload->cap] = *job;
        offload->count++;
        pthread_cond_signal(&offload->has_job);
    }
    pthread_mutex_unlock(&offload->lock);
    return status;
}

/* From a success on the message is somebody else's. */
static enum troupe_status hand_over(struct trp_worker *worker,
                                    struct trp_offload *offload,
                                    struct troupe_msg *msg,
                                    void (*work_cb)(void *payload))
{
    if (worker->pool->is_simulated) {
        run_at_once(worker, offload, msg, work_cb);
        return TROUPE_OK;
    }
    struct job job = {msg, work_cb, trp_monotonic_ns()};
    enum troupe_status status = enqueue(offload, &job);
    if (status == TROUPE_OK) {
        trp_count(&worker->stats.accepted, 1);
    }
    return status;
}

enum troupe_status
troupe_offload(struct troupe_ctx *ctx, struct troupe_msg **msg_ptr, void (*work_cb)(void *payload))
{
    struct trp_worker *worker = ctx->worker;
    struct troupe_msg *msg = *msg_ptr;
    TROUPE_ASSERT(ctx->cell != NULL);
    TROUPE_ASSERT((msg->flags & TROUPE_MSG_EMBEDDED) == 0);
    if (worker->is_stopping) {
        return TROUPE_ECLOSED;
    }
    struct trp_offload *offload = get_offload(worker->pool);
    if (offload == NULL) {
        return TROUPE_ENOMEM;
    }
    struct troupe_msg before = *msg;
    msg->to = trp_cell_ref(ctx->cell);
    /* `from` stays: the answer to an ask goes there */
    msg->flags = (uint8_t)((msg->flags & ~(unsigned)(TROUPE_MSG_LANE_MASK | TROUPE_MSG_REPLY)) |
                           (unsigned)TROUPE_LANE_REPLY);
    enum troupe_status status = hand_over(worker, offload, msg, work_cb);
    if (status != TROUPE_OK) {
        *msg = before; /* a borrowed one is finished by its flags */
        return status;
    }
    *msg_ptr = NULL;
    if (ctx->msg == msg) {
        ctx->msg = NULL; /* passed on, so no longer borrowed */
    }
    return TROUPE_OK;
}
