/*
 * admission: a doorkeeper in front of a service of one's own. Places for two clients, one may wait,
 * the next is refused. Who has an open route stays; who has none makes room for a newcomer.
 *
 * Output:
 *     alice: seated
 *     bob: seated
 *     dave: Server busy, please retry
 *     alice: done, may leave
 *     alice: left (evicted)
 *     carol: seated
 *     3 admitted, 1 refused, 1 waited, never more than 2 at once
 */

#include <stdio.h>
#include <string.h>
#include <troupe/admission.h>

enum { MSG_ORDER = 1, MSG_PAY, MSG_NEXT };
static struct troupe_pool *pool;
static struct troupe_admission *admission;
static troupe_ref script_ref; /* tells the service what happens next, one step at a time */

static enum troupe_status tell_script(struct troupe_ctx *ctx)
{
    return troupe_send_copy(ctx, script_ref, MSG_NEXT, NULL, 0);
}

/* The service: one actor per client, made and ended by admission. */
static enum troupe_status guest_start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)ctx;
    *(struct troupe_client **)state = ((const struct troupe_client_arg *)arg)->client;
    return TROUPE_OK;
}

static enum troupe_verdict guest(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct troupe_client *client = *(struct troupe_client **)state;
    const char *name = (const char *)troupe_client_key(client)->bytes; /* our keys are names */
    printf("%s: %s\n", name, msg->type == MSG_ORDER ? "seated" : "done, may leave");
    if (msg->type == MSG_ORDER) {
        (void)troupe_client_open_route(ctx, client); /* cannot fail while we hold a message */
    } else {
        troupe_client_close_route(ctx, client);
    }
    troupe_client_handled(ctx, client); /* once for each message */
    return tell_script(ctx) == TROUPE_OK ? TROUPE_CONTINUE : TROUPE_FAIL;
}

static const struct troupe_actor_type guest_type = {
    .name = "guest",
    .state_size = sizeof(struct troupe_client *),
    .init_cb = guest_start,
    .receive_cb = guest,
};

static void refused(struct troupe_ctx *ctx,
                    void *user,
                    const struct troupe_key *key,
                    struct troupe_msg *msg,
                    enum troupe_status status,
                    uint64_t retry_after_ms)
{
    (void)user, (void)msg, (void)retry_after_ms; /* a server passes the hint on to its client */
    printf("%s: %s\n", (const char *)key->bytes, troupe_status_text(status));
    (void)!tell_script(ctx);
}

static void released(struct troupe_ctx *ctx,
                     void *user,
                     const struct troupe_key *key,
                     enum troupe_release_reason reason)
{
    (void)ctx, (void)user;
    if (reason == TROUPE_RELEASE_EVICTED) {
        printf("%s: left (evicted)\n", (const char *)key->bytes);
    }
}

/* Stands in for a front end, which would deliver what its clients send. */
static void deliver(struct troupe_ctx *ctx, const char *name, uint16_t type)
{
    struct troupe_key key = {{0}}; /* somebody must have verified that it is the client's */
    struct troupe_msg *msg = troupe_msg_new(ctx, type, 0);
    snprintf((char *)key.bytes, sizeof(key.bytes), "%s", name);
    if (msg == NULL || troupe_admission_deliver(ctx, admission, &key, &msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
        troupe_pool_stop(pool);
    }
}

static enum troupe_verdict script(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    int step = (*(int *)state)++;
    (void)msg;
    if (step == 0) {
        deliver(ctx, "alice", MSG_ORDER);
        deliver(ctx, "bob", MSG_ORDER);
    } else if (step == 2) {               /* both are seated */
        deliver(ctx, "carol", MSG_ORDER); /* waits: nobody may leave */
        deliver(ctx, "dave", MSG_ORDER);  /* the queue is full */
    } else if (step == 3) {
        deliver(ctx, "alice", MSG_PAY);
    } else if (step == 5) { /* alice has paid, carol is seated */
        troupe_pool_stop(pool);
    }
    return TROUPE_CONTINUE;
}

static enum troupe_status script_start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state, (void)arg;
    return tell_script(ctx);
}

static const struct troupe_actor_type script_type = {
    .name = "script", .state_size = sizeof(int), .init_cb = script_start, .receive_cb = script};

int main(int argc, char **argv)
{
    const struct troupe_pool_config one = {.workers = 1}; /* clients live on all workers */
    const struct troupe_admission_config config = {.capacity = 2,
                                                   .queue_max = 1,
                                                   .client_type = &guest_type,
                                                   .refused_cb = refused,
                                                   .released_cb = released};
    struct troupe_admission_stats stats;
    char error[256] = "no memory";
    if (argc > 1) {
        bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(is_help ? stdout : stderr, "usage: admission\n");
        return is_help ? 0 : 2;
    }
    if (troupe_pool_create(&pool, &one, error, sizeof(error)) != TROUPE_OK ||
        troupe_admission_create(&admission, pool, &config) != TROUPE_OK ||
        troupe_pool_spawn(pool, &script_ref, 0, &script_type, NULL) != TROUPE_OK ||
        troupe_pool_start(pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "cannot start: %s\n", error);
        return 1;
    }
    troupe_pool_join(pool);
    troupe_admission_stats(admission, &stats); /* exact now */
    printf("%d admitted, %d refused, %d waited, never more than %d at once\n", (int)stats.admitted,
           (int)stats.refused_busy, (int)stats.queued, (int)stats.active_peak);
    troupe_admission_destroy(admission);
    troupe_pool_destroy(pool);
    return 0;
}
