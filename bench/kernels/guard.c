#include "bench/kernels/guard.h"

#include <errno.h>
#include <time.h>

static struct timespec deadline_of(const struct trp_guard *guard)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += (time_t)(guard->patience_ms / 1000);
    deadline.tv_nsec += (long)(guard->patience_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_nsec -= 1000000000;
        deadline.tv_sec++;
    }
    return deadline;
}

static void *wait_for_end(void *arg)
{
    struct trp_guard *guard = arg;
    struct timespec deadline = deadline_of(guard);
    int status = 0;

    pthread_mutex_lock(&guard->lock);
    while (!guard->is_over && status != ETIMEDOUT) {
        status = pthread_cond_timedwait(&guard->changed, &guard->lock, &deadline);
    }
    if (!guard->is_over) {
        trp_kernel_fail(guard->run, "it does not end: a message is missing, or all is very slow");
    }
    pthread_mutex_unlock(&guard->lock);
    return NULL;
}

bool trp_guard_start(struct trp_guard *guard, struct trp_kernel_run *run, uint64_t patience_ms)
{
    pthread_condattr_t attributes;

    guard->run = run;
    guard->patience_ms = patience_ms;
    guard->is_over = false;
    pthread_mutex_init(&guard->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&guard->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&guard->thread, NULL, wait_for_end, guard) == 0) {
        return true;
    }
    pthread_cond_destroy(&guard->changed);
    pthread_mutex_destroy(&guard->lock);
    return false;
}

void trp_guard_stop(struct trp_guard *guard)
{
    pthread_mutex_lock(&guard->lock);
    guard->is_over = true;
    pthread_cond_signal(&guard->changed);
    pthread_mutex_unlock(&guard->lock);
    pthread_join(guard->thread, NULL);
    pthread_cond_destroy(&guard->changed);
    pthread_mutex_destroy(&guard->lock);
}
