#include "tests/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <troupe/io.h>

#include "bench/args.h"
#include "bench/kernels/cast.h"
#include "bench/kernels/command.h"
#include "bench/kernels/label.h"
#include "bench/kernels/study.h"
#include "bench/kernels/work.h"
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

/* Not every type keeps a part. */
#define TYPE(called, init, receive)                                                                \
    {                                                                                              \
        .name = (called), .state_size = sizeof(struct trp_part), .init_cb = (init),                \
        .receive_cb = (receive)                                                                    \
    }

/* Kernels that go wrong: the runner must not make a figure of them. */
static enum troupe_status init_broken(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct trp_kernel_run *run = (struct trp_kernel_run *)(uintptr_t)arg;
    (void)state;
    trp_kernel_begin(ctx, run);
    if (run->the_case->actors == 1) {
        trp_kernel_fail(run, "broken on purpose");
    } else if (run->the_case->actors == 2) {
        troupe_pool_stop(run->pool); /* and no trp_kernel_done */
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

static const struct troupe_actor_type broken_type = TYPE("broken", init_broken, receive_broken);

static bool setup_broken(struct trp_kernel_run *run)
{
    return run->the_case->actors != 3 &&
           troupe_pool_spawn(run->pool, &run->refs[0], 0, &broken_type, run) == TROUPE_OK;
}

static void expect_error_of(bool (*setup)(struct trp_kernel_run *run),
                            uint32_t actors,
                            const char *pin,
                            const char *text)
{
    const struct trp_kernel_case the_case = {
        .name = "broken", .ops = 1, .actors = actors, .workers = 1, .limit = TRP_LIMIT_RMW};
    const struct trp_kernel kernel = {.name = "broken", .setup = setup};
    struct trp_machine machine;
    struct trp_runner_result result;
    trp_machine_read(&machine);
    const struct trp_runner_options options = {
        .runs = 1,
        .workers = 1,
        .scale = 1,
        .patience_ms = actors == 4 ? 20 : 0,
        .pin = pin,
        .driver = troupe_futex_driver(),
        .machine = &machine,
    };
    assert_false(trp_runner_run(&result, &kernel, &the_case, &options));
    assert_non_null(strstr(result.error, text));
}

static void expect_error(uint32_t actors, const char *pin, const char *text)
{
    expect_error_of(setup_broken, actors, pin, text);
}

static void a_failed_run_has_no_figure(void **state)
{
    (void)state;
    expect_error(1, "none", "broken on purpose");
    expect_error(2, "none", "did not finish");
    expect_error(3, "none", "no room");
    expect_error(4, "none", "does not end"); /* nobody stops the pool */
    expect_error(1, "4000", "4000");
}

/* A cast whose lead sends to somebody who is not there. */
static enum troupe_verdict receive_lost(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct trp_part *part = state;
    if (msg->type != TRP_KERNEL_START || part->index != 4 ||
        trp_cast_lead(part->run) != troupe_self(ctx)) {
        trp_kernel_fail(part->run, "the lead is another one"); /* no assertion in a worker */
        return TROUPE_CONTINUE;
    }
    if (part->run->the_case->actors == 1) {
        trp_kernel_forward(ctx, part->run, TROUPE_NOBODY, TRP_KERNEL_FIRST_TYPE, msg);
    } else {
        trp_kernel_tell(ctx, part->run, TROUPE_NOBODY, TRP_KERNEL_FIRST_TYPE, troupe_span("x", 1));
    }
    return TROUPE_CONTINUE;
}

static enum troupe_status init_refused(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)ctx;
    (void)state;
    (void)arg;
    return TROUPE_ENOMEM;
}

static const struct troupe_actor_type extra_type = TYPE("extra", trp_part_init, receive_broken);
static const struct troupe_actor_type lost_type = TYPE("lost", trp_part_init, receive_lost);
static const struct troupe_actor_type refused_type = TYPE("refused", init_refused, receive_broken);

static bool setup_lost(struct trp_kernel_run *run)
{
    bool is_refused = run->the_case->actors == 3;
    const struct trp_role roles[] = {
        {&extra_type, 4, TRP_PLACE_IN_TURN},
        {is_refused ? &refused_type : &lost_type, 1, TRP_PLACE_LAST},
    };
    return trp_cast(run, roles, 2);
}

static void a_refused_message_fails_the_run(void **state)
{
    (void)state;
    expect_error_of(setup_lost, 1, "none", "a message was refused");
    expect_error_of(setup_lost, 2, "none", "a message was refused");
    expect_error_of(setup_lost, 3, "none", "no room for the actors");
}

/* Where actors are before the pool has started; nothing of it runs. */
static void a_cast_is_spread_over_the_workers(void **state)
{
    static const uint32_t expected[] = {0, 1, 2, 0, 0, 0, 1, 2, 2};
    const struct trp_kernel_case the_case = {.name = "spread"};
    const struct troupe_pool_config config = {.workers = 3, .pin = "none"};
    const struct trp_role roles[] = {
        {&extra_type, 4, TRP_PLACE_IN_TURN},
        {&extra_type, 4, TRP_PLACE_IN_BLOCKS},
        {&extra_type, 1, TRP_PLACE_LAST},
    };
    struct trp_kernel_run *run = calloc(1, sizeof(*run));
    (void)state;
    assert_non_null(run);
    run->the_case = &the_case;
    run->workers = 3;
    assert_int_equal(troupe_pool_create(&run->pool, &config, NULL, 0), TROUPE_OK);
    assert_true(trp_cast(run, roles, 3));
    assert_int_equal(run->actors, 9);
    for (uint32_t i = 0; i < run->actors; i++) {
        assert_int_equal(run->parts[i].index, i);
        assert_int_equal(troupe_ref_worker(run->refs[i]), expected[i]);
    }
    troupe_pool_destroy(run->pool);
    free(run);
}

static void operations_are_divided(void **state)
{
    struct trp_kernel_run *run = calloc(1, sizeof(*run));
    (void)state;
    assert_non_null(run);
    run->ops = 1000;
    trp_kernel_divide(run, 60);
    assert_int_equal(run->share, 16);
    assert_int_equal(run->ops, 960);
    run->ops = 10; /* a trial: still one each */
    trp_kernel_divide(run, 60);
    assert_int_equal(run->share, 1);
    assert_int_equal(run->ops, 60);
    free(run);
}

static void draws_stay_in_their_bound(void **state)
{
    uint64_t random = 1;
    uint64_t same = 1;
    uint32_t seen[7] = {0};
    (void)state;
    for (uint32_t i = 0; i < 7000; i++) {
        uint32_t drawn = trp_kernel_draw(&random, 7);
        assert_in_range(drawn, 0, 6);
        assert_int_equal(drawn, trp_kernel_draw(&same, 7));
        seen[drawn]++;
    }
    for (uint32_t i = 0; i < 7; i++) {
        assert_in_range(seen[i], 800, 1200); /* the sequence is always the same */
    }
}

static void what_is_compared_and_what_is_not(void **state)
{
    const struct trp_kernel_case one = {.ops = 10, .actors = 2, .workers = 1};
    struct trp_kernel_case placed = {
        .ops = 10, .actors = 2, .placement = TRP_PLACEMENT_RUNTIME, .limit = TRP_LIMIT_RMW};
    struct trp_runner_options options = {.scale = 1};
    static struct trp_runner_result results[2];
    struct trp_sample ratio;
    (void)state;
    assert_true(trp_runner_is_pair(&one, &placed));
    assert_false(trp_runner_is_pair(&placed, &one));
    placed.actors = 3;
    assert_false(trp_runner_is_pair(&one, &placed));
    placed.actors = 2;
    placed.placement = TRP_PLACEMENT_SPREAD;
    assert_false(trp_runner_is_pair(&one, &placed));

    trp_sample_add(&results[0].ns_per_op, 10);
    trp_sample_add(&results[0].ns_per_op, 30);
    trp_sample_add(&results[1].ns_per_op, 20);
    trp_sample_add(&results[1].ns_per_op, 20);
    trp_runner_compare(&ratio, &results[0], &results[1]);
    assert_true(fabs(ratio.values[0] - 0.5) < 1e-9); /* half as fast */
    assert_true(fabs(ratio.values[1] - 1.5) < 1e-9);

    assert_true(trp_runner_has_limit(&placed, &options));
    options.scale = 2;
    assert_false(trp_runner_has_limit(&placed, &options));
    options.scale = 1;
    placed.limit = TRP_LIMIT_NONE;
    assert_false(trp_runner_has_limit(&placed, &options));
}

static int run(const char *const *argv, int argc)
{
    return trp_bench_kernel(argc, (char **)(uintptr_t)argv);
}

static void bad_command_lines(void **state)
{
    static const char *const unknown[] = {"nothing"};
    static const char *const runs[] = {"count", "--runs", "0"};
    static const char *const scale[] = {"count", "--scale", "0"};
    static const char *const pin[] = {"pingpong", "--pin", "4000"};
    static const char *const list[] = {"list"};
    static const char *const file[] = {"list", "--json", "result.json"};
    static const char *const strict[] = {"list", "--strict"};
    static const char *const limits[] = {"limits", "--scale", "100"};
    static const char *const seconds[] = {"idle", "--seconds", "3601"};
    static const char *const valued[] = {"idle", "--strict=yes"};
    static const char *many[65];
    (void)state;
    assert_int_equal(run(NULL, 0), TRP_BENCH_USAGE);
    assert_int_equal(run(seconds, 3), TRP_BENCH_USAGE);
    assert_int_equal(run(valued, 2), TRP_BENCH_USAGE);
    for (size_t i = 0; i < 65; i++) {
        many[i] = "--strict";
    }
    assert_int_equal(run(many, 64), TRP_BENCH_USAGE); /* no kernel */
    assert_int_equal(run(many, 65), TRP_BENCH_USAGE);
    assert_int_equal(run(unknown, 1), TRP_BENCH_USAGE);
    assert_int_equal(run(runs, 3), TRP_BENCH_USAGE);
    assert_int_equal(run(scale, 3), TRP_BENCH_USAGE);
    assert_int_equal(run(pin, 3), TRP_BENCH_USAGE);
    assert_int_equal(run(list, 1), TRP_BENCH_GOOD);
    assert_int_equal(run(file, 3), TRP_BENCH_USAGE); /* not ignored */
    assert_int_equal(run(strict, 2), TRP_BENCH_USAGE);
    assert_int_equal(run(limits, 3), TRP_BENCH_USAGE);
}

/* What a command line writes as JSON, read back into doc; destroy the parser. */
static struct trp_json_parser *run_json(struct trp_json_doc *doc, const char **argv, int argc)
{
    static char text[1 << 17];
    char path[64];
    int fd = memfd_create("result", MFD_CLOEXEC);
    assert_true(fd >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    argv[argc] = "--json";
    argv[argc + 1] = path;
    assert_int_equal(run(argv, argc + 2), TRP_BENCH_GOOD);
    ssize_t got = pread(fd, text, sizeof(text), 0);
    assert_in_range(got, 100, sizeof(text) - 1);
    close(fd);
    size_t len = (size_t)got;
    struct trp_json_parser *json = trp_json_create(trp_json_limits_default());
    assert_int_equal(trp_json_read(json, doc, text, len, len), TROUPE_OK);
    return json;
}

/* One run of everything on one worker, and its JSON. */
static void a_kernel_runs(void **state)
{
    const char *argv[7] = {"count", "--runs", "1", "--workers", "1"};
    struct trp_json_doc doc;
    uint64_t number;
    (void)state;
    struct trp_json_parser *json = run_json(&doc, argv, 5);
    const struct trp_json_node *first =
        trp_json_first(&doc, trp_json_member(&doc, trp_json_root(&doc), "results"));
    assert_true(trp_json_is(&doc, trp_json_member(&doc, first, "kernel"), "count"));
    assert_true(trp_json_is(&doc, trp_json_member(&doc, first, "limit"), "floor-count"));
    assert_non_null(trp_json_member(&doc, first, "share_target"));
    assert_non_null(trp_json_member(&doc, first, "is_met"));
    const struct trp_json_node *stats = trp_json_member(&doc, first, "stats");
    assert_true(trp_json_u64(&doc, trp_json_member(&doc, stats, "accepted"), &number));
    assert_true(number >= 2000000); /* the warm-up round and the measured one */
    assert_true(trp_json_u64(&doc, trp_json_member(&doc, stats, "reported"), &number));
    assert_int_equal(number, 0);
    trp_json_destroy(json);
}

/* The floor of fjthrput in its other shapes, beside the plain one that is the limit. */
static void limits_besides(void **state)
{
    static const char *const names[] = {"floor-fjthrput-32", "floor-fjthrput-line",
                                        "floor-fjthrput-32-line"};
    const char *argv[7] = {"fjthrput", "--runs", "1", "--workers", "1"};
    struct trp_json_doc doc;
    uint32_t count = 0;
    (void)state;
    struct trp_json_parser *json = run_json(&doc, argv, 5);
    const struct trp_json_node *first =
        trp_json_first(&doc, trp_json_member(&doc, trp_json_root(&doc), "results"));
    const struct trp_json_node *others = trp_json_member(&doc, first, "other_limits");
    assert_true(trp_json_is(&doc, trp_json_member(&doc, first, "limit"), "floor-fjthrput"));
    for (const struct trp_json_node *other = trp_json_first(&doc, others); other != NULL;
         other = trp_json_next(&doc, others, other)) {
        assert_true(count < 3);
        assert_true(trp_json_is(&doc, trp_json_member(&doc, other, "limit"), names[count++]));
        assert_non_null(trp_json_member(&doc, other, "limit_ns"));
        assert_non_null(trp_json_member(&doc, other, "share_of_limit"));
    }
    assert_int_equal(count, 3);
    trp_json_destroy(json);
}

static void expect_label(const char *text, struct trp_label numbers, const char *expected)
{
    char label[TRP_LABEL_MAX];
    trp_label_write(label, sizeof(label), text, &numbers);
    assert_string_equal(label, expected);
}

static void labels_tell_what_was_run(void **state)
{
    char cut[8];
    (void)state;
    expect_label("{n} of {each}, {time}", (struct trp_label){600, 60, 2000000000},
                 "600 of 10, 2 s");
    expect_label("{each}{time}", (struct trp_label){7, 0, 50000000}, "70.05 s");
    expect_label("{what} {n", (struct trp_label){1, 1, 1}, "{what} {n");
    expect_label("", (struct trp_label){1, 1, 1}, "");
    trp_label_write(cut, sizeof(cut), "about {n}", &(struct trp_label){.amount = 123456789});
    assert_string_equal(cut, "about 1");
    cut[0] = 'x';
    trp_label_write(cut, 1, "{n}", &(struct trp_label){.amount = 1});
    assert_string_equal(cut, "");
}

/* A kernel with one figure, the time of an operation. */
static void check_kernel(const struct trp_json_doc *doc, const struct trp_json_node *result)
{
    uint64_t workers = 0;
    uint64_t reported = 1;
    const struct trp_json_node *stats = trp_json_member(doc, result, "stats");
    assert_true(trp_json_u64(doc, trp_json_member(doc, stats, "reported"), &reported));
    assert_int_equal(reported, 0);
    assert_null(trp_json_member(doc, result, "limit"));
    assert_null(trp_json_member(doc, result, "is_met"));
    assert_true(trp_json_u64(doc, trp_json_member(doc, result, "workers"), &workers));
    bool is_compared =
        workers > 1 && trp_json_is(doc, trp_json_member(doc, result, "placement"), "runtime");
    assert_int_equal(trp_json_member(doc, result, "speed_against_one_worker") != NULL, is_compared);
}

/* A study: figures with names and values, no verdict in a trial. */
static void check_study(const struct trp_json_doc *doc,
                        const struct trp_json_node *result,
                        const struct trp_json_node *figures)
{
    uint32_t count = 0;
    uint64_t accepted = 0;
    const struct trp_json_node *stats = trp_json_member(doc, result, "stats");
    assert_true(trp_json_u64(doc, trp_json_member(doc, stats, "accepted"), &accepted));
    assert_true(accepted > 0);
    for (const struct trp_json_node *figure = trp_json_first(doc, figures); figure != NULL;
         figure = trp_json_next(doc, figures, figure)) {
        const struct trp_json_node *value = trp_json_member(doc, figure, "value");
        assert_non_null(trp_json_member(doc, figure, "unit"));
        assert_non_null(trp_json_member(doc, value, "median"));
        assert_null(trp_json_member(doc, figure, "is_met"));
        count++;
    }
    assert_true(count >= 3);
}

/* With a 200th of the work and of the time. */
static void check_label(const struct trp_json_doc *doc, const struct trp_json_node *result)
{
    static const struct {
        const char *name;
        const char *label;
    } expected[] = {
        {"same-worker", "1 pair on one worker, 5000 round trips"},
        {"8-senders-1-worker", "8 senders, 1 counter, 5000 messages"},
        {"pool", "5 actors that did something once, then nothing for 0.05 s; all threads of the "
                 "process but the one that looks"},
    };
    const struct trp_json_node *label = trp_json_member(doc, result, "parameters");
    struct troupe_span raw = trp_json_raw(doc, label);
    assert_null(memchr(raw.data, '{', raw.len));
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        if (trp_json_is(doc, trp_json_member(doc, result, "case"), expected[i].name)) {
            assert_true(trp_json_is(doc, label, expected[i].label));
        }
    }
}

/* Every case of everything with little work: each checks its own result. */
static void every_kernel_runs(void **state)
{
    static const char *const names[] = {
        "pingpong", "count",    "fanin",     "fjthrput", "fjcreate", "threadring", "chameneos",
        "big",      "concdict", "bndbuffer", "banking",  "logmap",   "wake",       "ask-latency",
        "idle",     "overload", "isolation", "memory",   "shutdown", "timers"};
    const char *argv[8] = {"all", "--strict", "--runs", "1", "--scale", "200"};
    struct trp_machine machine;
    struct trp_json_doc doc;
    uint32_t found = 0;
    (void)state;
    struct trp_json_parser *json = run_json(&doc, argv, 6);
    trp_machine_read(&machine);
    const struct trp_json_node *results = trp_json_member(&doc, trp_json_root(&doc), "results");
    for (const struct trp_json_node *result = trp_json_first(&doc, results); result != NULL;
         result = trp_json_next(&doc, results, result)) {
        const struct trp_json_node *figures = trp_json_member(&doc, result, "figures");
        check_label(&doc, result);
        if (found < 20 &&
            trp_json_is(&doc, trp_json_member(&doc, result, "kernel"), names[found])) {
            found++;
        }
        if (figures == NULL) {
            check_kernel(&doc, result);
        } else {
            check_study(&doc, result, figures);
        }
    }
    assert_int_equal(found, machine.usable >= 2 ? 20 : 12);
    trp_json_destroy(json);
}

/* --- studies that are made up --- */

static struct trp_study_run seen; /* what the made-up study was last told */
static uint32_t times_measured;

static bool measure_two(struct trp_study_run *study)
{
    seen = *study;
    times_measured++;
    study->values[0] = 2;
    study->values[1] = 2;
    return true;
}

static bool measure_vainly(struct trp_study_run *study)
{
    return trp_study_fail(study, "broken on purpose");
}

static bool measure_nowhere(struct trp_study_run *study)
{
    return trp_study_open(study, NULL, NULL) != NULL;
}

static enum troupe_status init_poster(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct trp_kernel_run *poster = (struct trp_kernel_run *)(uintptr_t)arg;
    (void)ctx;
    (void)state;
    if (poster->ops == 1) {
        sem_post(poster->data);
    } else if (poster->ops == 2) {
        trp_kernel_fail(poster, "broken on purpose");
    }
    return TROUPE_OK;
}

static const struct troupe_actor_type poster_type = TYPE("poster", init_poster, receive_broken);

/* amount 1: the event comes; 2: the run fails; 3: nothing happens, until patience ends */
static bool measure_awaiting(struct trp_study_run *study)
{
    troupe_ref ref;
    sem_t event;
    sem_init(&event, 0, 0);
    struct trp_kernel_run *poster = trp_study_open(study, &event, NULL);
    assert_non_null(poster);
    assert_int_equal(troupe_pool_spawn(poster->pool, &ref, 0, &poster_type, poster), TROUPE_OK);
    assert_true(trp_study_start(study, poster));
    bool is_there = trp_study_await(study, poster, &event);
    bool is_good = trp_study_finish(study, poster);
    assert_int_equal(is_there, is_good);
    trp_study_close(poster);
    sem_destroy(&event);
    return is_good;
}

static const struct trp_figure made_up_figures[] = {
    {"most", "us", TRP_FIGURE_AT_MOST, 1},
    {"least", "", TRP_FIGURE_AT_LEAST, 2},
};

static struct trp_runner_options options_of_studies(void)
{
    static struct trp_machine machine;
    trp_machine_read(&machine);
    return (struct trp_runner_options){
        .runs = 3,
        .workers = 1,
        .scale = 1,
        .patience_ms = 20,
        .pin = "none",
        .driver = troupe_futex_driver(),
        .machine = &machine,
    };
}

/* Runs a case; it must end so. Returns how many targets were missed. */
static uint32_t
run_made_up(struct trp_study_case the_case, const struct trp_runner_options *options, int status)
{
    const struct trp_study study = {
        .name = "made-up", .about = "", .cases = &the_case, .case_count = 1};
    struct trp_study_verdict verdict = {0};
    times_measured = 0;
    the_case.name = "case";
    the_case.parameters = "";
    the_case.figures = made_up_figures;
    the_case.figure_count = 2;
    assert_int_equal(trp_study_run_all(&study, options, NULL, &verdict), status);
    return verdict.missed;
}

/* The same for a good end, and it must have been measured so often. */
static uint32_t measure_made_up(const struct trp_study_case *the_case,
                                const struct trp_runner_options *options,
                                uint32_t times)
{
    uint32_t missed = run_made_up(*the_case, options, TRP_BENCH_GOOD);
    assert_int_equal(times_measured, times);
    return missed;
}

static void targets_are_met_or_missed(void **state)
{
    const struct trp_figure shown = {"shown", "", TRP_FIGURE_SHOWN, 1};
    const struct trp_study_verdict none = {0};
    const struct trp_study_verdict one = {1};
    (void)state;
    assert_true(trp_figure_is_met(&made_up_figures[0], 1));
    assert_false(trp_figure_is_met(&made_up_figures[0], 1.01));
    assert_false(trp_figure_is_met(&made_up_figures[0], NAN));
    assert_true(trp_figure_is_met(&made_up_figures[1], 2));
    assert_false(trp_figure_is_met(&made_up_figures[1], 1.99));
    assert_false(trp_figure_is_met(&made_up_figures[1], NAN));
    assert_true(trp_figure_is_met(&shown, NAN));
    assert_int_equal(trp_study_exit(TRP_BENCH_GOOD, &one, false), TRP_BENCH_GOOD);
    assert_int_equal(trp_study_exit(TRP_BENCH_GOOD, &one, true), TRP_BENCH_THRESHOLD);
    assert_int_equal(trp_study_exit(TRP_BENCH_GOOD, &none, true), TRP_BENCH_GOOD);
    assert_int_equal(trp_study_exit(TRP_BENCH_INVALID, &one, true), TRP_BENCH_INVALID);
}

static void studies_are_told_how_much(void **state)
{
    const struct trp_study_case the_case = {.amount = 10, .time_ms = 4000, .measure = measure_two};
    (void)state;
    struct trp_runner_options options = options_of_studies();
    assert_int_equal(measure_made_up(&the_case, &options, 3), 1);
    assert_int_equal(seen.amount, 10);
    assert_int_equal(seen.time_ns, 4000000000u);
    assert_int_equal(seen.workers, 1);
    assert_true(isnan(seen.values[0]));
    assert_true(trp_study_has_limits(&seen));

    options.scale = 4; /* a trial: less of everything, and nothing is judged */
    options.seconds = 2;
    assert_int_equal(run_made_up(the_case, &options, TRP_BENCH_GOOD), 0);
    assert_int_equal(seen.amount, 2);
    assert_int_equal(seen.time_ns, 500000000u);
    assert_false(trp_study_has_limits(&seen));

    options.scale = 1000000;
    (void)run_made_up(the_case, &options, TRP_BENCH_GOOD);
    assert_int_equal(seen.amount, 1);
    assert_int_equal(seen.time_ns, TRP_STUDY_TIME_MIN_NS);
}

static void cases_are_left_out(void **state)
{
    struct trp_study_case the_case = {.workers = 4000, .measure = measure_two};
    (void)state;
    struct trp_runner_options options = options_of_studies();
    (void)measure_made_up(&the_case, &options, 0);
    the_case.workers = 1;
    the_case.driver = TRP_STUDY_FUTEX;
    (void)measure_made_up(&the_case, &options, 3);
    options.is_driver_chosen = true;
    (void)measure_made_up(&the_case, &options, 3);
    the_case.driver = TRP_STUDY_RING;
    (void)measure_made_up(&the_case, &options, 0);
    options.driver = troupe_ring_driver();
    (void)measure_made_up(&the_case, &options, 3);
}

static void a_failed_study_has_no_figures(void **state)
{
    struct trp_study_case the_case = {.amount = 1, .measure = measure_vainly};
    (void)state;
    struct trp_runner_options options = options_of_studies();
    (void)run_made_up(the_case, &options, TRP_BENCH_INVALID);
    the_case.measure = measure_awaiting;
    (void)run_made_up(the_case, &options, TRP_BENCH_GOOD);
    the_case.amount = 2;
    (void)run_made_up(the_case, &options, TRP_BENCH_INVALID);
    the_case.amount = 3;
    (void)run_made_up(the_case, &options, TRP_BENCH_INVALID);
    options.pin = "4000";
    the_case.measure = measure_nowhere;
    (void)run_made_up(the_case, &options, TRP_BENCH_USAGE);
}

/* One case, then one study, that say they are invalid: the others are measured all the same. */
static void the_rest_goes_on(void **state)
{
    const struct trp_study_case beside[] = {
        {.name = "vain", .parameters = "", .measure = measure_vainly},
        {.name = "good", .parameters = "", .measure = measure_two},
    };
    const struct trp_study_case refused = {
        .name = "no", .parameters = "", .measure = measure_nowhere};
    const struct trp_study first = {"first", "", beside, 2};
    const struct trp_study second = {"second", "", &beside[1], 1};
    const struct trp_study third = {"third", "", &refused, 1};
    const struct trp_study *const invalid[] = {&first, &second};
    const struct trp_study *const usage[] = {&third, &second};
    struct trp_study_verdict verdict = {0};
    (void)state;
    struct trp_runner_options options = options_of_studies();
    times_measured = 0;
    assert_int_equal(trp_studies_run(invalid, 2, "all", &options, NULL, &verdict),
                     TRP_BENCH_INVALID);
    assert_int_equal(times_measured, 2 * options.runs);
    assert_int_equal(trp_studies_run(invalid, 2, "second", &options, NULL, &verdict),
                     TRP_BENCH_GOOD);
    assert_int_equal(times_measured, 3 * options.runs);
    options.pin = "4000"; /* what the pool refuses once it refuses again */
    assert_int_equal(trp_studies_run(usage, 2, "all", &options, NULL, &verdict), TRP_BENCH_USAGE);
    assert_int_equal(times_measured, 3 * options.runs);
}

static void work_takes_time(void **state)
{
    struct trp_work work;
    (void)state;
    trp_work_calibrate(&work, 1000);
    assert_true(work.steps > 1);
    assert_true(work.ns > 0);
    trp_work_do(&work);
}

static void bare_threads_wake_each_other(void **state)
{
    static const enum trp_limit limits[] = {TRP_LIMIT_WAKE_FUTEX, TRP_LIMIT_WAKE_EVENTFD,
                                            TRP_LIMIT_WAKE_MSG_RING};
    static uint64_t trips_ns[TRP_LIMIT_WAKE_TRIPS];
    struct trp_machine machine;
    (void)state;
    trp_machine_read(&machine);
    bool has_two = machine.first_cpu != machine.last_cpu;
    bool has_ring = troupe_ring_probe(NULL, 0) == TROUPE_OK;
    for (size_t i = 0; i < 3; i++) {
        bool is_possible = has_two && (limits[i] != TRP_LIMIT_WAKE_MSG_RING || has_ring);
        memset(trips_ns, 0, sizeof(trips_ns));
        assert_int_equal(trp_limit_wake_trips(limits[i], &machine, trips_ns), is_possible);
        for (uint32_t k = 0; is_possible && k < TRP_LIMIT_WAKE_TRIPS; k++) {
            assert_true(trips_ns[k] > 0);
        }
    }
    machine.last_cpu = machine.first_cpu;
    assert_false(trp_limit_wake_trips(TRP_LIMIT_WAKE_FUTEX, &machine, trips_ns));
    assert_true(isnan(trp_limit_measure(TRP_LIMIT_WAKE_MSG_RING, &machine)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_samples),
        cmocka_unit_test(a_failed_run_has_no_figure),
        cmocka_unit_test(a_refused_message_fails_the_run),
        cmocka_unit_test(a_cast_is_spread_over_the_workers),
        cmocka_unit_test(operations_are_divided),
        cmocka_unit_test(draws_stay_in_their_bound),
        cmocka_unit_test(what_is_compared_and_what_is_not),
        cmocka_unit_test(bad_command_lines),
        cmocka_unit_test(a_kernel_runs),
        cmocka_unit_test(limits_besides),
        cmocka_unit_test(labels_tell_what_was_run),
        cmocka_unit_test(every_kernel_runs),
        cmocka_unit_test(targets_are_met_or_missed),
        cmocka_unit_test(studies_are_told_how_much),
        cmocka_unit_test(cases_are_left_out),
        cmocka_unit_test(a_failed_study_has_no_figures),
        cmocka_unit_test(the_rest_goes_on),
        cmocka_unit_test(work_takes_time),
        cmocka_unit_test(bare_threads_wake_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
