#include "bench/report/machine.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "pool/affinity.h"

static void read_cpu_model(char *out, size_t cap)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");

    snprintf(out, cap, "unknown");
    if (file == NULL) {
        return;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && value != NULL) {
            value += strspn(value, ": \t");
            value[strcspn(value, "\n")] = '\0';
            snprintf(out, cap, "%s", value);
            break;
        }
    }
    fclose(file);
}

static void write_list(char *out, size_t cap, const struct trp_cpus *cpus)
{
    size_t len = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < cpus->count && len + 16 < cap;) {
        uint32_t last = i;
        while (last + 1 < cpus->count && cpus->ids[last + 1] == cpus->ids[last] + 1) {
            last++;
        }
        const char *comma = len == 0 ? "" : ",";
        int more = last > i ? snprintf(out + len, cap - len, "%s%d-%d", comma, cpus->ids[i],
                                       cpus->ids[last])
                            : snprintf(out + len, cap - len, "%s%d", comma, cpus->ids[i]);
        len += (size_t)more;
        i = last + 1;
    }
}

void trp_machine_read(struct trp_machine *machine)
{
    static struct trp_cpus cpus; /* 4 KiB; start-up only */
    struct utsname name;

    memset(machine, 0, sizeof(*machine));
    read_cpu_model(machine->cpu_model, sizeof(machine->cpu_model));
    snprintf(machine->kernel, sizeof(machine->kernel), "unknown");
    if (uname(&name) == 0) {
        snprintf(machine->kernel, sizeof(machine->kernel), "%s %s", name.sysname, name.release);
    }
    trp_cpus_allowed(&cpus);
    write_list(machine->affinity, sizeof(machine->affinity), &cpus);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    machine->cpus = online > 0 ? (uint32_t)online : 1;
    machine->usable = trp_cpus_usable();
    machine->first_cpu = cpus.count > 0 ? cpus.ids[0] : 0;
    machine->last_cpu = cpus.count > 0 ? cpus.ids[cpus.count - 1] : 0;
}

static uint64_t read_clock(clockid_t id)
{
    struct timespec now = {0};
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t trp_machine_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t trp_machine_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t trp_machine_own_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

bool trp_machine_process_cpu_ns(uint64_t pid, uint64_t *cpu_ns)
{
    char path[64];
    char text[1024];
    unsigned long long user = 0;
    unsigned long long system = 0;

    snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    /* The name in parentheses may hold anything, parentheses too: count from the last one. */
    const char *rest = strrchr(text, ')');
    if (rest == NULL || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                               &user, &system) != 2) {
        return false;
    }
    *cpu_ns = (uint64_t)(user + system) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
    return true;
}

bool trp_machine_pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0 || cpu >= CPU_SETSIZE) {
        return false;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0;
}
