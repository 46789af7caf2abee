/*
 * Holds against eviction, under all interleavings (some cases: bounded preemptions): nobody is evicted while somebody has a hold,
 * eviction is final, and a client that waits for the place always gets it.
 *
 * The first cases look at the state word alone. The others run what the home worker, another
 * worker and the admission actor do with a record: the sources are included below, because what the
 * admission actor does with a note is private to admit.c, and because the services of the pool that
 * they call are replaced by what follows.
 */

#include "actors/admission/admission_internal.h"
#include "mailbox/inbox.h"
#include "tests/step/stepper.h"

#include <string.h>

/* Notes travel through an inbox per worker; timers never fire; nobody else is stopped or told. */
static void post_note(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg *note);
static void no_timer_start(struct troupe_ctx *ctx,
                           struct troupe_timer *timer,
                           uint64_t after_ns,
                           uint64_t period_ns,
                           uint16_t type);
static void no_timer_cancel(struct troupe_ctx *ctx, struct troupe_timer *timer);
static void note_stop(struct troupe_ctx *ctx, troupe_ref ref);
static void no_flush(struct troupe_ctx *ctx);

#define trp_note_post       post_note
#define trp_flush           no_flush
#define troupe_timer_start  no_timer_start
#define troupe_timer_cancel no_timer_cancel
#define troupe_stop         note_stop
#include "actors/admission/admit.c"
#include "actors/admission/client.c"
#include "actors/admission/lru.c"
#include "actors/admission/waiters.c"

/* The threads of both kinds of cases. */
#define HOME      0u
#define OTHER     1u
#define ADMISSION 2u
#define THREADS   3u

/* --- the word alone --- */

static uint64_t word;
static uint32_t notice;          /* a closer has told that the holds came down to 0 */
static bool is_holding[THREADS]; /* each by its thread */
static uint32_t evictions;       /* by the evicting thread */

static void born_idle(void)
{
    word = 0;
    notice = 0;
    evictions = 0;
    memset(is_holding, 0, sizeof(is_holding));
}

static void born_held(void)
{
    born_idle();
    word = 1;
    is_holding[HOME] = true;
}

static void end_hold(void)
{
    uint64_t before = trp_word_close(&word, 1, 0);
    is_holding[step_thread()] = false;
    if (trp_word_emptied(before, 1) && (before & TRP_WORD_WATCHED) != 0) {
        STEP_CHECK(trp_fas_u32(&notice, 1) == 0);
    }
}

static void open_and_end(void)
{
    uint64_t before;
    if (trp_word_open(&word, false, &before)) {
        is_holding[step_thread()] = true;
        end_hold();
    }
}

static void end_and_open(void)
{
    end_hold();
    open_and_end();
}

static bool is_told(const void *at)
{
    return trp_load_relaxed_u32(at) != 0;
}

static void evict(void)
{
    enum trp_look look;
    while ((look = trp_word_evict(&word)) == TRP_LOOK_WATCHED) {
        step_wait(&notice, is_told);
        trp_fas_u32(&notice, 0);
    }
    STEP_CHECK(look == TRP_LOOK_CLOSED);
    evictions++;
}

static void holds_are_respected(void)
{
    uint64_t held = (is_holding[HOME] ? 1u : 0u) + (is_holding[OTHER] ? 1u : 0u);
    STEP_CHECK(trp_word_holds(word) == held);
    STEP_CHECK(evictions == 0 || trp_word_is_final(word));
}

static void eviction_is_final(void)
{
    uint64_t before;
    STEP_CHECK(evictions == 1);
    STEP_CHECK(trp_word_is_final(word));
    STEP_CHECK(!trp_word_open(&word, false, &before));
    STEP_CHECK(!trp_word_open(&word, true, &before));
    STEP_CHECK(trp_word_evict(&word) == TRP_LOOK_LEAVING);
    STEP_CHECK(notice == 0);
}

/* --- a record and a newcomer who wants its place --- */

static struct troupe_pool pool;
static struct trp_worker workers[THREADS];
static struct trp_inbox inboxes[THREADS];
static struct trp_agent agents[THREADS];
static struct troupe_client *table[64];
static struct troupe_client *heap[4];
static struct troupe_admission admission;
static struct troupe_client client;   /* lives at HOME and has the only place */
static struct troupe_client newcomer; /* waits */
static struct {
    struct troupe_msg msg;
    struct trp_carrier carrier;
} first;                          /* message of the newcomer */
static struct troupe_msg is_over; /* told to the home when the newcomer is in */
static uint32_t released;         /* by the admission actor */
static uint32_t stops;            /* by the home */

