/* Names: as many as one likes one after the other, a bound on those in use, and who is found. */

#include "tests/unit/core/puppet.h"

#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>

enum { A = 0, B = 1 };

static troupe_ref ref_a;
static troupe_ref ref_b;
static uint32_t acts_done;

static void open_two(void)
{
    world_open(1, 2);
    ref_a = world_puppet(0, A);
    ref_b = world_puppet(0, B);
    acts_done = 0;
    world_start();
}

static struct troupe_span name_of(char text[TROUPE_NAME_MAX + 1], uint64_t number)
{
    int len = snprintf(text, TROUPE_NAME_MAX + 1, "client-%llu", (unsigned long long)number);
    TROUPE_ASSERT(len > 0);
    return troupe_span(text, (size_t)len);
}

/* --- one after the other --- */

static void act_use_many(struct troupe_ctx *ctx, uint32_t who, uint64_t count)
{
    char text[TROUPE_NAME_MAX + 1];
    (void)who;
    for (uint64_t i = 0; i < count; i++) {
        struct troupe_span name = name_of(text, i);
        TROUPE_ASSERT(troupe_register(ctx, name) == TROUPE_OK);
        TROUPE_ASSERT(troupe_whereis(ctx, name) == troupe_self(ctx));
        troupe_unregister(ctx, name);
        TROUPE_ASSERT(troupe_whereis(ctx, name) == TROUPE_NOBODY);
    }
    acts_done++;
}

static void names_can_be_used_for_ever(void **state)
{
    (void)state;
    open_two();
    make(ref_a, act_use_many, 3ull * TROUPE_NAMES_MAX);
    world_run_ms(5);
    assert_int_equal(acts_done, 1);
    world_close();
}

/* --- at once --- */

static void act_fill(struct troupe_ctx *ctx, uint32_t who, uint64_t first)
{
    char text[TROUPE_NAME_MAX + 1];
    (void)who;
    for (uint64_t i = 0; i < TROUPE_NAMES_MAX; i++) {
        TROUPE_ASSERT(troupe_register(ctx, name_of(text, first + i)) == TROUPE_OK);
    }
    struct troupe_span more = name_of(text, first + TROUPE_NAMES_MAX);
    for (uint32_t i = 0; i < 3; i++) {
        TROUPE_ASSERT(troupe_register(ctx, more) == TROUPE_ENOMEM);
        TROUPE_ASSERT(troupe_whereis(ctx, more) == TROUPE_NOBODY);
    }
    TROUPE_ASSERT(troupe_register(ctx, name_of(text, first)) == TROUPE_EEXIST);
    /* one goes, one comes */
    troupe_unregister(ctx, name_of(text, first + 7));
    TROUPE_ASSERT(troupe_register(ctx, name_of(text, first + TROUPE_NAMES_MAX)) == TROUPE_OK);
    TROUPE_ASSERT(troupe_register(ctx, name_of(text, first + 7)) == TROUPE_ENOMEM);
    for (uint64_t i = 0; i <= TROUPE_NAMES_MAX; i++) {
        TROUPE_ASSERT(troupe_whereis(ctx, name_of(text, first + i)) ==
                      (i == 7 ? TROUPE_NOBODY : troupe_self(ctx)));
    }
    acts_done++;
}

static void names_at_once_have_a_bound(void **state)
{
    (void)state;
    open_two();
    make(ref_a, act_fill, 0);
    world_run_ms(5);
    tell(ref_a, MSG_QUIT, 0); /* its end takes all of them back */
    world_run_ms(5);
    make(ref_b, act_fill, 1000000);
    world_run_ms(5);
    assert_int_equal(acts_done, 2);
    world_close();
}

/* --- who is found --- */

static void act_take_name(struct troupe_ctx *ctx, uint32_t who, uint64_t status)
{
    (void)who;
    TROUPE_ASSERT(troupe_register(ctx, troupe_span_cstr("the name")) ==
                  (enum troupe_status)(int64_t)status);
    acts_done++;
}

static void act_give_name(struct troupe_ctx *ctx, uint32_t who, uint64_t value)
{
    (void)who;
    (void)value;
    troupe_unregister(ctx, troupe_span_cstr("the name"));
    acts_done++;
}

static void act_expect(struct troupe_ctx *ctx, uint32_t who, uint64_t ref)
{
    (void)who;
    TROUPE_ASSERT(troupe_whereis(ctx, troupe_span_cstr("the name")) == ref);
    acts_done++;
}

static void a_name_has_one_owner(void **state)
{
    (void)state;
    open_two();
    make(ref_a, act_give_name, 0); /* nobody's yet */
    make(ref_a, act_expect, TROUPE_NOBODY);
    make(ref_a, act_take_name, TROUPE_OK);
    make(ref_b, act_take_name, (uint64_t)(int64_t)TROUPE_EEXIST);
    make(ref_b, act_give_name, 0); /* not its own */
    make(ref_b, act_expect, ref_a);
    world_run_ms(5);
    tell(ref_a, MSG_FAIL, 0);
    world_run_ms(5);
    make(ref_b, act_expect, TROUPE_NOBODY);
    make(ref_b, act_take_name, TROUPE_OK);
    make(ref_b, act_expect, ref_b);
    world_run_ms(5);
    assert_int_equal(acts_done, 9);
    world_close();
}

/* Names of each length that differ in their last byte, or in their length only. */
static void act_lengths(struct troupe_ctx *ctx, uint32_t who, uint64_t value)
{
    char text[TROUPE_NAME_MAX + 1];
    memset(text, 'x', sizeof(text));
    (void)who;
    (void)value;
    for (size_t len = 0; len <= sizeof(text); len++) {
        struct troupe_span name = troupe_span(text, len);
        bool is_good = len > 0 && len <= TROUPE_NAME_MAX;
        TROUPE_ASSERT(troupe_whereis(ctx, name) == TROUPE_NOBODY);
        TROUPE_ASSERT(troupe_register(ctx, name) == (is_good ? TROUPE_OK : TROUPE_EINVAL));
        troupe_unregister(ctx, troupe_span(text, 0));
        troupe_unregister(ctx, troupe_span(text, sizeof(text)));
    }
    for (size_t len = 1; len <= TROUPE_NAME_MAX; len++) {
        text[len - 1] = 'y';
        TROUPE_ASSERT(troupe_whereis(ctx, troupe_span(text, len)) == TROUPE_NOBODY);
        text[len - 1] = 'x';
        troupe_unregister(ctx, troupe_span(text, len));
        for (size_t other = 1; other <= TROUPE_NAME_MAX; other++) {
            TROUPE_ASSERT(troupe_whereis(ctx, troupe_span(text, other)) ==
                          (other <= len ? TROUPE_NOBODY : troupe_self(ctx)));
        }
    }
    acts_done++;
}

static void names_of_all_lengths(void **state)
{
    (void)state;
    open_two();
    make(ref_a, act_lengths, 0);
    world_run_ms(5);
    assert_int_equal(acts_done, 1);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_can_be_used_for_ever),
        cmocka_unit_test(names_at_once_have_a_bound),
        cmocka_unit_test(a_name_has_one_owner),
        cmocka_unit_test(names_of_all_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
