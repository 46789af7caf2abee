/* Refused sends: how far a sender on another worker gets, and that nothing sticks to a message. */

#include "pool/worker.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>
#include <troupe/observe.h>

#define SECOND  1000000000ull
#define SEEDS   10u
#define SENDERS 2u
#define BOUND   10u
#define EACH    (2u * TRP_WINDOW)
#define PAYLOAD 32u /* with the header 64 bytes */

enum { MSG_DATA = MSG_GO + 1, MSG_TICK };

/* --- senders on another worker --- */

static struct {
    troupe_ref receiver;
    uint32_t accepted;
    uint32_t handled;
    uint32_t refused;
    uint32_t under_way_max; /* accepted and not handled */
} flood;

static enum troupe_verdict flooded(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    flood.handled++;
    return TROUPE_CONTINUE;
}

/* Sends until it is refused, again and again, until all EACH are gone. */
static enum troupe_verdict send_all(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    uint32_t *sent = state;
    uint8_t payload[PAYLOAD] = {0};
    enum troupe_status status = TROUPE_OK;
    (void)msg;
    while (*sent < EACH && (status = troupe_send_copy(ctx, flood.receiver, MSG_DATA, payload,
                                                      sizeof(payload))) == TROUPE_OK) {
        ++*sent;
        uint32_t under_way = ++flood.accepted - flood.handled;
        flood.under_way_max = under_way > flood.under_way_max ? under_way : flood.under_way_max;
    }
    if (status != TROUPE_OK) {
        TROUPE_ASSERT(status == TROUPE_EBUSY);
        flood.refused++;
        TROUPE_ASSERT(troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0) == TROUPE_OK);
    }
    return TROUPE_CONTINUE;
}

static void a_far_lane_takes_its_bound_and_a_window(void **state)
{
    (void)state;
    static const struct troupe_actor_type bounded[2] = {
        {.name = "counted", .data_count_max = BOUND, .receive_cb = flooded},
        {.name = "weighed", .data_bytes_max = BOUND * 64, .receive_cb = flooded},
    };
    static const struct troupe_actor_type sender = {.name = "sender",
                                                    .state_size = sizeof(uint32_t),
                                                    .init_cb = fixture_go,
                                                    .receive_cb = send_all};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        memset(&flood, 0, sizeof(flood));
        fixture_create_sim(seed, &(struct troupe_pool_config){.workers = 2});
        flood.receiver = fixture_add(0, &bounded[seed % 2], NULL);
        for (uint32_t i = 0; i < SENDERS; i++) {
            fixture_add(1, &sender, NULL);
        }
        fixture_start();
        fixture_run_sim(10 * SECOND);
        assert_int_equal(flood.accepted, SENDERS * EACH);
        assert_int_equal(flood.handled, SENDERS * EACH);
        assert_true(flood.refused > 0);
        /* both bounds were reached, and no more than both together */
        assert_in_range(flood.under_way_max, TRP_WINDOW, TRP_WINDOW + BOUND);
        fixture_finish();
    }
}

/* --- the sample of waiting that a refused message was to be --- */

struct retrier {
    struct troupe_timer timer;
    struct troupe_msg *refused;
    uint32_t ticks;
};

static struct {
    troupe_ref narrow;
    bool is_header_same;
} retry;

static void sample_next(struct troupe_ctx *ctx)
{
    ctx->worker->sample_next = 1; /* as if the clock had just been read */
}

static void be_refused(struct troupe_ctx *ctx, struct retrier *retrier)
{
    TROUPE_ASSERT(troupe_send_copy(ctx, retry.narrow, MSG_DATA, NULL, 0) == TROUPE_OK);
    struct troupe_msg *msg = troupe_msg_new(ctx, MSG_DATA, 0);
    TROUPE_ASSERT(msg != NULL);
    struct troupe_msg before = *msg;
    sample_next(ctx);
    TROUPE_ASSERT(troupe_send(ctx, retry.narrow, &msg) == TROUPE_EBUSY);
    retry.is_header_same = memcmp(&before, msg, sizeof(before)) == 0;
    retrier->refused = msg;
}

static enum troupe_verdict be_stubborn(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct retrier *retrier = state;
    if (msg->type == MSG_GO) {
        be_refused(ctx, retrier);
        troupe_timer_start(ctx, &retrier->timer, SECOND, SECOND, MSG_TICK);
    } else if (++retrier->ticks == 1) {
        TROUPE_ASSERT(troupe_send(ctx, retry.narrow, &retrier->refused) == TROUPE_OK);
    } else { /* and one that does count */
        sample_next(ctx);
        TROUPE_ASSERT(troupe_send_copy(ctx, retry.narrow, MSG_DATA, NULL, 0) == TROUPE_OK);
        troupe_timer_cancel(ctx, &retrier->timer);
    }
    return TROUPE_CONTINUE;
}

static void a_refused_message_is_no_sample(void **state)
{
    (void)state;
    static const struct troupe_actor_type narrow = {
        .name = "narrow", .data_count_max = 1, .receive_cb = fixture_ignore};
    static const struct troupe_actor_type retrier = {.name = "retrier",
                                                     .state_size = sizeof(struct retrier),
                                                     .init_cb = fixture_go,
                                                     .receive_cb = be_stubborn};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_type_stats stats[4];
        uint32_t count;
        memset(&retry, 0, sizeof(retry));
        fixture_create_sim(seed, &(struct troupe_pool_config){.workers = 1});
        retry.narrow = fixture_add(0, &narrow, NULL);
        fixture_add(0, &retrier, NULL);
        fixture_start();
        fixture_run_sim(10 * SECOND);
        assert_true(retry.is_header_same);
        troupe_pool_type_stats(fixture.pool, stats, 4, &count);
        assert_int_equal(count, 1); /* nobody else was sampled */
        assert_string_equal(stats[0].name, "narrow");
        assert_int_equal(stats[0].waited.samples, 1);
        assert_true(stats[0].waited.max_ns < SECOND);
        fixture_finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_far_lane_takes_its_bound_and_a_window),
        cmocka_unit_test(a_refused_message_is_no_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
