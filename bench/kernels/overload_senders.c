/* Those who offer more than the server can do, on time and whatever they are told. */

#include <troupe/relations.h>

#include "bench/kernels/overload.h"

#define OFFERS_AT_ONCE_MAX 64u

struct sender {
    struct trp_part part;
    uint64_t sent;
    uint64_t pending;        /* asks that have not ended */
    struct troupe_msg *item; /* refused, offered again as the next one */
};

static enum troupe_verdict continue_ask(struct troupe_ctx *ctx,
                                        void *state,
                                        const struct troupe_answer *answer,
                                        uint64_t cookie)
{
    struct sender *sender = state;
    struct trp_overload *overload = sender->part.run->data;
    (void)ctx;
    (void)cookie;
    sender->pending--;
    if (answer->status == TROUPE_OK) {
        uint64_t now_ns = trp_machine_now_ns();
        overload->answered++;
        overload->answered_counted += now_ns >= overload->warm_ns && now_ns < overload->end_ns;
    } else if (answer->status == TROUPE_EEXPIRED) {
        overload->expired++;
    } else {
        overload->lost++;
    }
    return TROUPE_CONTINUE;
}

static enum troupe_status ask(struct troupe_ctx *ctx, struct sender *sender)
{
    struct trp_kernel_run *run = sender->part.run;
    uint64_t deadline_ns = trp_machine_now_ns() + TRP_OVERLOAD_TIMEOUT_NS;
    enum troupe_status status = troupe_ask(ctx, trp_cast_lead(run), TRP_OVERLOAD_ITEM,
                                           troupe_span(&deadline_ns, sizeof(deadline_ns)),
                                           TRP_OVERLOAD_TIMEOUT_NS, continue_ask, 0);
    if (status == TROUPE_OK) {
        sender->pending++;
    }
    return status;
}

static enum troupe_status tell(struct troupe_ctx *ctx, struct sender *sender)
{
    struct trp_kernel_run *run = sender->part.run;
    if (sender->item == NULL) {
        sender->item = troupe_msg_new(ctx, TRP_OVERLOAD_ITEM, sizeof(uint64_t));
        if (sender->item == NULL) {
            return TROUPE_ENOMEM;
        }
        memset(troupe_msg_data(sender->item), 0, sizeof(uint64_t));
    }
    return troupe_send(ctx, trp_cast_lead(run), &sender->item);
}

static void offer(struct troupe_ctx *ctx, struct sender *sender)
{
    struct trp_overload *overload = sender->part.run->data;
    uint64_t before_ns = trp_machine_now_ns();
    enum troupe_status status = overload->is_asked ? ask(ctx, sender) : tell(ctx, sender);
    sender->sent++;
    overload->offered++;
    if (status == TROUPE_OK) {
        overload->accepted++;
    } else if (status == TROUPE_EBUSY) {
        overload->refused++;
        trp_hist_record(&overload->refusals, trp_machine_now_ns() - before_ns, 1);
    } else {
        trp_kernel_fail(sender->part.run, "an offer was answered in another way than OK or BUSY");
    }
}

/* Everything that is due by now. */
static void offer_due(struct troupe_ctx *ctx, struct sender *sender, uint64_t now_ns)
{
    const struct trp_overload *overload = sender->part.run->data;
    double due = (double)(now_ns - overload->begin_ns) / overload->interval_ns;
    for (uint32_t i = 0; i < OFFERS_AT_ONCE_MAX && (double)sender->sent < due; i++) {
        offer(ctx, sender);
    }
}

/* Says that this was it; false while the server's lane is full. */
static bool say_over(struct troupe_ctx *ctx, struct sender *sender)
{
    enum troupe_status status =
        troupe_send_copy(ctx, trp_cast_lead(sender->part.run), TRP_OVERLOAD_OVER, NULL, 0);
    if (status != TROUPE_OK && status != TROUPE_EBUSY) {
        trp_kernel_fail(sender->part.run, "the end of the offers cannot be said");
    }
    return status == TROUPE_OK;
}

static enum troupe_verdict
receive_sender(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct sender *sender = state;
    const struct trp_overload *overload = sender->part.run->data;
    uint64_t now_ns = trp_machine_now_ns();
    if (now_ns < overload->end_ns) {
        offer_due(ctx, sender, now_ns);
    } else if (sender->pending == 0 && say_over(ctx, sender)) {
        troupe_msg_free(ctx, sender->item);
        sender->item = NULL;
        return TROUPE_CONTINUE;
    }
    trp_kernel_forward(ctx, sender->part.run, troupe_self(ctx), TRP_OVERLOAD_MORE, msg);
    return TROUPE_CONTINUE;
}

static void free_item(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct sender *sender = state;
    (void)reason;
    troupe_msg_free(ctx, sender->item);
}

const struct troupe_actor_type trp_overload_sender_type = {
    .name = "offering",
    .state_size = sizeof(struct sender),
    .init_cb = trp_part_init,
    .receive_cb = receive_sender,
    .terminate_cb = free_item,
};
