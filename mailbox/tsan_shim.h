#ifndef MAILBOX_TSAN_SHIM_H
#define MAILBOX_TSAN_SHIM_H

/*
 * Force-included before everything else in ThreadSanitizer builds only.
 *
 * ThreadSanitizer sees neither inline assembly nor stand-alone fences, so Concurrency Kit's own
 * primitives make correct programs look racy. Here they are supplied on the compiler's atomic
 * builtins: loads acquire, stores release, everything else sequentially consistent. Stronger than
 * the real ones on weakly ordered machines: a missing fence can hide here, which is why each
 * ordering also has its reason in a comment and a run in the simulation.
 */

#define CK_USE_CC_BUILTINS 1
#define CK_F_PR

#include <ck_cc.h>
#include <ck_stdbool.h>
#include <ck_stdint.h>
#include <gcc/ck_f_pr.h>

#define SHIM static inline __attribute__((unused))

#define SHIM_WORD(S, T)                                                                            \
    SHIM T ck_pr_md_load_##S(const T *target)                                                      \
    {                                                                                              \
        return __atomic_load_n(target, __ATOMIC_ACQUIRE);                                          \
    }                                                                                              \
    SHIM void ck_pr_md_store_##S(T *target, T value)                                               \
    {                                                                                              \
        __atomic_store_n(target, value, __ATOMIC_RELEASE);                                         \
    }                                                                                              \
    SHIM bool ck_pr_cas_##S##_value(T *target, T compare, T set, T *seen)                          \
    {                                                                                              \
        bool is_set = __atomic_compare_exchange_n(target, &compare, set, false, __ATOMIC_SEQ_CST,  \
                                                  __ATOMIC_SEQ_CST);                               \
        *seen = compare;                                                                           \
        return is_set;                                                                             \
    }                                                                                              \
    SHIM bool ck_pr_cas_##S(T *target, T compare, T set)                                           \
    {                                                                                              \
        T seen;                                                                                    \
        return ck_pr_cas_##S##_value(target, compare, set, &seen);                                 \
    }                                                                                              \
    SHIM T ck_pr_faa_##S(T *target, T delta)                                                       \
    {                                                                                              \
        return __atomic_fetch_add(target, delta, __ATOMIC_SEQ_CST);                                \
    }                                                                                              \
    SHIM void ck_pr_add_##S(T *target, T delta)                                                    \
    {                                                                                              \
        __atomic_fetch_add(target, delta, __ATOMIC_SEQ_CST);                                       \
    }                                                                                              \
    SHIM void ck_pr_sub_##S(T *target, T delta)                                                    \
    {                                                                                              \
        __atomic_fetch_sub(target, delta, __ATOMIC_SEQ_CST);                                       \
    }                                                                                              \
    SHIM void ck_pr_and_##S(T *target, T mask)                                                     \
    {                                                                                              \
        __atomic_fetch_and(target, mask, __ATOMIC_SEQ_CST);                                        \
    }                                                                                              \
    SHIM void ck_pr_or_##S(T *target, T mask)                                                      \
    {                                                                                              \
        __atomic_fetch_or(target, mask, __ATOMIC_SEQ_CST);                                         \
    }                                                                                              \
    SHIM void ck_pr_xor_##S(T *target, T mask)                                                     \
    {                                                                                              \
        __atomic_fetch_xor(target, mask, __ATOMIC_SEQ_CST);                                        \
    }                                                                                              \
    SHIM void ck_pr_inc_##S(T *target)                                                             \
    {                                                                                              \
        ck_pr_add_##S(target, (T)1);                                                               \
    }                                                                                              \
    SHIM void ck_pr_dec_##S(T *target)                                                             \
    {                                                                                              \
        ck_pr_sub_##S(target, (T)1);                                                               \
    }

SHIM_WORD(char, char)
SHIM_WORD(int, int)
SHIM_WORD(uint, unsigned int)
SHIM_WORD(64, uint64_t)
SHIM_WORD(32, uint32_t)
SHIM_WORD(16, uint16_t)
SHIM_WORD(8, uint8_t)

