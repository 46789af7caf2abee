/*
 * Programs run as peers: the runner of children, building, the floor, the naive pool, and the whole
 * command. TROUPE_BENCH, PEER_FLOOR and PEER_NAIVE are programs of this build.
 */

#include "tests/cmocka.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <troupe/pool.h>

#include "bench/kernels/limit.h"
#include "bench/peers/child.h"
#include "bench/peers/floor.h"
#include "bench/peers/recipe.h"

#define TIMEOUT_MS 60000u

static struct trp_child_result result; /* 4 KiB */

static bool run_shell(const char *script, uint32_t timeout_ms)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    const struct trp_child_options options = {.argv = argv, .timeout_ms = timeout_ms};
    return trp_child_run(&result, &options);
}

static void children_end_in_their_ways(void **state)
{
    (void)state;
    assert_true(run_shell("printf 'one\\ntwo'; echo seen-by-nobody >&2", TIMEOUT_MS));
    assert_int_equal(result.end, TRP_CHILD_EXITED);
    assert_string_equal(result.text, "one\ntwo");
    assert_int_equal(result.len, 7);
    assert_false(run_shell("exit 3", TIMEOUT_MS));
    assert_int_equal(result.end, TRP_CHILD_EXITED);
    assert_int_equal(result.code, 3);
    assert_false(run_shell("kill -TERM $$", TIMEOUT_MS));
    assert_int_equal(result.end, TRP_CHILD_SIGNALLED);
    assert_int_equal(result.code, SIGTERM);

    const char *nobody[] = {"no-such-program-anywhere", NULL};
    const struct trp_child_options options = {.argv = nobody, .timeout_ms = TIMEOUT_MS};
    assert_false(trp_child_run(&result, &options));
    assert_int_equal(result.code, 127);
    const struct trp_child_options lost = {
        .argv = nobody, .folder = "/no/such/folder", .timeout_ms = TIMEOUT_MS};
    assert_false(trp_child_run(&result, &lost));
    assert_int_equal(result.end, TRP_CHILD_EXITED);
}

/* The program and what it has started are killed: nobody holds the other end of a pipe any more. */
static void a_child_that_takes_too_long(void **state)
{
    int fds[2];
    char byte;
    (void)state;
    assert_int_equal(pipe(fds), 0); /* not closed on exec: all of them inherit it */
    assert_false(run_shell("sleep 1000 & sleep 1000", 300));
    assert_int_equal(result.end, TRP_CHILD_TIMEOUT);
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    close(fds[0]);
    /* One that closes its output and stays is killed as well. */
    assert_false(run_shell("exec >&-; exec sleep 1000", 300));
    assert_int_equal(result.end, TRP_CHILD_TIMEOUT);
}

/* What a program leaves behind in its group does not outlive it. */
static void a_child_that_leaves_something_behind(void **state)
{
    int fds[2];
    char byte;
    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_true(run_shell("sleep 1000 & echo done", TIMEOUT_MS));
    assert_string_equal(result.text, "done\n");
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    close(fds[0]);
}

static void a_child_that_talks_too_much(void **state)
{
    (void)state;
    assert_true(run_shell("head -c 1000000 /dev/zero | tr '\\0' x", TIMEOUT_MS));
    assert_int_equal(result.len, TRP_CHILD_TEXT_MAX - 1);
    assert_int_equal(strlen(result.text), result.len);
}

static void a_child_on_its_cpus(void **state)
{
    struct trp_machine machine;
    (void)state;
    trp_machine_read(&machine);
    const char *argv[] = {"sh", "-c", "grep Cpus_allowed_list: /proc/self/status", NULL};
    struct trp_child_options options = {
        .argv = argv, .cpus = &machine.first_cpu, .cpu_count = 1, .timeout_ms = TIMEOUT_MS};
    char wanted[64];
    assert_true(trp_child_run(&result, &options));
    snprintf(wanted, sizeof(wanted), "Cpus_allowed_list:\t%d\n", machine.first_cpu);
    assert_string_equal(result.text, wanted);
    int nowhere = -1; /* a child that cannot be pinned does not run */
    options.cpus = &nowhere;
    assert_false(trp_child_run(&result, &options));
    assert_int_equal(result.code, 126);
}

