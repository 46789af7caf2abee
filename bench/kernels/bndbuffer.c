/* Producers, consumers and a bounded buffer between them: backpressure. */

#include "bench/kernels/cast.h"

enum { MSG_GO = TRP_KERNEL_FIRST_TYPE, MSG_ITEM, MSG_MORE, MSG_WANT, MSG_DONE };

#define BUFFER    50u
#define QUEUE_MAX BUFFER /* no more producers or consumers than the buffer has places */

struct item {
    uint64_t value; /* in MSG_DONE the sum of a consumer's items */
    uint64_t left;  /* what its producer has still to produce */
};

/* A producer or a consumer. */
struct party {
    struct trp_part part;
    uint64_t left; /* items */
    uint64_t sum;  /* consumer: of what it got */
};

struct queue {
    uint64_t places[QUEUE_MAX];
    uint32_t first;
    uint32_t count;
};

struct buffer {
    struct trp_part part;
    struct queue items;     /* messages, ours */
    struct queue consumers; /* messages of those that wait for an item, ours */
    struct queue producers; /* refs of those that wait for room */
    uint32_t allowed;       /* producers that may send an item: room is kept for these */
    uint32_t waiting;       /* consumers that are not done */
    uint64_t sum;           /* what they report */
};

static void push(struct trp_kernel_run *run, struct queue *queue, uint64_t value)
{
    if (queue->count == QUEUE_MAX) {
        trp_kernel_fail(run, "more than the buffer's bound came at once");
        return;
    }
    queue->places[(queue->first + queue->count++) % QUEUE_MAX] = value;
}

static uint64_t pop(struct queue *queue)
{
    uint64_t value = queue->places[queue->first];
    queue->first = (queue->first + 1) % QUEUE_MAX;
    queue->count--;
    return value;
}

static struct troupe_msg *pop_msg(struct queue *queue)
{
    return (struct troupe_msg *)(uintptr_t)pop(queue);
}

static uint32_t sides(const struct trp_kernel_run *run)
{
    return run->the_case->actors;
}

/* The message that asked for an item carries the next one. */
static enum troupe_verdict
receive_producer(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct party *producer = state;
    struct trp_kernel_run *run = producer->part.run;
    struct item *item = troupe_msg_data(msg);
    if (msg->type == MSG_GO) {
        producer->left = run->share;
    }
    item->value = producer->left--;
    item->left = producer->left;
    trp_kernel_forward(ctx, run, trp_cast_lead(run), MSG_ITEM, msg);
    return TROUPE_CONTINUE;
}

/* The message that brought an item asks for the next one. */
static enum troupe_verdict
receive_consumer(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct party *consumer = state;
    struct trp_kernel_run *run = consumer->part.run;
    struct item *item = troupe_msg_data(msg);
    if (msg->type == MSG_GO) {
        consumer->left = run->share;
        consumer->sum = 0;
    } else {
        consumer->sum += item->value;
        consumer->left--;
    }
    item->value = consumer->sum;
    trp_kernel_forward(ctx, run, trp_cast_lead(run), consumer->left > 0 ? MSG_WANT : MSG_DONE, msg);
    return TROUPE_CONTINUE;
}

static bool has_room(const struct buffer *buffer)
{
    return buffer->items.count + buffer->allowed < BUFFER;
}

/* Tells a producer to go on, in a message of ours. */
static void
allow(struct troupe_ctx *ctx, struct buffer *buffer, troupe_ref producer, struct troupe_msg *msg)
{
    buffer->allowed++;
    msg->type = MSG_MORE;
    trp_kernel_send(ctx, buffer->part.run, producer, msg);
}

/* To a consumer that waits, or into the buffer. */
static void take_item(struct troupe_ctx *ctx, struct buffer *buffer, struct troupe_msg *msg)
{
    struct trp_kernel_run *run = buffer->part.run;
    troupe_ref producer = msg->from;
    bool is_last = ((const struct item *)troupe_msg_data(msg))->left == 0;
    struct troupe_msg *spare = NULL;

    buffer->allowed--;
    if (buffer->consumers.count > 0) {
        spare = pop_msg(&buffer->consumers);
        trp_kernel_forward(ctx, run, spare->from, MSG_ITEM, msg);
    } else {
        push(run, &buffer->items, (uintptr_t)troupe_msg_take(ctx, msg));
    }
    if (is_last) {
        troupe_msg_free(ctx, spare);
        return;
    }
    if (!has_room(buffer)) {
        troupe_msg_free(ctx, spare);
        push(run, &buffer->producers, producer);
        return;
    }
    if (spare == NULL) {
        spare = troupe_msg_new(ctx, MSG_MORE, sizeof(struct item));
    }
    if (spare == NULL) {
        trp_kernel_fail(run, "no memory for a message");
        return;
    }
    allow(ctx, buffer, producer, spare);
}

