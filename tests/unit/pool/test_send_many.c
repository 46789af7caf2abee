/* One counted buffer to many: over workers, in part, and with nothing left behind. */

#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>

#define RECEIVERS 30u
#define ROUNDS    20u
#define WORKERS   3u
/* from the system heap: one reference too many is a leak for the sanitizer */
#define CAPACITY (100u << 10)

enum { MSG_SHARED = MSG_GO + 1 };

static struct {
    troupe_ref refs[RECEIVERS];
    uint32_t received; /* atomic */
    uint32_t accepted;
    uint32_t sent;
    enum troupe_status status;
    enum troupe_status statuses[RECEIVERS + 3];
    uint32_t count_after; /* references right after sending */
} world;

static void look_at_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    TROUPE_ASSERT(msg->type != MSG_SHARED || troupe_msg_buf(msg)->size == CAPACITY);
    fixture_count_letter(arg, msg, reason);
}

static enum troupe_verdict read_shared(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    const struct troupe_buf *buf = troupe_msg_buf(msg);
    TROUPE_ASSERT(msg->type == MSG_SHARED && buf != NULL && buf->size == CAPACITY);
    for (uint32_t i = 0; i < CAPACITY; i += 997) {
        TROUPE_ASSERT(buf->data[i] == (uint8_t)i);
    }
    __atomic_add_fetch(&world.received, 1, __ATOMIC_SEQ_CST);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type reader_type = {.name = "reader", .receive_cb = read_shared};
static const struct troupe_actor_type small_type = {
    .name = "small", .data_count_max = 1, .receive_cb = read_shared};

static struct troupe_buf *new_buf(struct troupe_ctx *ctx)
{
    struct troupe_buf *buf = troupe_buf_new(ctx, CAPACITY);
    TROUPE_ASSERT(buf != NULL);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        buf->data[i] = (uint8_t)i;
    }
    buf->size = CAPACITY;
    return buf;
}

/* --- threads: all receivers on all workers, several rounds --- */

static enum troupe_verdict tell_all(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t sent = 0;
        struct troupe_buf *buf = new_buf(ctx);
        TROUPE_ASSERT(troupe_send_many(ctx, world.refs, RECEIVERS, MSG_SHARED, buf, &sent) ==
                      TROUPE_OK);
        TROUPE_ASSERT(sent == RECEIVERS);
        TROUPE_ASSERT(buf->data[CAPACITY - 1] == (uint8_t)(CAPACITY - 1)); /* still ours */
        troupe_buf_release(buf);
        world.accepted += sent;
    }
    troupe_pool_drain(fixture.pool, UINT64_MAX);
    return TROUPE_CONTINUE;
}

static void receivers_on_all_workers_read_the_same_bytes(void **state)
{
    (void)state;
    static const struct troupe_actor_type teller = {
        .name = "teller", .init_cb = fixture_go, .receive_cb = tell_all};
    memset(&world, 0, sizeof(world));
    fixture_create(&(struct troupe_pool_config){
        .workers = WORKERS, .pin = "none", .dead_letter_cb = look_at_letter});
    for (uint32_t i = 0; i < RECEIVERS; i++) {
        world.refs[i] = fixture_add(i % WORKERS, &reader_type, NULL);
    }
    fixture_add(0, &teller, NULL);
    fixture_start();
    fixture_finish();
    assert_int_equal(world.accepted, RECEIVERS * ROUNDS);
    assert_int_equal(world.received, RECEIVERS * ROUNDS);
    assert_int_equal(fixture_letters(), 0);
}

/* --- simulation: partial success --- */

typedef enum troupe_verdict (*receive_cb)(struct troupe_ctx *, void *, struct troupe_msg *);

static void run(receive_cb send_cb, uint64_t memory_max)
{
    struct troupe_actor_type teller = {
        .name = "teller", .init_cb = fixture_go, .receive_cb = send_cb};
    memset(&world, 0, sizeof(world));
    fixture_create_sim(11, &(struct troupe_pool_config){.workers = 2,
                                                        .memory_max = memory_max,
                                                        .dead_letter_cb = look_at_letter});
    for (uint32_t i = 0; i < RECEIVERS; i++) {
        world.refs[i] = fixture_add(0, i == 5 ? &small_type : &reader_type, NULL);
    }
    fixture_add(0, &teller, NULL);
    fixture_start();
    fixture_run_sim(1000000000u);
    fixture_finish();
}

/* Dead ones, one that is full, one that does not exist, the others well. */
static enum troupe_verdict tell_some(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    troupe_ref to[RECEIVERS + 3];
    (void)state;
    (void)msg;
    memcpy(to, world.refs, sizeof(world.refs));
    to[2] += 1;                                       /* a generation to come */
    to[RECEIVERS] = world.refs[5];                    /* its lane takes one */
    to[RECEIVERS + 1] = world.refs[0] | 200ull << 56; /* no such worker */
    to[RECEIVERS + 2] = world.refs[0];                /* twice is twice */
    struct troupe_buf *buf = new_buf(ctx);
    world.status = troupe_send_each(ctx, world.statuses, to, RECEIVERS + 3, MSG_SHARED, buf);
    world.count_after = buf->count;
    troupe_buf_release(buf);
    return TROUPE_CONTINUE;
}

