#include "park_watch.h"

#include "pool/driver.h"

#include <pthread.h>
#include <time.h>
#include <troupe/io.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t parks; /* of all workers; under the lock */

static void park(void *state, uint64_t deadline_ns)
{
    (void)pthread_mutex_lock(&lock);
    parks++;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    troupe_ring_driver()->park(state, deadline_ns);
}

const struct troupe_driver *park_watch_driver(void)
{
    static struct troupe_driver driver;
    driver = *troupe_ring_driver();
    driver.park = park;
    return &driver;
}

/* Waits until a worker has parked since *seen was read. */
static bool wait_for_park(uint64_t *seen, const struct timespec *deadline)
{
    int error = 0;
    (void)pthread_mutex_lock(&lock);
    while (parks == *seen && error == 0) {
        error = pthread_cond_timedwait(&changed, &lock, deadline);
    }
    *seen = parks;
    (void)pthread_mutex_unlock(&lock);
    return error == 0;
}

bool park_watch_until(bool (*is_true)(void *arg), void *arg, uint32_t timeout_s)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += timeout_s;
    (void)pthread_mutex_lock(&lock);
    uint64_t seen = parks; /* before the first look: a park after it is not missed */
    (void)pthread_mutex_unlock(&lock);
    while (!is_true(arg)) {
        if (!wait_for_park(&seen, &deadline)) {
            return false; /* true or not: a worker that did it and did not park is a mistake */
        }
    }
    return true;
}
