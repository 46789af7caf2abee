#include "pool/watchdog.h"
#include "pool/line.h"
#include "pool/recorder.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

#define FRAMES_MAX   48
#define STAT_BYTES   512u
#define SIGNAL_TRIES 16

/* What the watchdog knows of one worker. */
struct watched {
    uint32_t tid;      /* 0 = no thread; stored by the worker, read by the watchdog */
    clockid_t clock;   /* CPU time of its thread; written before tid */
    uint64_t progress; /* heartbeat at the last look */
    uint64_t since_ns; /* since when it has not moved */
    uint64_t cpu_ns;   /* CPU time of its thread then */
    bool is_reported;
};

struct trp_watchdog {
    struct troupe_pool *pool;
    pthread_t thread;
    uint64_t limit_ns;
    uint32_t stop;            /* 1 = end; the watchdog's timed sleep is on this word */
    bool is_running;          /* the thread has to be joined; startup and end only */
    uint64_t ticks;           /* looks around; read by tests */
    uint64_t stalls;          /* handlers reported */
    struct watched watched[]; /* one per worker */
};

static uint32_t output_fd = 2;
static int stack_signal; /* 0 = none was free; set once */
static pthread_once_t stack_once = PTHREAD_ONCE_INIT;

void troupe_watchdog_output(int fd)
{
    trp_store_relaxed_u32(&output_fd, (uint32_t)fd); /* partner: output */
}

static int output(void)
{
    return (int)trp_load_relaxed_u32(&output_fd); /* partner: troupe_watchdog_output */
}

uint64_t troupe_pool_stalls(const struct troupe_pool *pool)
{
    return pool->watchdog == NULL ? 0 : trp_load_relaxed_u64(&pool->watchdog->stalls);
}

uint64_t trp_watchdog_ticks(const struct troupe_pool *pool)
{
    return pool->watchdog == NULL ? 0 : trp_load_relaxed_u64(&pool->watchdog->ticks);
}

/* --- the stack of a stuck thread --- */

/* Runs on the thread that is stuck, in the middle of its handler. */
static void print_stack(int signal_number)
{
    int saved = errno;
    void *frames[FRAMES_MAX];
    (void)signal_number;
    int count = backtrace(frames, FRAMES_MAX);
    if (output() >= 0) {
        backtrace_symbols_fd(frames, count, output());
    }
    errno = saved;
}

/* Takes a real-time signal that nobody handles, from the top but one down. */
static void choose_signal(void)
{
    void *frame[1];
    (void)backtrace(frame, 1); /* loads libgcc now: it must not be loaded inside the handler */
    for (int i = 1; i <= SIGNAL_TRIES && SIGRTMAX - i > SIGRTMIN; i++) {
        struct sigaction old;
        struct sigaction action = {.sa_handler = print_stack, .sa_flags = SA_RESTART | SA_ONSTACK};
        sigemptyset(&action.sa_mask);
        if (sigaction(SIGRTMAX - i, NULL, &old) == 0 && (old.sa_flags & SA_SIGINFO) == 0 &&
            old.sa_handler == SIG_DFL && sigaction(SIGRTMAX - i, &action, NULL) == 0) {
            stack_signal = SIGRTMAX - i;
            return;
        }
    }
}

/* --- one look around --- */

static uint64_t cpu_time(const struct watched *watched)
{
    struct timespec time;
    if (clock_gettime(watched->clock, &time) != 0) {
        return 0; /* the thread is gone */
    }
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* True when the kernel says that the thread waits for something, not just for a CPU. */
static bool is_blocked(uint32_t tid)
{
    char path[64] = "/proc/self/task/";
    size_t used = strlen(path);
    char text[STAT_BYTES];
    char digits[10];
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + tid % 10);
        tid /= 10;
    } while (tid != 0);
    while (count > 0) {
        path[used++] = digits[--count];
    }
    memcpy(path + used, "/stat", sizeof("/stat"));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *name_end = strrchr(text, ')'); /* the name may hold anything; the state follows */
    return name_end != NULL && strlen(name_end) > 2 && (name_end[2] == 'S' || name_end[2] == 'D');
}

static void put_time(struct trp_line *line, const char *before, uint64_t ns)
{
    trp_line_text(line, before);
    trp_line_number(line, ns / 1000000, 0);
    trp_line_text(line, " ms");
}

