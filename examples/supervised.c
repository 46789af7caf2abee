/*
 * supervised: a tree of actors that fail and come back. The root watches a clock and a team; the
 * team is a supervisor itself and restarts both of its members when one of them fails. A member
 * that comes back has a fresh state and the same ref. Who fails too often is somebody else's
 * affair: the team gives up, and the root starts a new one.
 *
 * Output:
 *     clock: starts
 *     reader: starts
 *     writer: starts
 *     -- the reader fails, its team is restarted
 *     reader: fails after 1 message
 *     reader: starts
 *     writer: starts
 *     -- the same ref works; then it fails again, too often for the team
 *     reader: handles message 1
 *     reader: fails after 2 messages
 *     reader: starts
 *     writer: starts
 */

#include <stdio.h>
#include <string.h>
#include <troupe/pool.h>
#include <troupe/supervise.h>

enum { MSG_UP = 1, MSG_WORK, MSG_FAIL };
static struct troupe_pool *pool;
static troupe_ref script_ref;

/* --- the children: all of one type, told apart by their argument --- */
struct part {
    char name[8];
    int handled;
};

static enum troupe_status part_start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct part *part = state; /* zeroed, also after a restart */
    snprintf(part->name, sizeof(part->name), "%s", (const char *)arg);
    printf("%s: starts\n", part->name);
    return troupe_send_copy(ctx, script_ref, MSG_UP, part->name, sizeof(part->name));
}

static enum troupe_verdict part(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct part *part = state;
    (void)ctx;
    part->handled++;
    if (msg->type == MSG_FAIL) {
        const char *plural = part->handled > 1 ? "s" : "";
        printf("%s: fails after %d message%s\n", part->name, part->handled, plural);
        return TROUPE_FAIL; /* this message is reported and not tried again; the others wait */
    }
    printf("%s: handles message %d\n", part->name, part->handled);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type part_type = {
    .name = "part",
    .state_size = sizeof(struct part),
    .init_cb = part_start,
    .receive_cb = part,
};

/* --- the tree: constants --- */
static const struct troupe_child_spec members[] = {
    {.name = "reader", .type = &part_type, .arg = "reader", .arg_len = 7},
    {.name = "writer", .type = &part_type, .arg = "writer", .arg_len = 7},
};

static const struct troupe_supervisor_spec team = {
    .strategy = TROUPE_ONE_FOR_ALL, /* neither is of use without the other */
    .intensity_max = 1,             /* more than one failure in a minute is too much */
    .period_ns = 60000000000u,
    .children = members,
    .child_count = 2,
};

static const struct troupe_child_spec parts[] = {
    {.name = "clock", .type = &part_type, .arg = "clock", .arg_len = 6},
    {.name = "team",
     .type = &troupe_supervisor_type,
     .arg = &team,
     .arg_len = sizeof(team),
     .shutdown_ns = UINT64_MAX}, /* it first ends its own children */
};

static const struct troupe_supervisor_spec root = {
    .strategy = TROUPE_ONE_FOR_ONE, .intensity_max = 5, .children = parts, .child_count = 2};

/* --- the script --- */
struct script {
    int ups;
    troupe_ref reader;
};

static void tell(struct troupe_ctx *ctx, troupe_ref to, uint16_t type)
{
    if (troupe_send_copy(ctx, to, type, NULL, 0) != TROUPE_OK) {
        troupe_pool_stop(pool);
    }
}

static enum troupe_verdict script(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct script *script = state;
    if (strcmp(troupe_msg_data(msg), "reader") == 0 && script->ups < 3) {
        script->reader = msg->from;
    }
    script->ups++;
    if (script->ups == 3) {
        printf("-- the reader fails, its team is restarted\n");
        tell(ctx, script->reader, MSG_FAIL);
    } else if (script->ups == 5) {
        printf("-- the same ref works; then it fails again, too often for the team\n");
        tell(ctx, script->reader, MSG_WORK);
        tell(ctx, script->reader, MSG_FAIL);
    } else if (script->ups == 7) {
        troupe_pool_stop(pool);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type script_type = {
    .name = "script", .state_size = sizeof(struct script), .receive_cb = script};

int main(int argc, char **argv)
{
    const struct troupe_pool_config one = {.workers = 1};
    troupe_ref root_ref;
    char error[256] = "no memory";
    if (argc > 1) {
        bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(is_help ? stdout : stderr, "usage: supervised\n");
        return is_help ? 0 : 2;
    }
    if (troupe_pool_create(&pool, &one, error, sizeof(error)) != TROUPE_OK ||
        troupe_pool_spawn(pool, &script_ref, 0, &script_type, NULL) != TROUPE_OK ||
        troupe_pool_spawn(pool, &root_ref, 0, &troupe_supervisor_type, &root) != TROUPE_OK ||
        troupe_pool_start(pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "cannot start: %s\n", error);
        return 1;
    }
    troupe_pool_join(pool);
    troupe_pool_destroy(pool);
    return 0;
}
