#ifndef TESTS_UNIT_IO_RING_HARNESS_H
#define TESTS_UNIT_IO_RING_HARNESS_H

/*
 * The ring driver without a pool: completions land in a list that the test reads, buffers are given
 * back when the test says so. Setting up a ring can be made to fail.
 */

#include "io/ring/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What the pool would be. */
struct trp_worker {
    struct troupe_msg *head;
    struct troupe_msg *tail;
    uint32_t count;
};

struct harness {
    const struct troupe_driver *driver;
    struct trp_worker worker;
    struct trp_ring *ring;
};

/* io_uring_queue_init_params answers -EINVAL to any of these flags, */
extern unsigned harness_flags_refused;
/* and -ENOMEM above this number of submission (completion) entries; 0 = no limit. */
extern unsigned harness_sq_max;
extern unsigned harness_cq_max;
extern unsigned harness_setups; /* calls so far */

/* Makes the next rings come up at this level. */
void harness_set_level(enum trp_ring_level level);

void harness_open(struct harness *h);
void harness_close(struct harness *h);

/* Arms an operation of this kind on fd; what else the kind needs is set before. */
void harness_arm(struct harness *h, struct trp_op *op, enum trp_op_kind kind, int fd);

/* Waits for the next node and takes it. */
struct troupe_msg *harness_next(struct harness *h);
/* The next node must be this operation. */
void harness_expect(struct harness *h, struct trp_op *op, int32_t result, bool is_armed);
/* The next node must be a buffer of this operation. The test releases it. */
struct trp_rx *harness_expect_rx(struct harness *h, struct trp_op *op);
void harness_release(struct harness *h, struct trp_rx *rx);
/* Polls until nothing moves; nodes stay in the list. */
void harness_settle(struct harness *h);
/* Nothing must be waiting. */
void harness_expect_nothing(struct harness *h);

/* A test on every level; per_level is the cmocka set-up for it. */
int harness_per_level(void **state);
#define HARNESS_AT(test, level)                                                                    \
    {                                                                                              \
#test " at level " #level, test, harness_per_level, NULL, (void *)(uintptr_t)(level)       \
    }
#define HARNESS_ALL_LEVELS(test)                                                                   \
    HARNESS_AT(test, 0), HARNESS_AT(test, 1), HARNESS_AT(test, 2), HARNESS_AT(test, 3)

/* Sockets. */
void harness_make_pair(int pair[2]);
void harness_close_pair(const int pair[2]);
int harness_listen_loopback(union trp_address *address, socklen_t *len);
int harness_connect_plain(const union trp_address *address, socklen_t len);

#endif
