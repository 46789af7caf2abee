#include "pool/affinity.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void trp_cpus_allowed(struct trp_cpus *cpus)
{
    cpu_set_t set;
    cpus->count = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        cpus->ids[cpus->count++] = 0;
        return;
    }
    for (int i = 0; i < CPU_SETSIZE && cpus->count < TRP_CPUS_MAX; i++) {
        if (CPU_ISSET((size_t)i, &set)) {
            cpus->ids[cpus->count++] = i;
        }
    }
}

uint32_t trp_cpus_quota(const char *cpu_max)
{
    unsigned long long quota;
    unsigned long long period;
    if (sscanf(cpu_max, "%llu %llu", &quota, &period) != 2 || period == 0) {
        return 0; /* "max PERIOD" */
    }
    unsigned long long cpus = (quota + period - 1) / period;
    return cpus > TRP_CPUS_MAX ? TRP_CPUS_MAX : (uint32_t)cpus;
}

/* The cgroup (version 2) of this process, as a path below the mount point. */
static bool cgroup_path(char *path, size_t cap)
{
    char line[512];
    bool is_found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL) {
        return false;
    }
    while (!is_found && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "0::", 3) == 0) {
            line[strcspn(line, "\n")] = '\0';
            is_found = (size_t)snprintf(path, cap, "/sys/fs/cgroup%s", line + 3) < cap;
        }
    }
    fclose(file);
    return is_found;
}

static uint32_t smallest_quota(void)
{
    char path[600];
    char text[64];
    uint32_t smallest = 0;
    if (!cgroup_path(path, sizeof(path))) {
        return 0;
    }
    /* a parent's quota counts as well */
    for (char *end = path + strlen(path); end != NULL && strlen(path) >= strlen("/sys/fs/cgroup");
         end = strrchr(path, '/')) {
        *end = '\0';
        char name[620];
        snprintf(name, sizeof(name), "%s/cpu.max", path);
        FILE *file = fopen(name, "re");
        if (file == NULL) {
            continue;
        }
        uint32_t quota = fgets(text, sizeof(text), file) != NULL ? trp_cpus_quota(text) : 0;
        fclose(file);
        if (quota != 0 && (smallest == 0 || quota < smallest)) {
            smallest = quota;
        }
    }
    return smallest;
}

uint32_t trp_cpus_usable(void)
{
    struct trp_cpus cpus;
    trp_cpus_allowed(&cpus);
    uint32_t quota = smallest_quota();
    return quota != 0 && quota < cpus.count ? quota : cpus.count;
}

static bool is_allowed(const struct trp_cpus *allowed, unsigned long cpu)
{
    for (uint32_t i = 0; i < allowed->count; i++) {
        if ((unsigned long)allowed->ids[i] == cpu) {
            return true;
        }
    }
    return false;
}

enum troupe_status trp_cpus_parse(struct trp_cpus *cpus,
                                  const struct trp_cpus *allowed,
                                  const char *list,
                                  char *error,
                                  size_t error_cap)
{
    const char *at = list;
    cpus->count = 0;
    while (*at != '\0') {
        char *end;
        errno = 0;
        unsigned long first = strtoul(at, &end, 10);
        unsigned long last = first;
        bool is_good = end != at && errno == 0;
        if (is_good && *end == '-') {
            at = end + 1;
            last = strtoul(at, &end, 10);
            is_good = end != at && errno == 0 && last >= first;
        }
        if (!is_good || last >= 1u << 20 || (*end != '\0' && *end != ',')) {
            snprintf(error, error_cap, "CPU list \"%s\": expected numbers and ranges, as 0,2-3",
                     list);
            return TROUPE_EINVAL;
        }
        for (unsigned long cpu = first; cpu <= last; cpu++) {
            if (!is_allowed(allowed, cpu) || cpus->count == TRP_CPUS_MAX) {
                snprintf(error, error_cap, "CPU %lu is not in this process's affinity mask", cpu);
                return TROUPE_EUNAVAIL;
            }
            cpus->ids[cpus->count++] = (int)cpu;
        }
        at = *end == ',' ? end + 1 : end;
    }
    if (cpus->count == 0) {
        snprintf(error, error_cap, "the CPU list is empty");
        return TROUPE_EINVAL;
    }
    return TROUPE_OK;
}
