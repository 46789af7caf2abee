#include "actors/nostr/publish_queue.h"

#include <string.h>
#include <troupe/assert.h>

/* --- lists --- */

static void list_append(struct trp_publish_list *list, struct trp_publish *entry)
{
    entry->prev = list->tail;
    entry->next = NULL;
    if (list->tail != NULL) {
        list->tail->next = entry;
    } else {
        list->head = entry;
    }
    list->tail = entry;
}

static void list_prepend(struct trp_publish_list *list, struct trp_publish *entry)
{
    entry->prev = NULL;
    entry->next = list->head;
    if (list->head != NULL) {
        list->head->prev = entry;
    } else {
        list->tail = entry;
    }
    list->head = entry;
}

static void list_remove(struct trp_publish_list *list, struct trp_publish *entry)
{
    if (entry->prev != NULL) {
        entry->prev->next = entry->next;
    } else {
        list->head = entry->next;
    }
    if (entry->next != NULL) {
        entry->next->prev = entry->prev;
    } else {
        list->tail = entry->prev;
    }
    entry->prev = NULL;
    entry->next = NULL;
}

/* --- by id: ids are hashes of what we wrote ourselves, so their bytes spread well --- */

static struct trp_publish **bucket_of(struct trp_publish_queue *queue, const uint8_t *id)
{
    uint32_t word;
    memcpy(&word, id, sizeof(word));
    return &queue->buckets[word % TRP_PUBLISH_BUCKETS];
}

static struct trp_publish **find_link(struct trp_publish_queue *queue, const uint8_t *id)
{
    struct trp_publish **link = bucket_of(queue, id);
    while (*link != NULL && memcmp((*link)->id, id, TRP_NOSTR_ID_LEN) != 0) {
        link = &(*link)->hash_next;
    }
    return link;
}

static void take_out(struct trp_publish_queue *queue, struct trp_publish *entry)
{
    struct trp_publish **link = find_link(queue, entry->id);
    TROUPE_ASSERT(*link == entry);
    *link = entry->hash_next;
    list_remove(&queue->lists[entry->where], entry);
    TROUPE_ASSERT(queue->count > 0);
    TROUPE_ASSERT(queue->bytes >= entry->bytes);
    queue->count--;
    queue->bytes -= entry->bytes;
}

/* --- the life of an entry --- */

enum troupe_status
trp_publish_push(struct trp_publish_queue *queue, struct trp_publish *entry, uint64_t now_ns)
{
    struct trp_publish **link = find_link(queue, entry->id);
    if (*link != NULL) {
        return TROUPE_EEXIST;
    }
    /* one event may exceed the bytes when it is alone, otherwise it could never be sent */
    if (queue->count >= queue->limits.count_max ||
        (queue->count > 0 && queue->bytes + entry->bytes > queue->limits.bytes_max)) {
        return TROUPE_EBUSY;
    }
    entry->hash_next = NULL;
    *link = entry;
    entry->deadline_ns = now_ns + queue->limits.publish_ns;
    entry->tries = 0;
    entry->where = TRP_PUBLISH_WAITING;
    list_append(&queue->lists[TRP_PUBLISH_WAITING], entry);
    queue->count++;
    queue->bytes += entry->bytes;
    return TROUPE_OK;
}

static struct trp_publish *head_of(const struct trp_publish_queue *queue,
                                   enum trp_publish_where where)
{
    return queue->lists[where].head;
}

struct trp_publish *trp_publish_next(const struct trp_publish_queue *queue)
{
    struct trp_publish *again = head_of(queue, TRP_PUBLISH_AGAIN);
    return again != NULL ? again : head_of(queue, TRP_PUBLISH_WAITING);
}

void trp_publish_sent(struct trp_publish_queue *queue, struct trp_publish *entry, uint64_t now_ns)
{
    TROUPE_ASSERT(entry->where != TRP_PUBLISH_SENT);
    list_remove(&queue->lists[entry->where], entry);
    entry->where = TRP_PUBLISH_SENT;
    entry->sent_ns = now_ns;
    entry->tries++;
    list_append(&queue->lists[TRP_PUBLISH_SENT], entry);
}

