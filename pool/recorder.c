#include "pool/recorder.h"
#include "pool/line.h"
#include "pool/worker.h"

#include <stdlib.h>
#include <troupe/assert.h>

/* Events per worker after a failed assertion; more would hide the assertion itself. */
#define ASSERT_EVENTS 128u
#define POOLS_MAX     16u

/* Pools to dump, NULL = free place. Who dumps may be any thread. */
static void *registered[POOLS_MAX];
static uint32_t is_hooked; /* 0, 1 = somebody has hooked us in */
static uint32_t assert_fd = 2;
static void (*next_hook)(void);

enum troupe_status trp_recorder_init(struct trp_recorder *recorder, uint32_t events)
{
    TROUPE_ASSERT(events >= 16 && events <= 1u << 20);
    TROUPE_ASSERT((events & (events - 1)) == 0);
    uint64_t *words = calloc(2 * (size_t)events, sizeof(words[0]));
    if (words == NULL) {
        return TROUPE_ENOMEM;
    }
    *recorder = (struct trp_recorder){.words = words, .mask = events - 1};
    return TROUPE_OK;
}

void trp_recorder_fini(struct trp_recorder *recorder)
{
    free(recorder->words);
    recorder->words = NULL;
}

void troupe_record(struct troupe_ctx *ctx, uint16_t tag, uint64_t value)
{
    trp_record(&ctx->worker->recorder, TRP_EVENT_USER, value, tag, 0);
}

uint16_t trp_event_squeeze(uint64_t number)
{
    uint32_t exponent = 0;
    while (number > 0xFF && exponent < 15) {
        number >>= 1;
        exponent++;
    }
    return (uint16_t)(exponent << 8 | (number > 0xFF ? 0xFF : number));
}

uint32_t trp_event_unfold(uint32_t squeezed)
{
    return (squeezed & 0xFF) << (squeezed >> 8);
}

/* --- reading --- */

void trp_recorder_range(const struct trp_recorder *recorder, uint64_t *first, uint64_t *end)
{
    uint64_t next = trp_load_acquire_u64(&recorder->next); /* pairs with trp_record */
    /* the oldest place may be the one that is being written */
    *first = next > recorder->mask ? next - recorder->mask : 0;
    *end = next;
}

bool trp_recorder_get(const struct trp_recorder *recorder,
                      uint64_t index,
                      struct trp_recorded *event)
{
    uint64_t first;
    uint64_t end;
    trp_recorder_range(recorder, &first, &end);
    if (index < first || index >= end) {
        return false;
    }
    const uint64_t *words = &recorder->words[2 * (index & recorder->mask)];
    /* acquire: the look at the range below must not move before these */
    uint64_t who = trp_load_acquire_u64(&words[0]);
    uint64_t rest = trp_load_acquire_u64(&words[1]);
    trp_recorder_range(recorder, &first, &end);
    if (index < first) {
        return false; /* overwritten meanwhile */
    }
    event->who = who;
    event->time_us = (uint32_t)(rest >> 32);
    event->type = (uint16_t)(rest >> 16);
    event->kind = (enum trp_event)((rest >> 12) & 0xF);
    event->count = (uint16_t)(rest & TRP_EVENT_COUNT_MAX);
    return true;
}

/*
 * A look at a word that its owner writes without any care for us: `ctx.cell`, `ctx.msg`, a cell's
 * type and ref and a message's type are plain words of the hot path. They are aligned, cells and
 * messages stay mapped as long as the pool lives (tables, slabs and the driver's buffers go last),
 * and a stale answer does no harm; the sanitizers cannot know that.
 */
#define PEEKS __attribute__((no_sanitize("thread", "address"), noinline))

PEEKS static void *peek_pointer(const void *word)
{
    return *(void *const volatile *)word;
}

PEEKS static uint64_t peek_u64(const uint64_t *word)
{
    return *(const volatile uint64_t *)word;
}

PEEKS static uint16_t peek_u16(const uint16_t *word)
{
    return *(const volatile uint16_t *)word;
}

void trp_peek(const struct trp_worker *worker, struct trp_peek *peek)
{
    *peek = (struct trp_peek){.msg_type = TRP_PEEK_NO_TYPE};
    const struct troupe_msg *msg = peek_pointer(&worker->ctx.msg);
    const struct trp_cell *cell = peek_pointer(&worker->ctx.cell);
    if (cell == NULL) {
        return;
    }
    peek->actor = peek_u64(&cell->end_msg.to);
    peek->type = peek_pointer(&cell->type);
    if (msg != NULL) {
        peek->msg_type = peek_u16(&msg->type);
    }
}

