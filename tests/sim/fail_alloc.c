#include "tests/sim/fail_alloc.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

static struct {
    uint64_t count; /* any thread */
    uint64_t first;
    uint64_t last;
    uint32_t is_on; /* any thread */
} plan;

void fail_allocations(uint64_t first, uint64_t last)
{
    plan.first = first;
    plan.last = last;
    trp_store_relaxed_u64(&plan.count, 0);
    trp_store_release_u32(&plan.is_on, 1); /* partner: fail_now */
}

uint64_t fail_no_more(void)
{
    trp_store_release_u32(&plan.is_on, 0); /* partner: fail_now */
    return trp_load_relaxed_u64(&plan.count);
}

bool fail_now(void)
{
    if (trp_load_acquire_u32(&plan.is_on) == 0) { /* pairs with fail_allocations */
        return false;
    }
    uint64_t number = trp_faa_u64(&plan.count, 1) + 1; /* counter only; partner: itself */
    return number >= plan.first && number <= plan.last;
}

/* --- the system's --- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_mprotect(void *at, size_t bytes, int protection);
int __real_pthread_create(pthread_t *thread,
                          const pthread_attr_t *attributes,
                          void *(*main_cb)(void *),
                          void *arg);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_mprotect(void *at, size_t bytes, int protection);
int __wrap_pthread_create(pthread_t *thread,
                          const pthread_attr_t *attributes,
                          void *(*main_cb)(void *),
                          void *arg);

void *__wrap_malloc(size_t bytes)
{
    return fail_now() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fail_now() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fail_now() ? NULL : __real_aligned_alloc(alignment, bytes);
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (fail_now()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(at, bytes, protection, flags, fd, offset);
}

int __wrap_mprotect(void *at, size_t bytes, int protection)
{
    if (fail_now()) {
        errno = ENOMEM;
        return -1;
    }
    return __real_mprotect(at, bytes, protection);
}

int __wrap_pthread_create(pthread_t *thread,
                          const pthread_attr_t *attributes,
                          void *(*main_cb)(void *),
                          void *arg)
{
    return fail_now() ? EAGAIN : __real_pthread_create(thread, attributes, main_cb, arg);
}