static const struct troupe_key client_key = {{1}};
static const struct troupe_key newcomer_key = {{2}};

static troupe_ref ref_of(uint32_t worker)
{
    return trp_ref_make(worker, 1, 1);
}

static void post_note(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg *note)
{
    (void)ctx;
    note->type = TRP_MSG_NOTE;
    STEP_CHECK(trp_inbox_push(&inboxes[troupe_ref_worker(to)], note, note));
}

static void no_timer_start(struct troupe_ctx *ctx,
                           struct troupe_timer *timer,
                           uint64_t after_ns,
                           uint64_t period_ns,
                           uint16_t timer_type)
{
    (void)ctx;
    (void)timer;
    (void)after_ns;
    (void)period_ns;
    (void)timer_type;
}

static void no_timer_cancel(struct troupe_ctx *ctx, struct troupe_timer *timer)
{
    (void)ctx;
    (void)timer;
}

static void note_stop(struct troupe_ctx *ctx, troupe_ref ref)
{
    (void)ctx;
    STEP_CHECK(ref == client.actor);
    stops++;
}

static void no_flush(struct troupe_ctx *ctx)
{
    (void)ctx;
}

/* The directory, deliveries and the other actors take no part in these cases. */

bool trp_directory_put(struct trp_directory *directory, struct trp_directory_entry *entry)
{
    (void)directory;
    (void)entry;
    return true;
}

void trp_directory_remove(struct trp_directory *directory, struct trp_directory_entry *entry)
{
    (void)directory;
    STEP_CHECK(entry == &client.entry);
}

void trp_directory_defer(struct trp_directory *directory,
                         ck_epoch_entry_t *entry,
                         ck_epoch_cb_t *free_cb)
{
    (void)directory;
    (void)free_cb;
    STEP_CHECK(entry == &client.reclaim);
}

void trp_directory_poll(struct trp_directory *directory)
{
    (void)directory;
}

uint64_t trp_key_hash(const struct trp_hash_secret *secret, const struct troupe_key *key)
{
    (void)secret;
    /* the newcomer will live at OTHER, where nobody reads notes */
    return key->bytes[0] == newcomer_key.bytes[0] ? 0x6000000000000002u : 1u;
}

_Noreturn static void not_here(void)
{
    step_fail("a way that these cases do not go", __FILE__, __LINE__);
}

struct troupe_msg *
trp_carrier_new(struct troupe_ctx *ctx, const struct troupe_key *key, struct troupe_msg *inner)
{
    (void)ctx;
    (void)key;
    (void)inner;
    not_here();
}

void trp_refuse(struct troupe_ctx *ctx,
                struct troupe_admission *service,
                const struct troupe_key *key,
                struct troupe_msg *inner,
                enum trp_refusal why)
{
    (void)ctx;
    (void)service;
    (void)key;
    (void)inner;
    (void)why;
    not_here();
}

void trp_refuse_carrier(struct troupe_ctx *ctx,
                        struct troupe_admission *service,
                        struct troupe_msg *msg,
                        enum trp_refusal why)
{
    (void)ctx;
    (void)service;
    (void)msg;
    (void)why;
    not_here();
}

void trp_carrier_return(struct troupe_ctx *ctx,
                        struct troupe_admission *service,
                        struct troupe_msg *msg)
{
    (void)ctx;
    (void)service;
    (void)msg;
    not_here();
}

/* --- setting up --- */

static bool is_held(void)
{
    return is_holding[HOME] || is_holding[OTHER];
}

static void on_release(struct troupe_ctx *ctx,
                       void *user,
                       const struct troupe_key *key,
                       enum troupe_release_reason reason)
{
    (void)ctx;
    (void)user;
    STEP_CHECK(key->bytes[0] == client_key.bytes[0]);
    STEP_CHECK(reason == client.reason);
    STEP_CHECK(!is_held());
    released++;
}

