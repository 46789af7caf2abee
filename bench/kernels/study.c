#include "bench/kernels/study.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <troupe/io.h>

#include "mailbox/atomic.h"

#define PATIENCE_MS 300000u
#define AWAIT_MS    50u

bool trp_study_fail(struct trp_study_run *study, const char *text)
{
    snprintf(study->error, sizeof(study->error), "%s", text);
    return false;
}

static const struct troupe_driver *driver_of(const struct trp_study_run *study)
{
    switch (study->the_case->driver) {
    case TRP_STUDY_FUTEX:
        return troupe_futex_driver();
    case TRP_STUDY_RING:
        return troupe_ring_driver();
    case TRP_STUDY_GIVEN_DRIVER:
        break;
    }
    return study->options->driver;
}

struct trp_kernel_run *
trp_study_open(struct trp_study_run *study, void *data, const struct troupe_pool_config *more)
{
    /* Studies say themselves where their actors live. */
    static const struct trp_kernel_case spread = {.placement = TRP_PLACEMENT_SPREAD};
    struct troupe_pool_config config = {0};
    struct trp_kernel_run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        trp_study_fail(study, "out of memory");
        return NULL;
    }
    if (more != NULL) {
        config = *more;
    }
    config.workers = study->workers;
    config.pin = study->options->pin;
    config.spin = study->the_case->spin;
    config.driver = driver_of(study);
    config.seed = 1;
    run->the_case = &spread;
    run->workers = study->workers;
    run->ops = study->amount;
    run->data = data;
    if (troupe_pool_create(&run->pool, &config, study->error, sizeof(study->error)) != TROUPE_OK) {
        study->is_refused = true;
        free(run);
        return NULL;
    }
    return run;
}

/* What a joined pool leaves behind. */
static bool check(struct trp_study_run *study, const struct trp_kernel_run *run)
{
    if (run->failure != NULL) {
        return trp_study_fail(study, run->failure);
    }
    if (!trp_runner_add_stats(&study->stats, run)) {
        return trp_study_fail(study,
                              "messages accepted differ from messages processed and reported");
    }
    return true;
}

static uint64_t patience_of(const struct trp_study_run *study)
{
    return study->options->patience_ms != 0 ? study->options->patience_ms : PATIENCE_MS;
}

bool trp_study_play(struct trp_study_run *study, struct trp_kernel_run *run)
{
    return trp_runner_play(run, patience_of(study), study->error, sizeof(study->error)) &&
           check(study, run);
}

bool trp_study_start(struct trp_study_run *study, struct trp_kernel_run *run)
{
    return troupe_pool_start(run->pool, study->error, sizeof(study->error)) == TROUPE_OK;
}

bool trp_study_await(struct trp_study_run *study, struct trp_kernel_run *run, sem_t *event)
{
    uint64_t end_ns = trp_machine_now_ns() + patience_of(study) * 1000000;
    /* acquire: pairs with the compare-and-swap of trp_kernel_fail */
    while (trp_load_acquire_ptr(&run->failure) == NULL) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += AWAIT_MS * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (sem_clockwait(event, CLOCK_MONOTONIC, &until) == 0) {
            return true;
        }
        if (trp_machine_now_ns() >= end_ns) {
            trp_kernel_fail(run, "it does not end: a message is missing, or all is very slow");
        }
    }
    return false;
}

bool trp_study_finish(struct trp_study_run *study, struct trp_kernel_run *run)
{
    troupe_pool_stop(run->pool);
    troupe_pool_join(run->pool);
    run->joined_ns = trp_machine_now_ns();
    return check(study, run);
}

void trp_study_close(struct trp_kernel_run *run)
{
    if (run != NULL) {
        troupe_pool_destroy(run->pool);
        free(run);
    }
}

uint64_t trp_study_resident_bytes(void)
{
    uint64_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%*u %" SCNu64, &pages) != 1) {
        pages = 0;
    }
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void trp_study_sleep(uint64_t ns)
{
    struct timespec left = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
