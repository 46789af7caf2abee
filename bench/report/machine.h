#ifndef BENCH_REPORT_MACHINE_H
#define BENCH_REPORT_MACHINE_H

/* What a figure was measured on, and the clocks it was measured with. */

#include <stdbool.h>
#include <stdint.h>

struct trp_machine {
    char cpu_model[128]; /* all cstr; "unknown" where the system does not say */
    char kernel[160];
    char affinity[128]; /* CPU list of this process, "0-3,6" */
    uint32_t cpus;      /* online */
    uint32_t usable;    /* affinity mask and cgroup quota */
    int first_cpu;      /* first and last CPU of the affinity mask */
    int last_cpu;
};

void trp_machine_read(struct trp_machine *machine);

/* Monotonic clock, ns. */
uint64_t trp_machine_now_ns(void);

/* CPU time of the calling thread, ns. */
uint64_t trp_machine_thread_cpu_ns(void);

/* CPU time of this process, ns. */
uint64_t trp_machine_own_cpu_ns(void);

/*
 * CPU time of another process (user and system, all threads, without its children), ns, in steps of
 * the system's clock tick (10 ms). False when there is no such process.
 */
bool trp_machine_process_cpu_ns(uint64_t pid, uint64_t *cpu_ns);

/* Puts the calling thread on one CPU; false when the system refuses. */
bool trp_machine_pin(int cpu);

#endif
