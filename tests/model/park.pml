/*
 * Parking and waking (pool/worker.c): announce, look again, wait; push, look, ring.
 *
 * One sleeper; a worker that rings through its own ring, where the doorbell stays pending until it
 * is submitted, which may fail and then goes through the eventfd; a foreign thread that rings the
 * eventfd at once; and somebody who stops the pool. The bell is level-triggered: what was rung
 * before the wait ends the wait.
 *
 * Read-modify-writes are single steps and barriers. The sleeper's announcement is written through a
 * store buffer in the mutant BREAK_BARRIER, as a plain store may be on x86.
 *
 * Assertion: a park is rung for at most once. Claim: work that is pushed is taken, unless the sleeper
 * has ended, and the sleeper ends when the pool is stopped.
 *
 * mutants: BREAK_LOOK BREAK_BARRIER BREAK_PUSH BREAK_RING BREAK_CLAIM BREAK_SUBMIT BREAK_STOP
 */

#define RUNNING  0
#define PARKED   1
#define NOTIFIED 2

#define MESSAGES 2 /* of each sender */

byte inbox;       /* messages */
byte park;        /* the park word as others see it */
bool bell;        /* rung and not heard */
bool is_stopping; /* flag of the pool */
bool is_over;     /* the sleeper has ended */
byte rings;       /* rings claimed since the newest announcement */

#ifdef BREAK_BARRIER
bool is_buffered; /* the announcement is in the store buffer */

active proctype store_buffer()
{
end:
    do
    :: is_buffered -> atomic { park = PARKED; is_buffered = false }
    od
}
#define FLUSHED (!is_buffered) /* a read-modify-write waits for the store buffer */
#else
#define FLUSHED true
#endif

inline announce()
{
#ifdef BREAK_BARRIER
    atomic { is_buffered = true; rings = 0 }
#else
    atomic { park = PARKED; rings = 0 }
#endif
}

inline unpark()
{
    atomic { FLUSHED -> park = RUNNING }
}

#ifdef BREAK_LOOK
#define HAS_WORK false
#else
#define HAS_WORK (inbox != 0)
#endif
#ifdef BREAK_STOP
#define SEES_STOP false
#else
#define SEES_STOP is_stopping
#endif

active proctype sleeper()
{
    do
    :: is_stopping -> break
    :: else ->
        inbox = 0; /* takes everything: one exchange */
        announce();
        if
        :: HAS_WORK || SEES_STOP -> unpark()
        :: else ->
end_asleep: atomic { bell -> bell = false };
            unpark()
        fi
    od;
    inbox = 0; /* the shutdown takes the rest: shutdown.pml */
    is_over = true
}

/* After the push: true in `has_claimed` when the ring is ours to give. */
inline look()
{
    has_claimed = false;
    if
    :: park == PARKED ->
#ifdef BREAK_CLAIM
        rings++;
        has_claimed = true
#else
        atomic {
            if
            :: park == PARKED -> park = NOTIFIED; rings++; has_claimed = true
            :: else
            fi
        }
#endif
    :: else
    fi;
    assert(rings <= 1)
}

inline push_and_look()
{
#ifdef BREAK_PUSH
    look();
    inbox++
#else
    inbox++;
    look()
#endif
}

/* A worker: gives its doorbell to its ring, and submits before it parks or runs another actor. */
active proctype worker()
{
    byte sent;
    bool has_claimed;
    bool is_pending;
    do
    :: sent < MESSAGES ->
        push_and_look();
        sent++;
#ifndef BREAK_RING
        is_pending = is_pending || has_claimed;
#endif
        if
        :: is_pending ->
#ifdef BREAK_SUBMIT
            if
            :: sent < MESSAGES -> bell = true; is_pending = false
            :: else /* it parks with the doorbell pending */
            fi
#else
            if
            :: bell = true /* the message of the ring arrives */
            :: skip; bell = true /* it cannot be sent: eventfd */
            fi;
            is_pending = false
#endif
        :: else
        fi
    :: else -> break
    od
}

active proctype foreign()
{
    byte sent;
    bool has_claimed;
    do
    :: sent < MESSAGES ->
        push_and_look();
        sent++;
        if
        :: has_claimed -> bell = true
        :: else
        fi
    :: else -> break
    od
}

active proctype stopper()
{
    bool has_claimed;
    if
    :: goto done /* nobody stops the pool: work has to be taken without that */
    :: skip
    fi;
    is_stopping = true; /* an exchange: a barrier before the look */
    look();
    if
    :: has_claimed -> bell = true
    :: else
    fi;
done:
    skip
}

ltl served { [] ((inbox > 0 -> <> (inbox == 0 || is_over)) && (is_stopping -> <> is_over)) }
