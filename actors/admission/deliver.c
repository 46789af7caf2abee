/* The way in, on any worker: carriers, the directory, refusals. */

#include "actors/admission/admission_internal.h"

#include <troupe/assert.h>

struct troupe_msg *
trp_carrier_new(struct troupe_ctx *ctx, const struct troupe_key *key, struct troupe_msg *inner)
{
    const unsigned unfit = TROUPE_MSG_ASK | TROUPE_MSG_EMBEDDED | TROUPE_MSG_OWNS_MSG;
    TROUPE_ASSERT((inner->flags & unfit) == 0);
    struct troupe_msg *msg =
        troupe_msg_new(ctx, TRP_ADMISSION_MISS, (uint32_t)sizeof(struct trp_carrier));
    if (msg == NULL) {
        return NULL;
    }
    msg->flags |= TROUPE_MSG_OWNS_MSG;
    struct trp_carrier *carrier = trp_carrier_of(msg);
    carrier->inner = inner;
    carrier->client = NULL;
    carrier->key = *key;
    carrier->from_worker = troupe_self_worker(ctx);
    carrier->is_counted = false;
    return msg;
}

struct troupe_msg *trp_carrier_unwrap(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    struct trp_carrier *carrier = trp_carrier_of(msg);
    struct troupe_msg *inner = carrier->inner;
    carrier->inner = NULL;
    troupe_msg_free(ctx, msg);
    return inner;
}

/* base +-50 %, so that those refused together do not come back together */
static uint64_t retry_hint(struct troupe_ctx *ctx, const struct troupe_admission *admission)
{
    uint64_t base = admission->config.retry_after_ms;
    struct trp_random random = {troupe_random(ctx)};
    return base - base / 2 + trp_random_below(&random, base + 1);
}

void trp_refuse(struct troupe_ctx *ctx,
                struct troupe_admission *admission,
                const struct troupe_key *key,
                struct troupe_msg *inner,
                enum trp_refusal why)
{
    struct trp_agent_counts *counts = &trp_agent_here(ctx, admission)->counts;
    enum troupe_status status = TROUPE_EBUSY;
    switch (why) {
    case TRP_REFUSE_BUSY:
        trp_count(&counts->refused_busy, 1);
        break;
    case TRP_REFUSE_TIMEOUT:
        trp_count(&counts->refused_timeout, 1);
        break;
    case TRP_REFUSE_SHUTDOWN:
        trp_count(&counts->refused_shutdown, 1);
        status = TROUPE_ECLOSED;
        break;
    }
    admission->config.refused_cb(ctx, admission->config.user, key, inner, status,
                                 retry_hint(ctx, admission));
    troupe_msg_free(ctx, inner);
}

void trp_refuse_carrier(struct troupe_ctx *ctx,
                        struct troupe_admission *admission,
                        struct troupe_msg *msg,
                        enum trp_refusal why)
{
    struct troupe_key key = trp_carrier_of(msg)->key;
    trp_refuse(ctx, admission, &key, trp_carrier_unwrap(ctx, msg), why);
}

void trp_carrier_return(struct troupe_ctx *ctx,
                        struct troupe_admission *admission,
                        struct troupe_msg *msg)
{
    msg->type = TRP_ADMISSION_MISS;
    trp_carrier_of(msg)->client = NULL;
    enum troupe_status status = troupe_send(ctx, admission->actor, &msg);
    if (status != TROUPE_OK) {
        trp_refuse_carrier(ctx, admission, msg, trp_refusal_of(status));
    }
}

uint32_t troupe_admission_home(const struct troupe_admission *admission,
                               const struct troupe_key *key)
{
    uint64_t high = trp_key_hash(&admission->secret, key) >> 32;
    return (uint32_t)(high * admission->workers >> 32);
}

/* A known client with a new hold, or NULL: unknown here, or leaving. */
static struct troupe_client *open_known(struct troupe_ctx *ctx,
                                        struct trp_agent *agent,
                                        uint64_t hash,
                                        const struct troupe_key *key)
{
    trp_section_begin(&agent->epoch);
    struct troupe_client *client =
        (struct troupe_client *)trp_directory_find(&agent->admission->directory, hash, key);
    if (client != NULL && !trp_client_open(ctx, agent, client)) {
        client = NULL;
    }
    trp_section_end(&agent->epoch);
    return client;
}

static enum troupe_status send_home(struct troupe_ctx *ctx,
                                    struct troupe_admission *admission,
                                    struct troupe_client *client,
                                    struct troupe_msg **msg)
{
    (*msg)->type = TRP_ADMISSION_HIT;
    trp_carrier_of(*msg)->client = client;
    enum troupe_status status = troupe_send(ctx, admission->agents[client->home].ref, msg);
    if (status != TROUPE_OK) {
        trp_client_close(ctx, client);
    }
    return status;
}

enum troupe_status troupe_admission_deliver(struct troupe_ctx *ctx,
                                            struct troupe_admission *admission,
                                            const struct troupe_key *key,
                                            struct troupe_msg **msg)
{
    TROUPE_ASSERT(*msg != NULL);
    TROUPE_ASSERT(*msg != ctx->msg); /* a borrowed message must be taken before it is sent on */
    struct trp_agent *agent = trp_agent_here(ctx, admission);
    struct troupe_msg *carrier = trp_carrier_new(ctx, key, *msg);
    if (carrier == NULL) {
        return TROUPE_ENOMEM;
    }
    uint64_t hash = trp_key_hash(&admission->secret, key);
    uint32_t *sent = &agent->miss_sent[hash % TRP_MISS_SLOTS];
    /* acquire: pairs with publish_done; what took the long way is in the home's inbox by then */
    uint32_t done = agent->miss_home[hash % TRP_MISS_SLOTS] +
                    trp_load_acquire_u32(&agent->miss_done[hash % TRP_MISS_SLOTS]);
    bool is_behind = *sent != done;
    struct troupe_client *client = is_behind ? NULL : open_known(ctx, agent, hash, key);
    enum troupe_status status;
    if (client != NULL) {
        status = send_home(ctx, admission, client, &carrier);
    } else {
        if (is_behind) {
            trp_flush(ctx); /* what took the short way before must not be overtaken */
        }
        trp_carrier_of(carrier)->is_counted = true;
        status = troupe_send(ctx, admission->actor, &carrier);
        *sent += status == TROUPE_OK ? 1 : 0;
    }
    if (status != TROUPE_OK) {
        trp_carrier_of(carrier)->inner = NULL;
        troupe_msg_free(ctx, carrier);
        return status == TROUPE_EDEAD ? TROUPE_ECLOSED : status; /* they die with the pool only */
    }
    *msg = NULL;
    trp_count(&agent->counts.delivered, 1);
    return TROUPE_OK;
}
