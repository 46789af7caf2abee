/*
 * The agent of a worker: starts, feeds and ends the client actors that live there. It is the only
 * one, besides those actors, to touch the home's part of a record.
 */

#include "actors/admission/admission_internal.h"

#include <stddef.h>
#include <troupe/assert.h>

struct agent_state {
    struct trp_agent *agent;
};

static enum troupe_status init_agent(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)ctx;
    ((struct agent_state *)state)->agent = (struct trp_agent *)(uintptr_t)arg;
    return TROUPE_OK;
}

/* Marks a client whose actor takes nothing more; its end is or will be reported. */
static void close_to_others(struct trp_agent *agent, struct troupe_client *client)
{
    (void)agent;
    uint64_t before = trp_word_close(&client->word, 0, TRP_WORD_CLOSING);
    TROUPE_ASSERT(trp_word_holds(before) != 0); /* the message at hand */
    if ((before & TRP_WORD_CLOSING) == 0) {
        client->reason = TROUPE_RELEASE_DIED;
    }
}

static bool is_taking(const struct troupe_client *client)
{
    uint64_t word = trp_load_relaxed_u64(&client->word); /* only the home closes it under holds */
    return client->phase == TRP_HOME_RUNNING && (word & TRP_WORD_CLOSING) == 0;
}

/* A carrier that began here and took the long way is back. */
static void
count_home(struct trp_agent *agent, const struct troupe_client *client, struct troupe_msg *msg)
{
    struct trp_carrier *carrier = trp_carrier_of(msg);
    if (carrier->is_counted) {
        TROUPE_ASSERT(carrier->from_worker == agent->worker);
        carrier->is_counted = false;
        agent->miss_home[client->entry.hash % TRP_MISS_SLOTS]++;
    }
}

/* A carrier with a hold reached home: hand the message over, or send it back. Takes the carrier. */
static void hand_over(struct troupe_ctx *ctx,
                      struct trp_agent *agent,
                      struct troupe_client *client,
                      struct troupe_msg *msg)
{
    struct troupe_admission *admission = agent->admission;
    count_home(agent, client, msg);
    if (client->phase == TRP_HOME_NEW) {
        /* of this worker; its ADMIT note is still in the inbox */
        trp_lane_push(&client->backlog, msg);
        return;
    }
    if (is_taking(client)) {
        struct trp_carrier *carrier = trp_carrier_of(msg);
        enum troupe_status status = troupe_send(ctx, client->actor, &carrier->inner);
        if (status == TROUPE_OK) {
            client->unhandled++;
            troupe_msg_free(ctx, msg);
            return;
        }
        if (status == TROUPE_EBUSY) {
            trp_refuse_carrier(ctx, admission, msg, TRP_REFUSE_BUSY);
            trp_client_close(ctx, client);
            return;
        }
        close_to_others(agent, client);
    }
    trp_carrier_return(ctx, admission, msg);
    trp_client_close(ctx, client);
}

/* No actor: its first messages are refused, not tried again for ever. */
static void
refuse_backlog(struct troupe_ctx *ctx, struct trp_agent *agent, struct troupe_client *client)
{
    struct troupe_msg *msg;
    uint32_t owned = client->routes;
    while ((msg = trp_lane_pop(&client->backlog)) != NULL) {
        count_home(agent, client, msg);
        trp_refuse_carrier(ctx, agent->admission, msg, TRP_REFUSE_BUSY);
        owned++;
    }
    trp_client_down(ctx, client, owned);
}

static void on_admit(struct troupe_ctx *ctx, struct trp_agent *agent, struct troupe_client *client)
{
    const struct troupe_admission_config *config = &agent->admission->config;
    struct troupe_client_arg arg = {
        .client = client, .key = client->entry.key, .user = config->client_user};
    troupe_ref ref;
    if (troupe_spawn(ctx, &ref, config->client_type, &arg) != TROUPE_OK) {
        refuse_backlog(ctx, agent, client);
        return;
    }
    if (troupe_monitor(ctx, ref, TRP_ADMISSION_DOWN, (uint64_t)(uintptr_t)client, NULL) !=
        TROUPE_OK) {
        troupe_kill(ctx, ref); /* control goes first: no handler of it runs any more */
        refuse_backlog(ctx, agent, client);
        return;
    }
    client->actor = ref;
    client->phase = TRP_HOME_RUNNING;
    struct troupe_msg *msg;
    while ((msg = trp_lane_pop(&client->backlog)) != NULL) {
        hand_over(ctx, agent, client, msg);
    }
}

static void on_down(struct troupe_ctx *ctx, struct trp_agent *agent, const struct troupe_down *down)
{
    struct troupe_client *client = (struct troupe_client *)(uintptr_t)down->cookie;
    TROUPE_ASSERT(client->phase == TRP_HOME_RUNNING);
    TROUPE_ASSERT(client->actor == down->ref);
    /* what it had in its mailbox went to the dead-letter hook */
    trp_count(&agent->counts.abandoned, client->unhandled);
    trp_client_down(ctx, client, client->unhandled + client->routes);
}

static void on_note(struct troupe_ctx *ctx, struct trp_agent *agent, struct troupe_msg *msg)
{
    struct troupe_client *client =
        (struct troupe_client *)(void *)((char *)msg - offsetof(struct troupe_client, home_note));
    TROUPE_ASSERT(client->home == agent->worker);
    if (client->phase == TRP_HOME_NEW) {
        on_admit(ctx, agent, client);
    } else {
        trp_client_stop_seen(ctx, client);
    }
}

static enum troupe_verdict
receive_at_agent(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct trp_agent *agent = ((struct agent_state *)state)->agent;
    switch (msg->type) {
    case TRP_ADMISSION_HIT:
        msg = troupe_msg_take(ctx, msg);
        hand_over(ctx, agent, trp_carrier_of(msg)->client, msg);
        break;
    case TRP_ADMISSION_DOWN:
        on_down(ctx, agent, troupe_msg_data(msg));
        break;
    default:
        TROUPE_ASSERT(msg->type == TRP_MSG_NOTE);
        on_note(ctx, agent, msg);
        break;
    }
    return TROUPE_CONTINUE;
}

const struct troupe_actor_type trp_agent_type = {
    .name = "admission-agent",
    .state_size = sizeof(struct agent_state),
    .init_cb = init_agent,
    .receive_cb = receive_at_agent,
};