static void each_receiver_has_its_own_answer(void **state)
{
    (void)state;
    run(tell_some, 0);
    assert_int_equal(world.status, TROUPE_EDEAD); /* the first refusal */
    for (uint32_t i = 0; i < RECEIVERS + 3; i++) {
        enum troupe_status expected = i == 2 || i == RECEIVERS + 1 ? TROUPE_EDEAD
                                      : i == RECEIVERS             ? TROUPE_EBUSY
                                                                   : TROUPE_OK;
        assert_int_equal(world.statuses[i], expected);
    }
    assert_int_equal(world.count_after, 1 + RECEIVERS);
    assert_int_equal(world.received, RECEIVERS);
    assert_int_equal(fixture_letters(), 0);
}

static enum troupe_verdict
tell_until_full(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    struct troupe_buf *buf = new_buf(ctx);
    world.status = troupe_send_many(ctx, world.refs, RECEIVERS, MSG_SHARED, buf, &world.sent);
    TROUPE_ASSERT(world.status == TROUPE_OK);
    world.status = troupe_send_many(ctx, world.refs, RECEIVERS, MSG_SHARED, buf, &world.sent);
    world.count_after = buf->count;
    troupe_buf_release(buf);
    return TROUPE_CONTINUE;
}

static void partial_success_is_told(void **state)
{
    (void)state;
    run(tell_until_full, 0);
    assert_int_equal(world.status, TROUPE_EBUSY);
    assert_int_equal(world.sent, RECEIVERS - 1);
    assert_int_equal(world.count_after, 1 + RECEIVERS + RECEIVERS - 1);
    assert_int_equal(world.received, RECEIVERS + RECEIVERS - 1);
}

static enum troupe_verdict
tell_too_many(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    struct troupe_buf *buf = new_buf(ctx);
    world.sent = 77;
    world.status =
        troupe_send_many(ctx, world.refs, TROUPE_SEND_MANY_MAX + 1, MSG_SHARED, buf, &world.sent);
    TROUPE_ASSERT(world.status == TROUPE_EINVAL && world.sent == 77 && buf->count == 1);
    world.status = troupe_send_each(ctx, world.statuses, world.refs, TROUPE_SEND_MANY_MAX + 1,
                                    MSG_SHARED, buf);
    TROUPE_ASSERT(world.status == TROUPE_EINVAL && buf->count == 1);
    TROUPE_ASSERT(troupe_send_many(ctx, NULL, 0, MSG_SHARED, buf, &world.sent) == TROUPE_OK);
    troupe_buf_release(buf);
    return TROUPE_CONTINUE;
}

static void too_many_and_none(void **state)
{
    (void)state;
    run(tell_too_many, 0);
    assert_int_equal(world.status, TROUPE_EINVAL);
    assert_int_equal(world.sent, 0);
    assert_int_equal(world.received, 0);
}

/* Memory for a few messages only: those are sent, the others are refused, nothing leaks. */
static enum troupe_verdict
tell_without_memory(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    enum { MOST = 50000 };
    static struct troupe_msg *hoard[MOST];
    uint32_t count = 0;
    (void)state;
    (void)msg;
    struct troupe_buf *buf = new_buf(ctx);
    while (count < MOST && (hoard[count] = troupe_msg_new(ctx, MSG_GO, 8)) != NULL) {
        count++;
    }
    TROUPE_ASSERT(count > 4 && count < MOST);
    for (uint32_t i = 0; i < 4; i++) {
        troupe_msg_free(ctx, hoard[--count]);
    }
    world.status = troupe_send_many(ctx, world.refs, RECEIVERS, MSG_SHARED, buf, &world.sent);
    world.count_after = buf->count;
    while (count > 0) {
        troupe_msg_free(ctx, hoard[--count]);
    }
    troupe_buf_release(buf);
    return TROUPE_CONTINUE;
}

static void memory_for_some_reaches_some(void **state)
{
    (void)state;
    run(tell_without_memory, 1u << 20);
    assert_int_equal(world.status, TROUPE_ENOMEM);
    assert_int_equal(world.sent, 4);
    assert_int_equal(world.count_after, 5);
    assert_int_equal(world.received, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receivers_on_all_workers_read_the_same_bytes),
        cmocka_unit_test(each_receiver_has_its_own_answer),
        cmocka_unit_test(partial_success_is_told),
        cmocka_unit_test(too_many_and_none),
        cmocka_unit_test(memory_for_some_reaches_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
