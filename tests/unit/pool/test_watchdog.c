/*
 * The stall watchdog. Here the behaviour is a bound in time, so handlers hold their worker up until
 * they have been reported (or for much too long), and the one test of "not reported" has a limit
 * far above what it does.
 */

#include "tests/cmocka.h"

#include "pool/watchdog.h"
#include "pool_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <troupe/assert.h>
#include <troupe/observe.h>
#include <unistd.h>

#define PATIENCE_NS 20000000000ull
#define LIMIT_NS    25000000u

enum { MSG_SPIN = 3, MSG_BLOCK, MSG_QUICK };

static struct {
    int pipe[2];
    int report_fd;
    uint32_t quick_left;
    uint16_t first;
} world;

static char text[65536];

static void spin_for(uint64_t ns)
{
    uint64_t end_ns = trp_monotonic_ns() + ns;
    while (trp_monotonic_ns() < end_ns) {
    }
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    char byte;
    (void)state;
    switch (msg->type) {
    case MSG_SPIN: {
        uint64_t end_ns = trp_monotonic_ns() + PATIENCE_NS;
        while (troupe_pool_stalls(fixture.pool) == 0 && trp_monotonic_ns() < end_ns) {
        }
        spin_for(8 * LIMIT_NS); /* one occurrence, one report */
        break;
    }
    case MSG_BLOCK:
        TROUPE_ASSERT(read(world.pipe[0], &byte, 1) == 1); /* goes on after the signal */
        break;
    default:
        spin_for(200000);
        if (--world.quick_left != 0) {
            TROUPE_ASSERT(troupe_send_copy(ctx, troupe_self(ctx), MSG_QUICK, NULL, 0) == TROUPE_OK);
            return TROUPE_CONTINUE;
        }
        break;
    }
    troupe_pool_stop(fixture.pool);
    return TROUPE_CONTINUE;
}

static enum troupe_status init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    return world.first == 0 ? TROUPE_OK
                            : troupe_send_copy(ctx, troupe_self(ctx), world.first, NULL, 0);
}

static const struct troupe_actor_type spinner_type = {
    .name = "spinner", .init_cb = init, .receive_cb = receive};

static void start(uint32_t workers, uint64_t watchdog_ns, uint16_t first)
{
    world.first = first;
    world.report_fd = memfd_create("report", MFD_CLOEXEC);
    assert_true(world.report_fd >= 0);
    troupe_watchdog_output(world.report_fd);
    fixture_create(&(struct troupe_pool_config){
        .workers = workers, .spin = TROUPE_SPIN_PARK, .watchdog_ns = watchdog_ns});
    fixture_add(0, &spinner_type, NULL);
    fixture_start();
}

/* Joins, gives the number of stalls and leaves what was written in `text`. */
static uint64_t finish(void)
{
    troupe_pool_join(fixture.pool);
    uint64_t stalls = troupe_pool_stalls(fixture.pool);
    fixture_finish();
    ssize_t size = pread(world.report_fd, text, sizeof(text) - 1, 0);
    assert_true(size >= 0);
    text[size] = '\0';
    close(world.report_fd);
    return stalls;
}

static uint32_t count_of(const char *what)
{
    uint32_t count = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        count++;
    }
    return count;
}

static void a_spinning_handler_is_reported_once_with_its_stack(void **state)
{
    (void)state;
    start(2, LIMIT_NS, MSG_SPIN);
    assert_int_equal(finish(), 1);
    assert_int_equal(
        count_of("worker 0 is held up by spinner 0/1.1, message type 3, for at least "), 1);
    assert_int_equal(count_of(" is held up by "), 1);
    assert_int_equal(count_of("worker 0 goes on after about "), 1);
    assert_true(count_of("[0x") >= 3); /* frames */
}

static void a_handler_blocked_in_the_kernel_is_reported(void **state)
{
    (void)state;
    assert_int_equal(pipe(world.pipe), 0);
    start(1, LIMIT_NS, MSG_BLOCK);
    uint64_t end_ns = trp_monotonic_ns() + PATIENCE_NS;
    while (troupe_pool_stalls(fixture.pool) == 0 && trp_monotonic_ns() < end_ns) {
        poll(NULL, 0, 5);
    }
    assert_int_equal(write(world.pipe[1], "x", 1), 1);
    assert_int_equal(finish(), 1);
    assert_int_equal(count_of("is held up by spinner 0/1.1, message type 4"), 1);
    assert_true(count_of("read") >= 1 || count_of("[0x") >= 3);
    close(world.pipe[0]);
    close(world.pipe[1]);
}