static void programs_in_the_path(void **state)
{
    (void)state;
    assert_true(trp_child_is_there("sh"));
    assert_false(trp_child_is_there("no-such-program-anywhere"));
}

/* --- the floor --- */

static void the_floor_runs_every_kernel(void **state)
{
    (void)state;
    for (int i = 0; i < TRP_PEER_KERNELS; i++) {
        struct trp_peer_work work;
        struct trp_peer_result figures = {0, 0};
        trp_peer_size(&work, (enum trp_peer_kernel)i, 1000);
        assert_true(trp_floor_run(&work, 1, &figures));
        assert_int_equal(figures.ops, work.ops);
        assert_true(figures.ns > 0);
    }
}

/* Sizes at the edge: one round, one actor. */
static void the_floor_runs_the_smallest(void **state)
{
    (void)state;
    for (int i = 0; i < TRP_PEER_KERNELS; i++) {
        struct trp_peer_work work;
        struct trp_peer_result figures;
        trp_peer_size(&work, (enum trp_peer_kernel)i, TRP_PEER_SCALE_MAX);
        assert_true(trp_floor_run(&work, 1, &figures));
    }
}

/* In other shapes: parts of the work, messages of another size, both; and more than there is. */
static void the_floor_in_its_shapes(void **state)
{
    static const struct trp_floor_shape shapes[] = {{.deal_max = 32},
                                                    {.is_line = true},
                                                    {.deal_max = 7, .is_line = true},
                                                    {.deal_max = 1u << 20}};
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (uint64_t scale = 10; scale <= TRP_PEER_SCALE_MAX; scale *= 10) {
            struct trp_peer_work work;
            struct trp_peer_result figures = {0, 0};
            trp_peer_size(&work, TRP_PEER_FJTHRPUT, scale);
            assert_true(trp_floor_run_shaped(&work, &shapes[i], &figures));
            assert_int_equal(figures.ops, work.ops);
        }
    }
}

static void the_floor_is_a_limit(void **state)
{
    struct trp_machine machine;
    (void)state;
    trp_machine_read(&machine);
    for (int i = TRP_LIMIT_FLOOR_PINGPONG; i <= TRP_LIMIT_FLOOR_CHAMENEOS; i++) {
        double ns = trp_limit_measure((enum trp_limit)i, &machine);
        assert_true(isfinite(ns) && ns > 0);
    }
    assert_true(isnan(trp_limit_measure(TRP_LIMIT_NONE, &machine)));
}

/* --- peers as programs --- */

static bool
run_peer(const char *program, const char *kernel, const char *threads, const char *scale)
{
    const char *argv[] = {program, kernel, "--threads", threads, "--scale", scale, NULL};
    const struct trp_child_options options = {.argv = argv, .timeout_ms = TIMEOUT_MS};
    return trp_child_run(&result, &options);
}

static void expect_peer(const char *program, const char *kernel, const char *threads)
{
    struct trp_peer_result figures;
    struct trp_peer_work work;
    enum trp_peer_kernel id;
    assert_true(trp_peer_find(kernel, &id));
    trp_peer_size(&work, id, 500);
    if (!run_peer(program, kernel, threads, "500")) {
        fail_msg("%s %s --threads %s: exit %d", program, kernel, threads, result.code);
    }
    assert_true(trp_peer_read_line(&figures, result.text, result.len));
    assert_int_equal(figures.ops, work.ops);
}

static void expect_usage(const char *program)
{
    assert_false(run_peer(program, "nothing", "1", "500"));
    assert_int_equal(result.code, 2);
    assert_false(run_peer(program, "count", "0", "500"));
    assert_int_equal(result.code, 2);
    assert_false(run_peer(program, "count", "1x", "500"));
    assert_int_equal(result.code, 2);
    assert_false(run_peer(program, "count", "1", "0"));
    assert_int_equal(result.code, 2);
    const char *half[] = {program, "count", "--threads", NULL};
    const struct trp_child_options options = {.argv = half, .timeout_ms = TIMEOUT_MS};
    assert_false(trp_child_run(&result, &options));
    assert_int_equal(result.code, 2);
    assert_int_equal(result.len, 0);
}

