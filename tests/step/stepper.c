#include "tests/step/stepper.h"

#include "mailbox/atomic.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_BYTES (64u << 10)

/* The operation that a thread stands before. */
struct pending {
    const void *word; /* NULL: touches nothing that others could see */
    bool may_write;
    bool (*is_ready)(const void *word); /* NULL = at once */
    const char *name;
};

struct thread {
    ucontext_t context;
    struct pending pending;
    bool is_done;
    char stack[STACK_BYTES] __attribute__((aligned(64)));
};

/* One choice on the path from the start to where we are. Sets of threads are bit masks. */
struct choice {
    uint8_t chosen;
    uint8_t enabled;
    uint8_t sleeping; /* their next step was tried at an earlier choice and nothing since matters */
    uint8_t tried;
    uint8_t last;         /* who made the step before, STEP_THREADS_MAX at the start */
    uint32_t preemptions; /* before this choice */
};

static struct explorer {
    const struct step_case *one;
    const struct step_options *options;
    struct step_report *report;
    ucontext_t main_context;
    struct thread threads[STEP_THREADS_MAX];
    uint32_t running; /* STEP_NOBODY = the explorer itself */
    struct choice path[STEP_DEPTH_MAX];
    uint32_t path_len; /* choices that are fixed */
    uint32_t depth;    /* of the current execution */
    bool uses_sleep;
    jmp_buf failed;
    void *main_fake_stack;
    const void *main_stack;
    size_t main_stack_bytes;
} explorer = {.running = STEP_NOBODY};

/* --- switching; AddressSanitizer wants to know about stacks --- */

static void switch_to_main(bool is_last)
{
    struct thread *thread = &explorer.threads[explorer.running];
#if defined(__SANITIZE_ADDRESS__)
    void *fake_stack = NULL;
    __sanitizer_start_switch_fiber(is_last ? NULL : &fake_stack, explorer.main_stack,
                                   explorer.main_stack_bytes);
#else
    (void)is_last;
#endif
    swapcontext(&thread->context, &explorer.main_context);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#endif
}

/* Lets a thread run to its next operation or its end. */
static void resume(uint32_t index)
{
    explorer.running = index;
    if (explorer.one->enter != NULL) {
        explorer.one->enter(index);
    }
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&explorer.main_fake_stack, explorer.threads[index].stack,
                                   STACK_BYTES);
#endif
    swapcontext(&explorer.main_context, &explorer.threads[index].context);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(explorer.main_fake_stack, NULL, NULL);
#endif
    explorer.running = STEP_NOBODY;
    if (explorer.one->enter != NULL) {
        explorer.one->enter(STEP_NOBODY);
    }
    if (explorer.report->has_failed) {
        longjmp(explorer.failed, 1);
    }
}

static void thread_main(void)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, &explorer.main_stack, &explorer.main_stack_bytes);
#endif
    uint32_t index = explorer.running;
    explorer.one->threads[index]();
    explorer.threads[index].is_done = true;
    switch_to_main(true);
    abort(); /* nobody resumes an ended thread */
}

static void start_thread(uint32_t index)
{
    struct thread *thread = &explorer.threads[index];
#if defined(__SANITIZE_ADDRESS__)
    /* an abandoned execution left its frames here */
    __asan_unpoison_memory_region(thread->stack, STACK_BYTES);
#endif
    thread->is_done = false;
    getcontext(&thread->context);
    thread->context.uc_stack.ss_sp = thread->stack;
    thread->context.uc_stack.ss_size = STACK_BYTES;
    thread->context.uc_link = NULL;
    makecontext(&thread->context, thread_main, 0);
    resume(index);
}

/* --- what threads call --- */

static void
stop_before(const void *word, bool may_write, bool (*is_ready)(const void *), const char *name)
{
    if (explorer.running == STEP_NOBODY) {
        return; /* the explorer looks at the state */
    }
    explorer.threads[explorer.running].pending = (struct pending){word, may_write, is_ready, name};
    switch_to_main(false);
}

