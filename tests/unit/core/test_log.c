/* The logger: shape of lines, escaping, limits, rates, and what a slow reader does. */

#include "actors/core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t clock_ns;
static int pipe_ends[2];
static char got[1 << 20];

static uint64_t fake_now_ns(void)
{
    return clock_ns;
}

static void start_logging(enum trp_log_format format, enum trp_log_level level)
{
    struct trp_log_config config = {format, level, pipe_ends[1], fake_now_ns};

    trp_log_init(&config);
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK), 0);
    /* 2026-01-31T12:00:00.000123Z; later tests start in later seconds */
    clock_ns = 1769860800000123000u;
    start_logging(TRP_LOG_LOGFMT, TRP_LOG_INFO);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return 0;
}

/* Everything written so far, as a text. */
static const char *read_all(void)
{
    size_t len = 0;
    ssize_t n;

    while ((n = read(pipe_ends[0], got + len, sizeof(got) - 1 - len)) > 0) {
        len += (size_t)n;
    }
    got[len] = '\0';
    return got;
}

static size_t count_char(const char *text, char c)
{
    size_t count = 0;

    for (; *text != '\0'; text++) {
        count += *text == c ? 1 : 0;
    }
    return count;
}

static void test_logfmt_line_has_the_keys_in_order(void **state)
{
    static const uint8_t key[32] = {0x0b, 0xad, 0xc0, 0xde, 0xff};
    (void)state;

    trp_log_set_worker(3);
    trp_log_warn("relay refused", trp_log_client(key), trp_log_str("relay", "ws://127.0.0.1:7447"),
                 trp_log_u64("n", UINT64_MAX), trp_log_i64("d", INT64_MIN),
                 trp_log_bool("ok", false), trp_log_status(TROUPE_EBUSY));
    trp_log_set_worker(-1);
    trp_log_info("bare", trp_log_errno(-ENOENT));
    assert_string_equal(
        read_all(),
        "ts=2026-01-31T12:00:00.000123Z level=warn msg=\"relay refused\" worker=3 client=0badc0de "
        "relay=ws://127.0.0.1:7447 n=18446744073709551615 d=-9223372036854775808 ok=false "
        "err=\"Server busy, please retry\"\n"
        "ts=2026-01-31T12:00:00.000123Z level=info msg=bare err=\"No such file or directory\"\n");
}

static void test_json_line(void **state)
{
    (void)state;
    start_logging(TRP_LOG_JSON, TRP_LOG_DEBUG);
    trp_log_debug("hello", trp_log_str("text", "a \"b\" \\ c"), trp_log_u64("n", 7),
                  trp_log_bool("on", true), trp_log_str("none", NULL));
    assert_string_equal(read_all(),
                        "{\"ts\":\"2026-01-31T12:00:00.000123Z\",\"level\":\"debug\","
                        "\"msg\":\"hello\",\"text\":\"a \\\"b\\\" \\\\ c\",\"n\":7,\"on\":true,"
                        "\"none\":\"\"}\n");
}

static void test_level_is_switched_at_run_time(void **state)
{
    (void)state;
    trp_log_debug("no");
    assert_string_equal(read_all(), "");
    trp_log_set_level(TRP_LOG_DEBUG);
    trp_log_debug("yes");
    assert_non_null(strstr(read_all(), "level=debug msg=yes"));
    trp_log_set_level(TRP_LOG_ERROR);
    trp_log_warn("no");
    trp_log_error("yes");
    assert_int_equal(count_char(read_all(), '\n'), 1);
}

static void test_level_names(void **state)
{
    enum trp_log_level level = TRP_LOG_WARN;
    (void)state;

    assert_false(trp_log_level_parse(&level, "loud"));
    assert_int_equal(level, TRP_LOG_WARN);
    for (int i = TRP_LOG_DEBUG; i <= TRP_LOG_ERROR; i++) {
        assert_true(trp_log_level_parse(&level, trp_log_level_name((enum trp_log_level)i)));
        assert_int_equal(level, i);
    }
}

static void check_value(const char *value, size_t len, const char *expected)
{
    char want[256];

    clock_ns += 2000000000u;
    trp_log_info("m", trp_log_bytes("v", value, len));
    snprintf(want, sizeof(want), " v=%s\n", expected);
    assert_non_null(strstr(read_all(), want));
    assert_int_equal(count_char(got, '\n'), 1);
}