static void set_up_service(void)
{
    memset(&admission, 0, sizeof(admission));
    memset(agents, 0, sizeof(agents));
    memset(table, 0, sizeof(table));
    memset(inboxes, 0, sizeof(inboxes));
    pool.worker_count = THREADS;
    pool.workers = workers;
    admission.pool = &pool;
    admission.workers = THREADS;
    admission.agents = agents;
    admission.table = table;
    admission.table_mask = 63;
    admission.heap = heap;
    admission.actor = ref_of(ADMISSION);
    admission.lru_due_ns = UINT64_MAX;
    admission.wait_due_ns = UINT64_MAX;
    admission.config.capacity = 1;
    admission.config.queue_max = 4;
    admission.config.backlog_max = 4;
    admission.config.queue_timeout_ns = UINT64_MAX / 4;
    admission.config.idle_timeout_ns = UINT64_MAX / 4;
    admission.config.released_cb = on_release;
    ck_epoch_init(&admission.directory.epoch);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].pool = &pool;
        workers[i].index = i;
        workers[i].now_ns = 1000;
        workers[i].ctx.worker = &workers[i];
        agents[i].admission = &admission;
        agents[i].worker = i;
        agents[i].ref = ref_of(i);
        ck_epoch_register(&admission.directory.epoch, &agents[i].epoch, NULL);
    }
}

static void set_up_client(void)
{
    memset(&client, 0, sizeof(client));
    client.entry.key = client_key;
    client.entry.hash = trp_key_hash(NULL, &client_key);
    client.admission = &admission;
    client.home = HOME;
    client.stage = TRP_STAGE_LIVE;
    client.phase = TRP_HOME_RUNNING;
    client.actor = trp_ref_make(HOME, 2, 1);
    client.heap_index = TRP_NOT_IN_HEAP;
    admission.active = 1;
    agents[HOME].clients = 1;
    trp_table_insert(&admission, &client);
    trp_lru_insert(&admission, &client);
}

static void set_up_newcomer(void)
{
    memset(&newcomer, 0, sizeof(newcomer));
    memset(&first, 0, sizeof(first));
    newcomer.entry.key = newcomer_key;
    newcomer.entry.hash = trp_key_hash(NULL, &newcomer_key);
    newcomer.admission = &admission;
    newcomer.heap_index = TRP_NOT_IN_HEAP;
    newcomer.stage = TRP_STAGE_QUEUED;
    first.carrier.key = newcomer_key;
    trp_waiters_insert(&admission.queue, &newcomer);
    trp_table_insert(&admission, &newcomer);
    trp_lane_push(&newcomer.backlog, &first.msg);
    newcomer.backlog_count = 1;
}

static void idle_client(void)
{
    set_up_service();
    set_up_client();
    set_up_newcomer();
    memset(is_holding, 0, sizeof(is_holding));
    released = 0;
    stops = 0;
}

static void busy_client(void)
{
    idle_client();
    client.word = 1; /* a message that its actor has not handled */
    client.unhandled = 1;
    is_holding[HOME] = true;
}

/* --- the threads --- */

static struct troupe_ctx *ctx_here(void)
{
    return &workers[step_thread()].ctx;
}

static bool has_mail(const void *head)
{
    return trp_load_relaxed_ptr(head) != NULL;
}

static struct troupe_msg *wait_for_notes(void)
{
    struct trp_inbox *inbox = &inboxes[step_thread()];
    step_wait(&inbox->head, has_mail);
    return trp_inbox_take(inbox);
}

/* The agent and the client's actor: a STOP note ends the actor. */
static void end_at_home(void)
{
    struct troupe_msg *msg = wait_for_notes();
    STEP_CHECK(msg == &client.home_note);
    STEP_CHECK(msg->next == NULL);
    trp_client_stop_seen(ctx_here(), &client);
    STEP_CHECK(stops == 1);
    trp_client_down(ctx_here(), &client, client.unhandled + client.routes);
}

static void wait_at_home(void)
{
    end_at_home();
}

static void handle_at_home(void)
{
    is_holding[HOME] = false;
    troupe_client_handled(ctx_here(), &client);
    end_at_home();
}

/* A running request outlives the message that began it. */
static void route_at_home(void)
{
    STEP_CHECK(troupe_client_open_route(ctx_here(), &client));
    troupe_client_handled(ctx_here(), &client);
    is_holding[HOME] = false;
    troupe_client_close_route(ctx_here(), &client);
    end_at_home();
}

/* The actor leaves by itself, and ends when it may. */
static void leave_at_home(void)
{
    is_holding[HOME] = false;
    troupe_client_handled(ctx_here(), &client);
    (void)troupe_client_leave(ctx_here(), &client);
    trp_client_down(ctx_here(), &client, client.unhandled + client.routes);
    /* the admission actor may send the STOP note before it knows */
    for (;;) {
        struct troupe_msg *msg = wait_for_notes();
        while (msg != NULL) {
            struct troupe_msg *next = msg->next;
            if (msg == &is_over) {
                return;
            }
            STEP_CHECK(msg == &client.home_note);
            trp_client_stop_seen(ctx_here(), &client);
            msg = next;
        }
    }
}