void trp_step(const void *word, bool may_write, const char *operation)
{
    if (explorer.running != STEP_NOBODY && explorer.one->is_hint != NULL &&
        explorer.one->is_hint(word)) {
        return;
    }
    stop_before(word, may_write, NULL, operation);
}

void step_wait(const void *word, bool (*is_ready)(const void *word))
{
    stop_before(word, false, is_ready, "step_wait");
}

uint32_t step_thread(void)
{
    return explorer.running;
}

void step_fail(const char *what, const char *file, int line)
{
    struct step_report *report = explorer.report;
    report->has_failed = true;
    snprintf(report->failure, sizeof(report->failure), "%s:%d: %s", file, line, what);
    if (explorer.running != STEP_NOBODY) {
        switch_to_main(true);
    }
    longjmp(explorer.failed, 1);
}

/* troupe_assert_failed has said what and where. */
static void on_assert(void)
{
    step_fail("assertion of the code under test", __FILE__, __LINE__);
}

/* --- choosing --- */

static uint8_t bit(uint32_t index)
{
    return (uint8_t)(1u << index);
}

static uint8_t enabled_threads(bool *are_all_done)
{
    uint8_t enabled = 0;
    *are_all_done = true;
    for (uint32_t i = 0; i < explorer.one->thread_count; i++) {
        const struct thread *thread = &explorer.threads[i];
        const struct pending *pending = &thread->pending;
        if (thread->is_done) {
            continue;
        }
        *are_all_done = false;
        if (pending->is_ready == NULL || pending->is_ready(pending->word)) {
            enabled |= bit(i);
        }
    }
    return enabled;
}

static bool are_independent(const struct pending *a, const struct pending *b)
{
    return a->word == NULL || b->word == NULL || a->word != b->word ||
           (!a->may_write && !b->may_write);
}

/* Who stays asleep after the choice: those whose next step does not meet the chosen one. */
static uint8_t sleeping_after(const struct choice *choice)
{
    uint8_t candidates = choice->sleeping | choice->tried;
    uint8_t result = 0;
    for (uint32_t i = 0; explorer.uses_sleep && i < explorer.one->thread_count; i++) {
        if ((candidates & bit(i)) != 0 && i != choice->chosen &&
            are_independent(&explorer.threads[i].pending,
                            &explorer.threads[choice->chosen].pending)) {
            result |= bit(i);
        }
    }
    return result;
}

static bool is_preemption(const struct choice *choice, uint32_t thread)
{
    return choice->last != STEP_THREADS_MAX && thread != choice->last &&
           (choice->enabled & bit(choice->last)) != 0;
}

/* Whom to try at this choice, the thread that ran last first; STEP_NOBODY = nobody is left. */
static uint32_t next_candidate(const struct choice *choice)
{
    uint8_t left = choice->enabled & (uint8_t)~choice->sleeping & (uint8_t)~choice->tried;
    uint32_t bound = explorer.one->preemptions_max;
    if (choice->last != STEP_THREADS_MAX && (left & bit(choice->last)) != 0) {
        return choice->last;
    }
    for (uint32_t i = 0; i < explorer.one->thread_count; i++) {
        bool is_allowed = bound == 0 || choice->preemptions < bound || !is_preemption(choice, i);
        if ((left & bit(i)) != 0 && is_allowed) {
            return i;
        }
    }
    return STEP_NOBODY;
}

static uint32_t replayed(const struct choice *choice)
{
    const struct step_options *options = explorer.options;
    if (explorer.depth >= options->replay_count) {
        return next_candidate(choice);
    }
    uint32_t chosen = options->replay[explorer.depth];
    return chosen < STEP_THREADS_MAX && (choice->enabled & bit(chosen)) != 0 ? chosen : STEP_NOBODY;
}

static void print_step(uint32_t index)
{
    const struct pending *pending = &explorer.threads[index].pending;
    printf("  step %3u: thread %u %s %p\n", explorer.depth, index, pending->name, pending->word);
}

