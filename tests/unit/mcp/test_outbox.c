/* Sending without loss to a mailbox that is full, and cutting streams into lines. */

#include "actors/mcp/lines.h"
#include "pool/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 500, MSG_NUMBER = 0x710, MSG_GO = 0x711 };

static uint32_t received;
static uint32_t disorder;
static bool was_blocked;
static bool is_stopping_early;
static struct troupe_pool *pool;
static troupe_ref receiver_ref;

/* --- outbox --- */

struct sender {
    struct trp_mcp_outbox outbox;
    struct troupe_timer go;
};

static enum troupe_status sender_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct sender *sender = state;
    (void)arg;
    troupe_timer_start(ctx, &sender->go, 1000000, 0, MSG_GO);
    return TROUPE_OK;
}

static enum troupe_verdict
sender_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct sender *sender = state;
    if (msg->type == TRP_MCP_MSG_OUTBOX) {
        trp_mcp_outbox_retry(ctx, &sender->outbox);
        return TROUPE_CONTINUE;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        struct troupe_msg *number = troupe_msg_new(ctx, MSG_NUMBER, (uint32_t)sizeof(i));
        assert_non_null(number);
        memcpy(troupe_msg_data(number), &i, sizeof(i));
        trp_mcp_outbox_send(ctx, &sender->outbox, receiver_ref, number);
    }
    was_blocked = trp_mcp_outbox_is_blocked(&sender->outbox);
    return is_stopping_early ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void sender_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct sender *sender = state;
    (void)reason;
    trp_mcp_outbox_fini(ctx, &sender->outbox);
}

static enum troupe_verdict
receiver_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    uint32_t number;
    (void)ctx;
    (void)state;
    memcpy(&number, troupe_msg_data(msg), sizeof(number));
    disorder += number != received ? 1 : 0;
    received++;
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type sender_type = {
    .name = "sender",
    .state_size = sizeof(struct sender),
    .init_cb = sender_init,
    .receive_cb = sender_receive,
    .terminate_cb = sender_terminate,
};

static const struct troupe_actor_type receiver_type = {
    .name = "receiver",
    .data_count_max = 7,
    .receive_cb = receiver_receive,
};

static struct trp_sim *run(uint32_t receiver_worker, const struct troupe_actor_type *sender)
{
    struct troupe_pool_config config = {.workers = 2, .pin = "none", .seed = 3};
    troupe_ref ref;
    struct trp_sim *sim = trp_sim_create(5, &config, NULL);
    assert_non_null(sim);
    received = 0;
    disorder = 0;
    was_blocked = false;
    pool = trp_sim_pool(sim);
    assert_int_equal(troupe_pool_spawn(pool, &receiver_ref, receiver_worker, &receiver_type, NULL),
                     TROUPE_OK);
    assert_int_equal(troupe_pool_spawn(pool, &ref, 0, sender, NULL), TROUPE_OK);
    trp_sim_start(sim);
    (void)trp_sim_run(sim, trp_sim_now(sim) + UINT64_C(60000000000));
    return sim;
}

static void test_full_mailbox(void **state)
{
    (void)state;
    is_stopping_early = false;
    struct trp_sim *sim = run(0, &sender_type);
    assert_true(was_blocked);
    assert_int_equal(received, COUNT);
    assert_int_equal(disorder, 0);
    trp_sim_stop(sim);
    trp_sim_destroy(sim);
}

static void test_sender_stops(void **state)
{
    (void)state;
    is_stopping_early = true;
    struct trp_sim *sim = run(0, &sender_type);
    assert_true(was_blocked);
    assert_int_equal(received, 7); /* what waited is freed, nothing else is lost */
    trp_sim_stop(sim);
    trp_sim_destroy(sim);
}

/* --- lines --- */

static char lines_seen[4096];

static void on_line(struct troupe_ctx *ctx, void *arg, struct troupe_buf *line)
{
    size_t used = strlen(lines_seen);
    (void)ctx;
    (void)arg;
    (void)snprintf(lines_seen + used, sizeof(lines_seen) - used, "<%.*s>", (int)line->size,
                   (const char *)line->data);
    troupe_buf_release(line);
}

static enum troupe_status
feed(struct troupe_ctx *ctx, struct trp_mcp_lines *lines, const char *text, size_t step)
{
    size_t len = strlen(text);
    lines_seen[0] = '\0';
    for (size_t i = 0; i < len; i += step) {
        size_t part = len - i < step ? len - i : step;
        enum troupe_status status =
            trp_mcp_lines_feed(ctx, lines, troupe_span(text + i, part), on_line, NULL);
        if (status != TROUPE_OK) {
            return status;
        }
    }
    return TROUPE_OK;
}

static enum troupe_status cutter_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    for (size_t step = 1; step < 20; step++) {
        struct trp_mcp_lines lines = {.bytes_max = 10};
        assert_int_equal(feed(ctx, &lines, "a\n\nbc\r\n\r\n0123456789\nrest", step), TROUPE_OK);
        assert_string_equal(lines_seen, "<a><bc><0123456789>");
        assert_int_equal(feed(ctx, &lines, "!\n", step), TROUPE_OK);
        assert_string_equal(lines_seen, "<rest!>");
        assert_int_equal(feed(ctx, &lines, "x\n0123456789a", step), TROUPE_ETOOLARGE);
        assert_string_equal(lines_seen, "<x>");
        trp_mcp_lines_fini(&lines);
    }
    received = 1;
    return TROUPE_OK;
}

static const struct troupe_actor_type cutter_type = {
    .name = "cutter",
    .init_cb = cutter_init,
    .receive_cb = receiver_receive,
};

static void test_lines(void **state)
{
    (void)state;
    struct trp_sim *sim = run(1, &cutter_type);
    assert_int_equal(received, 1);
    trp_sim_stop(sim);
    trp_sim_destroy(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_mailbox),
        cmocka_unit_test(test_sender_stops),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
