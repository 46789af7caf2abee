/*
 * The flight recorder: what is kept, what a reader beside a writer sees, the text of a dump, and
 * the dump of a failed assertion. No memory is allocated while dumping (wrapped malloc functions).
 */

#include "tests/cmocka.h"

#include "pool/recorder.h"
#include "pool/worker.h"
#include "pool_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <troupe/assert.h>
#include <troupe/observe.h>
#include <unistd.h>

#define TEXT_MAX (1u << 20)

static uint64_t heap_calls;
static uint64_t failing_call; /* counted down; the one that makes it 0 fails; 0 = none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    trp_faa_u64(&heap_calls, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    trp_faa_u64(&heap_calls, 1);
    if (failing_call != 0 && --failing_call == 0) {
        return NULL;
    }
    return __real_calloc(count, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    trp_faa_u64(&heap_calls, 1);
    if (failing_call != 0 && --failing_call == 0) {
        return NULL;
    }
    return __real_aligned_alloc(alignment, size);
}

/* --- the ring --- */

static void events_come_back_as_they_went_in(void **state)
{
    (void)state;
    struct trp_recorder recorder;
    struct trp_recorded event;
    assert_int_equal(trp_recorder_init(&recorder, 16), TROUPE_OK);
    assert_false(trp_recorder_get(&recorder, 0, &event));
    trp_recorder_tick(&recorder, 5000000999u);
    trp_record(&recorder, TRP_EVENT_TURN, 0x0123456789ABCDEFu, 0xFEDC, 64);
    trp_recorder_tick(&recorder, (1ull << 32) * 1000 + 7000); /* the clock wraps */
    trp_record(&recorder, TRP_EVENT_USER, UINT64_MAX, 0, 0xFFFF);
    assert_true(trp_recorder_get(&recorder, 0, &event));
    assert_int_equal(event.kind, TRP_EVENT_TURN);
    assert_true(event.who == 0x0123456789ABCDEFu);
    assert_int_equal(event.type, 0xFEDC);
    assert_int_equal(event.count, 64);
    assert_int_equal(event.time_us, 5000000);
    assert_true(trp_recorder_get(&recorder, 1, &event));
    assert_int_equal(event.kind, TRP_EVENT_USER);
    assert_int_equal(event.type, 0);
    assert_int_equal(event.count, TRP_EVENT_COUNT_MAX); /* bounded, not wrapped */
    assert_int_equal(event.time_us, 7);
    assert_false(trp_recorder_get(&recorder, 2, &event));
    trp_recorder_fini(&recorder);
}

static void only_the_last_events_are_kept(void **state)
{
    (void)state;
    struct trp_recorder recorder;
    struct trp_recorded event;
    uint64_t first;
    uint64_t end;
    assert_int_equal(trp_recorder_init(&recorder, 16), TROUPE_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        trp_record(&recorder, TRP_EVENT_SPAWN, i, 0, 0);
    }
    trp_recorder_range(&recorder, &first, &end);
    assert_int_equal(end, 1000);
    assert_int_equal(first, 985); /* the oldest place is never given out */
    for (uint64_t i = first; i < end; i++) {
        assert_true(trp_recorder_get(&recorder, i, &event));
        assert_int_equal(event.who, i);
    }
    assert_false(trp_recorder_get(&recorder, 984, &event));
    trp_recorder_fini(&recorder);
}

static void squeezed_numbers_lose_less_than_a_percent(void **state)
{
    (void)state;
    for (uint64_t number = 0; number < 8355840; number += 1 + number / 97) {
        uint32_t back = trp_event_unfold(trp_event_squeeze(number));
        assert_true(back <= number);
        assert_true(number - back <= number / 100);
        assert_true(number > 255 || back == number);
        assert_true(trp_event_squeeze(number) <= TRP_EVENT_COUNT_MAX);
    }
    assert_int_equal(trp_event_unfold(trp_event_squeeze(UINT64_MAX)), 8355840);
}

static struct {
    struct trp_recorder recorder;
    uint32_t is_done;
} beside;

static void *keep_recording(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < 400000; i++) {
        trp_record(&beside.recorder, TRP_EVENT_TURN, i * 0x10001, (uint16_t)i,
                   (uint16_t)(i & 0xFFF));
    }
    trp_store_release_u32(&beside.is_done, 1); /* pairs with the test's loop */
    return NULL;
}

static void a_reader_beside_the_writer_never_sees_mixed_events(void **state)
{
    (void)state;
    pthread_t thread;
    uint64_t read = 0;
    memset(&beside, 0, sizeof(beside));
    assert_int_equal(trp_recorder_init(&beside.recorder, 64), TROUPE_OK);
    assert_int_equal(pthread_create(&thread, NULL, keep_recording, NULL), 0);
    bool is_done;
    do {
        is_done = trp_load_acquire_u32(&beside.is_done) != 0; /* pairs with keep_recording */
        uint64_t first;
        uint64_t end;
        trp_recorder_range(&beside.recorder, &first, &end);
        for (uint64_t i = first; i < end; i++) {
            struct trp_recorded event;
            if (trp_recorder_get(&beside.recorder, i, &event)) {
                assert_int_equal(event.who, i * 0x10001);
                assert_int_equal(event.type, (uint16_t)i);
                assert_int_equal(event.count, i & 0xFFF);
                read++;
            }
        }
    } while (!is_done);
    pthread_join(thread, NULL);
    assert_true(read >= 63);
    trp_recorder_fini(&beside.recorder);
}