static void take_want(struct troupe_ctx *ctx, struct buffer *buffer, struct troupe_msg *msg)
{
    struct trp_kernel_run *run = buffer->part.run;
    if (buffer->items.count == 0) {
        push(run, &buffer->consumers, (uintptr_t)troupe_msg_take(ctx, msg));
        return;
    }
    struct troupe_msg *item = pop_msg(&buffer->items);
    item->type = MSG_ITEM;
    trp_kernel_send(ctx, run, msg->from, item);
    if (buffer->producers.count > 0 && has_room(buffer)) {
        allow(ctx, buffer, pop(&buffer->producers), troupe_msg_take(ctx, msg));
    }
}

static void start_round(struct troupe_ctx *ctx, struct buffer *buffer)
{
    struct trp_kernel_run *run = buffer->part.run;
    struct item room = {.value = 0};
    buffer->sum = 0;
    buffer->waiting = sides(run);
    buffer->allowed = sides(run);
    trp_cast_tell(ctx, run, 0, 2 * sides(run), MSG_GO, troupe_span(&room, sizeof(room)));
}

static void consumer_done(struct troupe_ctx *ctx, struct buffer *buffer, uint64_t sum)
{
    struct trp_kernel_run *run = buffer->part.run;
    buffer->sum += sum;
    if (--buffer->waiting > 0) {
        return;
    }
    trp_kernel_done(run);
    if (buffer->sum != run->share * (run->share + 1) / 2 * sides(run) || buffer->items.count != 0 ||
        buffer->allowed != 0) {
        trp_kernel_fail(run, "items were lost or consumed twice");
    } else if (trp_kernel_next(ctx, run)) {
        start_round(ctx, buffer);
    }
}

static enum troupe_verdict
receive_buffer(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct buffer *buffer = state;
    switch (msg->type) {
    case TRP_KERNEL_START:
        start_round(ctx, buffer);
        break;
    case MSG_ITEM:
        take_item(ctx, buffer, msg);
        break;
    case MSG_WANT:
        take_want(ctx, buffer, msg);
        break;
    default: /* MSG_DONE */
        consumer_done(ctx, buffer, trp_kernel_value(msg));
        break;
    }
    return TROUPE_CONTINUE;
}

static void end_buffer(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct buffer *buffer = state;
    (void)reason;
    while (buffer->items.count > 0) {
        troupe_msg_free(ctx, pop_msg(&buffer->items));
    }
    while (buffer->consumers.count > 0) {
        troupe_msg_free(ctx, pop_msg(&buffer->consumers));
    }
}

static const struct troupe_actor_type producer_type = {
    .name = "producer",
    .state_size = sizeof(struct party),
    .init_cb = trp_part_init,
    .receive_cb = receive_producer,
};

static const struct troupe_actor_type consumer_type = {
    .name = "consumer",
    .state_size = sizeof(struct party),
    .init_cb = trp_part_init,
    .receive_cb = receive_consumer,
};

static const struct troupe_actor_type buffer_type = {
    .name = "bounded-buffer",
    .state_size = sizeof(struct buffer),
    .init_cb = trp_part_init,
    .receive_cb = receive_buffer,
    .terminate_cb = end_buffer,
};

static bool setup(struct trp_kernel_run *run)
{
    const struct trp_role roles[] = {
        {&producer_type, sides(run), TRP_PLACE_IN_TURN},
        {&consumer_type, sides(run), TRP_PLACE_IN_TURN},
        {&buffer_type, 1, TRP_PLACE_LAST},
    };
    trp_kernel_divide(run, sides(run));
    return trp_cast(run, roles, 3);
}

#define BNDBUFFER(name_, workers_, placement_)                                                     \
    {                                                                                              \
        .name = (name_),                                                                           \
        .parameters = "40 producers, 40 consumers, buffer of 50, {each} items from each",          \
        .ops = 40000, .actors = 40, .workers = (workers_), .placement = (placement_),              \
        .limit = TRP_LIMIT_NONE                                                                    \
    }

static const struct trp_kernel_case cases[] = {
    BNDBUFFER("1-worker", 1, TRP_PLACEMENT_RUNTIME),
    BNDBUFFER("placed", 0, TRP_PLACEMENT_RUNTIME),
    BNDBUFFER("spread", 0, TRP_PLACEMENT_SPREAD),
};

const struct trp_kernel trp_kernel_bndbuffer = {
    .name = "bndbuffer",
    .about = "producers and consumers around a bounded buffer",
    .op = "item",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
