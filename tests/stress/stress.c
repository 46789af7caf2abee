/*
 * stress: real threads, many pools one after the other, in each a crowd that does everything at
 * random for some seconds (crowd.c) and what comes from outside (wire.c). Independent checkers:
 * order per sender and receiver, one answer per ask, one notice per monitor, nothing lost and
 * nothing doubled, memory flat from pool to pool, no standstill.
 *
 *     stress [--seconds N] [--driver ring|futex] [--seed S]
 *
 * Prints a line every ten seconds and a summary. The seed decides what is tried, not how the
 * threads interleave. Exit: 0 all well, 2 usage, 77 the system refuses the ring driver; what a
 * checker finds ends the program with SIGABRT.
 */

#include "tests/stress/stress.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <troupe/io.h>
#include <unistd.h>

#define POOL_MAX_NS    3000000000u
#define LINE_NS        10000000000u
#define HANG_S         60u /* nothing here takes so long */
#define STANDSTILL_NS  20000000000u
#define WARM_POOLS     4u /* after so many the memory is what it stays */
#define GROWTH_MAX_KIB (16u << 10)

struct book book;

static struct {
    uint64_t seconds;
    const struct troupe_driver *driver;
    uint64_t seed;
    uint64_t pools;
    uint64_t began_ns;
    uint64_t line_ns;       /* next line at */
    uint64_t handled;       /* at the last look */
    uint64_t handled_ns;    /* when that last changed */
    uint64_t accepted;      /* over all pools */
    uint64_t reported;      /* over all pools */
    uint64_t quiet_drains;  /* pools that became quiet in time */
    uint64_t rss_first_kib; /* after the warm pools */
    uint64_t rss_most_kib;
    uint64_t random;
} run = {.seconds = 600};

static const char *volatile phase = "begin";

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t next_random(uint64_t bound)
{
    run.random = run.random * 6364136223846793005u + 1442695040888963407u;
    return (run.random >> 33) % bound;
}

static uint64_t count_of(enum count which)
{
    return trp_load_relaxed_u64(&book.counts[which]); /* partner: count */
}

static uint64_t rss_kib(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%*u %llu", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void print_line(void)
{
    printf("%5llu s: %llu pools, %llu messages, %llu refused, %llu lost to the dead (%llu gaps), "
           "%llu asks, %llu answers, %llu actors, %llu notices, %llu jobs, %llu echoes, %llu MiB\n",
           (unsigned long long)((now_ns() - run.began_ns) / 1000000000u),
           (unsigned long long)run.pools, (unsigned long long)count_of(COUNT_HANDLED),
           (unsigned long long)count_of(COUNT_REFUSED), (unsigned long long)count_of(COUNT_LOST),
           (unsigned long long)count_of(COUNT_GAPS), (unsigned long long)count_of(COUNT_ASKS),
           (unsigned long long)count_of(COUNT_ANSWERS), (unsigned long long)count_of(COUNT_BIRTHS),
           (unsigned long long)count_of(COUNT_DOWNS), (unsigned long long)count_of(COUNT_JOBS),
           (unsigned long long)count_of(COUNT_ECHOES), (unsigned long long)rss_kib() / 1024);
    fflush(stdout);
}

/* In a signal handler: only what is allowed there. */
static void on_alarm(int number)
{
    (void)number;
    static const char text[] = "stress: standstill in phase: ";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)!write(STDERR_FILENO, phase, strlen(phase));
    (void)!write(STDERR_FILENO, "\n", 1);
    abort();
}

static void enter(const char *name)
{
    phase = name;
    alarm(HANG_S);
}

static void print_seed(void)
{
    fprintf(stderr, "stress: pool %llu of --seed %llu\n", (unsigned long long)run.pools,
            (unsigned long long)run.seed);
}

static void on_dead_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    (void)arg;
    (void)reason;
    count(COUNT_REPORTED);
    if (msg->type == MSG_NUMBER || msg->type == MSG_LAST) {
        count(COUNT_LOST);
        const struct numbered *numbered = troupe_msg_data(msg);
        trp_faa_u64(&book.lost[numbered->stream % STREAMS], 1); /* partner: check_gap */
    }
}

/* --- one pool --- */

