#include "pool/wheel.h"

#include <string.h>
#include <troupe/assert.h>

#define LEVEL_BITS   6u
#define SLOT_MASK    (TRP_WHEEL_SLOTS - 1)
#define DISTANCE_MAX ((1ull << (LEVEL_BITS * TRP_WHEEL_LEVELS)) - 1)

void trp_wheel_init(struct trp_wheel *wheel, uint64_t now_ns)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->tick = now_ns / TRP_WHEEL_TICK_NS;
}

/* The tick at which a timer fires: never before its time, never more than its slack later. */
static uint64_t due_tick(const struct troupe_timer *timer)
{
    uint64_t first =
        timer->due_ns / TRP_WHEEL_TICK_NS + (timer->due_ns % TRP_WHEEL_TICK_NS != 0 ? 1 : 0);
    if (timer->slack_ms == 0 || first == 0) {
        return first;
    }
    uint64_t last = first + timer->slack_ms; /* a tick is a millisecond; far from overflow */
    /* In binary `first - 1` and `last` agree down to some digit, where the latter has a 1: cut it
     * off below that digit and it is still behind `first - 1`, with the most zeros at its end. */
    uint32_t digit = 63u - (uint32_t)__builtin_clzll((first - 1) ^ last);
    return last >> digit << digit;
}

static uint32_t level_of(uint64_t distance)
{
    uint32_t level = 0;
    while (distance >> (LEVEL_BITS * (level + 1)) != 0) {
        level++;
    }
    return level;
}

static void link_timer(struct trp_wheel *wheel, struct troupe_timer *timer, uint64_t tick)
{
    uint32_t level = level_of(tick - wheel->tick);
    uint32_t slot = (uint32_t)(tick >> (LEVEL_BITS * level)) & SLOT_MASK;
    struct troupe_timer **head = &wheel->slots[level][slot];
    timer->level = (uint8_t)level;
    timer->slot = (uint8_t)slot;
    timer->next = *head;
    timer->pprev = head;
    if (*head != NULL) {
        (*head)->pprev = &timer->next;
    }
    *head = timer;
    wheel->occupied[level] |= 1ull << slot;
}

void trp_wheel_add(struct trp_wheel *wheel, struct troupe_timer *timer)
{
    TROUPE_ASSERT(timer->pprev == NULL);
    uint64_t tick = due_tick(timer);
    if (tick <= wheel->tick) {
        tick = wheel->tick + 1;
    }
    if (tick - wheel->tick > DISTANCE_MAX) {
        tick = wheel->tick + DISTANCE_MAX;
    }
    link_timer(wheel, timer, tick);
}

void trp_wheel_remove(struct trp_wheel *wheel, struct troupe_timer *timer)
{
    TROUPE_ASSERT(timer->pprev != NULL);
    *timer->pprev = timer->next;
    if (timer->next != NULL) {
        timer->next->pprev = timer->pprev;
    }
    timer->pprev = NULL;
    timer->next = NULL;
    if (wheel->slots[timer->level][timer->slot] == NULL) {
        wheel->occupied[timer->level] &= ~(1ull << timer->slot);
    }
}

static uint64_t rotate_right(uint64_t bits, uint32_t by)
{
    return by == 0 ? bits : bits >> by | bits << (64 - by);
}

/* The next tick at which a slot has to be looked at; UINT64_MAX when the wheel is empty. */
static uint64_t next_tick(const struct trp_wheel *wheel)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t level = 0; level < TRP_WHEEL_LEVELS; level++) {
        uint64_t bits = wheel->occupied[level];
        if (bits == 0) {
            continue;
        }
        uint64_t digit = wheel->tick >> (LEVEL_BITS * level);
        uint32_t from = (uint32_t)(digit + 1) & SLOT_MASK;
        uint64_t distance = 1 + (uint64_t)__builtin_ctzll(rotate_right(bits, from));
        uint64_t tick = (digit + distance) << (LEVEL_BITS * level);
        next = tick < next ? tick : next;
    }
    return next;
}

/* Empties one slot: each timer fires if due, otherwise it moves to where it belongs now. */
static void empty_slot(struct trp_wheel *wheel,
                       uint32_t level,
                       void (*fire_cb)(void *, struct troupe_timer *),
                       void *arg)
{
    uint32_t slot = (uint32_t)(wheel->tick >> (LEVEL_BITS * level)) & SLOT_MASK;
    struct troupe_timer *timer = wheel->slots[level][slot];
    wheel->slots[level][slot] = NULL;
    wheel->occupied[level] &= ~(1ull << slot);
    while (timer != NULL) {
        struct troupe_timer *next = timer->next;
        timer->next = NULL;
        timer->pprev = NULL;
        if (due_tick(timer) <= wheel->tick) {
            fire_cb(arg, timer);
        } else {
            trp_wheel_add(wheel, timer);
        }
        timer = next;
    }
}

void trp_wheel_advance(struct trp_wheel *wheel,
                       uint64_t now_ns,
                       void (*fire_cb)(void *arg, struct troupe_timer *timer),
                       void *arg)
{
    uint64_t target = now_ns / TRP_WHEEL_TICK_NS;
    while (wheel->tick < target) {
        uint64_t next = next_tick(wheel);
        if (next > target) {
            wheel->tick = target;
            return;
        }
        wheel->tick = next;
        for (uint32_t level = TRP_WHEEL_LEVELS; level-- > 0;) {
            uint64_t below = (1ull << (LEVEL_BITS * level)) - 1;
            if ((wheel->tick & below) == 0) {
                empty_slot(wheel, level, fire_cb, arg);
            }
        }
    }
}

uint64_t trp_wheel_next_ns(const struct trp_wheel *wheel)
{
    uint64_t tick = next_tick(wheel);
    return tick == UINT64_MAX ? UINT64_MAX : tick * TRP_WHEEL_TICK_NS;
}
