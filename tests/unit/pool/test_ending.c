/* How actors end: failed init, verdicts, verbs that race across workers, stale refs under reuse. */

#include "pool/worker.h"
#include "tests/cmocka.h"

#include <semaphore.h>
#include <string.h>
#include <troupe/assert.h>

enum { MSG_GO = 1, MSG_TICK, MSG_DATA, MSG_CHILD, MSG_LATE, MSG_LAST };

static struct {
    struct troupe_pool *pool;
    troupe_ref ref;
    uint32_t received;
    uint32_t terminated;
    enum troupe_down_reason reason;
    uint32_t letters[TROUPE_DROP_REASONS]; /* atomic */
    void (*script)(struct troupe_ctx *ctx);
    bool is_taken;
    bool is_failing;
    sem_t entered;
    sem_t leave;
} world;

static void count_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    (void)arg;
    (void)msg;
    __atomic_add_fetch(&world.letters[reason], 1, __ATOMIC_SEQ_CST);
}

static void make_pool(uint32_t workers)
{
    struct troupe_pool_config config = {
        .workers = workers, .spin = TROUPE_SPIN_PARK, .dead_letter_cb = count_letter};
    char error[200] = "";
    memset(&world, 0, sizeof(world));
    sem_init(&world.entered, 0, 0);
    sem_init(&world.leave, 0, 0);
    if (troupe_pool_create(&world.pool, &config, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
}

static troupe_ref add(uint32_t worker, const struct troupe_actor_type *type, const void *arg)
{
    troupe_ref ref;
    assert_int_equal(troupe_pool_spawn(world.pool, &ref, worker, type, arg), TROUPE_OK);
    return ref;
}

/* Runs until an actor stops the pool; checks conservation. */
static struct troupe_worker_stats run_pool(void)
{
    struct troupe_worker_stats sum = {0};
    uint64_t letters = 0;
    char error[200] = "";
    if (troupe_pool_start(world.pool, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
    troupe_pool_join(world.pool);
    for (uint32_t i = 0; i < troupe_pool_workers(world.pool); i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(world.pool, i, &stats);
        sum.accepted += stats.accepted;
        sum.processed += stats.processed;
        sum.reported += stats.reported;
        sum.alive += stats.alive;
        sum.spawned += stats.spawned;
    }
    for (uint32_t i = 0; i < TROUPE_DROP_REASONS; i++) {
        letters += world.letters[i];
    }
    troupe_pool_destroy(world.pool);
    assert_int_equal(sum.accepted, sum.processed + sum.reported);
    assert_int_equal(sum.reported, letters);
    assert_int_equal(sum.alive, 0);
    return sum;
}

/* --- a script on one worker --- */

static enum troupe_status post_go(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
}

static enum troupe_verdict run_script(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    if (msg->type == MSG_GO) {
        world.script(ctx);
        troupe_timer_start(ctx, state, 2000000, 0, MSG_TICK); /* later than all it caused */
        return TROUPE_CONTINUE;
    }
    troupe_pool_stop(world.pool);
    return TROUPE_CONTINUE;
}

static struct troupe_worker_stats run(void (*script)(struct troupe_ctx *ctx))
{
    static const struct troupe_actor_type scripted = {.name = "script",
                                                      .state_size = sizeof(struct troupe_timer),
                                                      .init_cb = post_go,
                                                      .receive_cb = run_script};
    make_pool(1);
    world.script = script;
    add(0, &scripted, NULL);
    return run_pool();
}

static enum troupe_verdict count_one(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    world.received++;
    return msg->type == MSG_GO ? TROUPE_FAIL : TROUPE_CONTINUE;
}

static void count_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    world.terminated++;
    world.reason = reason;
}

/* --- init that fails --- */

static enum troupe_status fail_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)arg;
    world.ref = troupe_self(ctx);
    troupe_timer_start(ctx, state, 1000000, 0, MSG_TICK); /* must never fire into freed state */
    TROUPE_ASSERT(troupe_send_copy(ctx, world.ref, MSG_DATA, NULL, 0) == TROUPE_OK);
    troupe_stop(ctx, world.ref);
    return TROUPE_EIO;
}

static const struct troupe_actor_type failing = {.name = "failing",
                                                 .state_size = sizeof(struct troupe_timer),
                                                 .init_cb = fail_init,
                                                 .receive_cb = count_one,
                                                 .terminate_cb = count_end};

static void script_init_fails(struct troupe_ctx *ctx)
{
    for (int i = 0; i < 10; i++) {
        troupe_ref untouched = 5;
        TROUPE_ASSERT(troupe_spawn(ctx, &untouched, &failing, NULL) == TROUPE_EIO);
        TROUPE_ASSERT(untouched == 5);
        TROUPE_ASSERT(!troupe_is_alive_here(ctx, world.ref));
        TROUPE_ASSERT(troupe_send_copy(ctx, world.ref, MSG_DATA, NULL, 0) == TROUPE_EDEAD);
    }
}

static void a_failed_init_leaves_nothing(void **state)
{
    (void)state;
    run(script_init_fails);
    assert_int_equal(world.received, 0);
    assert_int_equal(world.letters[TROUPE_DROP_STOPPED], 10);
    assert_int_equal(world.terminated, 10); /* last words all the same */
    assert_int_equal(world.reason, TROUPE_DOWN_FAILED);
}

static void a_failed_init_of_a_reserved_actor_leaves_nothing(void **state)
{
    (void)state;
    static const struct troupe_actor_type scripted = {.name = "script",
                                                      .state_size = sizeof(struct troupe_timer),
                                                      .init_cb = post_go,
                                                      .receive_cb = run_script};
    make_pool(1);
    world.script = script_init_fails;
    add(0, &failing, NULL);
    add(0, &scripted, NULL);
    assert_int_equal(run_pool().spawned, 12);
    assert_int_equal(world.letters[TROUPE_DROP_STOPPED], 11);
}

/* --- verdicts --- */

static const struct troupe_actor_type fragile = {
    .name = "fragile", .state_size = 8, .receive_cb = count_one, .terminate_cb = count_end};

static void script_fail(struct troupe_ctx *ctx)
{
    TROUPE_ASSERT(troupe_spawn(ctx, &world.ref, &fragile, NULL) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, world.ref, MSG_DATA, NULL, 0) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, world.ref, MSG_GO, NULL, 0) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, world.ref, MSG_DATA, NULL, 0) == TROUPE_OK);
}