/* Another worker finds the record and delivers to it. */
static void deliver_from_other(void)
{
    if (trp_client_open(ctx_here(), &agents[OTHER], &client)) {
        is_holding[OTHER] = true;
        STEP_CHECK(!trp_word_is_final(trp_load_relaxed_u64(&client.word)));
        is_holding[OTHER] = false;
        trp_client_close(ctx_here(), &client);
    }
}

/* The admission actor: makes room until the newcomer is in. */
static void admit_newcomer(void)
{
    progress(ctx_here(), &admission);
    while (newcomer.stage != TRP_STAGE_LIVE) {
        struct troupe_msg *msg = wait_for_notes();
        while (msg != NULL) {
            struct troupe_msg *next = msg->next;
            on_note(ctx_here(), &admission, msg);
            msg = next;
        }
        progress(ctx_here(), &admission);
    }
    post_note(ctx_here(), ref_of(HOME), &is_over);
}

/* --- checks --- */

/* Counters, and the stamp, which says the same time whoever writes it. */
static bool is_hint(const void *at)
{
    const char *byte = at;
    for (uint32_t i = 0; i < THREADS; i++) {
        const char *counts = (const char *)&agents[i].counts;
        if (byte >= counts && byte < counts + sizeof(agents[i].counts)) {
            return true;
        }
    }
    const char *counts = (const char *)&admission.counts;
    return (byte >= counts && byte < counts + sizeof(admission.counts)) ||
           byte == (const char *)&client.last_active_ns ||
           byte == (const char *)&newcomer.last_active_ns;
}

static void nobody_with_a_hold(void)
{
    STEP_CHECK(!is_held() || !trp_word_is_final(client.word));
    STEP_CHECK(admission.active <= admission.config.capacity);
    STEP_CHECK(released == 0 || trp_word_is_final(client.word));
}

static void place_changed_hands(void)
{
    STEP_CHECK(released == 1);
    STEP_CHECK(client.stage == TRP_STAGE_RELEASED);
    STEP_CHECK(trp_word_is_final(client.word));
    STEP_CHECK(newcomer.word == 1);
    STEP_CHECK(admission.active == 1);
    STEP_CHECK(admission.queue.count == 0);
    STEP_CHECK(admission.stopping == 0);
}

int main(int argc, char **argv)
{
    static const struct step_case cases[] = {
        {.name = "word_idle",
         .thread_count = 3,
         .threads = {open_and_end, open_and_end, evict},
         .setup = born_idle,
         .invariant = holds_are_respected,
         .check = eviction_is_final},
        {.name = "word_held",
         .thread_count = 3,
         .threads = {end_hold, open_and_end, evict},
         .setup = born_held,
         .invariant = holds_are_respected,
         .check = eviction_is_final},
        {.name = "word_held_again",
         .thread_count = 3,
         .threads = {end_and_open, open_and_end, evict},
         .setup = born_held,
         .invariant = holds_are_respected,
         .check = eviction_is_final,
         .preemptions_max = 4},
        {.name = "idle_client",
         .thread_count = 3,
         .threads = {wait_at_home, deliver_from_other, admit_newcomer},
         .setup = idle_client,
         .invariant = nobody_with_a_hold,
         .is_hint = is_hint,
         .check = place_changed_hands},
        {.name = "busy_client",
         .thread_count = 3,
         .threads = {handle_at_home, deliver_from_other, admit_newcomer},
         .setup = busy_client,
         .invariant = nobody_with_a_hold,
         .is_hint = is_hint,
         .check = place_changed_hands},
        {.name = "client_with_route",
         .thread_count = 3,
         .threads = {route_at_home, deliver_from_other, admit_newcomer},
         .setup = busy_client,
         .invariant = nobody_with_a_hold,
         .is_hint = is_hint,
         .check = place_changed_hands,
         .preemptions_max = 4},
        {.name = "client_that_leaves",
         .thread_count = 3,
         .threads = {leave_at_home, deliver_from_other, admit_newcomer},
         .setup = busy_client,
         .invariant = nobody_with_a_hold,
         .is_hint = is_hint,
         .check = place_changed_hands,
         .preemptions_max = 3},
    };
    return step_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
