/* A teller, accounts, transfers: chains of asks. */

#include "bench/kernels/cast.h"

#include <troupe/relations.h>

enum { MSG_TRANSFER = TRP_KERNEL_FIRST_TYPE, MSG_CREDIT, MSG_AUDIT, MSG_OK };

#define OPEN_MAX   100u /* transfers that the teller has under way */
#define AMOUNT_MAX 1000u
#define BALANCE    1000000 /* of each account at first */
#define TIMEOUT_NS (60 * 1000000000ull)

struct transfer {
    troupe_ref to;
    int64_t amount;
};

struct account {
    struct trp_part part;
    int64_t balance;
    uint64_t movements; /* debits and credits of this round */
};

/* The answer to MSG_AUDIT. */
struct statement {
    int64_t balance;
    uint64_t movements;
};

struct teller {
    struct trp_part part;
    uint64_t random;
    uint64_t left;      /* transfers still to be started */
    uint32_t open;      /* asks under way */
    int64_t balance;    /* audit: sum over the accounts */
    uint64_t movements; /* likewise */
};

static enum troupe_status init_account(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct account *account = state;
    account->balance = BALANCE;
    return trp_part_init(ctx, state, arg);
}

static void reply(struct troupe_ctx *ctx,
                  struct trp_kernel_run *run,
                  struct troupe_msg *request,
                  struct troupe_span payload)
{
    if (troupe_reply(ctx, request, MSG_OK, payload) != TROUPE_OK) {
        trp_kernel_fail(run, "an answer was refused");
    }
}

/* Continues when the other account has the money; `cookie` is the teller's request, ours. */
static enum troupe_verdict
credited(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct account *account = state;
    struct troupe_msg *request = (struct troupe_msg *)(uintptr_t)cookie;
    if (answer->status != TROUPE_OK) {
        troupe_msg_free(ctx, request); /* the teller hears "no reply" */
        trp_kernel_fail(account->part.run, "an account did not answer another");
        return TROUPE_CONTINUE;
    }
    reply(ctx, account->part.run, request, troupe_span(NULL, 0));
    return TROUPE_CONTINUE;
}

