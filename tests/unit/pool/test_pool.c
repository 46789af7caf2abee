/*
 * The pool itself: what its configuration may be, and what a misuse of its life hears: a join that
 * would wait for itself, a second start, an init that fails where nobody waits for it.
 */

#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <troupe/assert.h>
#include <troupe/observe.h>
#include <unistd.h>

#define TEXT_MAX (1u << 18)

static char text[TEXT_MAX];

static void read_text(int fd)
{
    ssize_t size = pread(fd, text, TEXT_MAX - 1, 0);
    assert_true(size >= 0);
    text[size] = '\0';
    close(fd);
}

/* --- a join from inside --- */

static enum troupe_verdict
join_own_pool(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    troupe_pool_join(fixture.pool);
    return TROUPE_CONTINUE;
}

static void join_from_job(void *payload)
{
    (void)payload;
    troupe_pool_join(fixture.pool);
}

static enum troupe_verdict offload_join(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        TROUPE_ASSERT(troupe_offload(ctx, &msg, join_from_job) == TROUPE_OK);
    }
    return TROUPE_CONTINUE;
}

/* What a process says whose actor handles one message like this; it must abort. */
static void abort_in_child(enum troupe_verdict (*receive_cb)(struct troupe_ctx *ctx,
                                                             void *state,
                                                             struct troupe_msg *msg))
{
    const struct troupe_actor_type type = {
        .name = "joiner", .init_cb = fixture_go, .receive_cb = receive_cb};
    int fd = memfd_create("stderr", MFD_CLOEXEC);
    assert_true(fd >= 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fd, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* cmocka's handler would go on with the tests */
        alarm(30);                /* one that waits for itself would do so for ever */
        fixture_create_parking(2);
        fixture_add(1, &type, NULL);
        fixture_start();
        troupe_pool_join(fixture.pool);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    read_text(fd);
}

static void a_join_that_would_wait_for_itself_aborts(void **state)
{
    (void)state;
    abort_in_child(join_own_pool);
    assert_non_null(strstr(text, "a handler would wait for itself"));
    abort_in_child(offload_join);
    assert_non_null(strstr(text, "a job would wait for itself"));
}

/* --- the configuration --- */

static enum troupe_status create(const struct troupe_pool_config *config)
{
    struct troupe_pool *pool = NULL;
    text[0] = '\0';
    enum troupe_status status = troupe_pool_create(&pool, config, text, sizeof(text));
    assert_true((pool != NULL) == (status == TROUPE_OK));
    troupe_pool_destroy(pool);
    return status;
}

static void a_field_out_of_range_is_named(void **state)
{
    (void)state;
    static const struct {
        struct troupe_pool_config config;
        const char *error;
    } cases[] = {
        {{.workers = 65}, "workers: 65, at most 64; 0 = the default"},
        {{.spin = (enum troupe_spin)77}, "spin: 77, at most 2; 0 = the default"},
        {{.memory_max = 1000}, "memory_max: 1000, at least 262144; 0 = the default"},
        {{.memory_max = TROUPE_MEMORY_MIN - 1}, "memory_max: 262143, at least 262144; "},
        {{.actors_max = 4000000000u}, "actors_max: 4000000000, at most 2097151; "},
        {{.actors_max = TROUPE_ACTORS_MAX + 1}, "actors_max: 2097152, at most 2097151; "},
        {{.offload_threads = 4000000000u}, "offload_threads: 4000000000, at most 1024; "},
        {{.offload_queue_max = (1u << 20) + 1}, "offload_queue_max: 1048577, at most 1048576; "},
        {{.watchdog_ns = 1}, "watchdog_ns: 1, at least 1000000; 0 = the default"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct troupe_pool *untouched = NULL;
        assert_int_equal(create(&cases[i].config), TROUPE_EINVAL);
        if (strncmp(text, cases[i].error, strlen(cases[i].error)) != 0) {
            fail_msg("\"%s\" instead of \"%s\"", text, cases[i].error);
        }
        /* nobody has to listen */
        assert_int_equal(troupe_pool_create(&untouched, &cases[i].config, NULL, 0), TROUPE_EINVAL);
        assert_null(untouched);
    }
}

static void the_bounds_themselves_are_taken(void **state)
{
    (void)state;
    const struct troupe_pool_config least = {.workers = 1,
                                             .memory_max = TROUPE_MEMORY_MIN,
                                             .actors_max = 1,
                                             .offload_threads = 1,
                                             .offload_queue_max = 1,
                                             .watchdog_ns = TROUPE_WATCHDOG_MIN_NS};
    const struct troupe_pool_config most = {.workers = 2,
                                            .spin = TROUPE_SPIN_PARK,
                                            .memory_max = UINT64_MAX,
                                            .actors_max = TROUPE_ACTORS_MAX,
                                            .offload_threads = TROUPE_OFFLOAD_THREADS_MAX,
                                            .offload_queue_max = TROUPE_OFFLOAD_QUEUE_MAX,
                                            .watchdog_ns = UINT64_MAX};
    assert_int_equal(create(&least), TROUPE_OK);
    assert_int_equal(create(&most), TROUPE_OK);
}

static enum troupe_verdict stop_pool(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    troupe_pool_stop(fixture.pool);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type stopper_type = {
    .name = "stopper", .init_cb = fixture_go, .receive_cb = stop_pool};

static void the_least_memory_is_enough_for_a_message(void **state)
{
    (void)state;
    fixture_create(&(struct troupe_pool_config){
        .workers = 1, .memory_max = TROUPE_MEMORY_MIN, .spin = TROUPE_SPIN_PARK});
    fixture_add(0, &stopper_type, NULL);
    fixture_start();
    assert_int_equal(fixture_finish().sum.processed, 1);
}

/* --- once only --- */

static void a_pool_that_ended_takes_no_second_life(void **state)
{
    (void)state;
    troupe_ref untouched = 5;
    fixture_create_parking(2);
    fixture_add(1, &stopper_type, NULL);
    fixture_start();
    troupe_pool_join(fixture.pool);
    assert_int_equal(troupe_pool_spawn(fixture.pool, &untouched, 0, &stopper_type, NULL),
                     TROUPE_ECLOSED);
    assert_int_equal(untouched, 5);
    assert_int_equal(troupe_pool_start(fixture.pool, text, sizeof(text)), TROUPE_ECLOSED);
    assert_string_equal(text, "a pool is started once: create another one");
    assert_int_equal(troupe_pool_start(fixture.pool, NULL, 0), TROUPE_ECLOSED);
    troupe_pool_join(fixture.pool); /* does nothing */
    assert_int_equal(fixture_finish().sum.processed, 1);
}

/* --- an init that nobody waits for --- */

static enum troupe_status fail_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)ctx;
    (void)state;
    (void)arg;
    return TROUPE_EIO;
}

static void a_failed_init_is_in_the_recorder(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "stillborn", .init_cb = fail_init, .receive_cb = fixture_ignore};
    int fd = memfd_create("recorder", MFD_CLOEXEC);
    assert_true(fd >= 0);
    fixture_create_parking(1);
    fixture_add(0, &type, NULL); /* 0/1.1 */
    fixture_add(0, &stopper_type, NULL);
    fixture_start(); /* is all right */
    troupe_pool_join(fixture.pool);
    troupe_recorder_dump(fixture.pool, fd);
    fixture_finish();
    read_text(fd);
    const char *end = strstr(text, "0/1.1 failed\n");
    assert_non_null(end);
    assert_null(strstr(end + 1, "0/1.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* forks, so before anybody has started threads */
        cmocka_unit_test(a_join_that_would_wait_for_itself_aborts),
        cmocka_unit_test(a_field_out_of_range_is_named),
        cmocka_unit_test(the_bounds_themselves_are_taken),
        cmocka_unit_test(the_least_memory_is_enough_for_a_message),
        cmocka_unit_test(a_pool_that_ended_takes_no_second_life),
        cmocka_unit_test(a_failed_init_is_in_the_recorder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
