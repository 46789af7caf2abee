#include "bench/peers/naive_pool.h"

#include <stdlib.h>

#define TURN_MAX 64u

struct trp_naive_pool {
    pthread_mutex_t lock; /* everything here */
    pthread_cond_t work;  /* the run queue is not empty, or the end */
    pthread_cond_t idle;  /* all threads sleep */
    struct trp_naive_actor *run_head;
    struct trp_naive_actor **run_tail;
    uint32_t sleeping;
    uint32_t threads;
    bool is_ending;
    bool is_failed;
    bool is_finished;
    uint64_t end_ns;
    pthread_t ids[TRP_PEER_THREADS_MAX];
};

static void schedule(struct trp_naive_pool *pool, struct trp_naive_actor *actor)
{
    actor->next_run = NULL;
    pthread_mutex_lock(&pool->lock);
    *pool->run_tail = actor;
    pool->run_tail = &actor->next_run;
    bool is_somebody_asleep = pool->sleeping > 0;
    pthread_mutex_unlock(&pool->lock);
    if (is_somebody_asleep) {
        pthread_cond_signal(&pool->work);
    }
}

/* NULL: the mailbox is empty and the actor no longer scheduled. */
static struct trp_naive_msg *take_batch(struct trp_naive_actor *actor)
{
    pthread_mutex_lock(&actor->lock);
    struct trp_naive_msg *batch = actor->head;
    actor->head = NULL;
    actor->tail = &actor->head;
    if (batch == NULL) {
        actor->is_scheduled = false;
    }
    pthread_mutex_unlock(&actor->lock);
    return batch;
}

static void run_turn(struct trp_naive_pool *pool, struct trp_naive_actor *actor)
{
    for (uint32_t i = 0; i < TURN_MAX; i++) {
        if (actor->batch == NULL) {
            struct trp_naive_msg *batch = take_batch(actor);
            if (batch == NULL) {
                return; /* from here on another thread may run it */
            }
            actor->batch = batch;
        }
        struct trp_naive_msg *msg = actor->batch;
        actor->batch = msg->next;
        bool goes_on = actor->receive(actor, msg);
        free(msg);
        if (!goes_on) {
            trp_naive_free(actor);
            return;
        }
    }
    schedule(pool, actor);
}

/* NULL: the pool ends. */
static struct trp_naive_actor *next_actor(struct trp_naive_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->run_head == NULL && !pool->is_ending) {
        pool->sleeping++;
        if (pool->sleeping == pool->threads) {
            pthread_cond_signal(&pool->idle);
        }
        pthread_cond_wait(&pool->work, &pool->lock);
        pool->sleeping--;
    }
    struct trp_naive_actor *actor = pool->run_head;
    if (actor != NULL) {
        pool->run_head = actor->next_run;
        if (pool->run_head == NULL) {
            pool->run_tail = &pool->run_head;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return actor;
}

static void *run_thread(void *arg)
{
    struct trp_naive_pool *pool = arg;
    struct trp_naive_actor *actor;
    while ((actor = next_actor(pool)) != NULL) {
        run_turn(pool, actor);
    }
    return NULL;
}

static void end_threads(struct trp_naive_pool *pool, uint32_t count)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_ending = true;
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_broadcast(&pool->work);
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(pool->ids[i], NULL);
    }
}

struct trp_naive_pool *trp_naive_pool_create(uint32_t threads)
{
    struct trp_naive_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->run_tail = &pool->run_head;
    pool->threads = threads;
    for (uint32_t i = 0; i < threads; i++) {
        if (pthread_create(&pool->ids[i], NULL, run_thread, pool) != 0) {
            end_threads(pool, i);
            pool->threads = 0;
            trp_naive_pool_destroy(pool);
            return NULL;
        }
    }
    return pool;
}

void trp_naive_pool_destroy(struct trp_naive_pool *pool)
{
    end_threads(pool, pool->threads);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

bool trp_naive_pool_wait(struct trp_naive_pool *pool, uint64_t *end_ns)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->run_head != NULL || pool->sleeping < pool->threads ||
           !(pool->is_finished || pool->is_failed)) {
        pthread_cond_wait(&pool->idle, &pool->lock);
    }
    pool->is_finished = false;
    *end_ns = pool->end_ns;
    bool is_good = !pool->is_failed;
    pthread_mutex_unlock(&pool->lock);
    return is_good;
}

void trp_naive_pool_finish(struct trp_naive_pool *pool)
{
    uint64_t now_ns = trp_peer_now_ns();
    pthread_mutex_lock(&pool->lock);
    pool->is_finished = true;
    pool->end_ns = now_ns;
    pthread_mutex_unlock(&pool->lock);
}

static void fail(struct trp_naive_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_failed = true;
    pthread_mutex_unlock(&pool->lock);
}

struct trp_naive_actor *trp_naive_spawn(struct trp_naive_pool *pool,
                                        trp_naive_receive_fn *receive,
                                        struct trp_naive_run *run)
{
    struct trp_naive_actor *actor = calloc(1, sizeof(*actor));
    if (actor == NULL) {
        fail(pool);
        return NULL;
    }
    pthread_mutex_init(&actor->lock, NULL);
    actor->tail = &actor->head;
    actor->pool = pool;
    actor->receive = receive;
    actor->run = run;
    return actor;
}

static void free_list(struct trp_naive_msg *msg)
{
    while (msg != NULL) {
        struct trp_naive_msg *next = msg->next;
        free(msg);
        msg = next;
    }
}

void trp_naive_free(struct trp_naive_actor *actor)
{
    if (actor != NULL) {
        free_list(actor->batch);
        free_list(actor->head);
        pthread_mutex_destroy(&actor->lock);
        free(actor);
    }
}

void trp_naive_send(struct trp_naive_actor *from,
                    struct trp_naive_actor *to,
                    uint32_t type,
                    uint64_t value)
{
    struct trp_naive_msg *msg = malloc(sizeof(*msg));
    if (msg == NULL) {
        fail(to->pool);
        return;
    }
    *msg = (struct trp_naive_msg){.from = from, .type = type, .value = value};
    pthread_mutex_lock(&to->lock);
    *to->tail = msg;
    to->tail = &msg->next;
    bool is_first = !to->is_scheduled;
    to->is_scheduled = true;
    pthread_mutex_unlock(&to->lock);
    if (is_first) {
        schedule(to->pool, to);
    }
}
