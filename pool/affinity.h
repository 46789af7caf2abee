#ifndef POOL_AFFINITY_H
#define POOL_AFFINITY_H

/* Which CPUs this process may use: the affinity mask, cut down by the cgroup's bandwidth quota. */

#include <troupe/status.h>

#include <stddef.h>
#include <stdint.h>

#define TRP_CPUS_MAX 1024

struct trp_cpus {
    int ids[TRP_CPUS_MAX];
    uint32_t count;
};

/* CPUs of the affinity mask, ascending. */
void trp_cpus_allowed(struct trp_cpus *cpus);

/* Workers that make sense: CPUs of the mask, at most the quota rounded up; at least 1. */
uint32_t trp_cpus_usable(void);

/* The quota of one cpu.max file's text, in CPUs rounded up; 0 = none or not understood. */
uint32_t trp_cpus_quota(const char *cpu_max);

/* Reads a list such as "0,2-3"; every CPU must be in `allowed`. */
enum troupe_status trp_cpus_parse(struct trp_cpus *cpus,
                                  const struct trp_cpus *allowed,
                                  const char *list,
                                  char *error,
                                  size_t error_cap);

#endif