static struct troupe_listener *listen_here(struct troupe_pool *pool)
{
    char error[256] = "";
    struct troupe_listener_config config = {.address = "127.0.0.1:0",
                                            .conn_type = &echo_server_type};
    struct troupe_listener *listener;
    if (troupe_listener_create(&listener, pool, &config, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "stress: %s\n", error);
        abort();
    }
    snprintf(book.address, sizeof(book.address), "%s", troupe_listener_address(listener));
    return listener;
}

static struct troupe_pool *make_pool(struct troupe_listener **listener)
{
    char error[256] = "";
    struct troupe_pool_config config = {.workers = 1 + (uint32_t)next_random(4),
                                        .pin = "none",
                                        .spin = next_random(2) == 0 ? TROUPE_SPIN_ADAPTIVE
                                                                    : TROUPE_SPIN_PARK,
                                        .memory_max = 64u << 20,
                                        .seed = 1 + next_random(1u << 30),
                                        .offload_threads = 1 + (uint32_t)next_random(3),
                                        .offload_queue_max = 32,
                                        .watchdog_ns = UINT64_MAX, /* sanitizers are slow */
                                        .driver = run.driver,
                                        .dead_letter_cb = on_dead_letter};
    if (troupe_pool_create(&book.pool, &config, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "stress: %s\n", error);
        abort();
    }
    *listener = NULL;
    crowd_spawn(book.pool);
    if (book.has_sockets) {
        *listener = listen_here(book.pool);
        echo_clients_spawn(book.pool, 2);
    }
    if (troupe_pool_start(book.pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "stress: %s\n", error);
        abort();
    }
    return book.pool;
}

/* Lines, and that something happens at all. */
static void look_after(uint64_t until_ns)
{
    for (uint64_t now = now_ns(); now < until_ns; now = now_ns()) {
        uint64_t left_ns = until_ns - now;
        struct timespec time = {.tv_nsec = left_ns < 100000000 ? (long)left_ns : 100000000};
        nanosleep(&time, NULL);
        uint64_t handled = count_of(COUNT_HANDLED);
        if (handled != run.handled) {
            run.handled = handled;
            run.handled_ns = now;
        }
        TROUPE_ASSERT(now - run.handled_ns < STANDSTILL_NS);
        if (now >= run.line_ns) {
            run.line_ns += LINE_NS;
            print_line();
        }
    }
}

static void stop_from_inside(struct troupe_pool *pool)
{
    struct troupe_port *port;
    TROUPE_ASSERT(troupe_port_open(pool, &port) == TROUPE_OK);
    struct troupe_msg *msg = troupe_port_msg_new(port, MSG_KICK, 0);
    if (msg == NULL || troupe_port_send(port, book.stopper, &msg) != TROUPE_OK) {
        troupe_port_msg_free(port, msg);
        troupe_pool_stop(pool); /* too busy to hear of it */
    }
    troupe_port_close(port);
}

static void end_pool(struct troupe_pool *pool)
{
    switch (next_random(4)) {
    case 0:
        troupe_pool_stop(pool);
        break;
    case 1:
        stop_from_inside(pool);
        break;
    case 2:
        troupe_pool_drain(pool, next_random(1000) * 1000000u);
        break;
    default:
        troupe_pool_drain(pool, UINT64_MAX);
        troupe_pool_drain(pool, 500000000);
        look_after(now_ns() + next_random(1000) * 1000000u);
        troupe_pool_stop(pool);
        break;
    }
}

static void check_pool(struct troupe_pool *pool)
{
    struct troupe_pool_report report;
    troupe_pool_report(pool, &report);
    run.accepted += report.accepted;
    run.reported += report.reported;
    run.quiet_drains += report.is_drained_in_time ? 1 : 0;
    TROUPE_ASSERT(report.accepted == report.processed + report.reported);
    TROUPE_ASSERT(run.reported == count_of(COUNT_REPORTED));
    TROUPE_ASSERT(count_of(COUNT_SENT) == count_of(COUNT_HANDLED) + count_of(COUNT_LOST));
    for (uint32_t i = 0; i < troupe_pool_workers(pool); i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(pool, i, &stats);
        TROUPE_ASSERT(stats.alive == 0);
    }
}