/* One step of one thread; false when nobody is to go on. */
static bool choose_and_step(uint8_t *sleeping, uint8_t enabled)
{
    struct choice *choice = &explorer.path[explorer.depth];
    if (explorer.depth >= explorer.path_len) {
        const struct choice *before = explorer.depth == 0 ? NULL : choice - 1;
        *choice = (struct choice){.enabled = enabled, .sleeping = *sleeping};
        choice->last = before == NULL ? STEP_THREADS_MAX : before->chosen;
        choice->preemptions =
            before == NULL ? 0
                           : before->preemptions + (is_preemption(before, before->chosen) ? 1 : 0);
        uint32_t chosen =
            explorer.options->replay != NULL ? replayed(choice) : next_candidate(choice);
        if (chosen == STEP_NOBODY) {
            return false;
        }
        choice->chosen = (uint8_t)chosen;
        explorer.path_len = explorer.depth + 1;
    }
    if (enabled != choice->enabled) {
        step_fail("the case does not repeat itself: its state depends on an earlier execution",
                  __FILE__, __LINE__);
    }
    *sleeping = sleeping_after(choice);
    if (explorer.options->replay != NULL && !explorer.options->is_quiet) {
        print_step(choice->chosen);
    }
    explorer.depth++;
    resume(choice->chosen);
    return true;
}

/* --- executions --- */

/* True when all threads ended. */
static bool run_threads(void)
{
    const struct step_case *one = explorer.one;
    uint8_t sleeping = 0;
    for (uint32_t i = 0; i < one->thread_count; i++) {
        start_thread(i);
    }
    for (;;) {
        bool are_all_done;
        uint8_t enabled = enabled_threads(&are_all_done);
        if (one->invariant != NULL) {
            one->invariant();
        }
        if (are_all_done) {
            return true;
        }
        if (enabled == 0) {
            step_fail("all threads wait in vain", one->name, 0);
        }
        if (explorer.depth == STEP_DEPTH_MAX) {
            step_fail("too many steps: does a thread spin?", one->name, 0);
        }
        if (!choose_and_step(&sleeping, enabled)) {
            return false;
        }
    }
}

static void run_once(void)
{
    const struct step_case *one = explorer.one;
    explorer.depth = 0;
    if (setjmp(explorer.failed) == 0) {
        one->setup();
        if (run_threads()) {
            if (one->check != NULL) {
                one->check();
            }
            explorer.report->executions++;
        } else {
            explorer.report->repeats++;
        }
    }
    if (one->cleanup != NULL && !explorer.report->has_failed) {
        one->cleanup();
    }
    if (explorer.depth > explorer.report->steps_max) {
        explorer.report->steps_max = explorer.depth;
    }
}

/* Moves to the next path; false when there is none. */
static bool backtrack(void)
{
    while (explorer.path_len != 0) {
        struct choice *choice = &explorer.path[explorer.path_len - 1];
        choice->tried |= bit(choice->chosen);
        uint32_t next = next_candidate(choice);
        if (next != STEP_NOBODY) {
            choice->chosen = (uint8_t)next;
            return true;
        }
        explorer.path_len--;
    }
    return false;
}

static void print_failure(void)
{
    const struct step_report *report = explorer.report;
    fprintf(stderr, "%s FAILED: %s\n  replay: --case %s --replay ", explorer.one->name,
            report->failure, explorer.one->name);
    for (uint32_t i = 0; i < report->schedule_count; i++) {
        fprintf(stderr, "%s%u", i == 0 ? "" : ",", report->schedule[i]);
    }
    fprintf(stderr, "\n");
}

static void note_schedule(void)
{
    explorer.report->schedule_count = explorer.depth;
    for (uint32_t i = 0; i < explorer.depth; i++) {
        explorer.report->schedule[i] = explorer.path[i].chosen;
    }
}

/* The process is about to die: the last chance to say by which schedule. */
static void print_death(const char *what)
{
    if (explorer.report != NULL) {
        snprintf(explorer.report->failure, sizeof(explorer.report->failure), "%s", what);
        note_schedule();
        print_failure();
    }
}

