#ifndef BENCH_KERNELS_LIMIT_H
#define BENCH_KERNELS_LIMIT_H

/*
 * What the machine itself can do: the bounds that figures are held against. They are measured in
 * the same run as the figure, because one machine differs from itself between two minutes.
 *
 * Threads: one at a time. Each measurement takes 10 to 150 ms (floors up to 500 ms, with 100 MiB of
 * memory), on threads of its own, pinned to the first and, where two are needed, the last CPU of
 * the affinity mask.
 */

#include "bench/report/machine.h"

enum trp_limit {
    TRP_LIMIT_RMW,            /* uncontended locked read-modify-write */
    TRP_LIMIT_HOP,            /* cache line to another core and back */
    TRP_LIMIT_WAKE_FUTEX,     /* parked thread to parked thread and back */
    TRP_LIMIT_WAKE_EVENTFD,   /* the same with eventfd and poll */
    TRP_LIMIT_WAKE_MSG_RING,  /* the same with a message from io_uring to io_uring */
    TRP_LIMIT_VERIFY,         /* BIP-340 verification, public key included */
    TRP_LIMIT_SIGN,           /* BIP-340 signature */
    TRP_LIMIT_SHA256,         /* SHA-256 of 256 bytes */
    TRP_LIMIT_ECHO,           /* TCP echo over loopback, round trip */
    TRP_LIMIT_ECHO_CPU,       /* CPU time of the echoing side per request */
    TRP_LIMIT_FLOOR_PINGPONG, /* the same kernel on one thread without atomics: peers/floor.h */
    TRP_LIMIT_FLOOR_COUNT,
    TRP_LIMIT_FLOOR_FANIN8,
    TRP_LIMIT_FLOOR_FANIN64,
    TRP_LIMIT_FLOOR_FANIN1000,
    TRP_LIMIT_FLOOR_FJTHRPUT,
    TRP_LIMIT_FLOOR_FJTHRPUT_32, /* other shapes of that floor: peers/floor.h */
    TRP_LIMIT_FLOOR_FJTHRPUT_LINE,
    TRP_LIMIT_FLOOR_FJTHRPUT_32_LINE,
    TRP_LIMIT_FLOOR_FJCREATE,
    TRP_LIMIT_FLOOR_FJCREATE_WAVES,
    TRP_LIMIT_FLOOR_THREADRING100,
    TRP_LIMIT_FLOOR_THREADRING503,
    TRP_LIMIT_FLOOR_BIG,
    TRP_LIMIT_FLOOR_CHAMENEOS,
    TRP_LIMITS,
    TRP_LIMIT_NONE = TRP_LIMITS, /* no bound of its own: measures NaN, listed nowhere */
};

struct trp_limit_row {
    const char *name;
    const char *about; /* what one operation is */
    double (*measure)(const struct trp_machine *machine);
};

/* One row more than there are limits: that of TRP_LIMIT_NONE. */
extern const struct trp_limit_row trp_limit_rows[TRP_LIMITS + 1];

/* ns per operation; NaN when it cannot be measured here (one CPU, no sockets). */
double trp_limit_measure(enum trp_limit limit, const struct trp_machine *machine);

/* Runs `work` on a thread pinned to a CPU and waits for it. False when there is no thread. */
bool trp_limit_on_cpu(int cpu, void (*work)(void *arg), void *arg);

/* Two threads at once, on the first and the last CPU. False with one CPU. */
bool trp_limit_on_two(const struct trp_machine *machine,
                      void (*first)(void *arg),
                      void (*second)(void *arg),
                      void *arg);

#define TRP_LIMIT_WAKE_TRIPS 2999u

/*
 * The same measurement as that of TRP_LIMIT_WAKE_FUTEX, _EVENTFD or _MSG_RING, trip by trip.
 * trips_ns: TRP_LIMIT_WAKE_TRIPS times, written on success. False when it cannot be measured here.
 */
bool trp_limit_wake_trips(enum trp_limit limit,
                          const struct trp_machine *machine,
                          uint64_t *trips_ns);

/* --- one file each --- */

double trp_limit_rmw(const struct trp_machine *machine);
double trp_limit_hop(const struct trp_machine *machine);
double trp_limit_wake_futex(const struct trp_machine *machine);
double trp_limit_wake_eventfd(const struct trp_machine *machine);
double trp_limit_wake_msg_ring(const struct trp_machine *machine);
double trp_limit_verify(const struct trp_machine *machine);
double trp_limit_sign(const struct trp_machine *machine);
double trp_limit_sha256(const struct trp_machine *machine);
double trp_limit_echo(const struct trp_machine *machine);
double trp_limit_echo_cpu(const struct trp_machine *machine);
double trp_limit_floor_pingpong(const struct trp_machine *machine);
double trp_limit_floor_count(const struct trp_machine *machine);
double trp_limit_floor_fanin8(const struct trp_machine *machine);
double trp_limit_floor_fanin64(const struct trp_machine *machine);
double trp_limit_floor_fanin1000(const struct trp_machine *machine);
double trp_limit_floor_fjthrput(const struct trp_machine *machine);
double trp_limit_floor_fjthrput_32(const struct trp_machine *machine);
double trp_limit_floor_fjthrput_line(const struct trp_machine *machine);
double trp_limit_floor_fjthrput_32_line(const struct trp_machine *machine);
double trp_limit_floor_fjcreate(const struct trp_machine *machine);
double trp_limit_floor_fjcreate_waves(const struct trp_machine *machine);
double trp_limit_floor_threadring100(const struct trp_machine *machine);
double trp_limit_floor_threadring503(const struct trp_machine *machine);
double trp_limit_floor_big(const struct trp_machine *machine);
double trp_limit_floor_chameneos(const struct trp_machine *machine);

#endif
