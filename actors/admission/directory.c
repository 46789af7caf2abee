#include "actors/admission/directory.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

/*
 * Tables of the set. The allocator's callbacks have no argument, so each table begins with what is
 * needed to defer its end, and the writer says who it is while it works.
 */
struct table {
    ck_epoch_entry_t deferred;
    char bytes[] __attribute__((aligned(64)));
};

static __thread ck_epoch_record_t *current_writer;

static struct table *table_of(void *bytes)
{
    return (struct table *)(void *)((char *)bytes - offsetof(struct table, bytes));
}

static void *table_alloc(size_t bytes)
{
    struct table *table = malloc(sizeof(*table) + bytes);
    return table == NULL ? NULL : table->bytes;
}

static void table_reclaim(ck_epoch_entry_t *entry)
{
    free((char *)entry - offsetof(struct table, deferred));
}

static void table_free(void *bytes, size_t size, bool is_deferred)
{
    (void)size;
    struct table *table = table_of(bytes);
    if (is_deferred) {
        TROUPE_ASSERT(current_writer != NULL);
        ck_epoch_call(current_writer, &table->deferred, table_reclaim);
        return;
    }
    free(table);
}

static struct ck_malloc table_allocator = {
    .malloc = table_alloc,
    .free = table_free,
};

static unsigned long entry_hash(const void *object, unsigned long seed)
{
    (void)seed; /* the hash is keyed already */
    return ((const struct trp_directory_entry *)object)->hash;
}

static bool entry_equal(const void *a, const void *b)
{
    TRP_TSAN_ACQUIRE((void *)(uintptr_t)a);
    TRP_TSAN_ACQUIRE((void *)(uintptr_t)b);
    return memcmp(a, b, TROUPE_KEY_BYTES) == 0;
}

bool trp_directory_init(struct trp_directory *directory, uint32_t expected)
{
    ck_epoch_init(&directory->epoch);
    ck_epoch_register(&directory->epoch, &directory->writer, NULL);
    directory->removals = 0;
    directory->rebuild_after = expected < 1024 ? 1024 : expected;
    unsigned long size = expected < 64 ? 64 : expected;
    return ck_hs_init(&directory->set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT | CK_HS_MODE_DELETE,
                      entry_hash, entry_equal, &table_allocator, 2 * size, 0);
}

void trp_directory_fini(struct trp_directory *directory)
{
    ck_epoch_barrier(&directory->writer); /* nobody else runs any more: it cannot wait */
    ck_hs_destroy(&directory->set);
}

struct trp_directory_entry *
trp_directory_find(struct trp_directory *directory, uint64_t hash, const struct troupe_key *key)
{
    return ck_hs_get(&directory->set, hash, key);
}

bool trp_directory_put(struct trp_directory *directory, struct trp_directory_entry *entry)
{
    TRP_TSAN_RELEASE(entry);
    current_writer = &directory->writer;
    bool is_put = ck_hs_put(&directory->set, entry->hash, entry);
    current_writer = NULL;
    return is_put;
}

void trp_directory_remove(struct trp_directory *directory, struct trp_directory_entry *entry)
{
    current_writer = &directory->writer;
    void *removed = ck_hs_remove(&directory->set, entry->hash, entry);
    TROUPE_ASSERT(removed == NULL || removed == entry);
    /* Removed entries leave marks that lengthen the search for unknown keys. */
    if (removed != NULL && ++directory->removals >= directory->rebuild_after &&
        ck_hs_rebuild(&directory->set)) {
        directory->removals = 0;
    }
    current_writer = NULL;
}

void trp_directory_defer(struct trp_directory *directory,
                         ck_epoch_entry_t *entry,
                         ck_epoch_cb_t *free_cb)
{
    ck_epoch_call(&directory->writer, entry, free_cb);
}

void trp_directory_poll(struct trp_directory *directory)
{
    if (directory->writer.n_pending != 0) {
        (void)ck_epoch_poll(&directory->writer);
        TRP_TSAN_ACQUIRE(&directory->epoch);
    }
}