static void the_naive_pool_runs_every_kernel(void **state)
{
    (void)state;
    for (int i = 0; i < TRP_PEER_KERNELS; i++) {
        expect_peer(PEER_NAIVE, trp_peer_name((enum trp_peer_kernel)i), "1");
        expect_peer(PEER_NAIVE, trp_peer_name((enum trp_peer_kernel)i), "3");
    }
    expect_usage(PEER_NAIVE);
}

/* Its script refuses before it starts the emulator, so that this needs none. */
static void the_erlang_script_refuses(void **state)
{
    static const char *const wrong[] = {"--threads 0",
                                        "--threads 1 --scale 0",
                                        "--threads 1x",
                                        "--threads -1",
                                        "--threads ''",
                                        "--threads 257",
                                        "--threads 1 --scale 1000001",
                                        "--threads 99999999999999999999999",
                                        "--threads",
                                        "--threads 1 --scale"};
    char script[512];
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(script, sizeof(script),
                 "exec " SOURCE_FOLDER "/bench/peers/erlang/run.sh count %s", wrong[i]);
        assert_false(run_shell(script, TIMEOUT_MS));
        assert_int_equal(result.end, TRP_CHILD_EXITED);
        assert_int_equal(result.code, 2);
        assert_int_equal(result.len, 0);
    }
}

static void the_floor_is_a_program(void **state)
{
    (void)state;
    expect_peer(PEER_FLOOR, "big", "1");
    expect_usage(PEER_FLOOR);
}

static void ours_is_a_peer(void **state)
{
    (void)state;
    for (int i = 0; i < TRP_PEER_KERNELS; i++) {
        struct trp_peer_result figures;
        const char *argv[] = {TROUPE_BENCH, "peer-self", trp_peer_name((enum trp_peer_kernel)i),
                              "--threads",  "1",         "--scale",
                              "500",        NULL};
        const struct trp_child_options options = {.argv = argv, .timeout_ms = TIMEOUT_MS};
        if (!trp_child_run(&result, &options)) {
            fail_msg("peer-self %s: exit %d", argv[2], result.code);
        }
        assert_true(trp_peer_read_line(&figures, result.text, result.len));
        assert_true(figures.ops > 0);
    }
    const char *unknown[] = {TROUPE_BENCH, "peer-self", "nothing", "--threads", "1", NULL};
    const struct trp_child_options options = {
        .argv = unknown, .timeout_ms = TIMEOUT_MS, .is_quiet = true};
    assert_false(trp_child_run(&result, &options));
    assert_int_equal(result.code, 2);
}

/* --- building, and the whole command --- */

