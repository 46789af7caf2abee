/* Command lines: what is accepted and what it means, what is refused and how that is said. */

#include "actors/server/option_help.h"
#include "actors/server/option_table.h"
#include "actors/server/option_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 48
#define HEX64     "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static struct trp_options options;
static struct trp_option_text text;
static char *no_environment[] = {NULL};

/* Words are separated by '|', since backend commands contain blanks. */
static enum trp_options_outcome parse_in(const char *line, char *const *environment)
{
    char storage[8192];
    char *argv[WORDS_MAX + 1];
    int argc = 0;
    char *at = storage;
    enum trp_options_outcome outcome;

    assert_true(strlen(line) < sizeof(storage));
    memcpy(storage, line, strlen(line) + 1);
    while (at != NULL) {
        char *bar = strchr(at, '|');
        assert_true(argc < WORDS_MAX);
        argv[argc++] = at;
        if (bar != NULL) {
            *bar++ = '\0';
        }
        at = bar;
    }
    argv[argc] = NULL;
    outcome = trp_options_parse(&options, &text, argc, argv, environment);
    /* Texts are borrowed from storage that ends here; tests of texts use their own argv. */
    return outcome;
}

static void accept_line(const char *line)
{
    if (parse_in(line, no_environment) != TRP_OPTIONS_RUN) {
        fail_msg("refused: %s: %s", line, text.text);
    }
    assert_int_equal(text.len, 0);
}

static void refuse_in(const char *line, char *const *environment, const char *expected)
{
    if (parse_in(line, environment) != TRP_OPTIONS_USAGE) {
        fail_msg("accepted: %s", line);
    }
    if (strstr(text.text, expected) == NULL) {
        fail_msg("%s: got: %s wanted: %s", line, text.text, expected);
    }
    assert_int_equal(text.len, strlen(text.text));
    assert_int_equal(text.text[text.len - 1], '\n');
}

static void test_defaults_of_serve(void **state)
{
    (void)state;
    accept_line("troupe|serve|--embedded-relay|127.0.0.1:7447");
    assert_int_equal(options.command, TRP_COMMAND_SERVE);
    assert_int_equal(options.workers, 0);
    assert_string_equal(options.pin, "auto");
    assert_int_equal(options.capacity, 1000);
    assert_int_equal(options.queue, 100);
    assert_int_equal(options.client_routes, 100);
    assert_int_equal(options.client_backlog, 100);
    assert_int_equal(options.routes, 10000);
    assert_int_equal(options.queue_timeout_ns, 30000000000);
    assert_int_equal(options.idle_timeout_ns, 300000000000);
    assert_int_equal(options.route_timeout_ns, 600000000000);
    assert_int_equal(options.evict_min_idle_ns, 0);
    assert_int_equal(options.backend_max, 64);
    assert_int_equal(options.backend_starting, 4);
    assert_int_equal(options.backend_start_timeout_ns, 30000000000);
    assert_int_equal(options.backend.kind, TRP_BACKEND_BUILTIN_DEMO);
    assert_int_equal(options.backend_mode, TRP_BACKEND_PER_CLIENT);
    assert_int_equal(options.encryption, TRP_ENCRYPTION_OPTIONAL);
    assert_int_equal(options.log_format, TRP_LOG_LOGFMT);
    assert_int_equal(options.log_level, TRP_LOG_INFO);
    assert_null(options.key_path);
    assert_int_equal(options.relays.count, 0);
    assert_true(options.embedded_relay.is_set);
    assert_string_equal(options.embedded_relay.listen.host, "127.0.0.1");
    assert_int_equal(options.embedded_relay.listen.port, 7447);
}

