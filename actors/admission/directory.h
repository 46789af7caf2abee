#ifndef ACTORS_ADMISSION_DIRECTORY_H
#define ACTORS_ADMISSION_DIRECTORY_H

/*
 * The directory of known clients: one writer (the admission actor), any number of readers, each
 * inside an epoch section of its worker. An entry is an object whose first member is a struct
 * trp_directory_entry; removed ones stay readable until every section that might see them ended.
 */

#include <ck_epoch.h>
#include <ck_hs.h>
#include <troupe/admission.h>

#if defined(__SANITIZE_THREAD__)
/* The library's own code is not instrumented; the hand-over points say what it does. */
#include <sanitizer/tsan_interface.h>
#define TRP_TSAN_RELEASE(address) __tsan_release(address)
#define TRP_TSAN_ACQUIRE(address) __tsan_acquire(address)
#else
#define TRP_TSAN_RELEASE(address) ((void)(address))
#define TRP_TSAN_ACQUIRE(address) ((void)(address))
#endif

struct trp_directory_entry {
    struct troupe_key key; /* first: what lookups compare with */
    uint64_t hash;
};

struct trp_directory {
    ck_hs_t set;
    ck_epoch_t epoch;
    ck_epoch_record_t writer; /* of the admission actor's worker */
    uint32_t removals;        /* since the last rebuild */
    uint32_t rebuild_after;
};

/* Startup. `expected`: entries it is sized for; it grows beyond. False when out of memory. */
bool trp_directory_init(struct trp_directory *directory, uint32_t expected);
/* After the workers have ended: runs what is deferred and frees the table. */
void trp_directory_fini(struct trp_directory *directory);

/* Any worker, inside a section of its own record. NULL = not there, as a hint. */
struct trp_directory_entry *
trp_directory_find(struct trp_directory *directory, uint64_t hash, const struct troupe_key *key);

/* Writer. False when out of memory: the entry is not found by readers, nothing else. */
bool trp_directory_put(struct trp_directory *directory, struct trp_directory_entry *entry);
void trp_directory_remove(struct trp_directory *directory, struct trp_directory_entry *entry);

/* Writer: calls free_cb(entry) from a later trp_directory_poll, when no reader can see it. */
void trp_directory_defer(struct trp_directory *directory,
                         ck_epoch_entry_t *entry,
                         ck_epoch_cb_t *free_cb);
void trp_directory_poll(struct trp_directory *directory);

/* A reader's section; short, never held while parking. */
static inline void trp_section_begin(ck_epoch_record_t *record)
{
    ck_epoch_begin(record, NULL);
}

static inline void trp_section_end(ck_epoch_record_t *record)
{
    TRP_TSAN_RELEASE(record->global);
    (void)ck_epoch_end(record, NULL);
}

#endif
