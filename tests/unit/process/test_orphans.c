#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/process/orphans.h"

struct found {
    pid_t pids[64];
    size_t count;
};

static void collect(void *arg, pid_t pid)
{
    struct found *found = arg;
    assert_true(found->count < 64);
    found->pids[found->count++] = pid;
}

static bool has(const struct found *found, pid_t pid)
{
    for (size_t i = 0; i < found->count; i++) {
        if (found->pids[i] == pid) {
            return true;
        }
    }
    return false;
}

static void the_parent_is_found_behind_any_name(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        pid_t parent;
    } lines[] = {
        {"12 (cat) S 345 12 12 0", 345},
        {"12 (a b) S 1 (x) R 9 8", 9},
        {"12 () S 7) Z 345 12", 345},
        {"12 (cat) S 0 0", 0},
        {"12 (cat) S 2147483647 0", 2147483647},
        {"12 (cat) S 99999999999999999999 0", -1},
        {"12 (cat) S 345", -1},
        {"12 (cat) S -1 0", -1},
        {"12 (cat) S ", -1},
        {"12 (cat)", -1},
        {"12 (cat", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        pid_t parent = trp_orphans_stat_parent(lines[i].line, strlen(lines[i].line));
        assert_int_equal(parent, lines[i].parent);
    }
}

static void both_ways_of_looking_find_own_children_only(void **state)
{
    (void)state;
    int hold[2];
    pid_t pids[3];
    struct found scanned = {.count = 0};
    struct found each = {.count = 0};
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    for (int i = 0; i < 3; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            char byte;
            close(hold[1]);
            _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
        }
    }
    assert_int_equal(trp_orphans_each_scanned(getpid(), collect, &scanned), TROUPE_OK);
    assert_int_equal(trp_orphans_each(getpid(), collect, &each), TROUPE_OK);
    close(hold[1]);
    for (int i = 0; i < 3; i++) {
        assert_true(has(&scanned, pids[i]));
        assert_true(has(&each, pids[i]));
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    }
    assert_false(has(&scanned, getpid()));
    assert_false(has(&each, getpid()));
    scanned.count = 0;
    assert_int_equal(trp_orphans_each_scanned(getpid(), collect, &scanned), TROUPE_OK);
    assert_int_equal(scanned.count, 0);
    close(hold[0]);
}

static void the_kernels_list_is_read(void **state)
{
    (void)state;
    char path[] = "/dev/shm/trp-orphans-XXXXXX";
    struct found found = {.count = 0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(dprintf(fd, "12 345 6789 "), 12);
    close(fd);
    assert_int_equal(trp_orphans_each_listed(path, collect, &found), TROUPE_OK);
    assert_int_equal(found.count, 3);
    assert_int_equal(found.pids[0], 12);
    assert_int_equal(found.pids[1], 345);
    assert_int_equal(found.pids[2], 6789);
    unlink(path);
    assert_int_equal(trp_orphans_each_listed(path, collect, &found), TROUPE_EUNAVAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parent_is_found_behind_any_name),
        cmocka_unit_test(both_ways_of_looking_find_own_children_only),
        cmocka_unit_test(the_kernels_list_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