static char folder[] = P_tmpdir "/troupe-peers-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    const char *argv[] = {"rm", "-rf", folder, NULL};
    const struct trp_child_options options = {.argv = argv, .timeout_ms = TIMEOUT_MS};
    (void)state;
    return trp_child_run(&result, &options) ? 0 : -1;
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/source/bench/peers/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Sources of a test instead of the real ones: broken, then repaired, then untouched. */
static void building_a_peer(void **state)
{
    char source[128];
    char build[128];
    char path[256];
    char program[TRP_RECIPE_PATH_MAX] = "";
    char why[256] = "";
    struct stat before, after;
    (void)state;
    snprintf(source, sizeof(source), "%s/source", folder);
    snprintf(path, sizeof(path), "%s/bench/peers", source);
    snprintf(build, sizeof(build), "%s/deep/build", folder);
    assert_true(trp_recipe_make_folder(path));
    assert_false(trp_recipe_make_folder("/dev/null/x"));
    assert_false(trp_recipe_make_folder(""));

    write_file("floor.c", "#error broken on purpose\n");
    assert_false(trp_recipe_build(TRP_RECIPE_FLOOR, program, why, sizeof(why), source, build));
    assert_non_null(strstr(why, "did not build"));
    write_file("floor.c", "int main(void)\n{\n    return 0;\n}\n");
    assert_true(trp_recipe_build(TRP_RECIPE_FLOOR, program, why, sizeof(why), source, build));
    assert_int_equal(stat(program, &before), 0);
    assert_true(trp_recipe_build(TRP_RECIPE_FLOOR, program, why, sizeof(why), source, build));
    assert_int_equal(stat(program, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_true(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
                before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);

    char found[TRP_RECIPE_PATH_MAX];
    assert_false(trp_recipe_find_source(found, sizeof(found), path));
    write_file("peer.h", "");
    assert_true(trp_recipe_find_source(found, sizeof(found), path));
    assert_string_equal(found, source);
    assert_false(trp_recipe_find_source(found, sizeof(found), build));
}

/* Without a PATH no compiler is found: the package is named and nothing is run. */
static void a_package_that_is_missing(void **state)
{
    char program[TRP_RECIPE_PATH_MAX];
    char why[256] = "";
    char path[4096];
    const char *kept = getenv("PATH");
    (void)state;
    snprintf(path, sizeof(path), "%s", kept != NULL ? kept : "/bin:/usr/bin");
    assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
    assert_false(trp_recipe_build(TRP_RECIPE_CAF, program, why, sizeof(why), folder, folder));
    assert_string_equal(why, "needs package libcaf-dev");
    assert_false(trp_recipe_build(TRP_RECIPE_ERLANG, program, why, sizeof(why), folder, folder));
    assert_string_equal(why, "needs package erlang-base");
    assert_false(trp_recipe_build(TRP_RECIPE_GO, program, why, sizeof(why), folder, folder));
    assert_string_equal(why, "needs package golang-go");
    assert_int_equal(setenv("PATH", path, 1), 0);
}

static int run_peers(const char *source, const char *const *more)
{
    char build[256];
    const char *argv[32] = {TROUPE_BENCH, "peers", "--source", source, "--build",   build,
                            "--runs",     "2",     "--scale",  "1000", "--threads", "1"};
    size_t count = 12;
    snprintf(build, sizeof(build), "%s/peers", folder);
    for (size_t i = 0; more[i] != NULL; i++) {
        argv[count++] = more[i];
    }
    const struct trp_child_options options = {
        .argv = argv, .timeout_ms = TIMEOUT_MS, .is_quiet = true};
    (void)trp_child_run(&result, &options);
    assert_int_equal(result.end, TRP_CHILD_EXITED);
    return result.code;
}

static void the_whole_command(void **state)
{
    static char text[1 << 16];
    char json[256];
    (void)state;
    snprintf(json, sizeof(json), "%s/result.json", folder);
    const char *good[] = {"--only", "naive,floor", "--kernels", "count,big", "--json", json, NULL};
    assert_int_equal(run_peers(SOURCE_FOLDER, good), 0);
    assert_non_null(strstr(result.text, "\ncount "));
    assert_non_null(strstr(result.text, "\nbig "));
    assert_non_null(strstr(result.text, "ours/floor"));
    assert_null(strstr(result.text, "note:"));
    FILE *file = fopen(json, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    assert_non_null(strstr(text, "\"best_peer\": \"naive\""));
    assert_non_null(strstr(text, "\"exit_status\": 0"));
    assert_null(strstr(text, "\"ours_to_floor\": null"));
}

/* Peers that hang, fail, or say something else: a dash and a note, and the rest goes on. */
static void peers_that_go_wrong(void **state)
{
    static const struct {
        const char *body;
        const char *note;
    } wrong[] = {
        {"pause();", "count floor: killed after 1 s\n"},
        {"return 1;", "count floor: exit status 1\n"},
        {"abort();", "count floor: killed by signal 6\n"},
        {"puts(\"ops=1 ns=1 and more\");", "count floor: printed something else"},
    };
    char source[128];
    char text[256];
    const char *more[] = {"--only", "floor", "--kernels", "count", "--timeout", "1", NULL};
    (void)state;
    snprintf(source, sizeof(source), "%s/source", folder);
    write_file("peer.h", "");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text),
                 "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
                 "int main(void)\n{\n    %s\n    return 0;\n}\n",
                 wrong[i].body);
        write_file("floor.c", text);
        assert_int_equal(run_peers(source, more), 0);
        assert_non_null(strstr(result.text, wrong[i].note));
        assert_non_null(strstr(result.text, "\ncount "));
    }
    write_file("floor.c", "#error broken on purpose\n");
    assert_int_equal(run_peers(source, more), 0);
    assert_non_null(strstr(result.text, "peer floor left out: did not build"));
}