static void a_fail_verdict_ends_with_its_reason(void **state)
{
    (void)state;
    run(script_fail);
    assert_int_equal(world.received, 2);
    assert_int_equal(world.terminated, 1);
    assert_int_equal(world.reason, TROUPE_DOWN_FAILED);
    assert_int_equal(world.letters[TROUPE_DROP_STOPPED], 1);
}

static void script_stateless(struct troupe_ctx *ctx)
{
    static const struct troupe_actor_type stateless = {
        .name = "stateless", .receive_cb = count_one, .terminate_cb = count_end};
    TROUPE_ASSERT(troupe_spawn(ctx, &world.ref, &stateless, NULL) == TROUPE_OK);
    troupe_stop(ctx, world.ref);
}

static void an_actor_without_state_is_terminated_too(void **state)
{
    (void)state;
    run(script_stateless);
    assert_int_equal(world.terminated, 1);
    assert_int_equal(world.reason, TROUPE_DOWN_NORMAL);
}

static void script_nobody(struct troupe_ctx *ctx)
{
    troupe_stop(ctx, TROUPE_NOBODY);
    troupe_drain(ctx, TROUPE_NOBODY);
    troupe_kill(ctx, TROUPE_NOBODY);
    troupe_kill(ctx, troupe_self(ctx) + 1);            /* another generation */
    troupe_kill(ctx, troupe_self(ctx) + (1ull << 32)); /* a slot never used */
    troupe_kill(ctx, troupe_self(ctx) | 9ull << 56);   /* no such worker */
}

static void ending_nobody_is_ignored(void **state)
{
    (void)state;
    run(script_nobody);
    for (uint32_t i = 0; i < TROUPE_DROP_REASONS; i++) {
        assert_int_equal(world.letters[i], 0);
    }
}

/* --- the message that is being handled, sent on as the last one --- */

#define HEIR_DATA_MAX 3u

/* Handles up to the last message. */
static enum troupe_verdict inherit(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    world.received++;
    if (msg->type != MSG_LAST) {
        return TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(world.received == HEIR_DATA_MAX);
    TROUPE_ASSERT(msg->size == 4 && memcmp(troupe_msg_data(msg), "last", 4) == 0);
    if (world.is_taken) {
        troupe_msg_free(ctx, troupe_msg_take(ctx, msg));
    }
    return world.is_failing ? TROUPE_FAIL : TROUPE_CONTINUE;
}

static const struct troupe_actor_type heir = {.name = "heir",
                                              .state_size = 8,
                                              .data_count_max = HEIR_DATA_MAX,
                                              .receive_cb = inherit,
                                              .terminate_cb = count_end};

static void fill_heir(struct troupe_ctx *ctx, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        TROUPE_ASSERT(troupe_send_copy(ctx, world.ref, MSG_DATA, NULL, 0) == TROUPE_OK);
    }
}