static void
report(struct trp_watchdog *watchdog, uint32_t index, uint64_t stood_ns, uint64_t cpu_ns)
{
    struct trp_worker *worker = &watchdog->pool->workers[index];
    uint32_t tid = trp_load_acquire_u32(&watchdog->watched[index].tid); /* pairs with attach */
    struct trp_peek peek;
    struct trp_line line;
    trp_peek(worker, &peek);
    trp_store_relaxed_u64(&watchdog->stalls, watchdog->stalls + 1);
    if (output() < 0) {
        return;
    }
    trp_line_init(&line, output());
    trp_line_text(&line, "troupe: worker ");
    trp_line_number(&line, index, 0);
    trp_line_text(&line, " is held up by ");
    trp_line_name(&line, peek.type != NULL ? peek.type->name : NULL);
    trp_line_text(&line, " ");
    trp_line_ref(&line, peek.actor);
    if (peek.msg_type != TRP_PEEK_NO_TYPE) {
        trp_line_text(&line, ", message type ");
        trp_line_number(&line, peek.msg_type, 0);
    }
    put_time(&line, ", for at least ", stood_ns);
    put_time(&line, " (CPU ", cpu_ns);
    trp_line_text(&line, stack_signal != 0 ? "); its stack:" : ")");
    trp_line_end(&line);
    if (stack_signal != 0 && tid != 0) {
        /* by number, not pthread_kill: the thread may be gone by now */
        syscall(SYS_tgkill, getpid(), tid, stack_signal);
    }
}

static void report_end(const struct trp_watchdog *watchdog, uint32_t index, uint64_t now_ns)
{
    struct trp_line line;
    if (output() < 0) {
        return;
    }
    trp_line_init(&line, output());
    trp_line_text(&line, "troupe: worker ");
    trp_line_number(&line, index, 0);
    put_time(&line, " goes on after about ", now_ns - watchdog->watched[index].since_ns);
    trp_line_end(&line);
}

static uint64_t progress_of(const struct trp_worker *worker)
{
    /* relaxed: any recent values; partners trp_count of the worker */
    return trp_load_relaxed_u64(&worker->heartbeat) + trp_load_relaxed_u64(&worker->stats.turns) +
           trp_load_relaxed_u64(&worker->stats.processed);
}

static bool is_awake(const struct trp_watchdog *watchdog, uint32_t index)
{
    /* acquire: pairs with attach; the park word: partner trp_worker_announce_park */
    return trp_load_acquire_u32(&watchdog->watched[index].tid) != 0 &&
           trp_load_relaxed_u32(&watchdog->pool->workers[index].park_word) != TRP_PARKED;
}

/* The worker is not where it was at the last look (or sleeps): begins anew. */
static void
note_progress(struct trp_watchdog *watchdog, uint32_t index, uint64_t progress, uint64_t now_ns)
{
    struct watched *watched = &watchdog->watched[index];
    if (watched->is_reported) {
        report_end(watchdog, index, now_ns);
        watched->is_reported = false;
    }
    watched->progress = progress;
    watched->since_ns = now_ns;
    watched->cpu_ns = cpu_time(watched);
}

/* True when the worker moved since the last look. */
static bool look_at(struct trp_watchdog *watchdog, uint32_t index, uint64_t now_ns)
{
    struct watched *watched = &watchdog->watched[index];
    const struct trp_worker *worker = &watchdog->pool->workers[index];
    uint32_t tid = trp_load_acquire_u32(&watched->tid); /* pairs with trp_watchdog_attach */
    struct trp_peek peek;
    if (tid == 0) {
        return false;
    }
    uint64_t progress = progress_of(worker);
    bool has_moved = progress != watched->progress;
    trp_peek(worker, &peek);
    bool is_first = watched->since_ns == 0;
    if (has_moved || is_first || peek.actor == TROUPE_NOBODY || !is_awake(watchdog, index)) {
        note_progress(watchdog, index, progress, now_ns);
        return has_moved;
    }
    uint64_t cpu_ns = cpu_time(watched);
    uint64_t used_ns = cpu_ns > watched->cpu_ns ? cpu_ns - watched->cpu_ns : 0;
    uint64_t stood_ns = now_ns - watched->since_ns;
    if (!watched->is_reported && stood_ns >= watchdog->limit_ns &&
        (used_ns >= watchdog->limit_ns / 2 || is_blocked(tid))) {
        watched->is_reported = true;
        report(watchdog, index, stood_ns, used_ns);
    }
    return false;
}

/* --- the thread --- */

static bool is_anyone_awake(const struct trp_watchdog *watchdog)
{
    for (uint32_t i = 0; i < watchdog->pool->worker_count; i++) {
        if (is_awake(watchdog, i)) {
            return true;
        }
    }
    return false;
}

static bool is_told_to_stop(const struct trp_watchdog *watchdog)
{
    return trp_load_acquire_u32(&watchdog->stop) != 0; /* pairs with trp_watchdog_stop */
}

