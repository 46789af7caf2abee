/* Holds of a client: the public calls of its actor, and what others do with the state word. */

#include "actors/admission/admission_internal.h"

#include <troupe/assert.h>

static void stamp(struct troupe_ctx *ctx, struct troupe_client *client)
{
    /* relaxed: a hint for the order of eviction, read by trp_lru_sweep */
    trp_store_relaxed_u64(&client->last_active_ns, troupe_now(ctx));
}

/* Asks the admission actor to look at the record. In a section unless the home is not down yet. */
static void post(struct troupe_ctx *ctx, struct troupe_client *client)
{
    /* full barrier: what was changed before is seen by the admission actor, which clears the flag
     * before it looks (on_client_note) */
    if (trp_fas_u32(&client->is_posted, 1) == 0) {
        trp_note_post(ctx, client->admission->actor, &client->note);
    }
}

bool trp_client_open(struct troupe_ctx *ctx, struct trp_agent *agent, struct troupe_client *client)
{
    uint64_t before;
    if (!trp_word_open(&client->word, false, &before)) {
        return false;
    }
    if (trp_word_holds(before) == 0) {
        trp_count(&agent->counts.went_busy, 1);
    }
    stamp(ctx, client);
    return true;
}

/* Ends one hold; the caller keeps the record alive. */
static void close_hold(struct troupe_ctx *ctx, struct troupe_client *client)
{
    stamp(ctx, client);
    uint64_t before = trp_word_close(&client->word, 1, 0);
    TROUPE_ASSERT(trp_word_holds(before) != 0);
    if (!trp_word_emptied(before, 1)) {
        return;
    }
    bool is_closing = (before & TRP_WORD_CLOSING) != 0;
    if (!is_closing) {
        trp_count(&trp_agent_here(ctx, client->admission)->counts.went_idle, 1);
    }
    if (is_closing || (before & TRP_WORD_WATCHED) != 0) {
        post(ctx, client);
    }
}

void trp_client_close(struct troupe_ctx *ctx, struct troupe_client *client)
{
    struct trp_agent *agent = trp_agent_here(ctx, client->admission);
    trp_section_begin(&agent->epoch);
    close_hold(ctx, client);
    trp_section_end(&agent->epoch);
}

void trp_client_down(struct troupe_ctx *ctx, struct troupe_client *client, uint32_t owned)
{
    struct trp_agent *agent = trp_agent_here(ctx, client->admission);
    trp_count(&agent->counts.routes_closed, client->routes);
    client->phase = TRP_HOME_ENDED;
    client->actor = TROUPE_NOBODY;
    client->unhandled = 0;
    client->routes = 0;
    uint64_t before = trp_word_close(&client->word, owned, TRP_WORD_CLOSING);
    TROUPE_ASSERT(trp_word_holds(before) >= owned);
    if ((before & TRP_WORD_CLOSING) == 0) {
        client->reason = TROUPE_RELEASE_DIED;
        if (trp_word_holds(before) == 0) {
            trp_count(&agent->counts.went_busy, 1);
        }
    }
    trp_section_begin(&agent->epoch);
    trp_fas_u32(&client->is_down, 1); /* full barrier: pairs with on_client_note */
    if (trp_word_is_final(trp_load_relaxed_u64(&client->word))) {
        post(ctx, client);
    }
    trp_section_end(&agent->epoch);
}

void trp_client_stop_seen(struct troupe_ctx *ctx, struct troupe_client *client)
{
    struct trp_agent *agent = trp_agent_here(ctx, client->admission);
    if (client->phase == TRP_HOME_RUNNING) {
        troupe_stop(ctx, client->actor);
    }
    bool is_ended = client->phase == TRP_HOME_ENDED;
    trp_section_begin(&agent->epoch);
    trp_fas_u32(&client->stop_seen, 1); /* full barrier: pairs with on_client_note */
    if (is_ended) {
        post(ctx, client);
    }
    trp_section_end(&agent->epoch);
}

/* --- for the client's actor --- */

const struct troupe_key *troupe_client_key(const struct troupe_client *client)
{
    return &client->entry.key;
}

static void check_home(struct troupe_ctx *ctx, const struct troupe_client *client)
{
    TROUPE_ASSERT(troupe_self_worker(ctx) == client->home);
    TROUPE_ASSERT(client->phase != TRP_HOME_ENDED);
}

void troupe_client_handled(struct troupe_ctx *ctx, struct troupe_client *client)
{
    check_home(ctx, client);
    TROUPE_ASSERT(client->unhandled != 0);
    client->unhandled--;
    trp_count(&trp_agent_here(ctx, client->admission)->counts.handled, 1);
    close_hold(ctx, client); /* the home is not down: no section needed */
}

bool troupe_client_open_route(struct troupe_ctx *ctx, struct troupe_client *client)
{
    check_home(ctx, client);
    struct trp_agent *agent = trp_agent_here(ctx, client->admission);
    uint64_t before;
    if (!trp_word_open(&client->word, true, &before)) {
        return false;
    }
    if (trp_word_holds(before) == 0) {
        trp_count(&agent->counts.went_busy, 1);
    }
    client->routes++;
    trp_count(&agent->counts.routes_opened, 1);
    stamp(ctx, client);
    return true;
}

void troupe_client_close_route(struct troupe_ctx *ctx, struct troupe_client *client)
{
    check_home(ctx, client);
    TROUPE_ASSERT(client->routes != 0);
    client->routes--;
    trp_count(&trp_agent_here(ctx, client->admission)->counts.routes_closed, 1);
    close_hold(ctx, client);
}

bool troupe_client_leave(struct troupe_ctx *ctx, struct troupe_client *client)
{
    check_home(ctx, client);
    uint64_t before = trp_word_close(&client->word, 0, TRP_WORD_CLOSING);
    bool is_free = trp_word_holds(before) == 0;
    if ((before & TRP_WORD_CLOSING) == 0) {
        client->reason = TROUPE_RELEASE_LEFT;
        if (is_free) {
            trp_count(&trp_agent_here(ctx, client->admission)->counts.went_busy, 1);
        }
    }
    if (is_free && client->actor != TROUPE_NOBODY) {
        troupe_stop(ctx, client->actor); /* also if it should forget to */
    }
    return is_free;
}

void troupe_client_give_back(struct troupe_ctx *ctx,
                             struct troupe_client *client,
                             struct troupe_msg *msg)
{
    check_home(ctx, client);
    TROUPE_ASSERT(client->unhandled != 0);
    if (msg == ctx->msg) {
        msg = troupe_msg_take(ctx, msg);
    }
    struct troupe_msg *carrier = trp_carrier_new(ctx, &client->entry.key, msg);
    if (carrier == NULL) {
        trp_refuse(ctx, client->admission, &client->entry.key, msg, TRP_REFUSE_BUSY);
    } else {
        trp_carrier_return(ctx, client->admission, carrier);
    }
    client->unhandled--;
    close_hold(ctx, client);
}