static enum troupe_verdict pass_on(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    fill_heir(ctx, HEIR_DATA_MAX - 1);
    TROUPE_ASSERT(troupe_stop_after(ctx, world.ref, &msg) == TROUPE_OK);
    TROUPE_ASSERT(msg == NULL);
    TROUPE_ASSERT(troupe_send_copy(ctx, world.ref, MSG_DATA, NULL, 0) == TROUPE_EBUSY);
    return TROUPE_CONTINUE;
}

/* Refused, it is the message it was before, and still the worker's unless it is taken. */
static enum troupe_verdict be_refused(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct troupe_msg before = *msg;
    struct troupe_msg *last = msg;
    (void)state;
    TROUPE_ASSERT(msg->from != troupe_self(ctx));
    TROUPE_ASSERT(troupe_stop_after(ctx, troupe_self(ctx) + 1, &last) == TROUPE_EDEAD);
    fill_heir(ctx, HEIR_DATA_MAX);
    TROUPE_ASSERT(troupe_stop_after(ctx, world.ref, &last) == TROUPE_EBUSY);
    TROUPE_ASSERT(last == msg && memcmp(msg, &before, sizeof(before)) == 0);
    TROUPE_ASSERT(memcmp(troupe_msg_data(msg), "last", 4) == 0);
    if (world.is_taken) {
        troupe_msg_free(ctx, troupe_msg_take(ctx, msg)); /* asserts that it is borrowed */
    }
    return TROUPE_CONTINUE;
}

static void spawn_heir_and(struct troupe_ctx *ctx, const struct troupe_actor_type *relay)
{
    troupe_ref ref;
    TROUPE_ASSERT(troupe_spawn(ctx, &world.ref, &heir, NULL) == TROUPE_OK);
    TROUPE_ASSERT(troupe_spawn(ctx, &ref, relay, NULL) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, ref, MSG_LAST, "last", 4) == TROUPE_OK);
}

static void script_pass_on(struct troupe_ctx *ctx)
{
    static const struct troupe_actor_type relay = {.name = "relay", .receive_cb = pass_on};
    spawn_heir_and(ctx, &relay);
}

static void script_pass_on_taken(struct troupe_ctx *ctx)
{
    world.is_taken = true;
    script_pass_on(ctx);
}

static void script_pass_on_failing(struct troupe_ctx *ctx)
{
    world.is_failing = true;
    script_pass_on(ctx);
}

static void script_be_refused(struct troupe_ctx *ctx)
{
    static const struct troupe_actor_type relay = {.name = "relay", .receive_cb = be_refused};
    spawn_heir_and(ctx, &relay);
}

static void script_be_refused_taken(struct troupe_ctx *ctx)
{
    world.is_taken = true;
    script_be_refused(ctx);
}

static void a_borrowed_message_can_be_the_last_one(void **state)
{
    (void)state;
    void (*const scripts[])(struct troupe_ctx *) = {script_pass_on, script_pass_on_taken,
                                                    script_pass_on_failing};
    for (uint32_t i = 0; i < 3; i++) {
        bool is_failing = scripts[i] == script_pass_on_failing;
        run(scripts[i]);
        assert_int_equal(world.received, HEIR_DATA_MAX);
        assert_int_equal(world.terminated, 1);
        assert_int_equal(world.reason, is_failing ? TROUPE_DOWN_FAILED : TROUPE_DOWN_NORMAL);
        assert_int_equal(world.letters[TROUPE_DROP_FAILED], is_failing ? 1 : 0);
    }
}

static void a_refused_last_message_stays_borrowed(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        run(i == 0 ? script_be_refused : script_be_refused_taken);
        assert_int_equal(world.received, HEIR_DATA_MAX);
        assert_int_equal(world.reason, TROUPE_DOWN_SHUTDOWN); /* it lived on */
    }
}

/* --- drain against a sender on another worker --- */

#define QUEUED 300u
#define LATE   10u

/* Handles the first message, and the first one after the drain, while the other worker sends. */
static enum troupe_verdict meet_sender(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    TROUPE_ASSERT(msg->type == MSG_DATA);
    if (world.received++ < 2) {
        sem_post(&world.entered);
        sem_wait(&world.leave);
    }
    return TROUPE_CONTINUE;
}

static void send_many(struct troupe_ctx *ctx, uint16_t type, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        TROUPE_ASSERT(troupe_send_copy(ctx, world.ref, type, NULL, 0) == TROUPE_OK);
    }
    trp_flush(ctx);
}