const struct troupe_actor_type *trp_peek_type(const struct troupe_pool *pool, troupe_ref ref)
{
    uint32_t worker = troupe_ref_worker(ref);
    uint32_t slot = trp_ref_slot(ref);
    if (worker >= pool->worker_count || slot == 0) {
        return NULL;
    }
    const struct trp_cell *cell = trp_cells_peek(&pool->workers[worker].cells, slot);
    if (cell == NULL) {
        return NULL;
    }
    /* acquire: pairs with trp_cells_take; looked at twice, the type belongs to the generation */
    uint64_t word = trp_load_acquire_u64(&cell->end_word);
    const struct troupe_actor_type *type = peek_pointer(&cell->type);
    uint64_t again = trp_load_acquire_u64(&cell->end_word);
    bool is_over = (again & TRP_END_VERB_MASK) == TRP_END_OVER;
    bool is_same = word >> 32 == again >> 32 && (uint32_t)(again >> 32) == trp_ref_generation(ref);
    return is_same && !is_over ? type : NULL;
}

/* --- text --- */

static void put_type(struct trp_line *line, uint32_t type)
{
    trp_line_text(line, " type ");
    if (type >= TROUPE_MSG_RESERVED) {
        trp_line_text(line, "runtime+");
        type -= TROUPE_MSG_RESERVED;
    }
    trp_line_number(line, type, 0);
}

static void put_actor(struct trp_line *line, const struct troupe_pool *pool, troupe_ref ref)
{
    const struct troupe_actor_type *type = trp_peek_type(pool, ref);
    if (type != NULL) {
        trp_line_name(line, type->name);
        trp_line_text(line, " ");
    }
    trp_line_ref(line, ref);
}

static const char *down_text(uint32_t reason)
{
    static const char *const texts[] = {"normal", "failed", "killed", "shutdown", "unknown"};
    return reason < sizeof(texts) / sizeof(texts[0]) ? texts[reason] : "?";
}

static const char *drop_text(uint32_t reason)
{
    static const char *const texts[] = {"dead", "stopped", "expired", "shutdown", "late", "failed"};
    TROUPE_STATIC_ASSERT(sizeof(texts) / sizeof(texts[0]) == TROUPE_DROP_REASONS,
                         "each reason has its text");
    return reason < sizeof(texts) / sizeof(texts[0]) ? texts[reason] : "?";
}

static void
put_number(struct trp_line *line, const char *before, uint64_t number, const char *after)
{
    trp_line_text(line, before);
    trp_line_number(line, number, 0);
    trp_line_text(line, after);
}

static void put_details(struct trp_line *line, const struct trp_recorded *event)
{
    uint32_t count = event->count;
    switch (event->kind) {
    case TRP_EVENT_TURN:
        put_type(line, event->type);
        put_number(line, ", handled ", count, "");
        break;
    case TRP_EVENT_END:
        trp_line_text(line, " ");
        trp_line_text(line, down_text(count));
        break;
    case TRP_EVENT_DROP:
        put_type(line, event->type);
        trp_line_text(line, " ");
        trp_line_text(line, drop_text(count));
        break;
    case TRP_EVENT_RESTART:
        put_number(line, " for the ", count, ". time");
        break;
    case TRP_EVENT_OVERRUN:
        put_type(line, event->type);
        put_number(line, " took ", trp_event_unfold(count), " us");
        break;
    case TRP_EVENT_PARK:
        if (event->who == UINT64_MAX) {
            trp_line_text(line, "without a deadline");
            break;
        }
        trp_line_text(line, "until ");
        trp_line_seconds(line, (uint32_t)(event->who / 1000u)); /* wraps as the times do */
        break;
    case TRP_EVENT_WAKE:
        put_number(line, "worker ", event->who, "");
        break;
    case TRP_EVENT_POLL:
        put_number(line, "", count, " completions");
        break;
    case TRP_EVENT_USER:
        put_number(line, "tag ", event->type, "");
        put_number(line, " value ", event->who, "");
        break;
    case TRP_EVENT_SUSPEND:
    case TRP_EVENT_FULL:
    case TRP_EVENT_TIMER:
        put_type(line, event->type);
        break;
    case TRP_EVENT_SPAWN:
    case TRP_EVENT_NONE:
    case TRP_EVENT_KINDS:
        break;
    }
}

static bool names_actor(enum trp_event kind)
{
    return kind != TRP_EVENT_PARK && kind != TRP_EVENT_WAKE && kind != TRP_EVENT_POLL &&
           kind != TRP_EVENT_USER;
}

