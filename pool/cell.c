#include "pool/cell.h"

#include <string.h>
#include <sys/mman.h>
#include <troupe/assert.h>

/* Cells that become memory at a time. */
#define COMMIT_SLOTS 1024u
/* Bounds of a data lane whose type names none. */
#define DATA_COUNT_MAX 10000
#define DATA_BYTES_MAX (16 << 20)

static size_t cell_bytes(uint32_t slots)
{
    return (size_t)slots * sizeof(struct trp_cell);
}

static void *reserve(size_t bytes, int protection)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *memory = mmap(NULL, bytes, protection, flags, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

enum troupe_status trp_cells_init(struct trp_cell_table *table, uint32_t worker, uint32_t limit)
{
    memset(table, 0, sizeof(*table));
    table->worker = worker;
    table->limit = limit == 0 || limit >= TRP_CELLS_MAX ? TRP_CELLS_MAX : limit + 1;
    table->cells = reserve(cell_bytes(table->limit), PROT_NONE);
    if (table->cells != NULL) {
        /* a wish: takes effect where the table has grown over a whole huge page */
        (void)madvise(table->cells, cell_bytes(table->limit), MADV_HUGEPAGE);
    }
    table->full = reserve(table->limit, PROT_READ | PROT_WRITE);
    if (table->cells == NULL || table->full == NULL) {
        trp_cells_fini(table);
        return TROUPE_ENOMEM;
    }
    return TROUPE_OK;
}

void trp_cells_fini(struct trp_cell_table *table)
{
    if (table->cells != NULL) {
        munmap(table->cells, cell_bytes(table->limit));
    }
    if (table->full != NULL) {
        munmap(table->full, table->limit);
    }
    memset(table, 0, sizeof(*table));
}

int32_t trp_cell_count_max(const struct trp_cell *cell)
{
    uint32_t most = cell->type->data_count_max;
    return most == 0 ? DATA_COUNT_MAX : most > INT32_MAX ? INT32_MAX : (int32_t)most;
}

int64_t trp_cell_bytes_max(const struct trp_cell *cell)
{
    return cell->type->data_bytes_max != 0 ? cell->type->data_bytes_max : DATA_BYTES_MAX;
}

/* Makes the next stretch of the table memory; fresh pages are zero. */
static bool commit_more(struct trp_cell_table *table)
{
    uint32_t more = table->committed / 2 > COMMIT_SLOTS ? table->committed / 2 : COMMIT_SLOTS;
    uint32_t slots =
        more < table->limit - table->committed ? table->committed + more : table->limit;
    if (table->used >= slots ||
        mprotect(table->cells, cell_bytes(slots), PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
    if (table->used == 0) {
        table->cells[0].ref = UINT64_MAX; /* nobody's */
        table->used = 1;
    }
    trp_store_release_u32(&table->committed, slots); /* partner: trp_cells_peek */
    return true;
}

static struct trp_cell *take_fresh(struct trp_cell_table *table)
{
    if (table->used >= table->committed && !commit_more(table)) {
        return NULL;
    }
    if (table->used >= table->limit) {
        return NULL;
    }
    uint32_t slot = table->used++;
    struct trp_cell *cell = &table->cells[slot];
    cell->ref = trp_ref_make(table->worker, slot, 1);
    cell->end_msg.type = TRP_MSG_STOP; /* for good */
    cell->end_msg.flags = TROUPE_MSG_EMBEDDED | TROUPE_LANE_CONTROL;
    return cell;
}

struct trp_cell *trp_cells_take(struct trp_cell_table *table, const struct troupe_actor_type *type)
{
    struct trp_cell *cell = table->free_cells;
    if (cell != NULL) {
        table->free_cells = cell->run_next;
    } else if ((cell = take_fresh(table)) == NULL) {
        return NULL;
    }
    cell->type = type;
    cell->data_room = trp_cell_count_max(cell) - 1;
    cell->data_room_min = cell->data_room;
    cell->byte_room = trp_cell_bytes_max(cell) - 1;
    cell->processed = 0;
    cell->room_ramp = 0;
    cell->room_told = 0;
    cell->end_msg.to = cell->ref;
    /* release: a remote stop reads the generation in trp_cells_request_end */
    trp_store_release_u64(&cell->end_word, (uint64_t)trp_ref_generation(cell->ref) << 32);
    return cell;
}

void trp_cells_give(struct trp_cell_table *table, struct trp_cell *cell)
{
    TROUPE_ASSERT(cell->timers == NULL);
    TROUPE_ASSERT(cell->ops == NULL);
    TROUPE_ASSERT(cell->extra.watchers == NULL);
    TROUPE_ASSERT(trp_lane_is_empty(&cell->extra.waiters));
    TROUPE_ASSERT(cell->relations == 0);
    uint32_t generation = trp_ref_generation(cell->ref) + 1;
    cell->ref =
        trp_ref_make(table->worker, trp_ref_slot(cell->ref), generation == 0 ? 1 : generation);
    cell->extra = (struct trp_cell_extra){0};
    trp_cell_set_status(cell, TRP_CELL_FREE);
    cell->state = NULL;
    cell->run_next = table->free_cells;
    table->free_cells = cell;
}

void trp_cells_publish_full(struct trp_cell_table *table, struct trp_cell *cell, bool is_full)
{
    cell->gate = (uint8_t)((cell->gate & ~TRP_GATE_FULL) | (is_full ? TRP_GATE_FULL : 0));
    /* relaxed: a hint; partner trp_cells_is_full_hint */
    trp_store_relaxed_u8(&table->full[trp_ref_slot(cell->ref)], is_full ? 1 : 0);
}

bool trp_cells_is_full_hint(const struct trp_cell_table *table, troupe_ref ref)
{
    uint32_t slot = trp_ref_slot(ref);
    return slot < table->limit && trp_load_relaxed_u8(&table->full[slot]) != 0;
}

struct troupe_msg *
trp_cells_request_end(struct trp_cell_table *table, troupe_ref ref, enum trp_end_verb verb)
{
    uint32_t slot = trp_ref_slot(ref);
    struct trp_cell *cell = trp_cells_peek(table, slot);
    if (cell == NULL || trp_ref_generation(ref) == 0) {
        return NULL; /* no actor has that generation, but a cell that was never used */
    }
    uint64_t seen = trp_load_acquire_u64(&cell->end_word); /* pairs with trp_cells_take */
    uint64_t wanted;
    do {
        if ((uint32_t)(seen >> 32) != trp_ref_generation(ref)) {
            return NULL;
        }
        uint64_t asked = seen & TRP_END_VERB_MASK;
        uint64_t harsher = asked > (uint64_t)verb ? asked : (uint64_t)verb;
        if (harsher == asked) {
            return NULL;
        }
        wanted = (seen & ~(uint64_t)TRP_END_VERB_MASK) | harsher | TRP_END_QUEUED;
        /* partner: trp_cell_take_end; who sets the queued bit owns the node */
    } while (!trp_cas_u64(&cell->end_word, &seen, wanted));
    return (seen & TRP_END_QUEUED) != 0 ? NULL : &cell->end_msg;
}

enum trp_end_verb trp_cell_take_end(struct trp_cell *cell)
{
    uint64_t seen = trp_load_relaxed_u64(&cell->end_word);
    /* partner: trp_cells_request_end */
    while (!trp_cas_u64(&cell->end_word, &seen, seen & ~(uint64_t)TRP_END_QUEUED)) {
    }
    return (enum trp_end_verb)(seen & TRP_END_VERB_MASK);
}

bool trp_cell_close_end(struct trp_cell *cell)
{
    uint64_t seen = trp_load_relaxed_u64(&cell->end_word);
    /* partner: trp_cells_request_end; from here on it returns NULL */
    while (!trp_cas_u64(&cell->end_word, &seen, seen | TRP_END_OVER)) {
    }
    return (seen & TRP_END_QUEUED) != 0;
}