static void fall_asleep(struct trp_watchdog *watchdog)
{
    uint32_t *asleep = &watchdog->pool->watchdog_asleep;
    /* full barrier: partners trp_watchdog_stir (a worker that wakes after our look sees it) and
     * trp_watchdog_stop */
    trp_fas_u32(asleep, 1);
    while (!is_anyone_awake(watchdog) && !is_told_to_stop(watchdog) &&
           trp_load_acquire_u32(asleep) == 1) { /* pairs with trp_watchdog_wake */
        trp_futex_wait(asleep, 1, UINT64_MAX);
    }
    trp_fas_u32(asleep, 0);
}

void trp_watchdog_wake(struct troupe_pool *pool)
{
    uint32_t seen = 1;
    if (trp_cas_u32(&pool->watchdog_asleep, &seen, 0)) { /* partner: fall_asleep */
        trp_futex_wake(&pool->watchdog_asleep);
    }
}

static void *watch(void *arg)
{
    struct trp_watchdog *watchdog = arg;
    pthread_setname_np(pthread_self(), "troupe-watchdog");
    while (!is_told_to_stop(watchdog)) {
        uint64_t now_ns = trp_monotonic_ns();
        bool has_moved = false;
        for (uint32_t i = 0; i < watchdog->pool->worker_count; i++) {
            has_moved |= look_at(watchdog, i, now_ns);
        }
        trp_store_relaxed_u64(&watchdog->ticks, watchdog->ticks + 1); /* partner: tests */
        if (!has_moved && !is_anyone_awake(watchdog)) {
            fall_asleep(watchdog);
        }
        trp_futex_wait(&watchdog->stop, 0, watchdog->limit_ns);
    }
    for (uint32_t i = 0; i < watchdog->pool->worker_count; i++) {
        if (watchdog->watched[i].is_reported) { /* it came back to be ended */
            report_end(watchdog, i, trp_monotonic_ns());
        }
    }
    return NULL;
}

enum troupe_status trp_watchdog_start(struct troupe_pool *pool)
{
    uint64_t limit_ns = pool->config.watchdog_ns;
    if (limit_ns == UINT64_MAX) {
        return TROUPE_OK;
    }
    TROUPE_ASSERT(pool->watchdog == NULL);
    size_t size = sizeof(struct trp_watchdog) + pool->worker_count * sizeof(struct watched);
    struct trp_watchdog *watchdog = calloc(1, size);
    if (watchdog == NULL) {
        return TROUPE_ENOMEM;
    }
    pthread_once(&stack_once, choose_signal);
    watchdog->pool = pool;
    watchdog->limit_ns = limit_ns == 0 ? TRP_WATCHDOG_DEFAULT_NS : limit_ns;
    pool->watchdog = watchdog;
    sigset_t all;
    sigset_t saved;
    sigfillset(&all); /* signals of the process are for its other threads */
    pthread_sigmask(SIG_SETMASK, &all, &saved);
    int error = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    watchdog->is_running = error == 0;
    return error == 0 ? TROUPE_OK : TROUPE_ENOMEM;
}

void trp_watchdog_stop(struct troupe_pool *pool)
{
    struct trp_watchdog *watchdog = pool->watchdog;
    if (watchdog == NULL || !watchdog->is_running) {
        return;
    }
    trp_fas_u32(&watchdog->stop, 1); /* full barrier before the look at watchdog_asleep */
    trp_futex_wake(&watchdog->stop);
    trp_watchdog_wake(pool);
    pthread_join(watchdog->thread, NULL);
    watchdog->is_running = false;
}

void trp_watchdog_fini(struct troupe_pool *pool)
{
    TROUPE_ASSERT(pool->watchdog == NULL || !pool->watchdog->is_running);
    free(pool->watchdog);
    pool->watchdog = NULL;
}

void trp_watchdog_attach(struct trp_worker *worker)
{
    struct trp_watchdog *watchdog = worker->pool->watchdog;
    if (watchdog == NULL) {
        return;
    }
    struct watched *watched = &watchdog->watched[worker->index];
    if (pthread_getcpuclockid(pthread_self(), &watched->clock) != 0) {
        return; /* not watched then */
    }
    if (stack_signal != 0) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, stack_signal);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    }
    /* full barrier before the look at watchdog_asleep; pairs with is_awake */
    trp_fas_u32(&watched->tid, (uint32_t)gettid());
    trp_watchdog_stir(worker->pool);
}

void trp_watchdog_detach(struct trp_worker *worker)
{
    if (worker->pool->watchdog != NULL) {
        /* release: pairs with is_awake */
        trp_store_release_u32(&worker->pool->watchdog->watched[worker->index].tid, 0);
    }
}
