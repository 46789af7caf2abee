/* Blocking work on threads of its own, with a bound and a way back. */

#include "pool/worker.h"

#include <stdlib.h>
#include <troupe/assert.h>

struct job {
    struct troupe_msg *msg;
    void (*work_cb)(void *payload);
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
        bool is_run = !offload->is_closing;
        pthread_mutex_unlock(&offload->lock);
        if (is_run) {
            job.work_cb(troupe_msg_data(job.msg));
        }
        give_back(offload, job.msg);
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

void trp_offload_destroy(struct trp_offload *offload)
{
    if (offload == NULL) {
        return;
    }
    pthread_mutex_lock(&offload->lock);
    offload->is_closing = true;
    pthread_cond_broadcast(&offload->has_job);
    pthread_mutex_unlock(&offload->lock);
    for (uint32_t i = 0; i < offload->thread_count; i++) {
        pthread_join(offload->threads[i], NULL);
    }
    pthread_mutex_destroy(&offload->lock);
    pthread_cond_destroy(&offload->has_job);
    free(offload->jobs);
    free(offload);
}

/* Starts the threads at the first job: most programs never need them. */
static struct trp_offload *get_offload(struct troupe_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->offload == NULL) {
        pool->offload =
            trp_offload_create(pool, pool->config.offload_threads, pool->config.offload_queue_max);
    }
    struct trp_offload *offload = pool->offload;
    pthread_mutex_unlock(&pool->lock);
    return offload;
}

enum troupe_status
troupe_offload(struct troupe_ctx *ctx, struct troupe_msg **msg_ptr, void (*work_cb)(void *payload))
{
    struct trp_worker *worker = ctx->worker;
    struct troupe_msg *msg = *msg_ptr;
    TROUPE_ASSERT(ctx->cell != NULL);
    TROUPE_ASSERT(msg != ctx->msg); /* a borrowed message must be taken first */
    TROUPE_ASSERT((msg->flags & TROUPE_MSG_EMBEDDED) == 0);
    if (worker->is_stopping) {
        return TROUPE_ECLOSED;
    }
    msg->to = trp_cell_ref(ctx->cell);
    /* `from` stays: the answer to an ask goes there */
    msg->flags = (uint8_t)((msg->flags & ~(unsigned)(TROUPE_MSG_LANE_MASK | TROUPE_MSG_REPLY)) |
                           (unsigned)TROUPE_LANE_REPLY);
    if (worker->pool->is_simulated) {
        work_cb(troupe_msg_data(msg)); /* one thread there: done at once, seen in a later turn */
        *msg_ptr = NULL;
        trp_worker_post(worker, msg->to, TROUPE_LANE_REPLY, msg);
        return TROUPE_OK;
    }
    struct trp_offload *offload = get_offload(worker->pool);
    if (offload == NULL) {
        return TROUPE_ENOMEM;
    }
    pthread_mutex_lock(&offload->lock);
    if (offload->count == offload->cap || offload->is_closing) {
        enum troupe_status status = offload->is_closing ? TROUPE_ECLOSED : TROUPE_EBUSY;
        pthread_mutex_unlock(&offload->lock);
        return status;
    }
    offload->jobs[(offload->head + offload->count) % offload->cap] = (struct job){msg, work_cb};
    offload->count++;
    pthread_cond_signal(&offload->has_job);
    pthread_mutex_unlock(&offload->lock);
    trp_count(&worker->stats.accepted, 1);
    *msg_ptr = NULL;
    return TROUPE_OK;
}
