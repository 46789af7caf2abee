/* Names on real threads: two actors of one worker take turns with the same places, for names of
 * their own, while an actor of the other worker looks for these and for names that stay. */

#include "tests/cmocka.h"

#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/pool.h>
#include <troupe/relations.h>

enum { MSG_TURN = 1, MSG_LOOK, MSG_PROGRESS, MSG_ENOUGH };

#define NAMES_PER_TURN  64u
#define NAMES_PER_ROUND 4096u
#define NAMES_STAYING   5000u
#define TURNS           2000u
#define LOOKS_PER_TURN  256u
#define REPORTS         400u

static struct {
    struct troupe_pool *pool;
    troupe_ref players[2];
    troupe_ref keeper;
    troupe_ref seeker;
} world;

static struct troupe_span name_of(char text[TROUPE_NAME_MAX + 1], const char *kind, uint32_t number)
{
    int len = snprintf(text, TROUPE_NAME_MAX + 1, "%s %u", kind, number);
    TROUPE_ASSERT(len > 0);
    return troupe_span(text, (size_t)len);
}

/* --- worker 0: who bears names --- */

struct player {
    uint32_t me;
    uint32_t turns;
    uint32_t first; /* of the names it has */
    uint32_t count;
    uint32_t reports; /* the first one only: of the seeker */
};

static const char *const kinds[] = {"left", "right"};

static enum troupe_status player_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct player *player = state;
    memcpy(&player->me, arg, sizeof(player->me));
    world.players[player->me] = troupe_self(ctx);
    return player->me == 1 ? troupe_send_copy(ctx, troupe_self(ctx), MSG_TURN, NULL, 0) : TROUPE_OK;
}

static void give_back(struct troupe_ctx *ctx, struct player *player)
{
    char text[TROUPE_NAME_MAX + 1];
    for (uint32_t i = 0; i < player->count; i++) {
        troupe_unregister(ctx, name_of(text, kinds[player->me], player->first + i));
    }
    player->first = (player->first + player->count) % NAMES_PER_ROUND;
    player->count = 0;
}

/* Its own names come into the places that the other one has just left. */
static enum troupe_verdict
player_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct player *player = state;
    char text[TROUPE_NAME_MAX + 1];
    if (msg->type == MSG_PROGRESS) {
        player->reports++;
        return TROUPE_CONTINUE;
    }
    if (player->count != 0) {
        give_back(ctx, player);
        TROUPE_ASSERT(troupe_send_copy(ctx, world.players[1 - player->me], MSG_TURN, NULL, 0) ==
                      TROUPE_OK);
        return TROUPE_CONTINUE;
    }
    for (; player->count < NAMES_PER_TURN; player->count++) {
        TROUPE_ASSERT(troupe_register(ctx, name_of(text, kinds[player->me],
                                                   player->first + player->count)) == TROUPE_OK);
    }
    if (player->me == 0 && ++player->turns >= TURNS && player->reports >= REPORTS) {
        /* the seeker stops the pool: the end of the keeper takes its names away */
        return troupe_send_copy(ctx, world.seeker, MSG_ENOUGH, NULL, 0) == TROUPE_OK
                   ? TROUPE_CONTINUE
                   : TROUPE_FAIL;
    }
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_TURN, NULL, 0) == TROUPE_OK ? TROUPE_CONTINUE
                                                                                   : TROUPE_FAIL;
}

static enum troupe_status keeper_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    char text[TROUPE_NAME_MAX + 1];
    (void)state;
    (void)arg;
    for (uint32_t i = 0; i < NAMES_STAYING; i++) {
        TROUPE_ASSERT(troupe_register(ctx, name_of(text, "staying", i)) == TROUPE_OK);
    }
    return troupe_send_copy(ctx, world.seeker, MSG_LOOK, NULL, 0);
}

static enum troupe_verdict ignore(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}

/* --- worker 1: who looks --- */

static void look(struct troupe_ctx *ctx)
{
    char text[TROUPE_NAME_MAX + 1];
    uint32_t number = (uint32_t)troupe_random(ctx);
    for (uint32_t side = 0; side < 2; side++) {
        troupe_ref found =
            troupe_whereis(ctx, name_of(text, kinds[side], number % NAMES_PER_ROUND));
        TROUPE_ASSERT(found == TROUPE_NOBODY || found == world.players[side]);
    }
    TROUPE_ASSERT(troupe_whereis(ctx, name_of(text, "staying", number % NAMES_STAYING)) ==
                  world.keeper);
    TROUPE_ASSERT(troupe_whereis(ctx, name_of(text, "never", number)) == TROUPE_NOBODY);
}

static enum troupe_verdict
seeker_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_ENOUGH) {
        troupe_pool_stop(world.pool);
        return TROUPE_STOP;
    }
    for (uint32_t i = 0; i < LOOKS_PER_TURN; i++) {
        look(ctx);
    }
    /* refused when the player is busy: then it has a report already */
    enum troupe_status status = troupe_send_copy(ctx, world.players[0], MSG_PROGRESS, NULL, 0);
    TROUPE_ASSERT(status == TROUPE_OK || status == TROUPE_EBUSY || status == TROUPE_ECLOSED);
    status = troupe_send_copy(ctx, troupe_self(ctx), MSG_LOOK, NULL, 0);
    return status == TROUPE_OK ? TROUPE_CONTINUE : TROUPE_STOP;
}

static const struct troupe_actor_type player_type = {.name = "player",
                                                     .state_size = sizeof(struct player),
                                                     .init_cb = player_begin,
                                                     .receive_cb = player_receive};
static const struct troupe_actor_type keeper_type = {
    .name = "keeper", .init_cb = keeper_begin, .receive_cb = ignore};
static const struct troupe_actor_type seeker_type = {.name = "seeker",
                                                     .receive_cb = seeker_receive};

static void lookups_see_only_owners(void **state)
{
    static const uint32_t numbers[] = {0, 1};
    struct troupe_pool_config config = {.workers = 2};
    char error[200] = "";
    troupe_ref ref;
    (void)state;
    assert_int_equal(troupe_pool_create(&world.pool, &config, error, sizeof(error)), TROUPE_OK);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(troupe_pool_spawn(world.pool, &ref, 0, &player_type, &numbers[i]),
                         TROUPE_OK);
    }
    assert_int_equal(troupe_pool_spawn(world.pool, &world.seeker, 1, &seeker_type, NULL),
                     TROUPE_OK);
    assert_int_equal(troupe_pool_spawn(world.pool, &world.keeper, 0, &keeper_type, NULL),
                     TROUPE_OK);
    assert_int_equal(troupe_pool_start(world.pool, error, sizeof(error)), TROUPE_OK);
    troupe_pool_join(world.pool);
    troupe_pool_destroy(world.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookups_see_only_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