static char *every_option[] = {"troupe",
                               "serve",
                               "--workers=3",
                               "--pin",
                               "0,2-3",
                               "--capacity",
                               "2",
                               "--queue",
                               "0",
                               "--queue-timeout",
                               "0.25",
                               "--idle-timeout",
                               "0.5",
                               "--route-timeout",
                               "1.000000001",
                               "--evict-min-idle",
                               "7",
                               "--client-routes",
                               "5",
                               "--client-backlog",
                               "0",
                               "--routes",
                               "9",
                               "--key",
                               "state/key",
                               "--relay",
                               "ws://a:1",
                               "--relay",
                               "ws://[::1]:2/x",
                               "--encryption",
                               "disabled",
                               "--backend",
                               "stdio:cat -u",
                               "--backend-mode",
                               "shared",
                               "--backend-max",
                               "8",
                               "--backend-starting",
                               "2",
                               "--backend-start-timeout",
                               "3",
                               "--log",
                               "json",
                               "--log-level",
                               "debug",
                               "--embedded-relay",
                               "[::1]:0",
                               NULL};

static void test_every_option_of_serve_reaches_its_member(void **state)
{
    int argc = (int)(sizeof(every_option) / sizeof(every_option[0])) - 1;
    (void)state;

    assert_int_equal(trp_options_parse(&options, &text, argc, every_option, no_environment),
                     TRP_OPTIONS_RUN);
    assert_int_equal(options.workers, 3);
    assert_string_equal(options.pin, "0,2-3");
    assert_int_equal(options.capacity, 2);
    assert_int_equal(options.queue, 0);
    assert_int_equal(options.queue_timeout_ns, 250000000);
    assert_int_equal(options.idle_timeout_ns, 500000000);
    assert_int_equal(options.route_timeout_ns, 1000000001);
    assert_int_equal(options.evict_min_idle_ns, 7000000000);
    assert_int_equal(options.client_routes, 5);
    assert_int_equal(options.client_backlog, 0);
    assert_int_equal(options.routes, 9);
    assert_string_equal(options.key_path, "state/key");
    assert_int_equal(options.relays.count, 2);
    assert_string_equal(options.relays.entries[0].url, "ws://a:1");
    assert_string_equal(options.relays.entries[1].url, "ws://[::1]:2/x");
    assert_int_equal(options.encryption, TRP_ENCRYPTION_DISABLED);
    assert_int_equal(options.backend.kind, TRP_BACKEND_STDIO);
    assert_string_equal(options.backend.argument, "cat -u");
    assert_int_equal(options.backend_mode, TRP_BACKEND_SHARED);
    assert_int_equal(options.backend_max, 8);
    assert_int_equal(options.backend_starting, 2);
    assert_int_equal(options.backend_start_timeout_ns, 3000000000);
    assert_int_equal(options.log_format, TRP_LOG_JSON);
    assert_int_equal(options.log_level, TRP_LOG_DEBUG);
    assert_true(options.embedded_relay.listen.is_ipv6);
    assert_string_equal(options.embedded_relay.listen.host, "::1");
    assert_int_equal(options.embedded_relay.listen.port, 0);
}

static void test_good_lines(void **state)
{
    static const char *const lines[] = {
        "troupe|serve|--relay|ws://127.0.0.1:7447",
        "troupe|serve|--relay|ws://relay.example/path?x=1|--encryption|optional",
        "troupe|serve|--embedded-relay|localhost:0|--backend|builtin:demo",
        "troupe|serve|--embedded-relay|[::1]:65535|--capacity=1000000|--workers=64",
        "troupe|serve|--embedded-relay|127.0.0.1:1|--pin|none",
        "troupe|serve|--embedded-relay|127.0.0.1:1|--pin|0-1023",
        "troupe|serve|--embedded-relay|127.0.0.1:1|--pin|1,0,5-7",
        "troupe|serve|--embedded-relay|127.0.0.1:1|--idle-timeout|31536000",
        "troupe|serve|--embedded-relay|127.0.0.1:1|--idle-timeout|0.01",
        "troupe|serve|--embedded-relay|127.0.0.1:1|--backend=stdio:a=b -c --relay",
        "troupe|relay|--listen|127.0.0.1:0",
        "troupe|relay|--listen=0.0.0.0:7447|--workers|1|--pin=none",
        "troupe|key|new",
        "troupe|key|--key|k|show",
        "troupe|key|show|--key=--odd",
        "troupe|call|--relay|ws://a|--server|" HEX64 "|tools/list",
        "troupe|call|--relay|ws://a|--server|" HEX64 "|tools/call|{}|--timeout|0.5|--key|k",
        "troupe|call|--relay|ws://a|--server|" HEX64 "|--|--odd-method|-1",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        accept_line(lines[i]);
    }
}

