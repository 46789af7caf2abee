#ifndef BENCH_KERNELS_CAST_H
#define BENCH_KERNELS_CAST_H

/*
 * What kernels share: a cast of actors in numbered places, and sends that must not be refused.
 *
 * The refs of the whole cast are known before any of its actors receives its first message. That is
 * TRP_KERNEL_START, to the last one, the lead.
 */

#include "bench/kernels/kernel.h"

#include <string.h>
#include <troupe/relations.h>

/* Types below this one are the cast's. */
enum { TRP_KERNEL_START = 1, TRP_KERNEL_FIRST_TYPE = 2 };

/*
 * Reserves the actors of all roles in this order; refs[] and the index of each count through. At
 * most TRP_KERNEL_ACTORS_MAX in all. The roles are copied. False when there is no room.
 */
bool trp_cast(struct trp_kernel_run *run, const struct trp_role *roles, uint32_t role_count);

/* Init of every actor in a cast: fills the struct trp_part that its state begins with. */
enum troupe_status trp_part_init(struct troupe_ctx *ctx, void *state, const void *arg);

/* The lead, last of the cast. */
static inline troupe_ref trp_cast_lead(const struct trp_kernel_run *run)
{
    return run->refs[run->actors - 1];
}

/* Sends a message of ours; a refusal makes the run invalid. */
static inline void trp_kernel_send(struct troupe_ctx *ctx,
                                   struct trp_kernel_run *run,
                                   troupe_ref to,
                                   struct troupe_msg *msg)
{
    if (troupe_send(ctx, to, &msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
        trp_kernel_fail(run, "a message was refused");
    }
}

/* Sends the message being handled on, under another type. */
static inline void trp_kernel_forward(struct troupe_ctx *ctx,
                                      struct trp_kernel_run *run,
                                      troupe_ref to,
                                      uint16_t type,
                                      struct troupe_msg *borrowed)
{
    borrowed->type = type;
    if (troupe_send(ctx, to, &borrowed) != TROUPE_OK) {
        trp_kernel_fail(run, "a message was refused");
    }
}

/* Sends a new message with a copy of `payload`. */
static inline void trp_kernel_tell(struct troupe_ctx *ctx,
                                   struct trp_kernel_run *run,
                                   troupe_ref to,
                                   uint16_t type,
                                   struct troupe_span payload)
{
    if (troupe_send_copy(ctx, to, type, payload.data, (uint32_t)payload.len) != TROUPE_OK) {
        trp_kernel_fail(run, "a message was refused");
    }
}

/* A send was refused: the actor goes on when it receives a message of this type. */
static inline void trp_kernel_await_room(struct troupe_ctx *ctx,
                                         struct trp_kernel_run *run,
                                         troupe_ref to,
                                         uint16_t type)
{
    if (troupe_await_room(ctx, to, type) != TROUPE_OK) {
        trp_kernel_fail(run, "no memory to wait for room");
    }
}

/* Tells the actors first .. first + count - 1 of the cast. */
void trp_cast_tell(struct troupe_ctx *ctx,
                   struct trp_kernel_run *run,
                   uint32_t first,
                   uint32_t count,
                   uint16_t type,
                   struct troupe_span payload);

/* A number that a message carries alone. */
static inline uint64_t trp_kernel_value(const struct troupe_msg *msg)
{
    uint64_t value;
    memcpy(&value, troupe_msg_data(msg), sizeof(value));
    return value;
}

/*
 * 0 .. bound-1 from a generator of the actor's own (xorshift64*), the same numbers in every run and
 * wherever the actor lives. *state: not 0.
 */
static inline uint32_t trp_kernel_draw(uint64_t *state, uint32_t bound)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (uint32_t)((((x * 0x2545F4914F6CDD1Dull) >> 32) * bound) >> 32);
}

#endif