static enum troupe_verdict drain_other(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    send_many(ctx, MSG_DATA, 1);
    sem_wait(&world.entered);
    send_many(ctx, MSG_DATA, QUEUED);
    troupe_drain(ctx, world.ref);
    trp_flush(ctx);
    sem_post(&world.leave);
    sem_wait(&world.entered); /* draining now, more queued than one turn handles */
    send_many(ctx, MSG_LATE, LATE);
    sem_post(&world.leave);
    return TROUPE_STOP;
}

static void stop_pool_at_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    count_end(ctx, state, reason);
    troupe_pool_stop(world.pool);
}

static void a_draining_actor_takes_nothing_new_from_afar(void **state)
{
    (void)state;
    static const struct troupe_actor_type victim = {.name = "victim",
                                                    .state_size = 8,
                                                    .receive_cb = meet_sender,
                                                    .terminate_cb = stop_pool_at_end};
    static const struct troupe_actor_type drainer = {
        .name = "drainer", .init_cb = post_go, .receive_cb = drain_other};
    make_pool(2);
    world.ref = add(0, &victim, NULL);
    add(1, &drainer, NULL);
    run_pool();
    assert_int_equal(world.received, 1 + QUEUED);
    assert_int_equal(world.letters[TROUPE_DROP_DEAD] + world.letters[TROUPE_DROP_STOPPED] +
                         world.letters[TROUPE_DROP_SHUTDOWN],
                     LATE);
    assert_int_equal(world.reason, TROUPE_DOWN_NORMAL);
}

/* --- 100,000 lives, ended from both workers --- */

#define LIVES     100000u
#define AT_ONCE   500u  /* children alive */
#define OLD_REFS  1024u /* dead refs that the reaper still uses */
#define REAPED_BY 4u    /* messages a child gets at most before it is ended */

struct child_ref {
    troupe_ref ref;
    uint32_t life;
};

/* What a child may meet: its own number only, and an end only when somebody asked for it. */
static struct {
    uint8_t is_condemned[LIVES]; /* atomic: an end was or will be asked for */
    uint32_t wrong_receivers;
    uint32_t uncalled_ends;
    uint32_t terminated; /* of children; worker 0 only */
    troupe_ref reaper;
} lives;

struct child {
    uint32_t life;
    struct troupe_timer timer; /* armed for ever: dies with its child */
};

static enum troupe_status begin_child(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct child *child = state;
    child->life = *(const uint32_t *)arg;
    troupe_timer_start(ctx, &child->timer, 1000000, 1000000, MSG_TICK);
    return child->life % 97 == 0 ? TROUPE_EIO : TROUPE_OK;
}

static enum troupe_verdict live(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct child *child = state;
    uint32_t life;
    (void)ctx;
    if (msg->type != MSG_DATA) {
        return TROUPE_CONTINUE;
    }
    memcpy(&life, troupe_msg_data(msg), sizeof(life));
    lives.wrong_receivers += life != child->life;
    if (life % 13 == 0 && __atomic_load_n(&lives.is_condemned[life], __ATOMIC_SEQ_CST) != 0) {
        return life % 2 == 0 ? TROUPE_STOP : TROUPE_FAIL; /* of its own, against the verbs */
    }
    return TROUPE_CONTINUE;
}

static void end_child(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    const struct child *child = state;
    (void)ctx;
    lives.terminated++;
    if (child->life % 97 != 0) {
        lives.uncalled_ends +=
            __atomic_load_n(&lives.is_condemned[child->life], __ATOMIC_SEQ_CST) == 0;
        TROUPE_ASSERT(reason != TROUPE_DOWN_SHUTDOWN);
    }
}

static const struct troupe_actor_type child_type = {.name = "child",
                                                    .state_size = sizeof(struct child),
                                                    .init_cb = begin_child,
                                                    .receive_cb = live,
                                                    .terminate_cb = end_child};

static void ask_to_end(struct troupe_ctx *ctx, const struct child_ref *child)
{
    __atomic_store_n(&lives.is_condemned[child->life], 1, __ATOMIC_SEQ_CST);
    switch (troupe_random(ctx) % 8) {
    case 0:
        troupe_kill(ctx, child->ref);
        break;
    case 1:
    case 2:
    case 3:
        troupe_drain(ctx, child->ref);
        break;
    default:
        troupe_stop(ctx, child->ref);
        break;
    }
}

static void greet(struct troupe_ctx *ctx, const struct child_ref *child)
{
    (void)!troupe_send_copy(ctx, child->ref, MSG_DATA, &child->life, sizeof(child->life));
}

struct reaper {
    struct child_ref old[OLD_REFS];
    uint32_t count;
};