/* Lines of serve that are wrong only in the options named here. */
static const struct {
    const char *option;
    const char *expected;
} bad_serve_options[] = {
    {"--capacity|0", "--capacity \"0\": expected a whole number from 1 to 1000000"},
    {"--capacity|1000001", "from 1 to 1000000"},
    {"--capacity|-1", "--capacity \"-1\": expected a whole number"},
    {"--capacity|+1", "expected a whole number"},
    {"--capacity| 1", "expected a whole number"},
    {"--capacity|1x", "expected a whole number"},
    {"--capacity|0x10", "expected a whole number"},
    {"--capacity|99999999999999999999999", "expected a whole number"},
    {"--capacity|4294967297", "expected a whole number"},
    {"--capacity=", "--capacity \"\": expected a whole number"},
    {"--capacity", "--capacity: needs a value, N"},
    {"--capacity|--queue|1", "--capacity: needs a value, N"},
    {"--workers|65", "--workers \"65\": expected a whole number from 0 to 64"},
    {"--idle-timeout|0", "--idle-timeout \"0\": expected seconds from 0.01 to 31536000"},
    {"--idle-timeout|31536000.000000001", "expected seconds"},
    {"--idle-timeout|9999999999", "expected seconds"},
    {"--idle-timeout|99999999999999999999", "expected seconds"},
    {"--idle-timeout|.5", "expected seconds"},
    {"--idle-timeout|1.", "expected seconds"},
    {"--idle-timeout|1.0000000001", "expected seconds"},
    {"--idle-timeout|1e3", "expected seconds"},
    {"--idle-timeout|nan", "expected seconds"},
    {"--idle-timeout|-1", "expected seconds"},
    {"--pin|", "expected auto, none or a list of CPUs"},
    {"--pin|0,", "expected auto, none or a list of CPUs"},
    {"--pin|3-1", "expected auto, none or a list of CPUs"},
    {"--pin|1024", "expected auto, none or a list of CPUs"},
    {"--pin|0-", "expected auto, none or a list of CPUs"},
    {"--pin|all", "expected auto, none or a list of CPUs"},
    {"--embedded-relay|127.0.0.1", "--embedded-relay \"127.0.0.1\": "},
    {"--embedded-relay|127.0.0.1:", "expected ADDR:PORT"},
    {"--embedded-relay|127.0.0.1:65536", "expected ADDR:PORT"},
    {"--embedded-relay|127.0.0.1:1x", "expected ADDR:PORT"},
    {"--embedded-relay|::1:7447", "expected ADDR:PORT"},
    {"--embedded-relay|[::1:7447", "expected ADDR:PORT"},
    {"--embedded-relay|relay.example:1", "expected ADDR:PORT"},
    {"--embedded-relay|", "expected ADDR:PORT"},
    {"--relay|http://a", "a relay is ws://"},
    {"--relay|wss://a", "--relay \"wss://a\": not available yet"},
    {"--relay|a:7447", "expected ws://HOST"},
    {"--relay|ws://", "expected ws://HOST"},
    {"--relay|ws://u@a", "expected ws://HOST"},
    {"--relay|ws://a:0", "expected ws://HOST"},
    {"--relay|ws://a/x y", "expected ws://HOST"},
    {"--relay|ws://a|--relay|ws://a", "given twice"},
    {"--encryption|required", "--encryption \"required\": not available yet"},
    {"--encryption|off", "expected one of disabled|optional|required"},
    {"--encryption|disable", "expected one of"},
    {"--backend|builtin:conformance", "\"builtin:conformance\": not available yet"},
    {"--backend|pool:x", "\"pool:x\": not available yet"},
    {"--backend|uds:x", "\"uds:x\": not available yet"},
    {"--backend|builtin:demo2", "expected builtin:demo or stdio:COMMAND"},
    {"--backend|stdio:", "needs a command"},
    {"--backend|stdio: \t", "needs a command"},
    {"--backend|cat", "expected builtin:demo or stdio:COMMAND"},
    {"--backend-mode|both", "expected one of per-client|shared"},
    {"--backend-max|0", "from 1 to 1024"},
    {"--backend-max|1025", "from 1 to 1024"},
    {"--key|", "--key: must not be empty"},
    {"--http|127.0.0.1:80", "--http: not available yet"},
    {"--http", "--http: not available yet"},
    {"--uds|x", "--uds: not available yet"},
    {"--grpc|127.0.0.1:1", "--grpc: not available yet"},
    {"--admin|127.0.0.1:1", "--admin: not available yet"},
    {"--stdio", "--stdio: not available yet"},
    {"--stdio=1", "--stdio: takes no value"},
    {"-c|x.yaml", "-c: not available yet"},
    {"--listen|127.0.0.1:1", "unknown option \"--listen\""},
    {"--wrokers|1", "unknown option \"--wrokers\""},
    {"--worker|1", "unknown option \"--worker\""},
    {"-x", "unknown option \"-x\""},
    {"-", "unknown option \"-\""},
    {"extra", "unexpected argument \"extra\""},
    {"--|--capacity", "unexpected argument \"--capacity\""},
    {"--log|xml", "expected one of logfmt|json"},
    {"--log-level|loud", "expected one of debug|info|warn|error"},
    {"--capacity|\033[31mred\n", "--capacity \"?[31mred?\": expected"},
};

