/* Clients of one dictionary: request and reply at one busy server. */

#include "bench/kernels/cast.h"

enum { MSG_GO = TRP_KERNEL_FIRST_TYPE, MSG_READ, MSG_WRITE, MSG_ANSWER, MSG_DONE };

#define KEYS          1024u
#define SLOTS         2048u /* a power of two: the table is at most half full */
#define WRITE_PERCENT 10u

/* A request, the answer in its place, and in the end a client's account. */
struct entry {
    uint32_t key;   /* 1 .. KEYS; in an answer 0 = not found */
    uint32_t spare; /* no padding is sent */
    uint64_t value; /* written under key k: some multiple of KEYS + 1, plus k */
};

struct client {
    struct trp_part part;
    uint64_t random;
    uint64_t left;
    uint64_t writes;
};

struct dictionary {
    struct trp_part part;
    uint32_t waiting; /* clients that are not done */
    uint64_t reads;
    uint64_t writes;
    uint64_t client_writes; /* as the clients count them */
    struct entry slots[SLOTS];
};

static void ask(struct troupe_ctx *ctx, struct client *client, struct troupe_msg *msg)
{
    struct trp_kernel_run *run = client->part.run;
    struct entry *entry = troupe_msg_data(msg);
    if (client->left == 0) {
        *entry = (struct entry){.value = client->writes};
        trp_kernel_forward(ctx, run, trp_cast_lead(run), MSG_DONE, msg);
        return;
    }
    bool is_write = trp_kernel_draw(&client->random, 100) < WRITE_PERCENT;
    entry->key = 1 + trp_kernel_draw(&client->random, KEYS);
    entry->spare = 0;
    entry->value = is_write ? client->left * (KEYS + 1) + entry->key : entry->key;
    client->writes += is_write;
    client->left--;
    trp_kernel_forward(ctx, run, trp_cast_lead(run), is_write ? MSG_WRITE : MSG_READ, msg);
}

static enum troupe_verdict
receive_client(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct client *client = state;
    const struct entry *entry = troupe_msg_data(msg);
    if (msg->type == MSG_GO) {
        client->random = client->part.index + 1;
        client->left = client->part.run->share;
        client->writes = 0;
    } else if (entry->key != 0 && entry->value % (KEYS + 1) != entry->key) {
        trp_kernel_fail(client->part.run, "the dictionary mixed its entries up");
        return TROUPE_CONTINUE;
    }
    ask(ctx, client, msg);
    return TROUPE_CONTINUE;
}

/* The slot of a key, or the free one where it would go. */
static struct entry *find(struct dictionary *dictionary, uint32_t key)
{
    uint32_t i = (key * 2654435761u) >> 21; /* 11 bits */
    while (dictionary->slots[i].key != 0 && dictionary->slots[i].key != key) {
        i = (i + 1) % SLOTS;
    }
    return &dictionary->slots[i];
}

static void start_round(struct troupe_ctx *ctx, struct dictionary *dictionary)
{
    struct trp_kernel_run *run = dictionary->part.run;
    struct entry room = {.key = 0};
    memset(dictionary->slots, 0, sizeof(dictionary->slots));
    dictionary->reads = 0;
    dictionary->writes = 0;
    dictionary->client_writes = 0;
    dictionary->waiting = run->actors - 1;
    trp_cast_tell(ctx, run, 0, dictionary->waiting, MSG_GO, troupe_span(&room, sizeof(room)));
}

static void client_done(struct troupe_ctx *ctx, struct dictionary *dictionary, uint64_t writes)
{
    struct trp_kernel_run *run = dictionary->part.run;
    dictionary->client_writes += writes;
    if (--dictionary->waiting > 0) {
        return;
    }
    trp_kernel_done(run);
    if (dictionary->reads + dictionary->writes != run->ops ||
        dictionary->writes != dictionary->client_writes) {
        trp_kernel_fail(run, "operations were lost or made twice");
    } else if (trp_kernel_next(ctx, run)) {
        start_round(ctx, dictionary);
    }
}

static enum troupe_verdict
receive_dictionary(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct dictionary *dictionary = state;
    struct entry *entry = troupe_msg_data(msg);

    if (msg->type == TRP_KERNEL_START) {
        start_round(ctx, dictionary);
        return TROUPE_CONTINUE;
    }
    if (msg->type == MSG_DONE) {
        client_done(ctx, dictionary, entry->value);
        return TROUPE_CONTINUE;
    }
    struct entry *slot = find(dictionary, entry->key);
    if (msg->type == MSG_WRITE) {
        *slot = *entry;
        dictionary->writes++;
    } else {
        *entry = *slot;
        dictionary->reads++;
    }
    trp_kernel_forward(ctx, dictionary->part.run, msg->from, MSG_ANSWER, msg);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type client_type = {
    .name = "dictionary-client",
    .state_size = sizeof(struct client),
    .init_cb = trp_part_init,
    .receive_cb = receive_client,
};

static const struct troupe_actor_type dictionary_type = {
    .name = "dictionary",
    .state_size = sizeof(struct dictionary),
    .init_cb = trp_part_init,
    .receive_cb = receive_dictionary,
};

static bool setup(struct trp_kernel_run *run)
{
    const struct trp_role roles[] = {
        {&client_type, run->the_case->actors, TRP_PLACE_IN_TURN},
        {&dictionary_type, 1, TRP_PLACE_LAST},
    };
    trp_kernel_divide(run, run->the_case->actors);
    return trp_cast(run, roles, 2);
}

#define CONCDICT(name_, workers_, placement_)                                                      \
    {                                                                                              \
        .name = (name_),                                                                           \
        .parameters = "20 clients, {each} operations from each, 10 % writes, 1 dictionary",        \
        .ops = 200000, .actors = 20, .workers = (workers_), .placement = (placement_),             \
        .limit = TRP_LIMIT_NONE                                                                    \
    }

static const struct trp_kernel_case cases[] = {
    CONCDICT("1-worker", 1, TRP_PLACEMENT_RUNTIME),
    CONCDICT("placed", 0, TRP_PLACEMENT_RUNTIME),
    CONCDICT("spread", 0, TRP_PLACEMENT_SPREAD),
};

const struct trp_kernel trp_kernel_concdict = {
    .name = "concdict",
    .about = "clients read and write one dictionary actor",
    .op = "operation",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
