#include "tests/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/args.h"
#include "bench/kernels/command.h"
#include "bench/kernels/runner.h"
#include "io/codec/json.h"

static void figures_of_samples(void **state)
{
    struct trp_sample sample = {.count = 0};
    (void)state;
    assert_true(isnan(trp_sample_median(&sample)));
    trp_sample_add(&sample, 30);
    trp_sample_add(&sample, 10);
    assert_true(fabs(trp_sample_median(&sample) - 20) < 1e-9);
    trp_sample_add(&sample, 11);
    assert_true(fabs(trp_sample_median(&sample) - 11) < 1e-9);
    assert_true(fabs(trp_sample_min(&sample) - 10) < 1e-9);
    assert_true(fabs(trp_sample_max(&sample) - 30) < 1e-9);
    assert_true(fabs(trp_sample_spread(&sample) - 20.0 / 11) < 1e-9);
}

/* Kernels that go wrong: the runner must not make a figure of them. */
static enum troupe_status init_broken(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct trp_kernel_run *run = (struct trp_kernel_run *)(uintptr_t)arg;
    (void)state;
    trp_kernel_begin(ctx, run);
    if (run->the_case->senders == 1) {
        trp_kernel_fail(run, "broken on purpose");
    } else {
        troupe_pool_stop(run->pool); /* and no trp_kernel_end */
    }
    return TROUPE_OK;
}

static enum troupe_verdict receive_broken(struct troupe_ctx *ctx, void *state, struct troupe_msg *m)
{
    (void)ctx;
    (void)state;
    (void)m;
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type broken_type = {
    .name = "broken", .init_cb = init_broken, .receive_cb = receive_broken};

static bool setup_broken(struct trp_kernel_run *run)
{
    return run->the_case->senders <= 2 &&
           troupe_pool_spawn(run->pool, &run->refs[0], 0, &broken_type, run) == TROUPE_OK;
}

static void expect_error(uint32_t senders, const char *pin, const char *text)
{
    const struct trp_kernel_case the_case = {
        .name = "broken", .ops = 1, .senders = senders, .workers = 1, .limit = TRP_LIMIT_RMW};
    const struct trp_kernel kernel = {.name = "broken", .setup = setup_broken};
    struct trp_machine machine;
    struct trp_runner_result result;
    trp_machine_read(&machine);
    const struct trp_runner_options options = {
        .runs = 1, .workers = 1, .pin = pin, .driver = troupe_futex_driver(), .machine = &machine};
    assert_false(trp_runner_run(&result, &kernel, &the_case, &options));
    assert_non_null(strstr(result.error, text));
}

static void a_failed_run_has_no_figure(void **state)
{
    (void)state;
    expect_error(1, "none", "broken on purpose");
    expect_error(2, "none", "did not finish");
    expect_error(3, "none", "no room");
    expect_error(1, "4000", "4000");
}

static int run(const char *const *argv, int argc)
{
    return trp_bench_kernel(argc, (char **)(uintptr_t)argv);
}

static void bad_command_lines(void **state)
{
    static const char *const unknown[] = {"nothing"};
    static const char *const runs[] = {"count", "--runs", "0"};
    static const char *const pin[] = {"pingpong", "--pin", "4000"};
    static const char *const list[] = {"list"};
    (void)state;
    assert_int_equal(run(NULL, 0), TRP_BENCH_USAGE);
    assert_int_equal(run(unknown, 1), TRP_BENCH_USAGE);
    assert_int_equal(run(runs, 3), TRP_BENCH_USAGE);
    assert_int_equal(run(pin, 3), TRP_BENCH_USAGE);
    assert_int_equal(run(list, 1), TRP_BENCH_GOOD);
}

/* One run of everything on one worker, and its JSON. */
static void a_kernel_runs(void **state)
{
    static char text[1 << 16];
    char path[64];
    int fd = memfd_create("result", MFD_CLOEXEC);
    struct trp_json_doc doc;
    uint64_t number;
    (void)state;
    assert_true(fd >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const char *argv[] = {"count", "--runs", "1", "--workers", "1", "--json", path};
    assert_int_equal(run(argv, 7), TRP_BENCH_GOOD);
    ssize_t len = pread(fd, text, sizeof(text), 0);
    assert_in_range(len, 100, sizeof(text) - 1);
    close(fd);

    struct trp_json_parser *json = trp_json_create(trp_json_limits_default());
    assert_int_equal(trp_json_read(json, &doc, text, (size_t)len, (size_t)len), TROUPE_OK);
    const struct trp_json_node *first =
        trp_json_first(&doc, trp_json_member(&doc, trp_json_root(&doc), "results"));
    assert_true(trp_json_is(&doc, trp_json_member(&doc, first, "kernel"), "count"));
    const struct trp_json_node *stats = trp_json_member(&doc, first, "stats");
    assert_true(trp_json_u64(&doc, trp_json_member(&doc, stats, "accepted"), &number));
    assert_true(number >= 2000000); /* the warm-up round and the measured one */
    assert_true(trp_json_u64(&doc, trp_json_member(&doc, stats, "reported"), &number));
    assert_int_equal(number, 0);
    trp_json_destroy(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_samples),
        cmocka_unit_test(a_failed_run_has_no_figure),
        cmocka_unit_test(bad_command_lines),
        cmocka_unit_test(a_kernel_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