static void debit(struct troupe_ctx *ctx, struct account *account, struct troupe_msg *msg)
{
    struct transfer transfer;
    memcpy(&transfer, troupe_msg_data(msg), sizeof(transfer));
    account->balance -= transfer.amount;
    account->movements++;
    msg = troupe_msg_take(ctx, msg);
    if (troupe_ask(ctx, transfer.to, MSG_CREDIT,
                   troupe_span(&transfer.amount, sizeof(transfer.amount)), TIMEOUT_NS, credited,
                   (uintptr_t)msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
        trp_kernel_fail(account->part.run, "an account could not ask another");
    }
}

static enum troupe_verdict
receive_account(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct account *account = state;
    struct trp_kernel_run *run = account->part.run;
    if (msg->type == MSG_TRANSFER) {
        debit(ctx, account, msg);
    } else if (msg->type == MSG_CREDIT) {
        int64_t amount;
        memcpy(&amount, troupe_msg_data(msg), sizeof(amount));
        account->balance += amount;
        account->movements++;
        reply(ctx, run, msg, troupe_span(NULL, 0));
    } else {
        struct statement statement = {account->balance, account->movements};
        account->movements = 0;
        reply(ctx, run, msg, troupe_span(&statement, sizeof(statement)));
    }
    return TROUPE_CONTINUE;
}

static bool start_transfers(struct troupe_ctx *ctx, struct teller *teller);

static void start_round(struct troupe_ctx *ctx, struct teller *teller)
{
    teller->left = teller->part.run->ops;
    teller->balance = 0;
    teller->movements = 0;
    if (!start_transfers(ctx, teller)) {
        trp_kernel_fail(teller->part.run, "the teller could not ask an account");
    }
}

static void end_round(struct troupe_ctx *ctx, struct teller *teller)
{
    struct trp_kernel_run *run = teller->part.run;
    uint32_t accounts = run->actors - 1;
    if (teller->balance != (int64_t)BALANCE * accounts || teller->movements != 2 * run->ops) {
        trp_kernel_fail(run, "the balances do not add up");
    } else if (trp_kernel_next(ctx, run)) {
        start_round(ctx, teller);
    }
}

static enum troupe_verdict
audited(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct teller *teller = state;
    struct statement statement;
    (void)cookie;
    if (answer->status != TROUPE_OK) {
        trp_kernel_fail(teller->part.run, "an account was not there for the audit");
        return TROUPE_CONTINUE;
    }
    memcpy(&statement, troupe_msg_data(answer->msg), sizeof(statement));
    teller->balance += statement.balance;
    teller->movements += statement.movements;
    if (--teller->open == 0) {
        end_round(ctx, teller);
    }
    return TROUPE_CONTINUE;
}

static void audit(struct troupe_ctx *ctx, struct teller *teller)
{
    struct trp_kernel_run *run = teller->part.run;
    for (uint32_t i = 0; i + 1 < run->actors; i++) {
        if (troupe_ask(ctx, run->refs[i], MSG_AUDIT, troupe_span(NULL, 0), TIMEOUT_NS, audited,
                       0) != TROUPE_OK) {
            trp_kernel_fail(run, "the teller could not ask an account");
            return;
        }
        teller->open++;
    }
}

static enum troupe_verdict transferred(struct troupe_ctx *ctx,
                                       void *state,
                                       const struct troupe_answer *answer,
                                       uint64_t cookie)
{
    struct teller *teller = state;
    struct trp_kernel_run *run = teller->part.run;
    (void)cookie;
    teller->open--;
    if (answer->status != TROUPE_OK || !start_transfers(ctx, teller)) {
        trp_kernel_fail(run, "a transfer failed");
    } else if (teller->open == 0) {
        trp_kernel_done(run);
        audit(ctx, teller);
    }
    return TROUPE_CONTINUE;
}

/* Any account to any other one, as many at a time as the teller has hands. */
static bool start_transfers(struct troupe_ctx *ctx, struct teller *teller)
{
    struct trp_kernel_run *run = teller->part.run;
    uint32_t accounts = run->actors - 1;
    while (teller->left > 0 && teller->open < OPEN_MAX) {
        uint32_t from = trp_kernel_draw(&teller->random, accounts);
        uint32_t to = trp_kernel_draw(&teller->random, accounts - 1);
        struct transfer transfer = {.to = run->refs[to < from ? to : to + 1],
                                    .amount = 1 + trp_kernel_draw(&teller->random, AMOUNT_MAX)};
        if (troupe_ask(ctx, run->refs[from], MSG_TRANSFER, troupe_span(&transfer, sizeof(transfer)),
                       TIMEOUT_NS, transferred, 0) != TROUPE_OK) {
            return false;
        }
        teller->left--;
        teller->open++;
    }
    return true;
}

static enum troupe_verdict
receive_teller(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct teller *teller = state;
    (void)msg; /* TRP_KERNEL_START; the rest are answers */
    teller->random = 1;
    start_round(ctx, teller);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type account_type = {
    .name = "account",
    .state_size = sizeof(struct account),
    .init_cb = init_account,
    .receive_cb = receive_account,
};

static const struct troupe_actor_type teller_type = {
    .name = "teller",
    .state_size = sizeof(struct teller),
    .init_cb = trp_part_init,
    .receive_cb = receive_teller,
};

static bool setup(struct trp_kernel_run *run)
{
    const struct trp_role roles[] = {
        {&account_type, run->the_case->actors, TRP_PLACE_IN_TURN},
        {&teller_type, 1, TRP_PLACE_LAST},
    };
    return trp_cast(run, roles, 2);
}

#define BANKING(name_, workers_, placement_)                                                       \
    {                                                                                              \
        .name = (name_), .parameters = "1 teller, 1000 accounts, {n} transfers, 100 at a time",    \
        .ops = 50000, .actors = 1000, .workers = (workers_), .placement = (placement_),            \
        .limit = TRP_LIMIT_NONE                                                                    \
    }

static const struct trp_kernel_case cases[] = {
    BANKING("1-worker", 1, TRP_PLACEMENT_RUNTIME),
    BANKING("placed", 0, TRP_PLACEMENT_RUNTIME),
    BANKING("spread", 0, TRP_PLACEMENT_SPREAD),
};

const struct trp_kernel trp_kernel_banking = {
    .name = "banking",
    .about = "transfers between accounts: the teller asks one, which asks the other",
    .op = "transfer",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