SHIM void *ck_pr_md_load_ptr(const void *target)
{
    return __atomic_load_n((void *const *)target, __ATOMIC_ACQUIRE);
}

SHIM void ck_pr_md_store_ptr(void *target, const void *value)
{
    __atomic_store_n((void **)target, (void *)(uintptr_t)value, __ATOMIC_RELEASE);
}

SHIM bool ck_pr_cas_ptr_value(void *target, void *compare, void *set, void *seen)
{
    bool is_set = __atomic_compare_exchange_n((void **)target, &compare, set, false,
                                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    *(void **)seen = compare;
    return is_set;
}

SHIM bool ck_pr_cas_ptr(void *target, void *compare, void *set)
{
    void *seen;
    return ck_pr_cas_ptr_value(target, compare, set, &seen);
}

SHIM void *ck_pr_faa_ptr(void *target, void *delta)
{
    return (void *)__atomic_fetch_add((uintptr_t *)target, (uintptr_t)delta, __ATOMIC_SEQ_CST);
}

SHIM void ck_pr_add_ptr(void *target, void *delta)
{
    __atomic_fetch_add((uintptr_t *)target, (uintptr_t)delta, __ATOMIC_SEQ_CST);
}

SHIM void ck_pr_sub_ptr(void *target, void *delta)
{
    __atomic_fetch_sub((uintptr_t *)target, (uintptr_t)delta, __ATOMIC_SEQ_CST);
}

SHIM void ck_pr_inc_ptr(void *target)
{
    __atomic_fetch_add((uintptr_t *)target, 1, __ATOMIC_SEQ_CST);
}

SHIM void ck_pr_dec_ptr(void *target)
{
    __atomic_fetch_sub((uintptr_t *)target, 1, __ATOMIC_SEQ_CST);
}

SHIM void ck_pr_and_ptr(void *target, void *mask)
{
    __atomic_fetch_and((uintptr_t *)target, (uintptr_t)mask, __ATOMIC_SEQ_CST);
}

SHIM void ck_pr_or_ptr(void *target, void *mask)
{
    __atomic_fetch_or((uintptr_t *)target, (uintptr_t)mask, __ATOMIC_SEQ_CST);
}

SHIM void ck_pr_xor_ptr(void *target, void *mask)
{
    __atomic_fetch_xor((uintptr_t *)target, (uintptr_t)mask, __ATOMIC_SEQ_CST);
}

#ifndef CK_PR_DISABLE_DOUBLE
SHIM double ck_pr_md_load_double(const double *target)
{
    double value;
    __atomic_load(target, &value, __ATOMIC_ACQUIRE);
    return value;
}

SHIM void ck_pr_md_store_double(double *target, double value)
{
    __atomic_store(target, &value, __ATOMIC_RELEASE);
}
#endif

SHIM void ck_pr_stall(void)
{
    __builtin_ia32_pause();
}

/* A real fence for the hardware; the sanitizer takes its edges from the words above. */
#define SHIM_FENCE(K)                                                                              \
    SHIM void ck_pr_fence_strict_##K(void)                                                         \
    {                                                                                              \
        __asm__ __volatile__("mfence" ::: "memory");                                               \
    }

SHIM_FENCE(atomic)
SHIM_FENCE(atomic_atomic)
SHIM_FENCE(atomic_load)
SHIM_FENCE(atomic_store)
SHIM_FENCE(store_atomic)
SHIM_FENCE(load_atomic)
SHIM_FENCE(load)
SHIM_FENCE(load_load)
SHIM_FENCE(load_store)
SHIM_FENCE(store)
SHIM_FENCE(store_store)
SHIM_FENCE(store_load)
SHIM_FENCE(memory)
SHIM_FENCE(acquire)
SHIM_FENCE(release)
SHIM_FENCE(acqrel)
SHIM_FENCE(lock)
SHIM_FENCE(unlock)

#undef SHIM_FENCE
#undef SHIM_WORD
#undef SHIM

#endif
