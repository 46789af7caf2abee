#ifndef TESTS_UNIT_IO_PARK_WATCH_H
#define TESTS_UNIT_IO_PARK_WATCH_H

/*
 * The ring driver, except that each worker that is about to sleep tells those who wait here: by
 * then all that its handlers did can be seen. So a test waits for what has no event of its own,
 * such as a counter, and need not look again and again.
 */

#include <stdbool.h>
#include <stdint.h>

struct troupe_driver;

/* For a pool's configuration. */
const struct troupe_driver *park_watch_driver(void);

/*
 * Waits until it is true; asks at once and whenever a worker is about to sleep.
 * False when that did not come in time. Threads: one at a time, no worker.
 */
bool park_watch_until(bool (*is_true)(void *arg), void *arg, uint32_t timeout_s);

#endif
