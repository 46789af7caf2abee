/*
 * Start-up: what happens when the kernel, a container or a limit refuses a ring, and what the error
 * text says.
 */

#include "ring_harness.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void reset(void)
{
    harness_flags_refused = 0;
    harness_sq_max = 0;
    harness_cq_max = 0;
    harness_setups = 0;
}

static void probe_succeeds_here(void **state)
{
    (void)state;
    char error[TROUPE_RING_ERROR_MAX] = "untouched";

    reset();
    assert_int_equal(troupe_ring_probe(error, sizeof(error)), TROUPE_OK);
    assert_string_equal(error, "untouched");
    assert_int_equal(troupe_ring_probe(NULL, 0), TROUPE_OK);
    assert_int_equal(harness_setups, 2);
}

/* Makes one system call fail in this process, for good. */
static void refuse(long number, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(77);
    }
}

/* Runs the probe in a child where `number` fails; the text it gives, or nothing. */
static enum troupe_status
probe_refused(long number, int refused_with, char text[TROUPE_RING_ERROR_MAX])
{
    int ends[2];
    int status;

    memset(text, 0, TROUPE_RING_ERROR_MAX);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char error[TROUPE_RING_ERROR_MAX] = "";
        refuse(number, refused_with);
        enum troupe_status result = troupe_ring_probe(error, sizeof(error));
        (void)!write(ends[1], error, strlen(error));
        _exit(-(int)result);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while ((got = read(ends[0], text + len, TROUPE_RING_ERROR_MAX - 1 - len)) > 0) {
        len += (size_t)got;
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        skip();
    }
    return (enum troupe_status)(-WEXITSTATUS(status));
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        print_error("'%s' is not in '%s'\n", part, text);
        fail();
    }
}

static void a_filter_that_answers_eperm_is_named(void **state)
{
    (void)state;
    char text[TROUPE_RING_ERROR_MAX];

    reset();
    assert_int_equal(probe_refused(SYS_io_uring_setup, EPERM, text), TROUPE_EUNAVAIL);
    assert_has(text, "EPERM");
    assert_has(text, "io_uring_setup");
    assert_has(text, "kernel.io_uring_disabled");
    assert_int_equal(probe_refused(SYS_io_uring_register, EPERM, text), TROUPE_EUNAVAIL);
    assert_has(text, "EPERM at registering the buffer ring");
    assert_has(text, "seccomp");
    assert_int_equal(probe_refused(SYS_io_uring_enter, EPERM, text), TROUPE_EUNAVAIL);
    assert_has(text, "EPERM at multishot receive");
}

static void a_filter_that_answers_enosys_is_named(void **state)
{
    (void)state;
    char text[TROUPE_RING_ERROR_MAX];

    reset();
    assert_int_equal(probe_refused(SYS_io_uring_setup, ENOSYS, text), TROUPE_EUNAVAIL);
    assert_has(text, "ENOSYS at io_uring_setup");
    assert_has(text, "seccomp");
    assert_has(text, "Linux 6.1");
}

static enum troupe_status
explain(int error, int disabled, uint64_t limit, char text[TROUPE_RING_ERROR_MAX])
{
    struct trp_ring_failure failure = {
        .step = "registering the buffer ring", /* the longest */
        .error = error,
        .need_bytes = 28672,
        .limit_bytes = limit,
        .disabled = disabled,
    };
    enum troupe_status status = trp_ring_explain(&failure, text, TROUPE_RING_ERROR_MAX);
    assert_true(strlen(text) < TROUPE_RING_ERROR_MAX - 1); /* not cut */
    assert_has(text, "io_uring");
    return status;
}