#if defined(__SANITIZE_ADDRESS__)
void __asan_on_error(void)
{
    print_death("AddressSanitizer");
}
#else
static void on_fault(int signal)
{
    print_death("bad memory access");
    raise(signal); /* the default action, once this handler has returned */
}
#endif

/* On a stack of its own, since that of the thread may be what is broken. */
static void catch_faults(void)
{
#if !defined(__SANITIZE_ADDRESS__)
    static char stack[STACK_BYTES];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_flags = SA_ONSTACK | (int)SA_RESETHAND};
    action.sa_handler = on_fault;
    sigaltstack(&alternate, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
#endif
}

void step_explore(struct step_report *report,
                  const struct step_case *one,
                  const struct step_options *options)
{
    memset(report, 0, sizeof(*report));
    explorer.one = one;
    explorer.options = options;
    explorer.report = report;
    explorer.path_len = 0;
    explorer.uses_sleep =
        !options->is_plain && options->replay == NULL && one->preemptions_max == 0;
    do {
        troupe_assert_set_hook(on_assert);
        run_once();
        if (!report->has_failed && options->executions_max != 0 &&
            report->executions >= options->executions_max) {
            report->has_failed = true;
            snprintf(report->failure, sizeof(report->failure), "more executions than allowed");
        }
    } while (!report->has_failed && options->replay == NULL && backtrack());
    troupe_assert_set_hook(NULL);
    if (report->has_failed) {
        note_schedule();
        if (!options->is_quiet) {
            print_failure();
        }
    }
    explorer.report = NULL;
}

/* --- the program --- */

/* "0,1,1" -> numbers; false when it is something else. */
static bool parse_schedule(uint8_t schedule[STEP_DEPTH_MAX], uint32_t *count, const char *text)
{
    *count = 0;
    while (*text != '\0') {
        if (*count == STEP_DEPTH_MAX || *text < '0' || *text >= '0' + (int)STEP_THREADS_MAX) {
            return false;
        }
        schedule[(*count)++] = (uint8_t)(*text++ - '0');
        if (*text == ',') {
            text++;
        } else if (*text != '\0') {
            return false;
        }
    }
    return true;
}

static bool run_case(const struct step_case *one, const struct step_options *options)
{
    struct step_report report;
    step_explore(&report, one, options);
    if (report.has_failed) {
        return false;
    }
    if (options->replay != NULL) {
        printf("%s: replayed, %u steps, no failure\n", one->name, report.steps_max);
        return true;
    }
    printf("%s: %llu executions, %llu repeats given up, at most %u steps, ", one->name,
           (unsigned long long)report.executions, (unsigned long long)report.repeats,
           report.steps_max);
    if (one->preemptions_max == 0) {
        printf("all interleavings\n");
    } else {
        printf("at most %u preemptions\n", one->preemptions_max);
    }
    fflush(stdout);
    return true;
}

int step_main(int argc, char **argv, const struct step_case *cases, size_t count)
{
    static uint8_t schedule[STEP_DEPTH_MAX];
    struct step_options options = {0};
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--case") == 0 && has_value) {
            only = argv[++i];
        } else if (strcmp(argv[i], "--replay") == 0 && has_value &&
                   parse_schedule(schedule, &options.replay_count, argv[i + 1])) {
            options.replay = schedule;
            i++;
        } else if (strcmp(argv[i], "--plain") == 0) {
            options.is_plain = true;
        } else {
            fprintf(stderr, "usage: %s [--case NAME] [--plain] [--replay T,T,...]\n", argv[0]);
            return 2;
        }
    }
    catch_faults();
    bool is_good = true;
    bool is_found = false;
    for (size_t i = 0; i < count; i++) {
        if (only == NULL || strcmp(only, cases[i].name) == 0) {
            is_found = true;
            is_good &= run_case(&cases[i], &options);
        }
    }
    if (!is_found || (options.replay != NULL && only == NULL)) {
        fprintf(stderr, "--case takes one of the names above; --replay needs one\n");
        return 2;
    }
    return is_good ? 0 : 1;
}
