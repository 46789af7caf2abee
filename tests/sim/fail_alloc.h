#ifndef TESTS_SIM_FAIL_ALLOC_H
#define TESTS_SIM_FAIL_ALLOC_H

/*
 * Failing allocations on purpose. Included before everything else in a separately compiled copy of
 * the pool and core: each allocation of slab memory asks first whether it is its turn to fail. The
 * allocations of the system (malloc, calloc, aligned_alloc, mmap, mprotect, pthread_create) are
 * wrapped by the linker and counted together with them.
 */

#if defined(__SANITIZE_THREAD__)
#include "mailbox/tsan_shim.h" /* must come before any header of Concurrency Kit */
#endif

#include "mailbox/slab.h"

/* Starts counting at 0; the allocations number `first` to `last` fail (from 1; 0 = none). */
void fail_allocations(uint64_t first, uint64_t last);
/* Stops failing and counting; returns how many allocations there were. */
uint64_t fail_no_more(void);

/* Counts one; true when it has to fail. Threads: any */
bool fail_now(void);

/* A macro does not expand itself: inside, these are the functions. */
#define trp_heap_alloc(...) (fail_now() ? NULL : trp_heap_alloc(__VA_ARGS__))
#define trp_msg_alloc(...)  (fail_now() ? NULL : trp_msg_alloc(__VA_ARGS__))
#define trp_buf_alloc(...)  (fail_now() ? NULL : trp_buf_alloc(__VA_ARGS__))

#endif
