/*
 * Waking: doorbells between rings, the eventfd, deadlines; and rings that close early.
 */

#include "ring_harness.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Far away: a test that reaches it hangs until ctest ends it. */
#define FOREVER UINT64_MAX

static void a_foreign_wake_ends_the_park(void **state)
{
    (void)state;
    struct harness h;

    harness_open(&h);
    for (int i = 0; i < 5; i++) {
        h.driver->wake(h.ring, NULL); /* before the park: not lost */
        h.driver->park(h.ring, FOREVER);
    }
    h.driver->wake(h.ring, NULL);
    h.driver->wake(h.ring, NULL);
    h.driver->park(h.ring, FOREVER);
    harness_settle(&h);
    harness_close(&h);
}

static void a_park_ends_at_its_deadline(void **state)
{
    (void)state;
    struct harness h;

    harness_open(&h);
    harness_settle(&h);
    uint64_t deadline_ns = h.driver->now(h.ring) + 3000000;
    uint64_t parks = 0;
    while (h.driver->now(h.ring) < deadline_ns) {
        h.driver->park(h.ring, deadline_ns);
        parks++;
        assert_true(parks < 100000);
    }
    h.driver->park(h.ring, 1); /* long past */
    h.driver->park(h.ring, 0);
    assert_true(h.driver->wall_now(h.ring) > 1600000000000000000u);
    harness_close(&h);
}

static void a_doorbell_goes_out_with_the_flush(void **state)
{
    (void)state;
    struct harness a;
    struct harness b;
    struct trp_ring_stats stats;

    harness_open(&a);
    harness_open(&b);
    harness_settle(&a);
    harness_settle(&b);
    for (uint64_t i = 1; i <= 3; i++) {
        a.driver->wake(b.ring, a.ring);
        assert_int_equal(a.ring->doorbells, 1);
        a.driver->flush(a.ring);
        assert_int_equal(a.ring->doorbells, 0);
        b.driver->park(b.ring, FOREVER);
        trp_ring_stats(a.ring, &stats);
        assert_int_equal(stats.doorbells, i);
    }
    uint64_t enters = a.ring->stats.enters;
    a.driver->flush(a.ring); /* nothing to do: no system call */
    a.driver->poll(a.ring);
    a.driver->poll(a.ring);
    assert_int_equal(a.ring->stats.enters, enters);
    assert_int_equal(a.ring->stats.doorbells_failed, 0);
    harness_close(&b);
    harness_close(&a);
}

static void a_doorbell_goes_out_with_the_park(void **state)
{
    (void)state;
    struct harness a;
    struct harness b;

    harness_open(&a);
    harness_open(&b);
    a.driver->wake(b.ring, a.ring);
    a.driver->park(a.ring, 1);
    b.driver->park(b.ring, FOREVER);
    harness_close(&b);
    harness_close(&a);
}

static void a_failed_doorbell_falls_back_to_the_eventfd(void **state)
{
    (void)state;
    struct harness a;
    struct harness b;
    int ends[2];

    harness_open(&a);
    harness_open(&b);
    harness_settle(&b);
    assert_int_equal(pipe(ends), 0);
    int ring_fd = b.ring->ring_fd;
    b.ring->ring_fd = ends[0]; /* not a ring: the kernel refuses */
    a.driver->wake(b.ring, a.ring);
    a.driver->flush(a.ring);
    harness_settle(&a);
    assert_int_equal(a.ring->stats.doorbells_failed, 1);
    b.ring->ring_fd = ring_fd;
    b.driver->park(b.ring, FOREVER);
    close(ends[0]);
    close(ends[1]);
    harness_close(&b);
    harness_close(&a);
}

struct peer {
    struct harness h;
    struct peer *other;
    pthread_barrier_t *barrier;
    uint32_t turn; /* rings left; written by both, see rings() */
};

enum { ROUNDS = 5000 };

/* Two workers that sleep and wake each other; the word decides, the bell only wakes. */
static uint32_t ball;

static void *rings(void *arg)
{
    struct peer *peer = arg;

    harness_open(&peer->h);
    pthread_barrier_wait(peer->barrier);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        /* acquire: pairs with the store of the other peer */
        while (trp_load_acquire_u32(&ball) % 2 != peer->turn) {
            peer->h.driver->park(peer->h.ring, FOREVER);
        }
        trp_faa_u32(&ball, 1);
        peer->h.driver->wake(peer->other->h.ring, peer->h.ring);
        peer->h.driver->flush(peer->h.ring);
    }
    peer->h.driver->poll(peer->h.ring);
    pthread_barrier_wait(peer->barrier);
    harness_close(&peer->h);
    return NULL;
}

static void two_rings_wake_each_other(void **state)
{
    (void)state;
    pthread_barrier_t barrier;
    pthread_t thread;
    static struct peer peers[2];

    ball = 0;
    pthread_barrier_init(&barrier, NULL, 2);
    for (uint32_t i = 0; i < 2; i++) {
        peers[i].other = &peers[1 - i];
        peers[i].barrier = &barrier;
        peers[i].turn = i;
    }
    assert_int_equal(pthread_create(&thread, NULL, rings, &peers[1]), 0);
    rings(&peers[0]);
    pthread_join(thread, NULL);
    assert_int_equal(ball, 2 * ROUNDS);
    pthread_barrier_destroy(&barrier);
}

static void *opens_and_leaves(void *arg)
{
    struct harness *h = arg;

    harness_open(h);
    harness_settle(h);
    return NULL;
}

/* What the pool does: the thread ends first, its ring is closed later from another one. */
static void another_thread_closes_a_ring(void **state)
{
    (void)state;
    struct harness own;
    struct harness h;
    pthread_t thread;

    harness_open(&own);
    assert_int_equal(pthread_create(&thread, NULL, opens_and_leaves, &h), 0);
    pthread_join(thread, NULL);
    own.driver->wake(h.ring, own.ring); /* the owner is gone: refused or ignored, never fatal */
    own.driver->flush(own.ring);
    harness_settle(&own);
    own.driver->wake(h.ring, NULL);
    h.driver->close(h.ring);
    own.driver->wake(own.ring, own.ring);
    own.driver->park(own.ring, FOREVER);
    harness_close(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_foreign_wake_ends_the_park),
        cmocka_unit_test(a_park_ends_at_its_deadline),
        cmocka_unit_test(a_doorbell_goes_out_with_the_flush),
        cmocka_unit_test(a_doorbell_goes_out_with_the_park),
        cmocka_unit_test(a_failed_doorbell_falls_back_to_the_eventfd),
        cmocka_unit_test(two_rings_wake_each_other),
        cmocka_unit_test(another_thread_closes_a_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
