/* Asks, and requests that are answered at once, later, by way of another actor, or not at all. */

#include "tests/sim/crowd.h"

static char filler[TROUPE_MSG_PAYLOAD_MAX];

/* --- asking --- */

static struct kept *kept_by_ask(uint32_t ask)
{
    for (uint32_t i = 0; i < KEPT_MAX; i++) {
        if (book.kept[i].msg != NULL && book.kept[i].ask == ask) {
            return &book.kept[i];
        }
    }
    return NULL;
}

static void answer(struct troupe_ctx *ctx, struct troupe_msg *msg, uint32_t request);
static void answer_kept(struct troupe_ctx *ctx, struct kept *kept);

static enum troupe_verdict
on_answer(struct troupe_ctx *ctx, void *state, const struct troupe_answer *got, uint64_t cookie)
{
    struct member *member = state;
    crowd_ask_ended((uint32_t)cookie, member->life, got);
    struct kept *kept = kept_by_ask((uint32_t)cookie);
    if (kept != NULL) {
        answer_kept(ctx, kept);
    }
    return one_in(ctx, 60) ? TROUPE_FAIL : TROUPE_CONTINUE;
}

uint32_t crowd_ask(struct troupe_ctx *ctx, struct member *member, uint32_t place)
{
    uint64_t timeout_ns = MS + below(ctx, 20) * (one_in(ctx, 2) ? MS : MS / 10);
    uint32_t ask = crowd_ask_new(member->life, timeout_ns);
    uint32_t id = ask == 0 ? 0
                           : crowd_record(book.refs[place], &member->lines[place],
                                          trp_sim_now(book.sim) + timeout_ns);
    if (id == 0) {
        if (ask != 0) {
            book.asks[ask].state = OPEN_TAKEN_BACK;
        }
        return 0;
    }
    struct tag tag = {id, 1, one_in(ctx, 40), 0, TROUPE_NOBODY};
    memcpy(filler, &tag, sizeof(tag));
    size_t len = one_in(ctx, 4) ? 900 : sizeof(tag);
    book.asks[ask].request = id;
    enum troupe_status status = troupe_ask(ctx, book.refs[place], MSG_QUESTION,
                                           troupe_span(filler, len), timeout_ns, on_answer, ask);
    crowd_sent(id, status);
    if (status != TROUPE_OK) {
        book.asks[ask].state = OPEN_TAKEN_BACK;
        return 0;
    }
    return ask;
}

/* --- answering --- */

/* Replies with the number of the request; on no memory the asker hears that nobody replies. */
static void answer(struct troupe_ctx *ctx, struct troupe_msg *msg, uint32_t request)
{
    memcpy(filler, &request, sizeof(request));
    size_t len = one_in(ctx, 4) ? sizeof(filler) : sizeof(request);
    enum troupe_status status = troupe_reply(ctx, msg, MSG_QUESTION, troupe_span(filler, len));
    if (status != TROUPE_OK) {
        TROUPE_ASSERT(status == TROUPE_ENOMEM);
        TROUPE_ASSERT(len == sizeof(filler)); /* a small one fits into the request's node */
        status = troupe_reply(ctx, msg, MSG_QUESTION, troupe_span(&request, sizeof(request)));
        TROUPE_ASSERT(status == TROUPE_OK);
        book.no_memory++;
    }
}

static uint32_t request_of(const struct troupe_msg *msg)
{
    struct tag tag;
    memcpy(&tag, troupe_msg_data(msg), sizeof(tag));
    return tag.id;
}

static void answer_kept(struct troupe_ctx *ctx, struct kept *kept)
{
    struct troupe_msg *msg = kept->msg;
    kept->msg = NULL;
    if (one_in(ctx, 4)) {
        troupe_msg_free(ctx, msg); /* without an answer */
    } else {
        answer(ctx, msg, request_of(msg));
    }
}

/* Keeps a request, perhaps to ask somebody else first. */
static void keep(struct troupe_ctx *ctx, struct member *member, struct troupe_msg *msg)
{
    for (uint32_t i = 0; i < KEPT_MAX; i++) {
        if (book.kept[i].msg == NULL) {
            book.kept[i] = (struct kept){troupe_msg_take(ctx, msg), member->life, 0};
            if (one_in(ctx, 2)) {
                book.kept[i].ask = crowd_ask(ctx, member, below(ctx, book.places));
            }
            return;
        }
    }
}

void crowd_question(struct troupe_ctx *ctx, struct member *member, struct troupe_msg *msg)
{
    TROUPE_ASSERT(troupe_wants_reply(msg));
    switch (below(ctx, 6)) {
    case 0:
        break; /* no answer */
    case 1:
    case 2:
        keep(ctx, member, msg);
        break;
    default:
        answer(ctx, msg, request_of(msg));
        break;
    }
}

void crowd_settle_kept(struct troupe_ctx *ctx, struct member *member)
{
    for (uint32_t i = 0; i < KEPT_MAX; i++) {
        if (book.kept[i].msg != NULL && book.kept[i].life == member->life) {
            answer_kept(ctx, &book.kept[i]);
            return;
        }
    }
}

void crowd_drop_kept(struct troupe_ctx *ctx, uint32_t life)
{
    for (uint32_t i = 0; i < KEPT_MAX; i++) {
        struct kept *kept = &book.kept[i];
        if (kept->msg != NULL && kept->life == life) {
            answer_kept(ctx, kept);
        }
    }
}