/* A table is left out where its threads have no CPUs; without a single table nothing was run. */
static void more_threads_than_cpus(void **state)
{
    struct trp_machine machine;
    char threads[24];
    (void)state;
    trp_machine_read(&machine);
    if (machine.usable >= TROUPE_WORKERS_MAX) {
        skip();
    }
    snprintf(threads, sizeof(threads), "%u", machine.usable + 1);
    const char *argv[] = {TROUPE_BENCH, "peers", "--threads", threads, NULL};
    const struct trp_child_options options = {
        .argv = argv, .timeout_ms = TIMEOUT_MS, .is_quiet = true};
    assert_false(trp_child_run(&result, &options));
    assert_int_equal(result.end, TRP_CHILD_EXITED);
    assert_int_equal(result.code, 2);
    assert_non_null(strstr(result.text, "left out, there are"));
}

static void wrong_command_lines(void **state)
{
    (void)state;
    const char *peer[] = {"--only", "nobody", NULL};
    const char *kernel[] = {"--kernels", "count,nothing", NULL};
    const char *none[] = {"--kernels", "", NULL};
    const char *word[] = {"word", NULL};
    assert_int_equal(run_peers(SOURCE_FOLDER, peer), 2);
    assert_int_equal(run_peers(SOURCE_FOLDER, kernel), 2);
    assert_int_equal(run_peers(SOURCE_FOLDER, none), 2);
    assert_int_equal(run_peers(SOURCE_FOLDER, word), 2);
    const char *wrong_threads[] = {"1,0", "", "x", "1,,2"};
    for (size_t i = 0; i < sizeof(wrong_threads) / sizeof(wrong_threads[0]); i++) {
        const char *threads[] = {TROUPE_BENCH, "peers", "--threads", wrong_threads[i], NULL};
        const struct trp_child_options options = {
            .argv = threads, .timeout_ms = TIMEOUT_MS, .is_quiet = true};
        assert_false(trp_child_run(&result, &options));
        assert_int_equal(result.code, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_end_in_their_ways),
        cmocka_unit_test(a_child_that_takes_too_long),
        cmocka_unit_test(a_child_that_leaves_something_behind),
        cmocka_unit_test(a_child_that_talks_too_much),
        cmocka_unit_test(a_child_on_its_cpus),
        cmocka_unit_test(programs_in_the_path),
        cmocka_unit_test(the_floor_runs_every_kernel),
        cmocka_unit_test(the_floor_runs_the_smallest),
        cmocka_unit_test(the_floor_in_its_shapes),
        cmocka_unit_test(the_floor_is_a_limit),
        cmocka_unit_test(the_naive_pool_runs_every_kernel),
        cmocka_unit_test(the_erlang_script_refuses),
        cmocka_unit_test(the_floor_is_a_program),
        cmocka_unit_test(ours_is_a_peer),
        cmocka_unit_test(building_a_peer),
        cmocka_unit_test(a_package_that_is_missing),
        cmocka_unit_test(the_whole_command),
        cmocka_unit_test(peers_that_go_wrong),
        cmocka_unit_test(more_threads_than_cpus),
        cmocka_unit_test(wrong_command_lines),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