struct trp_publish *trp_publish_answer(struct trp_publish_queue *queue,
                                       const uint8_t id[TRP_NOSTR_ID_LEN])
{
    struct trp_publish *entry = *find_link(queue, id);
    if (entry == NULL || entry->tries == 0) {
        return NULL;
    }
    take_out(queue, entry);
    return entry;
}

void trp_publish_requeue(struct trp_publish_queue *queue)
{
    for (struct trp_publish *entry = head_of(queue, TRP_PUBLISH_AGAIN); entry != NULL;
         entry = entry->next) {
        entry->tries = 0; /* a new connection, a new chance; the deadline stands */
    }
    struct trp_publish *entry = queue->lists[TRP_PUBLISH_SENT].tail;
    while (entry != NULL) {
        struct trp_publish *prev = entry->prev;
        list_remove(&queue->lists[TRP_PUBLISH_SENT], entry);
        entry->tries = 0;
        entry->where = TRP_PUBLISH_AGAIN;
        list_prepend(&queue->lists[TRP_PUBLISH_AGAIN], entry);
        entry = prev;
    }
}

/* Takes the oldest of a list out when its deadline passed. */
static bool take_expired(struct trp_publish_queue *queue,
                         struct trp_publish **entry,
                         enum trp_publish_where where,
                         uint64_t now_ns)
{
    struct trp_publish *oldest = head_of(queue, where);
    if (oldest == NULL || oldest->deadline_ns > now_ns) {
        return false;
    }
    take_out(queue, oldest);
    *entry = oldest;
    return true;
}

enum trp_publish_due
trp_publish_expire(struct trp_publish_queue *queue, struct trp_publish **entry, uint64_t now_ns)
{
    if (take_expired(queue, entry, TRP_PUBLISH_AGAIN, now_ns) ||
        take_expired(queue, entry, TRP_PUBLISH_WAITING, now_ns)) {
        return TRP_PUBLISH_EXPIRED;
    }
    struct trp_publish *oldest = head_of(queue, TRP_PUBLISH_SENT);
    if (oldest == NULL || oldest->sent_ns + queue->limits.ok_ns > now_ns) {
        return TRP_PUBLISH_NONE;
    }
    if (oldest->tries < 2 && oldest->deadline_ns > now_ns) {
        list_remove(&queue->lists[TRP_PUBLISH_SENT], oldest);
        oldest->where = TRP_PUBLISH_AGAIN;
        list_append(&queue->lists[TRP_PUBLISH_AGAIN], oldest);
        return TRP_PUBLISH_RETRY;
    }
    take_out(queue, oldest);
    *entry = oldest;
    return TRP_PUBLISH_UNANSWERED;
}

uint64_t trp_publish_due_ns(const struct trp_publish_queue *queue)
{
    const struct trp_publish *again = head_of(queue, TRP_PUBLISH_AGAIN);
    const struct trp_publish *waiting = head_of(queue, TRP_PUBLISH_WAITING);
    const struct trp_publish *sent = head_of(queue, TRP_PUBLISH_SENT);
    uint64_t due = UINT64_MAX;
    if (again != NULL) {
        due = again->deadline_ns;
    }
    if (waiting != NULL && waiting->deadline_ns < due) {
        due = waiting->deadline_ns;
    }
    if (sent != NULL && sent->sent_ns + queue->limits.ok_ns < due) {
        due = sent->sent_ns + queue->limits.ok_ns;
    }
    return due;
}

struct trp_publish *trp_publish_take(struct trp_publish_queue *queue)
{
    for (uint32_t where = 0; where < TRP_PUBLISH_LISTS; where++) {
        struct trp_publish *entry = queue->lists[where].head;
        if (entry != NULL) {
            take_out(queue, entry);
            return entry;
        }
    }
    return NULL;
}

enum trp_publish_answer_kind trp_publish_judge(bool accepted, struct troupe_span text)
{
    static const char prefix[] = "duplicate:";
    if (text.len >= sizeof(prefix) - 1 && memcmp(text.data, prefix, sizeof(prefix) - 1) == 0) {
        return TRP_PUBLISH_DUPLICATE;
    }
    return accepted ? TRP_PUBLISH_ACCEPTED : TRP_PUBLISH_REFUSED;
}