static void test_values_cannot_forge_anything(void **state)
{
    (void)state;
    check_value("a\nts=1 level=error", 18, "\"a\\u000ats=1 level=error\"");
    check_value("a\r\0b", 4, "\"a\\u000d\\u0000b\"");
    check_value("x=1", 3, "\"x=1\"");
    check_value("", 0, "\"\"");
    check_value("\x1b[31m", 5, "\"\\u001b[31m\"");
    check_value("\xc2\x9b"
                "31m",
                5, "\"\\u009b31m\"");
    check_value("\xe2\x80\xae", 3, "\"\\u202e\"");
    check_value("\xe2\x82\xac", 3, "\"\xe2\x82\xac\"");
    check_value("\xf0\x9f\x8e\xad", 4, "\"\xf0\x9f\x8e\xad\"");
    /* overlong, lone continuation, surrogate, beyond the last code point, cut short */
    check_value("\xc0\x8a", 2, "\"\\ufffd\\ufffd\"");
    check_value("\xe0\x80\x8a", 3, "\"\\ufffd\\ufffd\\ufffd\"");
    check_value("\x80", 1, "\"\\ufffd\"");
    check_value("\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\"");
    check_value("\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    check_value("\xff", 1, "\"\\ufffd\"");
    check_value("\xf0\x9f\x8e", 3, "\"\\ufffd\\ufffd\\ufffd\"");
}

/* Each length around the limit: the line stays whole, bounded and marked exactly when cut. */
static void check_cut(enum trp_log_format format, size_t len)
{
    char value[TRP_LOG_LINE_MAX + 64];
    const char *text;
    size_t total;
    bool is_cut;

    memset(value, 'v', sizeof(value));
    clock_ns += 2000000000u;
    start_logging(format, TRP_LOG_INFO);
    trp_log_info("long", trp_log_bytes("big", value, len), trp_log_u64("after", 1));
    text = read_all();
    total = strlen(text);
    assert_in_range(total, 1, TRP_LOG_LINE_MAX);
    assert_int_equal(count_char(text, '\n'), 1);
    assert_int_equal(text[total - 1], '\n');
    is_cut = strstr(text, "after") == NULL;
    if (format == TRP_LOG_JSON) {
        assert_int_equal(is_cut, strstr(text, ",\"truncated\":true}\n") != NULL);
        assert_int_equal(count_char(text, '"') % 2, 0);
        assert_string_equal(text + total - 2, "}\n");
    } else {
        assert_int_equal(is_cut, strstr(text, " truncated=true\n") != NULL);
    }
    assert_int_equal(is_cut, len > 4020 ? true : is_cut);
    assert_int_equal(is_cut, len < 3900 ? false : is_cut);
}

static void test_long_lines_are_cut_with_a_mark(void **state)
{
    (void)state;
    for (size_t len = 3880; len < TRP_LOG_LINE_MAX + 64; len++) {
        check_cut(TRP_LOG_LOGFMT, len);
        check_cut(TRP_LOG_JSON, len);
    }
}

static void test_long_escaped_value_keeps_its_quotes(void **state)
{
    char value[3000];
    const char *text;
    (void)state;

    memset(value, '\n', sizeof(value));
    start_logging(TRP_LOG_JSON, TRP_LOG_INFO);
    trp_log_info("long", trp_log_bytes("big", value, sizeof(value)));
    text = read_all();
    assert_in_range(strlen(text), TRP_LOG_LINE_MAX - 64, TRP_LOG_LINE_MAX);
    assert_non_null(strstr(text, "\\u000a\",\"truncated\":true}\n"));
}

/* One call site, so that its rate is shared. */
static void log_tick(void)
{
    trp_log_info("tick");
}

static void test_call_site_is_rate_limited_and_says_so(void **state)
{
    struct trp_log_counters before;
    struct trp_log_counters after;
    (void)state;

    trp_log_counters(&before);
    for (unsigned i = 0; i < TRP_LOG_BURST + 7; i++) {
        log_tick();
    }
    trp_log_info("another place still speaks");
    assert_int_equal(count_char(read_all(), '\n'), TRP_LOG_BURST + 1);
    assert_null(strstr(got, "suppressed"));
    trp_log_counters(&after);
    assert_int_equal(after.suppressed - before.suppressed, 7);
    assert_int_equal(after.written - before.written, TRP_LOG_BURST + 1);

    clock_ns += 1000000000u;
    log_tick();
    log_tick();
    assert_int_equal(count_char(read_all(), '\n'), 2);
    assert_non_null(strstr(got, "msg=tick suppressed=7\n"));
    assert_non_null(strstr(got, "msg=tick\n"));

    /* A clock that is set back opens a new window instead of closing the mouth for good. */
    clock_ns -= 3600000000000u;
    log_tick();
    assert_int_equal(count_char(read_all(), '\n'), 1);
}

