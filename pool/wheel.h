#ifndef POOL_WHEEL_H
#define POOL_WHEEL_H

/*
 * Hierarchical timer wheel: 4 levels of 64 slots, 1 ms ticks, about 4.6 hours; what is further away
 * waits in the last slot and is looked at again. Arming, moving and cancelling are O(1); nothing
 * here allocates. A worker owns one.
 *
 * A timer with slack fires at the roundest tick (divisible by the largest power of two) between the
 * one it is due at and the last one allowed: timers whose ranges overlap mostly agree on it without
 * knowing of each other, and it depends on nothing but the timer.
 *
 * Invariant: a timer in level l, slot s fires or moves down at the first tick after `tick` whose
 * digit l is s and whose lower digits are 0.
 */

#include <troupe/actor.h>

#define TRP_WHEEL_LEVELS  4u
#define TRP_WHEEL_SLOTS   64u
#define TRP_WHEEL_TICK_NS 1000000u

struct trp_wheel {
    struct troupe_timer *slots[TRP_WHEEL_LEVELS][TRP_WHEEL_SLOTS];
    uint64_t occupied[TRP_WHEEL_LEVELS]; /* bit s: slot s is not empty */
    uint64_t tick;                       /* everything up to here has fired */
};

void trp_wheel_init(struct trp_wheel *wheel, uint64_t now_ns);

/* Links a timer that is not in the wheel; due_ns and slack_ms are set by the caller. */
void trp_wheel_add(struct trp_wheel *wheel, struct troupe_timer *timer);
void trp_wheel_remove(struct trp_wheel *wheel, struct troupe_timer *timer);

/* Moves to now_ns; fire_cb is called for each due timer, already out of the wheel. */
void trp_wheel_advance(struct trp_wheel *wheel,
                       uint64_t now_ns,
                       void (*fire_cb)(void *arg, struct troupe_timer *timer),
                       void *arg);

/* When to call trp_wheel_advance next, ns; UINT64_MAX when empty. May be early, never late. */
uint64_t trp_wheel_next_ns(const struct trp_wheel *wheel);

#endif