static void texts_name_cause_and_remedy(void **state)
{
    (void)state;
    char text[TROUPE_RING_ERROR_MAX];

    assert_int_equal(explain(EPERM, 2, 0, text), TROUPE_EUNAVAIL);
    assert_has(text, "kernel.io_uring_disabled = 2");
    assert_has(text, "sysctl");
    assert_int_equal(explain(EPERM, 1, 0, text), TROUPE_EUNAVAIL);
    assert_has(text, "kernel.io_uring_disabled = 1");
    assert_has(text, "kernel.io_uring_group");
    assert_int_equal(explain(EPERM, 0, 0, text), TROUPE_EUNAVAIL);
    assert_has(text, "kernel.io_uring_disabled = 0");
    assert_has(text, "seccomp");
    assert_int_equal(explain(EPERM, -1, 0, text), TROUPE_EUNAVAIL);
    assert_has(text, "kernel.io_uring_disabled = absent");
    assert_int_equal(explain(ENOSYS, -1, 0, text), TROUPE_EUNAVAIL);
    assert_int_equal(explain(ENOMEM, -1, 18446744073709551614u, text), TROUPE_ENOMEM);
    assert_has(text, "28672 bytes");
    assert_has(text, "18446744073709551614 bytes");
    assert_has(text, "RLIMIT_MEMLOCK");
    assert_int_equal(explain(ENOMEM, -1, UINT64_MAX, text), TROUPE_ENOMEM);
    assert_has(text, "unlimited");
    assert_int_equal(explain(EINVAL, -1, 0, text), TROUPE_EUNAVAIL);
    assert_has(text, "Linux 6.1");
    assert_int_equal(explain(EMFILE, -1, 0, text), TROUPE_EUNAVAIL);
    assert_has(text, "RLIMIT_NOFILE");
    assert_int_equal(explain(ETIME, -1, 0, text), TROUPE_EIO);
    assert_has(text, "ETIME");
    assert_int_equal(explain(100000, -1, 0, text), TROUPE_EIO);
    char tiny[8];
    struct trp_ring_failure failure = {.step = "x", .error = EPERM};
    assert_int_equal(trp_ring_explain(&failure, tiny, sizeof(tiny)), TROUPE_EUNAVAIL);
    assert_string_equal(tiny, "io_urin");
}

static void refused_flags_lead_to_the_next_level(void **state)
{
    (void)state;
    struct harness h;

    for (unsigned level = 0; level < TRP_RING_LEVELS; level++) {
        reset();
        harness_set_level((enum trp_ring_level)level);
        harness_open(&h);
        assert_int_equal(h.ring->stats.level, level);
        harness_close(&h);
    }
    reset();
    harness_flags_refused = IORING_SETUP_CQSIZE; /* part of every level */
    char error[TROUPE_RING_ERROR_MAX];
    assert_int_equal(troupe_ring_probe(error, sizeof(error)), TROUPE_EUNAVAIL);
    assert_int_equal(harness_setups, TRP_RING_LEVELS);
    assert_has(error, "too old");
    reset();
}

static void little_memory_leads_to_smaller_queues(void **state)
{
    (void)state;
    struct harness h;
    char error[TROUPE_RING_ERROR_MAX];

    reset();
    harness_sq_max = TRP_RING_ENTRIES_MIN;
    harness_open(&h);
    assert_int_equal(h.ring->stats.sq_entries, TRP_RING_ENTRIES_MIN);
    harness_close(&h);
    reset();
    harness_cq_max = 2 * TRP_RING_ENTRIES_MIN;
    harness_open(&h);
    assert_int_equal(h.ring->stats.sq_entries, TRP_RING_ENTRIES_MIN);
    assert_int_equal(h.ring->stats.cq_entries, 2 * TRP_RING_ENTRIES_MIN);
    assert_true(h.ring->stats.cq_entries >= 2 * TROUPE_RING_BUFFERS);
    harness_close(&h);
    reset();
    harness_sq_max = TRP_RING_ENTRIES_MIN - 1;
    assert_int_equal(troupe_ring_probe(error, sizeof(error)), TROUPE_ENOMEM);
    assert_has(error, "RLIMIT_MEMLOCK");
    reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_succeeds_here),
        cmocka_unit_test(a_filter_that_answers_eperm_is_named),
        cmocka_unit_test(a_filter_that_answers_enosys_is_named),
        cmocka_unit_test(texts_name_cause_and_remedy),
        cmocka_unit_test(refused_flags_lead_to_the_next_level),
        cmocka_unit_test(little_memory_leads_to_smaller_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
