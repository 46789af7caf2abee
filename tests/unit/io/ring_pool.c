#include "ring_pool.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void ring_pool_create(struct ring_pool *test, uint32_t workers)
{
    char error[256] = "";
    struct troupe_pool_config config = {
        .workers = workers,
        .pin = "none",
        .spin = TROUPE_SPIN_PARK,
        .driver = troupe_ring_driver(),
    };

    memset(test, 0, sizeof(*test));
    enum troupe_status status = troupe_pool_create(&test->pool, &config, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(status, TROUPE_OK);
}

troupe_ref ring_pool_spawn(struct ring_pool *test,
                           uint32_t worker,
                           const struct troupe_actor_type *type,
                           const void *arg)
{
    troupe_ref ref = TROUPE_NOBODY;

    test->open_count++;
    assert_int_equal(troupe_pool_spawn(test->pool, &ref, worker, type, arg), TROUPE_OK);
    return ref;
}

void ring_pool_start(struct ring_pool *test)
{
    char error[256] = "";
    enum troupe_status status = troupe_pool_start(test->pool, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(status, TROUPE_OK);
}

void ring_pool_finish(struct ring_pool *test)
{
    struct troupe_worker_stats stats;
    uint64_t accepted = 0;
    uint64_t ended = 0;

    troupe_pool_join(test->pool);
    for (uint32_t i = 0; i < troupe_pool_workers(test->pool); i++) {
        troupe_pool_stats(test->pool, i, &stats);
        accepted += stats.accepted;
        ended += stats.processed + stats.reported;
        assert_int_equal(stats.alive, 0);
    }
    assert_int_equal(accepted, ended);
    troupe_pool_destroy(test->pool);
    assert_int_equal(test->failures, 0);
    assert_int_equal(test->open_count, 0);
}

void ring_pool_done(struct ring_pool *test)
{
    if (trp_faa_u32(&test->open_count, (uint32_t)-1) == 1) {
        troupe_pool_stop(test->pool);
    }
}

void ring_pool_check(struct ring_pool *test, bool is_right, const char *what)
{
    if (!is_right) {
        print_error("wrong: %s\n", what);
        trp_faa_u32(&test->failures, 1);
    }
}

void ring_pool_pair(int pair[2], bool is_tcp)
{
    if (!is_tcp) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        return;
    }
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(pair[0] >= 0);
    assert_int_equal(connect(pair[0], (struct sockaddr *)&address, len), 0);
    pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(pair[1] >= 0);
    close(listener);
}
