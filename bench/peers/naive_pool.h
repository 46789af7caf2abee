#ifndef BENCH_PEERS_NAIVE_POOL_H
#define BENCH_PEERS_NAIVE_POOL_H

/*
 * The naive actor pool: what one writes first, with a mutex and a condition variable, and written
 * decently. What was chosen:
 *
 * - N threads and one run queue for all, under one mutex: the textbook thread pool. An actor is a
 *   task; it is in the queue at most once, so nobody runs it twice at a time.
 * - A mutex for each mailbox instead of one for everything: senders to different actors do not
 *   meet. The one who makes a mailbox non-empty puts the actor into the queue.
 * - A thread takes the whole mailbox with one lock and handles at most 64 messages a turn, so that
 *   a flood costs far less than a lock for each message and still starves nobody.
 * - The condition variable is signalled only when a thread sleeps, and after the mutex was left, so
 *   that busy threads cost no system call and a woken one does not run into the lock.
 * - malloc and free for each message and each actor: the system's allocator has a cache for each
 *   thread and is hard to beat with a free list under a lock.
 * - References are pointers, mailboxes have no bound, nothing is accounted for. An actor that ends
 *   must not be sent to any more: seeing to that is left to the program.
 *
 * Mutexes are the default kind; spinning ones would only help threads that share no CPU.
 */

#include <pthread.h>

#include "bench/peers/peer.h"

struct trp_naive_actor;
struct trp_naive_pool;
struct trp_naive_run; /* of the kernels */

struct trp_naive_msg {
    struct trp_naive_msg *next;
    struct trp_naive_actor *from; /* NULL: from outside */
    uint32_t type;
    uint64_t value;
};

/* Handles one message, which stays the pool's. False: the actor has ended and is freed. */
typedef bool trp_naive_receive_fn(struct trp_naive_actor *self, const struct trp_naive_msg *msg);

struct trp_naive_actor {
    pthread_mutex_t lock; /* of the mailbox: head, tail and is_scheduled */
    struct trp_naive_msg *head;
    struct trp_naive_msg **tail;
    bool is_scheduled;                /* in the run queue or running */
    struct trp_naive_msg *batch;      /* taken out of the mailbox; the running thread's own */
    struct trp_naive_actor *next_run; /* under the pool's lock */
    struct trp_naive_pool *pool;
    trp_naive_receive_fn *receive;
    /* The kernel's own: */
    struct trp_naive_run *run;
    uint64_t left;
    uint64_t sum;
    uint32_t place;
    uint32_t state;
};

/* NULL: no memory or no threads. */
struct trp_naive_pool *trp_naive_pool_create(uint32_t threads);
/* After the last trp_naive_pool_wait. */
void trp_naive_pool_destroy(struct trp_naive_pool *pool);

/*
 * Waits until an actor has called trp_naive_pool_finish and nothing is left to run. False:
 * something failed. *end_ns: when it was called.
 */
bool trp_naive_pool_wait(struct trp_naive_pool *pool, uint64_t *end_ns);
void trp_naive_pool_finish(struct trp_naive_pool *pool);

/* NULL after telling the pool that memory is short. Any thread. */
struct trp_naive_actor *trp_naive_spawn(struct trp_naive_pool *pool,
                                        trp_naive_receive_fn *receive,
                                        struct trp_naive_run *run);
/* Frees an actor that does not run, with what is in its mailbox. NULL: nothing. */
void trp_naive_free(struct trp_naive_actor *actor);

/* Any thread. Without memory the pool is told and the message is lost. */
void trp_naive_send(struct trp_naive_actor *from,
                    struct trp_naive_actor *to,
                    uint32_t type,
                    uint64_t value);

#endif