/* --- the text --- */

static char text[TEXT_MAX];

/* Dumps into memory and reads it back. */
static void dump(const struct troupe_pool *pool)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    assert_true(fd >= 0);
    uint64_t calls = trp_faa_u64(&heap_calls, 0);
    troupe_recorder_dump(pool, fd);
    assert_int_equal(trp_faa_u64(&heap_calls, 0), calls); /* for signal handlers */
    ssize_t size = pread(fd, text, TEXT_MAX - 1, 0);
    assert_true(size >= 0);
    text[size] = '\0';
    close(fd);
}

static uint32_t count_of(const char *what)
{
    uint32_t count = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        count++;
    }
    return count;
}

#define assert_in_text(what)                                                                       \
    do {                                                                                           \
        if (strstr(text, what) == NULL) {                                                          \
            fail_msg("\"%s\" is not in:\n%s", what, text);                                         \
        }                                                                                          \
    } while (0)

static const struct troupe_actor_type player_type = {.name = "player",
                                                     .receive_cb = fixture_ignore};

static void a_pool_without_memory_for_its_recorders_is_refused(void **state)
{
    (void)state;
    struct troupe_pool_config config = {.workers = 2};
    struct troupe_pool *pool = NULL;
    uint32_t refused = 0;
    for (uint64_t k = 1; pool == NULL; k++) {
        failing_call = k;
        enum troupe_status status = troupe_pool_create(&pool, &config, NULL, 0);
        failing_call = 0;
        assert_int_equal(status, pool == NULL ? TROUPE_ENOMEM : TROUPE_OK);
        refused += pool == NULL;
        assert_true(k < 100);
    }
    assert_true(refused >= 2 * 2 + 1); /* two for each worker, one for the pool */
    troupe_pool_destroy(pool);
}

static void every_kind_has_its_line(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(2);
    struct trp_recorder *recorder = &pool->workers[1].recorder;
    troupe_ref player = fixture_add(1, &player_type, NULL);
    assert_int_equal(player, trp_ref_make(1, 1, 1));
    trp_recorder_tick(recorder, 12345678000u);
    trp_record(recorder, TRP_EVENT_TURN, player, 3, 64);
    trp_record(recorder, TRP_EVENT_SPAWN, player, 0, 0);
    trp_record(recorder, TRP_EVENT_END, player + 1, 0, TROUPE_DOWN_KILLED); /* gone */
    trp_record(recorder, TRP_EVENT_SUSPEND, player, TROUPE_MSG_RESERVED + 2, 0);
    trp_record(recorder, TRP_EVENT_RESTART, player, 0, 4);
    trp_record(recorder, TRP_EVENT_DROP, player, 9, TROUPE_DROP_EXPIRED);
    trp_record(recorder, TRP_EVENT_DROP, 0, 9, 77);
    trp_record(recorder, TRP_EVENT_FULL, player, 10, 0);
    trp_record(recorder, TRP_EVENT_PARK, UINT64_MAX, 0, 0);
    trp_record(recorder, TRP_EVENT_PARK, 12345679000u, 0, 0);
    trp_record(recorder, TRP_EVENT_WAKE, 5, 0, 0);
    trp_record(recorder, TRP_EVENT_TIMER, player, 11, 0);
    trp_record(recorder, TRP_EVENT_OVERRUN, player, 12, trp_event_squeeze(250));
    trp_record(recorder, TRP_EVENT_POLL, 0, 0, 8);
    trp_record(recorder, TRP_EVENT_USER, 18446744073709551615u, 70, 0);
    dump(pool);
    assert_in_text("\nworker 0: awake, clock ");
    assert_in_text("\nworker 1: awake, clock 12.345678, events 15\n"
                   "  12.345678 turn  player 1/1.1 type 3, handled 64\n"
                   "  12.345678 spawn player 1/1.1\n"
                   "  12.345678 end   1/1.2 killed\n"
                   "  12.345678 suspend player 1/1.1 type runtime+2\n"
                   "  12.345678 restart player 1/1.1 for the 4. time\n"
                   "  12.345678 drop  player 1/1.1 type 9 expired\n"
                   "  12.345678 drop  nobody type 9 ?\n"
                   "  12.345678 full  player 1/1.1 type 10\n"
                   "  12.345678 park  without a deadline\n"
                   "  12.345678 park  until 12.345679\n"
                   "  12.345678 wake  worker 5\n"
                   "  12.345678 timer player 1/1.1 type 11\n"
                   "  12.345678 overrun player 1/1.1 type 12 took 250 us\n"
                   "  12.345678 poll  8 completions\n"
                   "  12.345678 user  tag 70 value 18446744073709551615\n");
    troupe_pool_destroy(pool);
}

