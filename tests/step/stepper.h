#ifndef TESTS_STEP_STEPPER_H
#define TESTS_STEP_STEPPER_H

/*
 * The stepper: runs a few logical threads in every possible interleaving of their atomic
 * operations.
 *
 * The code under test is compiled with -DTROUPE_STEPPER, which makes each operation of
 * mailbox/atomic.h stop before it takes effect and ask who goes next. The explorer repeats the case
 * from its start, always the same, and takes another turn at the last place where one is left,
 * until none is (depth first, no stored states). A step is one atomic operation and whatever plain
 * code follows it, up to the next operation; what a thread does before its first operation happens
 * at the start, in the order of the threads.
 *
 * Two neighbouring steps of different threads on different words, or two that only read, have the
 * same effect in both orders, and only one of them is tried (sleep sets): all outcomes and all
 * intermediate states are still seen. Executions given up because of this are counted separately.
 * It presumes that threads share nothing but such words, so what a case keeps of its own must be
 * written by one thread only and compared in `check`. A case with a preemption bound is explored
 * without this, and only as far as the bound goes; the output names the bound.
 *
 * What this shows: no interleaving of the operations breaks what the case checks, under sequential
 * consistency. What it does not show: weak memory (loads and stores that another CPU sees in
 * another order, a missing fence, a relaxed load that should be acquire) and races of plain
 * accesses. For those there are ThreadSanitizer with the shim, the reasons beside each operation,
 * and, for the order of store and load in parking, the Promela models in tests/model, whose mutants
 * take the barrier away.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEP_THREADS_MAX 4u
#define STEP_DEPTH_MAX   400u
#define STEP_NOBODY      UINT32_MAX

struct step_case {
    const char *name; /* one word: --case NAME */
    uint32_t thread_count;
    void (*threads[STEP_THREADS_MAX])(void);
    /* Before each execution, outside of all threads: the state is as if for the first time, and at
     * the same addresses. */
    void (*setup)(void);
    /* Optional: before a thread goes on, and with STEP_NOBODY after it stopped (thread-locals). */
    void (*enter)(uint32_t thread);
    /* Optional: after each step. */
    void (*invariant)(void);
    /* Optional: after executions in which all threads ended. */
    void (*check)(void);
    /* Optional: after each execution, also an abandoned one. */
    void (*cleanup)(void);
    /* Optional: true for words whose operations are not steps, because they change nothing that
     * matters in this case (counters, hints that are the same whoever writes them). */
    bool (*is_hint)(const void *word);
    uint32_t preemptions_max; /* 0 = any number; else at most so many switches away from a thread
                                 that could have gone on */
};

struct step_options {
    const uint8_t *replay; /* threads to choose first, NULL = explore */
    uint32_t replay_count;
    bool is_plain;           /* without sleep sets: every interleaving one by one */
    bool is_quiet;           /* prints nothing */
    uint64_t executions_max; /* 0 = no limit; reaching it is a failure */
};

struct step_report {
    bool has_failed;
    uint64_t executions; /* complete ones */
    uint64_t repeats;    /* given up: equal to another up to swapped independent steps */
    uint32_t steps_max;  /* longest execution */
    char failure[256];
    uint8_t schedule[STEP_DEPTH_MAX]; /* of the failing execution */
    uint32_t schedule_count;
};

/* Explores one case; stops at the first failure and prints it with its replay line. */
void step_explore(struct step_report *report,
                  const struct step_case *one,
                  const struct step_options *options);

/*
 * In a thread: goes on once is_ready(word) holds. This is a step that reads the word. When all
 * threads wait in vain the execution has failed.
 */
void step_wait(const void *word, bool (*is_ready)(const void *word));

/* The running thread, STEP_NOBODY outside. */
uint32_t step_thread(void);

/* Ends the execution as failed; does not return. Anywhere. */
_Noreturn void step_fail(const char *what, const char *file, int line);

#define STEP_CHECK(expression)                                                                     \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            step_fail(#expression, __FILE__, __LINE__);                                            \
        }                                                                                          \
    } while (0)

/*
 * The main function of a test program: explores all cases, prints a line for each.
 * --case NAME: only this one. --replay T,T,...: one execution that begins with these choices.
 * --plain: without sleep sets.
 */
int step_main(int argc, char **argv, const struct step_case *cases, size_t count);

#endif