static void check_memory(void)
{
    malloc_trim(0);
    uint64_t rss = rss_kib();
    run.rss_most_kib = rss > run.rss_most_kib ? rss : run.rss_most_kib;
    if (run.pools == WARM_POOLS) {
        run.rss_first_kib = rss;
    }
#if !defined(__SANITIZE_THREAD__) &&                                                               \
    !defined(__SANITIZE_ADDRESS__) /* they keep books of their own */
    TROUPE_ASSERT(run.pools <= WARM_POOLS || rss < run.rss_first_kib + GROWTH_MAX_KIB);
#endif
}

static void run_pool(uint64_t end_ns)
{
    pthread_t threads[FOREIGN];
    struct troupe_listener *listener;
    enter("start");
    run.pools++;
    memset(book.lost, 0, sizeof(book.lost)); /* no thread of a pool runs */
    struct troupe_pool *pool = make_pool(&listener);
    for (uintptr_t i = 0; i < FOREIGN; i++) {
        TROUPE_ASSERT(pthread_create(&threads[i], NULL, foreign_main, (void *)i) == 0);
    }
    enter("run");
    uint64_t until_ns = now_ns() + POOL_MAX_NS / 4 + next_random(POOL_MAX_NS / 4 * 3);
    look_after(until_ns < end_ns ? until_ns : end_ns);
    enter("stop");
    end_pool(pool);
    for (uint32_t i = 0; i < FOREIGN; i++) {
        pthread_join(threads[i], NULL);
    }
    enter("join");
    troupe_pool_join(pool);
    enter("check");
    check_pool(pool);
    troupe_listener_destroy(listener);
    troupe_pool_destroy(pool);
    check_memory();
}

/* --- the command line --- */

static bool take_number(const char *text, uint64_t *number)
{
    char *end;
    *number = strtoull(text, &end, 10);
    return *text != 0 && *end == 0;
}

static bool take_options(int argc, char **argv)
{
    run.driver = troupe_ring_driver();
    run.seed = now_ns() & 0xFFFFFF;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        bool is_good = false;
        if (strcmp(argv[i], "--seconds") == 0) {
            is_good = take_number(value, &run.seconds) && run.seconds <= 1000000;
        } else if (strcmp(argv[i], "--seed") == 0) {
            is_good = take_number(value, &run.seed);
        } else if (strcmp(argv[i], "--driver") == 0) {
            is_good = strcmp(value, "ring") == 0 || strcmp(value, "futex") == 0;
            run.driver = strcmp(value, "futex") == 0 ? troupe_futex_driver() : run.driver;
        }
        if (!is_good) {
            fprintf(stderr, "usage: stress [--seconds N] [--driver ring|futex] [--seed S]\n");
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    char error[TROUPE_RING_ERROR_MAX];
    if (!take_options(argc, argv)) {
        return 2;
    }
    book.has_sockets = run.driver == troupe_ring_driver();
    if (book.has_sockets && troupe_ring_probe(error, sizeof(error)) != TROUPE_OK) {
        printf("skipped: %s\n", error);
        return 77;
    }
    signal(SIGALRM, on_alarm);
    printf("stress: %llu s, %s driver, --seed %llu\n", (unsigned long long)run.seconds,
           book.has_sockets ? "ring" : "futex", (unsigned long long)run.seed);
    fflush(stdout);
    run.random = run.seed;
    run.began_ns = now_ns();
    run.line_ns = run.began_ns + LINE_NS;
    run.handled_ns = run.began_ns;
    uint64_t end_ns = run.began_ns + run.seconds * 1000000000u;
    do {
        if (run.pools == 1) {
            troupe_assert_set_hook(print_seed); /* in place of the dump of the first pool */
        }
        run_pool(end_ns);
    } while (now_ns() < end_ns);
    print_line();
    printf("stress: passed; %llu messages accepted, %llu of them reported, %llu quiet drains, "
           "memory %llu KiB after %u pools, %llu KiB at most\n",
           (unsigned long long)run.accepted, (unsigned long long)run.reported,
           (unsigned long long)run.quiet_drains, (unsigned long long)run.rss_first_kib, WARM_POOLS,
           (unsigned long long)run.rss_most_kib);
    return 0;
}
