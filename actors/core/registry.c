/*
 * Names. An open-addressing table of pointers to entries that are never freed while the pool lives:
 * a name once used keeps its entry (so a lookup needs neither lock nor reclamation), and its ref
 * changes. At most NAMES_MAX different names in the life of a pool.
 */

#include "actors/core/core.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MAX   65536u
#define TABLE_SLOTS (2 * NAMES_MAX)

struct trp_registry_entry {
    uint64_t hash;
    troupe_ref ref; /* 0 = free; written under the lock, read by anybody */
    uint32_t name_len;
    char name[];
};

struct trp_registry {
    pthread_mutex_t lock; /* writers only */
    uint32_t names;
    struct trp_registry_entry *slots[TABLE_SLOTS]; /* NULL or published for good */
};

static uint64_t hash_name(struct troupe_span name)
{
    uint64_t hash = 0xCBF29CE484222325ull;
    for (size_t i = 0; i < name.len; i++) {
        hash = (hash ^ (uint8_t)name.data[i]) * 0x100000001B3ull;
    }
    return hash ^ hash >> 32;
}

/* The entry of a name, or the empty slot where it belongs. */
static struct trp_registry_entry *find(struct trp_registry *registry,
                                       struct troupe_span name,
                                       uint64_t hash,
                                       struct trp_registry_entry ***slot)
{
    for (uint64_t i = hash;; i++) {
        struct trp_registry_entry **at = &registry->slots[i % TABLE_SLOTS];
        /* acquire: pairs with the release in add_entry */
        struct trp_registry_entry *entry = trp_load_acquire_ptr((void *const *)at);
        if (entry == NULL) {
            *slot = at;
            return NULL;
        }
        if (entry->hash == hash &&
            troupe_span_equal(troupe_span(entry->name, entry->name_len), name)) {
            return entry;
        }
    }
}

static struct trp_registry *get_registry(struct troupe_pool *pool, bool is_made)
{
    /* acquire: pairs with the release below */
    struct trp_registry *registry = trp_load_acquire_ptr((void *const *)&pool->registry);
    if (registry != NULL || !is_made) {
        return registry;
    }
    pthread_mutex_lock(&pool->lock);
    registry = pool->registry;
    if (registry == NULL) {
        registry = calloc(1, sizeof(*registry));
        if (registry != NULL) {
            pthread_mutex_init(&registry->lock, NULL);
            trp_store_release_ptr((void **)&pool->registry, registry);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return registry;
}

static struct trp_registry_entry *add_entry(struct trp_registry *registry,
                                            struct troupe_span name,
                                            uint64_t hash,
                                            struct trp_registry_entry **slot)
{
    if (registry->names == NAMES_MAX) {
        return NULL;
    }
    struct trp_registry_entry *entry = malloc(sizeof(*entry) + name.len);
    if (entry == NULL) {
        return NULL;
    }
    entry->hash = hash;
    entry->ref = TROUPE_NOBODY;
    entry->name_len = (uint32_t)name.len;
    memcpy(entry->name, name.data, name.len);
    registry->names++;
    trp_store_release_ptr((void **)slot, entry); /* pairs with find */
    return entry;
}

enum troupe_status troupe_register(struct troupe_ctx *ctx, struct troupe_span name)
{
    struct trp_worker *worker = ctx->worker;
    if (name.len == 0 || name.len > TROUPE_NAME_MAX) {
        return TROUPE_EINVAL;
    }
    struct trp_registry *registry = get_registry(worker->pool, true);
    struct trp_relation *relation =
        registry != NULL ? trp_relation_new(worker, ctx->cell, TRP_RELATION_NAME) : NULL;
    if (relation == NULL) {
        return TROUPE_ENOMEM;
    }
    enum troupe_status status = TROUPE_OK;
    uint64_t hash = hash_name(name);
    struct trp_registry_entry **slot = NULL;
    pthread_mutex_lock(&registry->lock);
    struct trp_registry_entry *entry = find(registry, name, hash, &slot);
    if (entry == NULL) {
        entry = add_entry(registry, name, hash, slot);
    }
    if (entry == NULL) {
        status = TROUPE_ENOMEM;
    } else if (entry->ref != TROUPE_NOBODY) {
        status = TROUPE_EEXIST;
    } else {
        trp_store_release_u64(&entry->ref, trp_cell_ref(ctx->cell)); /* pairs with whereis */
    }
    pthread_mutex_unlock(&registry->lock);
    if (status != TROUPE_OK) {
        trp_relation_free(worker, relation);
        return status;
    }
    relation->name.entry = entry;
    return TROUPE_OK;
}

void trp_registry_end(struct trp_worker *worker, struct trp_relation *relation)
{
    struct trp_registry *registry = get_registry(worker->pool, false);
    struct trp_registry_entry *entry = relation->name.entry;
    trp_relation_free(worker, relation);
    pthread_mutex_lock(&registry->lock);
    trp_store_release_u64(&entry->ref, TROUPE_NOBODY); /* pairs with whereis */
    pthread_mutex_unlock(&registry->lock);
}

void troupe_unregister(struct troupe_ctx *ctx, struct troupe_span name)
{
    struct trp_worker *worker = ctx->worker;
    uint32_t slot = ctx->cell->relations;
    while (slot != 0) {
        struct trp_relation *relation = trp_relation_at(worker, slot);
        slot = relation->next;
        if (relation->kind == TRP_RELATION_NAME) {
            const struct trp_registry_entry *entry = relation->name.entry;
            if (troupe_span_equal(troupe_span(entry->name, entry->name_len), name)) {
                trp_registry_end(worker, relation);
                return;
            }
        }
    }
}

troupe_ref troupe_whereis(struct troupe_ctx *ctx, struct troupe_span name)
{
    struct trp_registry *registry = get_registry(ctx->worker->pool, false);
    if (registry == NULL) {
        return TROUPE_NOBODY;
    }
    struct trp_registry_entry **slot;
    struct trp_registry_entry *entry = find(registry, name, hash_name(name), &slot);
    /* acquire: pairs with troupe_register and trp_registry_end */
    return entry == NULL ? TROUPE_NOBODY : trp_load_acquire_u64(&entry->ref);
}

void trp_registry_free(struct trp_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    for (uint32_t i = 0; i < TABLE_SLOTS; i++) {
        free(registry->slots[i]);
    }
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}
