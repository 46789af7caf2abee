/*
 * What is kept per pool: names, and a table of links per worker, which must be there before a
 * request reaches that worker.
 *
 * Names: a hash table of chains whose entries are never freed while the pool lives, but reused: the
 * entry of a name that was taken back is the next one's, in whatever chain that belongs. Writers
 * have a lock; a lookup has none and waits for nobody. Two things keep it right:
 *
 *  - An entry's version is odd while it has no name and changes with each name. A lookup takes what
 *    it read of an entry (name, then ref) only when the version was even before and the same after.
 *  - The last entry of a chain points at a mark that says which chain it is. A lookup that stood on
 *    an entry when it moved may go on in another chain; then it ends at a foreign mark and begins
 *    anew. In its own chain an entry that comes back is put in front, so nothing is missed.
 *
 * A lookup begins anew only when a writer got something done meanwhile: lock-free, not wait-free.
 */

#include "actors/core/core.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

#define CHAIN_BITS 17
#define CHAINS     (1u << CHAIN_BITS)
#define KEY_WORDS  8u

TROUPE_STATIC_ASSERT(CHAINS >= TROUPE_NAMES_MAX, "chains stay short");
TROUPE_STATIC_ASSERT(TROUPE_NAME_MAX < KEY_WORDS * sizeof(uint64_t), "a name fits into a key");

/* A name in words: names of the same length are the same when these are. The last word overlaps the
 * one before, so that nothing has to be filled up. */
struct key {
    uint64_t len;
    uint64_t count; /* of words */
    uint64_t hash;
    uint64_t words[KEY_WORDS];
};

struct trp_registry_entry {
    void *next; /* entry, mark, or NULL: the end of a chain that was empty */
    uint64_t version;
    troupe_ref ref;
    struct key key;
    struct trp_registry_entry *next_made; /* every entry there is */
    struct trp_registry_entry *next_free;
};

struct trp_registry {
    pthread_mutex_t lock; /* writers only */
    uint32_t made;        /* entries, named or not: most names there were at once */
    struct trp_registry_entry *all;
    struct trp_registry_entry *free_entries;
    void *chains[CHAINS];          /* NULL = empty since ever */
    struct trp_link_table links[]; /* one per worker */
};

/* --- keys and chains --- */

static uint64_t load_word(const char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

/* All of a name of less than a word, in an order that its length decides. */
static uint64_t load_short(const char *data, size_t len)
{
    if (len >= sizeof(uint32_t)) {
        uint32_t first;
        uint32_t last;
        memcpy(&first, data, sizeof(first));
        memcpy(&last, data + len - sizeof(last), sizeof(last));
        return (uint64_t)last << 32 | first;
    }
    return (uint64_t)(uint8_t)data[0] | (uint64_t)(uint8_t)data[len / 2] << 8 |
           (uint64_t)(uint8_t)data[len - 1] << 16;
}

/* Each product spreads upwards only; the shift brings that down for the next one. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0xD6E8FEB86659FD93ull;
    return hash ^ hash >> 32;
}

/* Of 1 .. TROUPE_NAME_MAX bytes. */
static inline void make_key(struct key *key, struct troupe_span name)
{
    uint64_t hash = name.len;
    uint32_t count = 0;
    size_t left = name.len;
    for (; left > sizeof(uint64_t); left -= sizeof(uint64_t)) {
        key->words[count] = load_word(name.data + count * sizeof(uint64_t));
        hash = mix(hash, key->words[count++]);
    }
    key->words[count] = name.len >= sizeof(uint64_t)
                            ? load_word(name.data + name.len - sizeof(uint64_t))
                            : load_short(name.data, name.len);
    hash = mix(hash, key->words[count++]);
    key->len = name.len;
    key->count = count;
    key->hash = mix(hash, 0);
}

/* By the upper bits, into which all the others went. */
static uint64_t chain_of(const struct key *key)
{
    return key->hash >> (64 - CHAIN_BITS);
}

static void *mark_of(uint64_t chain)
{
    return (void *)(uintptr_t)(chain << 1 | 1); /* no entry lies at an odd address */
}

static bool is_end(const void *next)
{
    return next == NULL || ((uintptr_t)next & 1) != 0;
}

/* Of an entry that may get another name meanwhile; each load is an acquire, so that the version is
 * read after it, and pairs with the releases in name_entry. */
static bool has_key(const struct trp_registry_entry *entry, const struct key *key)
{
    if (trp_load_acquire_u64(&entry->key.hash) != key->hash ||
        trp_load_acquire_u64(&entry->key.len) != key->len) {
        return false;
    }
    for (uint32_t i = 0; i < key->count; i++) {
        if (trp_load_acquire_u64(&entry->key.words[i]) != key->words[i]) {
            return false;
        }
    }
    return true;
}

enum look { LOOK_FOUND, LOOK_NONE, LOOK_AGAIN };

/* One walk along the chain. */
static enum look
look_up(const struct trp_registry *registry, const struct key *key, troupe_ref *ref)
{
    uint64_t chain = chain_of(key);
    /* acquire: pairs with the release in push_entry, and in pull_entry */
    const void *next = trp_load_acquire_ptr(&registry->chains[chain]);
    while (!is_end(next)) {
        const struct trp_registry_entry *entry = next;
        /* acquire: pairs with the release at the end of name_entry */
        uint64_t version = trp_load_acquire_u64(&entry->version);
        if (has_key(entry, key)) {
            /* acquire: pairs with the release in name_entry; the version is read after it */
            troupe_ref found = trp_load_acquire_u64(&entry->ref);
            if (trp_load_relaxed_u64(&entry->version) != version) {
                return LOOK_AGAIN;
            }
            if (version % 2 == 0) {
                *ref = found;
                return LOOK_FOUND;
            }
        }
        next = trp_load_acquire_ptr(&entry->next); /* as for the head */
    }
    return next == NULL || next == mark_of(chain) ? LOOK_NONE : LOOK_AGAIN;
}

/* --- the table --- */

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
        registry = calloc(1, sizeof(*registry) + pool->worker_count * sizeof(registry->links[0]));
        if (registry != NULL) {
            pthread_mutex_init(&registry->lock, NULL);
            trp_store_release_ptr((void **)&pool->registry, registry);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return registry;
}

struct trp_link_table *trp_registry_links(struct trp_worker *worker, bool is_made)
{
    struct trp_registry *registry = get_registry(worker->pool, is_made);
    return registry != NULL ? &registry->links[worker->index] : NULL;
}

/* An entry without a name, in no chain; NULL at the bound or without memory. */
static struct trp_registry_entry *take_entry(struct trp_registry *registry)
{
    struct trp_registry_entry *entry = registry->free_entries;
    if (entry != NULL) {
        registry->free_entries = entry->next_free;
        return entry;
    }
    if (registry->made == TROUPE_NAMES_MAX) {
        return NULL;
    }
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return NULL;
    }
    entry->version = 1;
    entry->next_made = registry->all;
    registry->all = entry;
    registry->made++;
    return entry;
}

