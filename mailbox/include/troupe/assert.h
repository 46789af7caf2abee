#ifndef TROUPE_ASSERT_H
#define TROUPE_ASSERT_H

/**
 * Assertions for programmer errors. They stay on in release builds; they never see bytes from
 * outside the process (those are checked and answered with a status).
 */

#include <troupe/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Run by a failed assertion. */
typedef void (*troupe_assert_hook_cb)(void);

/**
 * Called by a failed assertion before the process aborts; prints what a layer knows about the
 * current thread (worker, actor, recent events). Must not assert. NULL takes it away.
 *
 * @return the hook that was set before, for a new one to call, or NULL
 * Threads: startup. Cost: none
 */
TROUPE_API troupe_assert_hook_cb troupe_assert_set_hook(troupe_assert_hook_cb hook_cb);

/**
 * Prints the failed expression with its place to standard error, runs the hook, aborts: it does not
 * return. Threads: any. Cost: may block on standard error
 */
TROUPE_API void
troupe_assert_failed(const char *expression, const char *file, int line, const char *function)
    __attribute__((noreturn, cold));

/**
 * Always on: aborts when the expression is false. The expression must have no side effect.
 * Threads: any. Cost: the expression's
 */
#define TROUPE_ASSERT(expression)                                                                  \
    (__builtin_expect(!!(expression), 1)                                                           \
         ? (void)0                                                                                 \
         : troupe_assert_failed(#expression, __FILE__, __LINE__, __func__))

#ifdef __cplusplus
#define TROUPE_STATIC_ASSERT(expression, text) static_assert(expression, text)
#else
#define TROUPE_STATIC_ASSERT(expression, text) _Static_assert(expression, text)
#endif

#ifdef __cplusplus
}
#endif

#endif