static void test_flush_reports_what_was_suppressed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TRP_LOG_BURST + 5; i++) {
        trp_log_warn("flood");
    }
    read_all();
    trp_log_flush_suppressed();
    assert_non_null(strstr(read_all(), "level=warn msg=flood suppressed=5\n"));
    assert_int_equal(count_char(got, '\n'), 1);
    trp_log_flush_suppressed();
    assert_string_equal(read_all(), "");
}

/* Fills the pipe, so that a write would wait. */
static void fill_pipe(void)
{
    char junk[4096];
    int flags = fcntl(pipe_ends[1], F_GETFL);

    memset(junk, 'j', sizeof(junk));
    assert_int_equal(fcntl(pipe_ends[1], F_SETFL, flags | O_NONBLOCK), 0);
    while (write(pipe_ends[1], junk, sizeof(junk)) > 0) {
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(fcntl(pipe_ends[1], F_SETFL, flags), 0);
}

static void log_into_full_pipe(void)
{
    trp_log_info("pipe");
}

static void test_full_pipe_drops_counts_and_recovers(void **state)
{
    struct trp_log_counters before;
    struct trp_log_counters after;
    (void)state;

    trp_log_counters(&before);
    fill_pipe();
    /* The write end is blocking: a logger that just wrote would hang here (and the test with it).
     */
    log_into_full_pipe();
    log_into_full_pipe();
    trp_log_counters(&after);
    assert_int_equal(after.dropped - before.dropped, 2);
    assert_int_equal(after.written - before.written, 0);
    read_all();
    log_into_full_pipe();
    assert_non_null(strstr(read_all(), "msg=pipe dropped=2\n"));
    log_into_full_pipe();
    assert_non_null(strstr(read_all(), "msg=pipe\n"));
}

static void test_suppressed_count_survives_a_dropped_line(void **state)
{
    (void)state;
    clock_ns += 10000000000u;
    for (unsigned i = 0; i < TRP_LOG_BURST + 4; i++) {
        log_into_full_pipe();
    }
    read_all();
    clock_ns += 1000000000u;
    fill_pipe();
    log_into_full_pipe();
    read_all();
    log_into_full_pipe();
    assert_non_null(strstr(read_all(), "msg=pipe suppressed=4 dropped=1\n"));
}

static void test_reader_that_went_away_is_no_signal(void **state)
{
    struct trp_log_counters before;
    struct trp_log_counters after;
    (void)state;

    trp_log_counters(&before);
    close(pipe_ends[0]);
    errno = 42;
    trp_log_info("nobody listens");
    assert_int_equal(errno, 42);
    trp_log_counters(&after);
    assert_int_equal(after.dropped - before.dropped, 1);
    /* The next test must not be told about it. */
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    start_logging(TRP_LOG_LOGFMT, TRP_LOG_INFO);
    trp_log_info("drain");
}

enum { THREADS = 4, LINES = 500 };

static void log_shared(void)
{
    trp_log_info("shared", trp_log_str("pad", "0123456789 0123456789"));
}

static void *log_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < LINES; i++) {
        log_shared();
    }
    return NULL;
}

static void test_threads_lose_no_count(void **state)
{
    struct trp_log_counters before;
    struct trp_log_counters after;
    pthread_t threads[THREADS];
    uint64_t lines = 0;
    uint64_t told = 0;
    (void)state;

    trp_log_counters(&before);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    trp_log_flush_suppressed();
    trp_log_counters(&after);
    read_all();
    for (const char *line = got; *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_int_equal(strncmp(line, "ts=2026-01-31T12:00:00.000123Z level=info msg=shared ", 53),
                         0);
        assert_non_null(strchr(line, '\n'));
    }
    lines = after.written - before.written;
    told = after.suppressed - before.suppressed;
    /* Each call was written or suppressed; the flush added one line. */
    assert_int_equal(lines - 1 + told, THREADS * LINES);
    assert_int_equal(after.dropped, before.dropped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_logfmt_line_has_the_keys_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_level_is_switched_at_run_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_level_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_values_cannot_forge_anything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_lines_are_cut_with_a_mark, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_escaped_value_keeps_its_quotes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_call_site_is_rate_limited_and_says_so, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_flush_reports_what_was_suppressed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_pipe_drops_counts_and_recovers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_suppressed_count_survives_a_dropped_line, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_reader_that_went_away_is_no_signal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads_lose_no_count, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