/* Its version is odd; a lookup that sees one of these words sees that too: releases, which pair
 * with has_key and look_up. */
static void name_entry(struct trp_registry_entry *entry, const struct key *key, troupe_ref ref)
{
    TROUPE_ASSERT(entry->version % 2 == 1);
    trp_store_release_u64(&entry->key.hash, key->hash);
    trp_store_release_u64(&entry->key.len, key->len);
    for (uint32_t i = 0; i < key->count; i++) {
        trp_store_release_u64(&entry->key.words[i], key->words[i]);
    }
    trp_store_release_u64(&entry->ref, ref);
    trp_store_release_u64(&entry->version, entry->version + 1);
}

static void push_entry(struct trp_registry *registry, struct trp_registry_entry *entry)
{
    uint64_t chain = chain_of(&entry->key);
    void *head = registry->chains[chain];
    /* releases: pair with look_up, which may stand on this entry from an earlier name */
    trp_store_release_ptr(&entry->next, head != NULL ? head : mark_of(chain));
    trp_store_release_ptr(&registry->chains[chain], entry);
}

/* Takes it out of its chain; its own `next` stays, for lookups that stand on it. */
static void pull_entry(struct trp_registry *registry, struct trp_registry_entry *entry)
{
    void **place = &registry->chains[chain_of(&entry->key)];
    while (*place != entry) {
        TROUPE_ASSERT(!is_end(*place));
        place = &((struct trp_registry_entry *)*place)->next;
    }
    trp_store_release_ptr(place, entry->next); /* pairs with look_up */
}

/* --- what actors do --- */

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
    struct key key;
    make_key(&key, name);
    troupe_ref other;
    pthread_mutex_lock(&registry->lock);
    if (look_up(registry, &key, &other) != LOOK_NONE) {
        status = TROUPE_EEXIST; /* nothing moves meanwhile: found, never "again" */
    } else if ((relation->name.entry = take_entry(registry)) == NULL) {
        status = TROUPE_ENOMEM;
    } else {
        name_entry(relation->name.entry, &key, trp_cell_ref(ctx->cell));
        push_entry(registry, relation->name.entry);
    }
    pthread_mutex_unlock(&registry->lock);
    if (status != TROUPE_OK) {
        trp_relation_free(worker, relation);
    }
    return status;
}

void trp_registry_end(struct trp_worker *worker, struct trp_relation *relation)
{
    struct trp_registry *registry = get_registry(worker->pool, false);
    struct trp_registry_entry *entry = relation->name.entry;
    trp_relation_free(worker, relation);
    pthread_mutex_lock(&registry->lock);
    TROUPE_ASSERT(entry->version % 2 == 0);
    trp_store_release_u64(&entry->version, entry->version + 1); /* pairs with look_up */
    pull_entry(registry, entry);
    entry->next_free = registry->free_entries;
    registry->free_entries = entry;
    pthread_mutex_unlock(&registry->lock);
}

void troupe_unregister(struct troupe_ctx *ctx, struct troupe_span name)
{
    struct trp_worker *worker = ctx->worker;
    struct key key;
    if (name.len == 0 || name.len > TROUPE_NAME_MAX) {
        return;
    }
    make_key(&key, name);
    for (uint32_t slot = ctx->cell->relations; slot != 0;) {
        struct trp_relation *relation = trp_relation_at(worker, slot);
        slot = relation->next;
        if (relation->kind == TRP_RELATION_NAME && has_key(relation->name.entry, &key)) {
            trp_registry_end(worker, relation);
            return;
        }
    }
}

troupe_ref troupe_whereis(struct troupe_ctx *ctx, struct troupe_span name)
{
    struct trp_registry *registry = get_registry(ctx->worker->pool, false);
    if (registry == NULL || name.len == 0 || name.len > TROUPE_NAME_MAX) {
        return TROUPE_NOBODY;
    }
    struct key key;
    make_key(&key, name);
    troupe_ref ref = TROUPE_NOBODY;
    while (look_up(registry, &key, &ref) == LOOK_AGAIN) {
    }
    return ref;
}

void trp_registry_free(struct trp_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    while (registry->all != NULL) {
        struct trp_registry_entry *entry = registry->all;
        registry->all = entry->next_made;
        free(entry);
    }
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}
