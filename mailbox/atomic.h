#ifndef MAILBOX_ATOMIC_H
#define MAILBOX_ATOMIC_H

/*
 * Every shared word goes through these wrappers over ck_pr: the order is in the name, the type is
 * checked, and on CPUs with weaker ordering than x86 the fences become real.
 *
 * Read-modify-writes (cas, faa, fas) are full barriers; ck's own are so on x86 only, hence the
 * fences around them (no instruction there). Each use names its partner in a comment.
 */

#include <ck_pr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRP_CACHE_LINE 64

/*
 * Before each operation a test may look at all interleavings (tests/step/stepper.h): it is told
 * which word comes next and whether the operation may write it. Nothing in any other build.
 */
#ifdef TROUPE_STEPPER
void trp_step(const void *word, bool may_write, const char *operation);
#define TRP_STEP(word, may_write) trp_step(word, may_write, __func__)
#else
#define TRP_STEP(word, may_write) ((void)0)
#endif

/* Around a read-modify-write: nothing moves over it, in either direction. */
static inline void trp_fence_before_rmw(void)
{
    ck_pr_fence_load_atomic();
    ck_pr_fence_store_atomic();
}

static inline void trp_fence_after_rmw(void)
{
    ck_pr_fence_atomic_load();
    ck_pr_fence_atomic_store();
}

#define TRP_ATOMIC_INT(suffix, type, ck)                                                           \
    static inline type trp_load_relaxed_##suffix(const type *word)                                 \
    {                                                                                              \
        TRP_STEP(word, false);                                                                     \
        return ck_pr_load_##ck(word);                                                              \
    }                                                                                              \
    static inline type trp_load_acquire_##suffix(const type *word)                                 \
    {                                                                                              \
        TRP_STEP(word, false);                                                                     \
        type value = ck_pr_load_##ck(word);                                                        \
        ck_pr_fence_acquire();                                                                     \
        return value;                                                                              \
    }                                                                                              \
    static inline void trp_store_relaxed_##suffix(type *word, type value)                          \
    {                                                                                              \
        TRP_STEP(word, true);                                                                      \
        ck_pr_store_##ck(word, value);                                                             \
    }                                                                                              \
    static inline void trp_store_release_##suffix(type *word, type value)                          \
    {                                                                                              \
        TRP_STEP(word, true);                                                                      \
        ck_pr_fence_release();                                                                     \
        ck_pr_store_##ck(word, value);                                                             \
    }                                                                                              \
    /* Stores value if *word is *seen; otherwise writes what was found to *seen. */                \
    static inline bool trp_cas_##suffix(type *word, type *seen, type value)                        \
    {                                                                                              \
        TRP_STEP(word, true);                                                                      \
        trp_fence_before_rmw();                                                                    \
        bool result = ck_pr_cas_##ck##_value(word, *seen, value, seen);                            \
        trp_fence_after_rmw();                                                                     \
        return result;                                                                             \
    }                                                                                              \
    static inline type trp_faa_##suffix(type *word, type delta)                                    \
    {                                                                                              \
        TRP_STEP(word, true);                                                                      \
        trp_fence_before_rmw();                                                                    \
        type result = ck_pr_faa_##ck(word, delta);                                                 \
        trp_fence_after_rmw();                                                                     \
        return result;                                                                             \
    }                                                                                              \
    static inline type trp_fas_##suffix(type *word, type value)                                    \
    {                                                                                              \
        TRP_STEP(word, true);                                                                      \
        trp_fence_before_rmw();                                                                    \
        type result = ck_pr_fas_##ck(word, value);                                                 \
        trp_fence_after_rmw();                                                                     \
        return result;                                                                             \
    }

TRP_ATOMIC_INT(u64, uint64_t, 64)
TRP_ATOMIC_INT(u32, uint32_t, 32)

static inline uint8_t trp_load_relaxed_u8(const uint8_t *word)
{
    TRP_STEP(word, false);
    return ck_pr_load_8(word);
}

static inline void trp_store_relaxed_u8(uint8_t *word, uint8_t value)
{
    TRP_STEP(word, true);
    ck_pr_store_8(word, value);
}

static inline void *trp_load_relaxed_ptr(void *const *word)
{
    TRP_STEP(word, false);
    return ck_pr_load_ptr(word);
}

static inline void *trp_load_acquire_ptr(void *const *word)
{
    TRP_STEP(word, false);
    void *value = ck_pr_load_ptr(word);
    ck_pr_fence_acquire();
    return value;
}

static inline void trp_store_release_ptr(void **word, void *value)
{
    TRP_STEP(word, true);
    ck_pr_fence_release();
    ck_pr_store_ptr(word, value);
}

static inline bool trp_cas_ptr(void **word, void **seen, void *value)
{
    TRP_STEP(word, true);
    trp_fence_before_rmw();
    bool result = ck_pr_cas_ptr_value(word, *seen, value, seen);
    trp_fence_after_rmw();
    return result;
}

static inline void *trp_fas_ptr(void **word, void *value)
{
    TRP_STEP(word, true);
    trp_fence_before_rmw();
    void *result = ck_pr_fas_ptr(word, value);
    trp_fence_after_rmw();
    return result;
}

/* Orders everything before against everything after, also a store against a later load. */
static inline void trp_fence_full(void)
{
    TRP_STEP(NULL, false);
    ck_pr_fence_memory();
}

/* Tells the CPU that this is a spin loop. */
static inline void trp_spin_pause(void)
{
    ck_pr_stall();
}

#endif
