/* What actors of the crowd send: plain messages, some with a deadline, shared buffers, last words,
 * floods, jobs for offload. */

#include "tests/sim/crowd.h"

#define FLOOD (TRP_WINDOW + 200u)

static void put_tag(void *payload, const struct tag *tag)
{
    memcpy(payload, tag, sizeof(*tag));
}

/* A message for a record, of a random size, with a deadline or without. */
static struct troupe_msg *
make(struct troupe_ctx *ctx, uint16_t type, uint32_t id, uint64_t deadline_ns)
{
    struct tag tag = {id, 1, one_in(ctx, 300), 0, TROUPE_NOBODY};
    uint32_t size = (uint32_t)sizeof(tag) +
                    (one_in(ctx, 6) ? below(ctx, TROUPE_MSG_PAYLOAD_MAX - sizeof(tag) + 1) : 0);
    struct troupe_msg *msg = deadline_ns != 0
                                 ? troupe_msg_new_deadline(ctx, type, size, deadline_ns)
                                 : troupe_msg_new(ctx, type, size);
    if (msg != NULL) {
        memset(troupe_msg_data(msg), 0x5A, size);
        put_tag(troupe_msg_data(msg), &tag);
    }
    return msg;
}

/* Makes a message and a record; NULL when there is no place for either. */
static struct troupe_msg *
prepare(struct troupe_ctx *ctx, struct member *member, uint32_t place, uint16_t type, uint32_t *id)
{
    uint64_t deadline_ns = one_in(ctx, 8) ? troupe_now(ctx) + below(ctx, 400000) : 0;
    *id = crowd_record(book.refs[place], &member->lines[place], deadline_ns);
    if (*id == 0) {
        return NULL;
    }
    struct troupe_msg *msg = make(ctx, type, *id, deadline_ns);
    if (msg == NULL) {
        crowd_sent(*id, TROUPE_ENOMEM);
    }
    return msg;
}

static void
send_partner(struct troupe_ctx *ctx, struct member *member, uint32_t place, troupe_ref partner)
{
    uint32_t id;
    struct troupe_msg *msg = prepare(ctx, member, place, MSG_NUMBER, &id);
    if (msg != NULL) {
        struct tag tag = {id, 1, 0, 0, partner};
        put_tag(troupe_msg_data(msg), &tag);
        crowd_sent(id, troupe_send(ctx, book.refs[place], &msg));
        troupe_msg_free(ctx, msg);
    }
}

void crowd_match(struct troupe_ctx *ctx, struct member *member)
{
    uint32_t one = below(ctx, book.places);
    uint32_t other = below(ctx, book.places);
    send_partner(ctx, member, one, book.refs[other]);
    send_partner(ctx, member, other, book.refs[one]);
}

bool crowd_send(struct troupe_ctx *ctx, struct member *member, uint32_t place)
{
    uint32_t id;
    struct troupe_msg *msg = prepare(ctx, member, place, MSG_NUMBER, &id);
    if (msg == NULL) {
        return false;
    }
    enum troupe_status status = troupe_send(ctx, book.refs[place], &msg);
    crowd_sent(id, status);
    TROUPE_ASSERT((status == TROUPE_OK) == (msg == NULL));
    troupe_msg_free(ctx, msg);
    if (status == TROUPE_EBUSY && one_in(ctx, 4)) {
        crowd_await(ctx, member, book.refs[place]);
    }
    return status == TROUPE_OK;
}

void crowd_send_last(struct troupe_ctx *ctx, struct member *member, uint32_t place)
{
    uint32_t id;
    struct troupe_msg *msg = prepare(ctx, member, place, MSG_LAST, &id);
    if (msg != NULL) {
        crowd_sent(id, troupe_stop_after(ctx, book.refs[place], &msg));
        troupe_msg_free(ctx, msg);
    }
}

/* More than the window between two workers holds. */
void crowd_flood(struct troupe_ctx *ctx, struct member *member)
{
    uint32_t place = below(ctx, book.places);
    uint32_t accepted = 0;
    while (accepted < FLOOD && crowd_send(ctx, member, place)) {
        accepted++;
    }
    if (troupe_ref_worker(book.refs[place]) != troupe_self_worker(ctx)) {
        TROUPE_ASSERT(accepted <= TRP_WINDOW);
    }
}

/* --- one buffer for several --- */

static void settle_group(uint32_t first, uint32_t count, uint32_t sent)
{
    if (sent == count) {
        return;
    }
    TROUPE_ASSERT(sent < count);
    for (uint32_t i = 0; i < count; i++) {
        if (book.records[first + i].fate == FATE_ACCEPTED) {
            book.records[first + i].fate = FATE_MAYBE;
        }
    }
    book.groups[book.group_count++] = (struct group){first, count, sent};
}

static void send_shared(struct troupe_ctx *ctx,
                        const troupe_ref *to,
                        uint32_t first,
                        uint32_t count,
                        struct troupe_buf *buf)
{
    if (one_in(ctx, 2)) {
        enum troupe_status statuses[SHARE_MAX];
        enum troupe_status first_bad = TROUPE_OK;
        enum troupe_status status = troupe_send_each(ctx, statuses, to, count, MSG_SHARED, buf);
        for (uint32_t i = 0; i < count; i++) {
            crowd_sent(first + i, statuses[i]);
            first_bad = first_bad == TROUPE_OK ? statuses[i] : first_bad;
        }
        TROUPE_ASSERT(status == first_bad);
        return;
    }
    uint32_t sent = count + 1;
    enum troupe_status status = troupe_send_many(ctx, to, count, MSG_SHARED, buf, &sent);
    TROUPE_ASSERT((status == TROUPE_OK) == (sent == count));
    settle_group(first, count, sent);
}

void crowd_share(struct troupe_ctx *ctx, struct member *member)
{
    troupe_ref to[SHARE_MAX];
    uint32_t count = 1 + below(ctx, SHARE_MAX);
    uint32_t capacity = one_in(ctx, 8) ? 70000 : 64 + below(ctx, 2000);
    uint32_t first = book.record_count;
    if (book.record_count + count > RECORDS_MAX || book.group_count == GROUPS_MAX) {
        return;
    }
    struct troupe_buf *buf = troupe_buf_new(ctx, capacity);
    if (buf == NULL) {
        book.no_memory++;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = below(ctx, book.places);
        to[i] = book.refs[place];
        (void)crowd_record(to[i], &member->lines[place], 0);
    }
    struct tag tag = {first, count, one_in(ctx, 40), 0, TROUPE_NOBODY};
    put_tag(buf->data, &tag);
    buf->size = sizeof(tag);
    send_shared(ctx, to, first, count, buf);
    troupe_buf_release(buf);
}

/* --- offload --- */

static void work(void *payload)
{
    struct tag tag;
    memcpy(&tag, payload, sizeof(tag));
    tag.is_worked++;
    memcpy(payload, &tag, sizeof(tag));
}

void crowd_offload(struct troupe_ctx *ctx, struct member *member)
{
    (void)member;
    uint32_t id =
        crowd_record(troupe_self(ctx), NULL, 0); /* another lane: no order with the rest */
    if (id == 0) {
        return;
    }
    struct troupe_msg *msg = make(ctx, MSG_JOB, id, 0);
    if (msg == NULL) {
        crowd_sent(id, TROUPE_ENOMEM);
        return;
    }
    crowd_sent(id, troupe_offload(ctx, &msg, work));
    troupe_msg_free(ctx, msg);
}
