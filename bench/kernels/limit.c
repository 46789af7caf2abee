#include "bench/kernels/limit.h"

#include <math.h>
#include <pthread.h>

static double measure_nothing(const struct trp_machine *machine)
{
    (void)machine;
    return NAN;
}

const struct trp_limit_row trp_limit_rows[TRP_LIMITS + 1] = {
    [TRP_LIMIT_RMW] = {"rmw", "uncontended atomic read-modify-write", trp_limit_rmw},
    [TRP_LIMIT_HOP] = {"hop", "cache line to another core and back", trp_limit_hop},
    [TRP_LIMIT_WAKE_FUTEX] = {"wake-futex", "parked thread woken and waking back, futex",
                              trp_limit_wake_futex},
    [TRP_LIMIT_WAKE_EVENTFD] = {"wake-eventfd", "parked thread woken and waking back, eventfd",
                                trp_limit_wake_eventfd},
    [TRP_LIMIT_WAKE_MSG_RING] = {"wake-msg-ring", "parked thread woken and waking back, io_uring",
                                 trp_limit_wake_msg_ring},
    [TRP_LIMIT_VERIFY] = {"verify", "BIP-340 verification", trp_limit_verify},
    [TRP_LIMIT_SIGN] = {"sign", "BIP-340 signature", trp_limit_sign},
    [TRP_LIMIT_SHA256] = {"sha256", "SHA-256 of 256 bytes", trp_limit_sha256},
    [TRP_LIMIT_ECHO] = {"echo", "TCP echo of 64 bytes over loopback, round trip", trp_limit_echo},
    [TRP_LIMIT_ECHO_CPU] = {"echo-cpu", "CPU of the echoing thread per request",
                            trp_limit_echo_cpu},
    [TRP_LIMIT_FLOOR_PINGPONG] = {"floor-pingpong", "round trip, one thread, no atomics",
                                  trp_limit_floor_pingpong},
    [TRP_LIMIT_FLOOR_COUNT] = {"floor-count", "message sent and drained, one thread, no atomics",
                               trp_limit_floor_count},
    [TRP_LIMIT_FLOOR_FANIN8] = {"floor-fanin8", "the same from 8 senders", trp_limit_floor_fanin8},
    [TRP_LIMIT_FLOOR_FANIN64] = {"floor-fanin64", "the same from 64 senders",
                                 trp_limit_floor_fanin64},
    [TRP_LIMIT_FLOOR_FANIN1000] = {"floor-fanin1000", "the same from 1000 senders",
                                   trp_limit_floor_fanin1000},
    [TRP_LIMIT_FLOOR_FJTHRPUT] = {"floor-fjthrput", "message from one actor to 60, one thread",
                                  trp_limit_floor_fjthrput},
    [TRP_LIMIT_FLOOR_FJTHRPUT_32] = {"floor-fjthrput-32", "the same, 32 messages to each at a time",
                                     trp_limit_floor_fjthrput_32},
    [TRP_LIMIT_FLOOR_FJTHRPUT_LINE] = {"floor-fjthrput-line",
                                       "all at once, a message fills a cache line",
                                       trp_limit_floor_fjthrput_line},
    [TRP_LIMIT_FLOOR_FJTHRPUT_32_LINE] = {"floor-fjthrput-32-line",
                                          "32 at a time, a message fills a cache line",
                                          trp_limit_floor_fjthrput_32_line},
    [TRP_LIMIT_FLOOR_FJCREATE] = {"floor-fjcreate", "actor made, told and ended, 1000000 at once",
                                  trp_limit_floor_fjcreate},
    [TRP_LIMIT_FLOOR_FJCREATE_WAVES] = {"floor-fjcreate-waves", "the same in waves of 1000",
                                        trp_limit_floor_fjcreate_waves},
    [TRP_LIMIT_FLOOR_THREADRING100] = {"floor-threadring100", "hop in a ring of 100, one thread",
                                       trp_limit_floor_threadring100},
    [TRP_LIMIT_FLOOR_THREADRING503] = {"floor-threadring503", "hop in a ring of 503, one thread",
                                       trp_limit_floor_threadring503},
    [TRP_LIMIT_FLOOR_BIG] = {"floor-big", "ping and pong among 120 actors, one thread",
                             trp_limit_floor_big},
    [TRP_LIMIT_FLOOR_CHAMENEOS] = {"floor-chameneos", "meeting of two creatures, one thread",
                                   trp_limit_floor_chameneos},
    [TRP_LIMIT_NONE] = {"none", "no bound", measure_nothing},
};

struct pinned {
    int cpu;
    void (*work)(void *arg);
    void *arg;
};

static void *run_pinned(void *arg)
{
    const struct pinned *pinned = arg;
    /* Where pinning is refused the figure is still the machine's, only noisier. */
    (void)trp_machine_pin(pinned->cpu);
    pinned->work(pinned->arg);
    return NULL;
}

bool trp_limit_on_cpu(int cpu, void (*work)(void *arg), void *arg)
{
    pthread_t thread;
    struct pinned pinned = {cpu, work, arg};

    if (pthread_create(&thread, NULL, run_pinned, &pinned) != 0) {
        return false;
    }
    pthread_join(thread, NULL);
    return true;
}

bool trp_limit_on_two(const struct trp_machine *machine,
                      void (*first)(void *arg),
                      void (*second)(void *arg),
                      void *arg)
{
    pthread_t threads[2];
    struct pinned one = {machine->first_cpu, first, arg};
    struct pinned two = {machine->last_cpu, second, arg};

    if (machine->first_cpu == machine->last_cpu) {
        return false;
    }
    if (pthread_create(&threads[0], NULL, run_pinned, &one) != 0) {
        return false;
    }
    if (pthread_create(&threads[1], NULL, run_pinned, &two) != 0) {
        /* The first one waits for a partner: play it here. */
        second(arg);
        pthread_join(threads[0], NULL);
        return false;
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return true;
}

double trp_limit_measure(enum trp_limit limit, const struct trp_machine *machine)
{
    return trp_limit_rows[limit].measure(machine);
}