/* Ends what it hears of, and pesters those it ended long ago. */
static enum troupe_verdict reap(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct reaper *reaper = state;
    struct child_ref child;
    memcpy(&child, troupe_msg_data(msg), sizeof(child));
    for (uint64_t n = troupe_random(ctx) % REAPED_BY; n > 0; n--) {
        greet(ctx, &child);
    }
    ask_to_end(ctx, &child);
    if (troupe_random(ctx) % 2 == 0) {
        ask_to_end(ctx, &child); /* folded into the first, or harsher */
    }
    if (reaper->count >= OLD_REFS) {
        const struct child_ref *old = &reaper->old[troupe_random(ctx) % OLD_REFS];
        greet(ctx, old);
        ask_to_end(ctx, old);
    }
    reaper->old[reaper->count++ % OLD_REFS] = child;
    return TROUPE_CONTINUE;
}

struct spawner {
    struct troupe_timer pause;
    uint32_t next;
    bool is_unsent;
    struct child_ref unsent;
};

static uint64_t alive_here(struct troupe_ctx *ctx)
{
    struct troupe_worker_stats stats;
    troupe_pool_stats(world.pool, troupe_self_worker(ctx), &stats);
    return stats.alive - 1; /* not the spawner */
}

/* Spawns one child and tells the reaper; false when that has to wait. */
static bool spawn_child(struct troupe_ctx *ctx, struct spawner *spawner)
{
    struct child_ref *child = &spawner->unsent;
    if (!spawner->is_unsent) {
        child->life = spawner->next++;
        if (troupe_spawn(ctx, &child->ref, &child_type, &child->life) != TROUPE_OK) {
            TROUPE_ASSERT(child->life % 97 == 0);
            return true;
        }
        greet(ctx, child);
    }
    spawner->is_unsent =
        troupe_send_copy(ctx, lives.reaper, MSG_CHILD, child, sizeof(*child)) != TROUPE_OK;
    if (!spawner->is_unsent && troupe_random(ctx) % 4 == 0) {
        ask_to_end(ctx, child); /* from its own worker, against the other one */
    }
    return !spawner->is_unsent;
}

static enum troupe_verdict spawn_many(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct spawner *spawner = state;
    (void)msg;
    for (uint32_t n = 0; n < 50 && alive_here(ctx) < AT_ONCE; n++) {
        if ((spawner->next == LIVES && !spawner->is_unsent) || !spawn_child(ctx, spawner)) {
            break;
        }
    }
    if (spawner->next == LIVES && !spawner->is_unsent && alive_here(ctx) == 0) {
        troupe_pool_stop(world.pool);
    } else if (spawner->is_unsent || alive_here(ctx) >= AT_ONCE || spawner->next == LIVES) {
        troupe_timer_start(ctx, &spawner->pause, 1000000, 0, MSG_TICK);
    } else {
        TROUPE_ASSERT(troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0) == TROUPE_OK);
    }
    return TROUPE_CONTINUE;
}

/* Ends by itself only when every child has ended: a lost verb stays here until ctest's timeout. */
static void every_life_ends_once_and_no_stale_ref_hits_another(void **state)
{
    (void)state;
    static const struct troupe_actor_type reaper = {
        .name = "reaper", .state_size = sizeof(struct reaper), .receive_cb = reap};
    static const struct troupe_actor_type spawner = {.name = "spawner",
                                                     .state_size = sizeof(struct spawner),
                                                     .init_cb = post_go,
                                                     .receive_cb = spawn_many};
    memset(&lives, 0, sizeof(lives));
    make_pool(2);
    lives.reaper = add(1, &reaper, NULL);
    add(0, &spawner, NULL);
    struct troupe_worker_stats sum = run_pool();
    assert_int_equal(sum.spawned, LIVES + 2);
    assert_int_equal(lives.wrong_receivers, 0);
    assert_int_equal(lives.uncalled_ends, 0);
    assert_true(lives.terminated <= LIVES);
    assert_true(lives.terminated > LIVES / 2); /* the rest was killed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_init_leaves_nothing),
        cmocka_unit_test(a_failed_init_of_a_reserved_actor_leaves_nothing),
        cmocka_unit_test(a_fail_verdict_ends_with_its_reason),
        cmocka_unit_test(an_actor_without_state_is_terminated_too),
        cmocka_unit_test(ending_nobody_is_ignored),
        cmocka_unit_test(a_borrowed_message_can_be_the_last_one),
        cmocka_unit_test(a_refused_last_message_stays_borrowed),
        cmocka_unit_test(a_draining_actor_takes_nothing_new_from_afar),
        cmocka_unit_test(every_life_ends_once_and_no_stale_ref_hits_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
