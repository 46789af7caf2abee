#include "pool/cell.h"

#include <string.h>
#include <sys/mman.h>
#include <troupe/assert.h>

/* Bounds of a data lane whose type names none. */
#define DATA_COUNT_MAX 10000u
#define DATA_BYTES_MAX (16u << 20)

void trp_cells_init(struct trp_cell_table *table, uint32_t worker, uint32_t limit)
{
    memset(table, 0, sizeof(*table));
    table->worker = worker;
    uint32_t most = TRP_CELL_CHUNKS_MAX * TRP_CELLS_PER_CHUNK;
    table->limit = limit == 0 || limit >= most ? most : limit + 1;
    table->used = 1; /* slot 0 of worker 0 would make TROUPE_NOBODY */
}

void trp_cells_fini(struct trp_cell_table *table)
{
    for (uint32_t i = 0; i < TRP_CELL_CHUNKS_MAX && table->chunks[i] != NULL; i++) {
        munmap(table->chunks[i], sizeof(struct trp_cell_chunk));
    }
    memset(table, 0, sizeof(*table));
}

static bool add_chunk(struct trp_cell_table *table, uint32_t index)
{
    /* fresh pages are zero: every cell is free, every generation 0 */
    void *memory = mmap(NULL, sizeof(struct trp_cell_chunk), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    /* release: remote senders load it in chunk_hint */
    trp_store_release_ptr((void **)&table->chunks[index], memory);
    return true;
}

struct trp_cell *trp_cells_take(struct trp_cell_table *table, const struct troupe_actor_type *type)
{
    struct trp_cell *cell = table->free_cells;
    uint32_t slot;
    if (cell != NULL) {
        table->free_cells = cell->run_next;
        slot = trp_ref_slot(cell->end_msg.to);
    } else {
        slot = table->used;
        uint32_t index = slot / TRP_CELLS_PER_CHUNK;
        if (slot >= table->limit || (table->chunks[index] == NULL && !add_chunk(table, index))) {
            return NULL;
        }
        table->used++;
        cell = &table->chunks[index]->cells[slot % TRP_CELLS_PER_CHUNK];
    }
    uint32_t generation = cell->generation + 1;
    if (generation == 0) {
        generation = 1;
    }
    cell->generation = generation;
    cell->run_next = NULL;
    cell->type = type;
    cell->data_count_max = type->data_count_max != 0 ? type->data_count_max : DATA_COUNT_MAX;
    cell->data_bytes_max = type->data_bytes_max != 0 ? type->data_bytes_max : DATA_BYTES_MAX;
    cell->end_msg.to = trp_ref_make(table->worker, slot, generation);
    cell->end_msg.type = TRP_MSG_STOP;
    cell->end_msg.flags = TROUPE_MSG_EMBEDDED | TROUPE_LANE_CONTROL;
    /* release: a remote stop reads the generation in trp_cells_request_end */
    trp_store_release_u64(&cell->end_word, (uint64_t)generation << 32);
    return cell;
}

void trp_cells_give(struct trp_cell_table *table, struct trp_cell *cell)
{
    TROUPE_ASSERT(cell->timers == NULL);
    TROUPE_ASSERT(cell->ops == NULL);
    TROUPE_ASSERT(cell->watchers == NULL);
    TROUPE_ASSERT(cell->relations == 0);
    cell->status = TRP_CELL_FREE;
    cell->type = NULL;
    cell->state = NULL;
    cell->run_next = table->free_cells;
    table->free_cells = cell;
}

static struct trp_cell_chunk *chunk_hint(const struct trp_cell_table *table, uint32_t slot)
{
    uint32_t index = slot / TRP_CELLS_PER_CHUNK;
    if (index >= TRP_CELL_CHUNKS_MAX) {
        return NULL;
    }
    /* acquire: pairs with add_chunk */
    return trp_load_acquire_ptr((void *const *)&table->chunks[index]);
}

void trp_cells_publish_full(struct trp_cell_table *table, struct trp_cell *cell, bool is_full)
{
    uint32_t slot = trp_ref_slot(trp_cell_ref(cell));
    struct trp_cell_chunk *chunk = table->chunks[slot / TRP_CELLS_PER_CHUNK];
    cell->is_full = is_full ? 1 : 0;
    /* relaxed: a hint; partner trp_cells_is_full_hint */
    trp_store_relaxed_u8(&chunk->full[slot % TRP_CELLS_PER_CHUNK], is_full ? 1 : 0);
}

bool trp_cells_is_full_hint(const struct trp_cell_table *table, troupe_ref ref)
{
    uint32_t slot = trp_ref_slot(ref);
    struct trp_cell_chunk *chunk = chunk_hint(table, slot);
    return chunk != NULL && trp_load_relaxed_u8(&chunk->full[slot % TRP_CELLS_PER_CHUNK]) != 0;
}

struct troupe_msg *
trp_cells_request_end(struct trp_cell_table *table, troupe_ref ref, enum trp_end_verb verb)
{
    uint32_t slot = trp_ref_slot(ref);
    struct trp_cell_chunk *chunk = chunk_hint(table, slot);
    if (chunk == NULL || slot == 0) {
        return NULL; /* slot 0 is nobody's: its generation would match TROUPE_NOBODY */
    }
    struct trp_cell *cell = &chunk->cells[slot % TRP_CELLS_PER_CHUNK];
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
