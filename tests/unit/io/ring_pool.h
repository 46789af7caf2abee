#ifndef TESTS_UNIT_IO_RING_POOL_H
#define TESTS_UNIT_IO_RING_POOL_H

/* A real pool on the ring driver; actors stop it when the last of them is done. */

#include "mailbox/atomic.h"
#include "pool/driver.h"

#include <troupe/io.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct ring_pool {
    struct troupe_pool *pool;
    uint32_t open_count; /* actors that are not done; the last one stops the pool */
    uint32_t failures;   /* things that went wrong in handlers */
};

void ring_pool_create(struct ring_pool *test, uint32_t workers);
/* Reserves an actor that will call ring_pool_done. */
troupe_ref ring_pool_spawn(struct ring_pool *test,
                           uint32_t worker,
                           const struct troupe_actor_type *type,
                           const void *arg);
void ring_pool_start(struct ring_pool *test);
/* Joins, checks that nothing failed and no actor is left, destroys. */
void ring_pool_finish(struct ring_pool *test);

/* From handlers. */
void ring_pool_done(struct ring_pool *test);
void ring_pool_check(struct ring_pool *test, bool is_right, const char *what);

/* Byte number `offset` of a stream. */
static inline uint8_t ring_pool_byte(uint32_t seed, uint64_t offset)
{
    return (uint8_t)((offset * 2654435761u + seed * 97u) >> 11);
}

/* A connected pair over TCP loopback or a socketpair; blocking. */
void ring_pool_pair(int pair[2], bool is_tcp);

#endif
