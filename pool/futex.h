#ifndef POOL_FUTEX_H
#define POOL_FUTEX_H

/* Waiting on a word, for threads that are not workers. The word is private to the process. */

#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Sleeps while *word is `value`, at most timeout_ns (UINT64_MAX = without end). Returns early now
 * and then; the kernel compares under its own lock, so a wake after the caller's look is not lost.
 */
static inline void trp_futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000u),
                               (long)(timeout_ns % 1000000000u)};
    syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, value,
            timeout_ns == UINT64_MAX ? NULL : &timeout, NULL, 0);
}

/* Wakes all who sleep on the word. */
static inline void trp_futex_wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}

/* The monotonic clock, for any thread. A simulation has a clock of its own: the driver's. */
static inline uint64_t trp_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