static void
put_event(struct trp_line *line, const struct troupe_pool *pool, const struct trp_recorded *event)
{
    static const char *const kinds[TRP_EVENT_KINDS] = {
        "none  ", "turn  ", "spawn ", "end   ", "suspend ", "restart ", "drop  ",
        "full  ", "park  ", "wake  ", "timer ", "overrun ", "poll  ",   "user  "};
    trp_line_text(line, "  ");
    trp_line_seconds(line, event->time_us);
    trp_line_text(line, " ");
    trp_line_text(line, event->kind < TRP_EVENT_KINDS ? kinds[event->kind] : "? ");
    if (names_actor(event->kind)) {
        put_actor(line, pool, event->who);
    }
    put_details(line, event);
    trp_line_end(line);
}

static const char *park_text(uint32_t park_word)
{
    return park_word == TRP_PARKED ? "parked" : park_word == TRP_NOTIFIED ? "waking" : "awake";
}

static void dump_worker(const struct trp_worker *worker, int fd, uint64_t most)
{
    const struct trp_recorder *recorder = &worker->recorder;
    struct trp_line line;
    struct trp_peek peek;
    uint64_t first;
    uint64_t end;
    if (recorder->words == NULL) {
        return; /* the pool could not be built to the end */
    }
    trp_recorder_range(recorder, &first, &end);
    trp_peek(worker, &peek);
    trp_line_init(&line, fd);
    put_number(&line, "worker ", worker->index, ": ");
    /* relaxed: one look at a word that changes; partner trp_worker_announce_park */
    trp_line_text(&line, park_text(trp_load_relaxed_u32(&worker->park_word)));
    trp_line_text(&line, ", clock ");
    trp_line_seconds(&line, trp_load_relaxed_u32(&recorder->time_us));
    put_number(&line, ", events ", end, "");
    if (peek.actor != TROUPE_NOBODY) {
        trp_line_text(&line, ", running ");
        put_actor(&line, worker->pool, peek.actor);
        if (peek.msg_type != TRP_PEEK_NO_TYPE) {
            put_type(&line, peek.msg_type);
        }
    }
    trp_line_end(&line);
    for (uint64_t i = end - first > most ? end - most : first; i < end; i++) {
        struct trp_recorded event;
        if (trp_recorder_get(recorder, i, &event)) {
            put_event(&line, worker->pool, &event);
        }
    }
}

static void dump_pool(const struct troupe_pool *pool, int fd, uint64_t most)
{
    struct trp_line line;
    trp_line_init(&line, fd);
    trp_line_text(&line, "troupe: flight recorder, times in seconds modulo 4294.967296");
    trp_line_end(&line);
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        dump_worker(&pool->workers[i], fd, most);
    }
}

void troupe_recorder_dump(const struct troupe_pool *pool, int fd)
{
    dump_pool(pool, fd, UINT64_MAX);
}

/* --- failed assertions --- */

static void dump_all(void)
{
    int fd = (int)trp_load_relaxed_u32(&assert_fd); /* partner: troupe_recorder_on_assert */
    for (uint32_t i = 0; fd >= 0 && i < POOLS_MAX; i++) {
        /* acquire: pairs with the compare-and-swap in trp_recorder_register */
        const struct troupe_pool *pool = trp_load_acquire_ptr(&registered[i]);
        if (pool != NULL) {
            dump_pool(pool, fd, ASSERT_EVENTS);
        }
    }
    if (next_hook != NULL) {
        next_hook();
    }
}

void troupe_recorder_on_assert(int fd)
{
    trp_store_relaxed_u32(&assert_fd, (uint32_t)fd); /* partner: dump_all */
}

void trp_recorder_register(struct troupe_pool *pool)
{
    uint32_t nobody = 0;
    if (trp_cas_u32(&is_hooked, &nobody, 1)) { /* partner: itself, on another thread */
        next_hook = troupe_assert_set_hook(dump_all);
    }
    for (uint32_t i = 0; i < POOLS_MAX; i++) {
        void *seen = NULL;
        if (trp_cas_ptr(&registered[i], &seen, pool)) { /* partner: dump_all */
            return;
        }
    }
}

void trp_recorder_unregister(struct troupe_pool *pool)
{
    for (uint32_t i = 0; i < POOLS_MAX; i++) {
        void *seen = pool;
        if (trp_cas_ptr(&registered[i], &seen, NULL)) { /* partner: dump_all */
            return;
        }
    }
}