static void many_short_handlers_are_no_stall(void **state)
{
    (void)state;
    world.quick_left = 3000; /* 0.6 s of work */
    start(1, 400000000u, MSG_QUICK);
    assert_int_equal(finish(), 0);
    assert_string_equal(text, "");
}

static void nothing_is_written_to_nowhere(void **state)
{
    (void)state;
    start(1, LIMIT_NS, 0);
    troupe_watchdog_output(-1);
    struct troupe_port *port = fixture_port();
    struct troupe_msg *msg = troupe_port_msg_new(port, MSG_SPIN, 0);
    assert_int_equal(troupe_port_send(port, trp_ref_make(0, 1, 1), &msg), TROUPE_OK);
    troupe_port_close(port);
    assert_int_equal(finish(), 1); /* counted all the same */
    assert_string_equal(text, "");
}

/* Waits until the watchdog sleeps; false when it never does. */
static bool is_asleep_soon(void)
{
    uint64_t end_ns = trp_monotonic_ns() + PATIENCE_NS;
    while (trp_load_acquire_u32(&fixture.pool->watchdog_asleep) == 0) { /* pairs with fall_asleep */
        if (trp_monotonic_ns() > end_ns) {
            return false;
        }
        poll(NULL, 0, 5);
    }
    return true;
}

static void an_idle_pool_wakes_nobody(void **state)
{
    (void)state;
    start(2, LIMIT_NS, 0);
    struct troupe_port *port = fixture_port();
    for (uint32_t round = 0; round < 3; round++) {
        assert_true(is_asleep_soon());
        uint64_t ticks = trp_watchdog_ticks(fixture.pool);
        poll(NULL, 0, 250); /* ten limits */
        assert_int_equal(trp_watchdog_ticks(fixture.pool), ticks);
        /* a message for nobody is work too, and wakes it */
        struct troupe_msg *msg = troupe_port_msg_new(port, MSG_QUICK, 0);
        assert_int_equal(troupe_port_send(port, trp_ref_make(0, 2, 1), &msg), TROUPE_OK);
        uint64_t end_ns = trp_monotonic_ns() + PATIENCE_NS;
        while (trp_watchdog_ticks(fixture.pool) == ticks && trp_monotonic_ns() < end_ns) {
            poll(NULL, 0, 5);
        }
        assert_true(trp_watchdog_ticks(fixture.pool) > ticks);
    }
    assert_true(is_asleep_soon());
    troupe_port_close(port);
    troupe_pool_stop(fixture.pool); /* also ends a watchdog that sleeps */
    assert_int_equal(finish(), 0);
}

static void it_can_be_switched_off(void **state)
{
    (void)state;
    world.quick_left = 10;
    start(1, UINT64_MAX, MSG_QUICK);
    assert_null(fixture.pool->watchdog);
    assert_int_equal(trp_watchdog_ticks(fixture.pool), 0);
    assert_int_equal(finish(), 0);
}

static void somebody(int signal_number)
{
    (void)signal_number;
}

/* Runs last: the signals were taken before the first pool was started. */
static void a_signal_that_has_a_handler_keeps_it(void **state)
{
    (void)state;
    struct sigaction action;
    assert_int_equal(sigaction(SIGRTMAX - 1, NULL, &action), 0);
    assert_ptr_equal(action.sa_handler, somebody);
    assert_int_equal(sigaction(SIGRTMAX - 2, NULL, &action), 0);
    assert_ptr_not_equal(action.sa_handler, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spinning_handler_is_reported_once_with_its_stack),
        cmocka_unit_test(a_handler_blocked_in_the_kernel_is_reported),
        cmocka_unit_test(many_short_handlers_are_no_stall),
        cmocka_unit_test(nothing_is_written_to_nowhere),
        cmocka_unit_test(an_idle_pool_wakes_nobody),
        cmocka_unit_test(it_can_be_switched_off),
        cmocka_unit_test(a_signal_that_has_a_handler_keeps_it),
    };
    struct sigaction action = {.sa_handler = somebody};
    sigaction(SIGRTMAX - 1, &action, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