static void test_bad_options_of_serve(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof(bad_serve_options) / sizeof(bad_serve_options[0]); i++) {
        char line[512];
        snprintf(line, sizeof(line), "troupe|serve|--embedded-relay|127.0.0.1:7447|%s",
                 bad_serve_options[i].option);
        refuse_in(line, no_environment, bad_serve_options[i].expected);
        assert_int_equal(strncmp(text.text, "troupe serve: ", 14), 0);
    }
}

static void test_bad_lines_of_the_other_commands(void **state)
{
    static const struct {
        const char *line;
        const char *expected;
    } cases[] = {
        {"troupe", "usage: troupe COMMAND"},
        {"troupe|", "unknown command \"\""},
        {"troupe|server", "unknown command \"server\""},
        {"troupe|--workers", "unknown command \"--workers\""},
        {"troupe|serve", "no front end"},
        {"troupe|relay", "--listen ADDR:PORT is required"},
        {"troupe|relay|--listen|x", "--listen \"x\""},
        {"troupe|relay|--capacity|1", "unknown option \"--capacity\""},
        {"troupe|key", "say what to do: new or show"},
        {"troupe|key|delete", "expected new or show, not \"delete\""},
        {"troupe|key|new|show", "unexpected argument \"show\""},
        {"troupe|call|--server|" HEX64 "|m", "exactly one --relay"},
        {"troupe|call|--relay|ws://a|--relay|ws://b|--server|" HEX64 "|m", "exactly one --relay"},
        {"troupe|call|--relay|ws://a|m", "--server HEX is required"},
        {"troupe|call|--relay|ws://a|--server|" HEX64, "a method is required"},
        {"troupe|call|--relay|ws://a|--server|abc|m", "expected a public key of 64 hex digits"},
        {"troupe|call|--relay|ws://a|--server|" HEX64 "0|m", "64 hex digits"},
        {"troupe|call|--relay|ws://a|--server|" HEX64 "|m|{}|x", "unexpected argument \"x\""},
        {"troupe|call|--http|http://a|m", "--http: not available yet"},
        {"troupe|call|--uds|x|m", "--uds: not available yet"},
        {"troupe|worker|--sock|x", "troupe worker: not available yet"},
        {"troupe|connector|anything", "troupe connector: not available yet"},
        {"troupe|subscribe", "troupe subscribe: not available yet"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        refuse_in(cases[i].line, no_environment, cases[i].expected);
    }
}

static void test_secret_on_the_command_line_is_refused_and_not_printed(void **state)
{
    char *environment[] = {"TROUPE_KEY=" HEX64, NULL};
    (void)state;

    refuse_in("troupe|key|show|--key|" HEX64, no_environment, "--key: takes the name of a file");
    assert_null(strstr(text.text, "00112233"));
    refuse_in("troupe|key|show", environment, "TROUPE_KEY: takes the name of a file");
    assert_null(strstr(text.text, "00112233"));
}

static void test_call_keeps_its_arguments(void **state)
{
    char *argv[] = {"troupe",    "call",     "tools/call", "--relay", "ws://a",
                    "{\"a\":1}", "--server", HEX64,        NULL};
    (void)state;

    assert_int_equal(trp_options_parse(&options, &text, 8, argv, no_environment), TRP_OPTIONS_RUN);
    assert_string_equal(options.method, "tools/call");
    assert_string_equal(options.params, "{\"a\":1}");
    assert_int_equal(options.server.bytes[0], 0);
    assert_int_equal(options.server.bytes[15], 0xff);
    assert_int_equal(options.server.bytes[31], 0xff);
    assert_int_equal(options.call_timeout_ns, 30000000000);
    assert_null(options.key_path);
}

static void test_environment_is_between_command_line_and_default(void **state)
{
    char *environment[] = {"TROUPE_CAPACITY=5",
                           "TROUPE_QUEUE=6",
                           "TROUPE_LOG=json",
                           "TROUPE_LOG_LEVEL=warn",
                           "TROUPE_RELAY= ws://a,ws://b ",
                           "TROUPE_ROUTES=",
                           "TROUPE_CAPACITYX=7",
                           "NOISE",
                           NULL};
    (void)state;

    assert_int_equal(parse_in("troupe|serve|--capacity|9", environment), TRP_OPTIONS_RUN);
    assert_int_equal(options.capacity, 9);
    assert_int_equal(options.queue, 6);
    assert_int_equal(options.routes, 10000);
    assert_int_equal(options.log_format, TRP_LOG_JSON);
    assert_int_equal(options.log_level, TRP_LOG_WARN);
    assert_int_equal(options.relays.count, 2);
    assert_string_equal(options.relays.entries[0].url, "ws://a");
    assert_string_equal(options.relays.entries[1].url, "ws://b");
    /* Relays on the command line replace those of the variable. */
    assert_int_equal(parse_in("troupe|serve|--relay|ws://c", environment), TRP_OPTIONS_RUN);
    assert_int_equal(options.relays.count, 1);
    assert_string_equal(options.relays.entries[0].url, "ws://c");
    /* Variables of other commands do not matter. */
    assert_int_equal(parse_in("troupe|relay|--listen|127.0.0.1:0", environment), TRP_OPTIONS_RUN);
    assert_int_equal(options.relays.count, 0);
}

static void test_errors_name_the_variable(void **state)
{
    char *bad[] = {"TROUPE_CAPACITY=many", NULL};
    char *later[] = {"TROUPE_HTTP=127.0.0.1:80", NULL};
    char *config[] = {"TROUPE_CONFIG=x.yaml", NULL};
    char *relays[] = {"TROUPE_RELAY=ws://a,nonsense", NULL};
    const char *line = "troupe|serve|--embedded-relay|127.0.0.1:0";
    (void)state;

    refuse_in(line, bad, "TROUPE_CAPACITY \"many\": expected a whole number");
    refuse_in(line, later, "TROUPE_HTTP: not available yet");
    refuse_in(line, config, "TROUPE_CONFIG: not available yet");
    refuse_in(line, relays, "TROUPE_RELAY \"nonsense\"");
    /* What the command line overrides is not looked at. */
    assert_int_equal(parse_in("troupe|serve|--embedded-relay|127.0.0.1:0|--capacity|3", bad),
                     TRP_OPTIONS_RUN);
    assert_int_equal(options.capacity, 3);
}

static void test_relay_limits(void **state)
{
    char line[4096] = "troupe|serve";
    char url[TRP_OPTION_URL_MAX + 64];
    char long_line[TRP_OPTION_URL_MAX + 256];
    size_t len = strlen(line);
    (void)state;

    for (int i = 0; i < 16; i++) {
        len += (size_t)snprintf(line + len, sizeof(line) - len, "|--relay|ws://a:%d", i + 1);
    }
    accept_line(line);
    assert_int_equal(options.relays.count, 16);
    snprintf(line + len, sizeof(line) - len, "|--relay|ws://b");
    refuse_in(line, no_environment, "at most 16 relays");

    for (size_t size = TRP_OPTION_URL_MAX - 2; size <= TRP_OPTION_URL_MAX + 1; size++) {
        char *environment[] = {long_line, NULL};
        memset(url, 'p', size);
        url[size] = '\0';
        memcpy(url, "ws://a/", 7);
        snprintf(line, sizeof(line), "troupe|serve|--relay|%s", url);
        snprintf(long_line, sizeof(long_line), "TROUPE_RELAY=%s", url);
        if (size < TRP_OPTION_URL_MAX) {
            accept_line(line);
            assert_string_equal(options.relays.entries[0].url, url);
            assert_int_equal(parse_in("troupe|serve", environment), TRP_OPTIONS_RUN);
            assert_string_equal(options.relays.entries[0].url, url);
        } else {
            refuse_in(line, no_environment, "longer than 511 bytes");
            refuse_in("troupe|serve", environment, "longer than 511 bytes");
        }
    }
}

static void test_long_values_are_cut_in_errors(void **state)
{
    char line[4096] = "troupe|serve|--capacity|";
    size_t len = strlen(line);
    (void)state;

    memset(line + len, 'x', sizeof(line) - len - 1);
    line[sizeof(line) - 1] = '\0';
    refuse_in(line, no_environment, "xxx...\": expected a whole number");
    assert_in_range(text.len, 1, 300);
}

/* Help comes from the same table: each option of a command and its variable must be in it. */
static void test_help_names_every_option(void **state)
{
    (void)state;
    for (int command = 0; command < TRP_COMMAND_COUNT; command++) {
        char line[64];
        snprintf(line, sizeof(line), "troupe|%s|--help", trp_command_rows[command].name);
        assert_int_equal(parse_in(line, no_environment), TRP_OPTIONS_SHOW);
        assert_true(text.len < TRP_OPTION_TEXT_MAX - 1);
        for (size_t i = 0; i < trp_option_row_count; i++) {
            const struct trp_option_row *row = &trp_option_rows[i];
            char name[80];
            snprintf(name, sizeof(name), "\n  %s ", row->name);
            if (trp_option_belongs(row, (enum trp_program_command)command)) {
                assert_non_null(strstr(text.text, name));
                assert_non_null(strstr(text.text, row->environment));
            }
        }
    }
    assert_int_equal(parse_in("troupe|serve|-h", no_environment), TRP_OPTIONS_SHOW);
    assert_non_null(strstr(text.text, "[TROUPE_CAPACITY; default 1000; 1 to 1000000]"));
    assert_non_null(strstr(text.text, "default 300; 0.01 to 31536000 seconds"));
    assert_non_null(strstr(text.text, "[TROUPE_HTTP; not available yet]"));
}

static void test_program_help_and_version(void **state)
{
    (void)state;
    assert_int_equal(parse_in("troupe|--help", no_environment), TRP_OPTIONS_SHOW);
    for (int command = 0; command < TRP_COMMAND_COUNT; command++) {
        assert_non_null(strstr(text.text, trp_command_rows[command].name));
    }
    assert_int_equal(parse_in("troupe|--version", no_environment), TRP_OPTIONS_SHOW);
    assert_int_equal(strncmp(text.text, "troupe ", 7), 0);
    assert_non_null(strchr(text.text, '.'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_of_serve),
        cmocka_unit_test(test_every_option_of_serve_reaches_its_member),
        cmocka_unit_test(test_good_lines),
        cmocka_unit_test(test_bad_options_of_serve),
        cmocka_unit_test(test_bad_lines_of_the_other_commands),
        cmocka_unit_test(test_secret_on_the_command_line_is_refused_and_not_printed),
        cmocka_unit_test(test_call_keeps_its_arguments),
        cmocka_unit_test(test_environment_is_between_command_line_and_default),
        cmocka_unit_test(test_errors_name_the_variable),
        cmocka_unit_test(test_relay_limits),
        cmocka_unit_test(test_long_values_are_cut_in_errors),
        cmocka_unit_test(test_help_names_every_option),
        cmocka_unit_test(test_program_help_and_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