static void refs_of_nobody_are_harmless(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(1);
    struct trp_recorder *recorder = &pool->workers[0].recorder;
    static const troupe_ref odd[] = {
        TROUPE_NOBODY,
        UINT64_MAX,
        (troupe_ref)200 << 56 | 1,   /* no such worker */
        (troupe_ref)0xFFFFFFu << 32, /* a slot that never was */
        1,                           /* slot 0 */
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        trp_record(recorder, TRP_EVENT_SPAWN, odd[i], 0, 0);
        assert_null(trp_peek_type(pool, odd[i]));
    }
    dump(pool);
    assert_in_text(" spawn 255/16777215.4294967295\n");
    assert_in_text(" spawn 200/0.1\n");
    troupe_pool_destroy(pool);
}

static void names_are_cut_off_and_made_printable(void **state)
{
    (void)state;
    static char long_name[300];
    memset(long_name, 'x', sizeof(long_name) - 1);
    static const struct troupe_actor_type types[] = {
        {.name = "a b\nc\x1b", .receive_cb = fixture_ignore},
        {.name = NULL, .receive_cb = fixture_ignore},
        {.name = long_name, .receive_cb = fixture_ignore},
    };
    struct troupe_pool *pool = fixture_create_parking(1);
    for (size_t i = 0; i < 3; i++) {
        troupe_ref ref = fixture_add(0, &types[i], NULL);
        trp_record(&pool->workers[0].recorder, TRP_EVENT_SPAWN, ref, 0, 0);
    }
    dump(pool);
    assert_in_text(" spawn a?b?c? 0/1.1\n");
    assert_in_text(" spawn (unnamed) 0/2.1\n");
    assert_in_text("xxxxxxxx 0/3.1\n");
    const char *start = strstr(text, " spawn xxx");
    assert_non_null(start);
    assert_int_equal(strspn(start + 7, "x"), 64);
    troupe_pool_destroy(pool);
}

/* --- a pool that runs --- */

enum { MSG_SPIN = 3 };

static enum troupe_verdict hold_up(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    troupe_record(ctx, 7, 4711);
    sem_post(&fixture.entered);
    sem_wait(&fixture.leave);
    return TROUPE_CONTINUE;
}

static enum troupe_status tell_myself(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_SPIN, NULL, 0);
}

static void a_dump_shows_who_is_running(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "blocker", .init_cb = tell_myself, .receive_cb = hold_up};
    struct troupe_pool *pool = fixture_create_parking(2);
    fixture_add(1, &type, NULL);
    fixture_start();
    sem_wait(&fixture.entered);
    dump(pool);
    assert_in_text(", running blocker 1/1.1 type 3\n");
    assert_int_equal(count_of("running"), 1);
    assert_in_text(" user  tag 7 value 4711\n");
    sem_post(&fixture.leave);
    fixture_stop();
}

/* --- failed assertions --- */

static int chained_fd;

static void chained_hook(void)
{
    (void)!write(chained_fd, "chained\n", 8);
}

/* What a process writes whose assertion fails, with the dump going to `fd` (-1 = nowhere). */
static void assert_in_child(bool is_dumped)
{
    int fd = memfd_create("assert", MFD_CLOEXEC);
    assert_true(fd >= 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int silent = memfd_create("stderr", MFD_CLOEXEC);
        dup2(silent, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* cmocka's handler would go on with the tests */
        chained_fd = fd;
        struct troupe_pool *pool = fixture_create_parking(1);
        for (uint64_t i = 0; i < 300; i++) {
            trp_record(&pool->workers[0].recorder, TRP_EVENT_USER, i, 1, 0);
        }
        troupe_recorder_on_assert(is_dumped ? fd : -1);
        TROUPE_ASSERT(fd == -5);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    ssize_t size = pread(fd, text, TEXT_MAX - 1, 0);
    assert_true(size >= 0);
    text[size] = '\0';
    close(fd);
}

static void a_failed_assertion_dumps_and_goes_on_to_the_hook_before(void **state)
{
    (void)state;
    assert_in_child(true);
    assert_in_text(" user  tag 1 value 299\n");
    assert_null(strstr(text, " value 170\n")); /* the last ones only */
    assert_in_text(" value 173\n");
    assert_string_equal(text + strlen(text) - 8, "chained\n");
    assert_in_child(false);
    assert_string_equal(text, "chained\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_back_as_they_went_in),
        cmocka_unit_test(only_the_last_events_are_kept),
        cmocka_unit_test(squeezed_numbers_lose_less_than_a_percent),
        cmocka_unit_test(a_reader_beside_the_writer_never_sees_mixed_events),
        cmocka_unit_test(a_pool_without_memory_for_its_recorders_is_refused),
        cmocka_unit_test(every_kind_has_its_line),
        cmocka_unit_test(refs_of_nobody_are_harmless),
        cmocka_unit_test(names_are_cut_off_and_made_printable),
        cmocka_unit_test(a_dump_shows_who_is_running),
        cmocka_unit_test(a_failed_assertion_dumps_and_goes_on_to_the_hook_before),
    };
    troupe_assert_set_hook(chained_hook); /* before the first pool */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
