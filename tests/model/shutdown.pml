/*
 * Shutdown in three steps (pool/shutdown.c): a worker ends its actors and pushes what it has
 * gathered, says that it is quiet, and closes its inbox once all workers have said so.
 *
 * Two workers that send to each other, plain messages and asks, and a foreign thread that sends at
 * any time. A dropped ask causes an answer, also when the inbox is closed: such
 * an answer may find the other inbox closed and is then reported by its sender. Anything else that
 * a worker sends must find it open, because what it sends may lie in a cell of the receiver.
 *
 * Assertions: accepted = processed + reported at the end, inboxes are empty, and what is not an
 * answer is never refused among workers. Claim: a stopped pool ends.
 *
 * mutants: BREAK_CLOSE BREAK_QUIET BREAK_FLUSH BREAK_REPORT BREAK_COUNT
 */

#define WORKERS  2
#define MESSAGES 2 /* that a worker begins; the foreign thread begins one */

bool is_stopping;
byte quiet;
byte ended;
bool is_foreign_done;
byte accepted;
byte done; /* processed or reported */

typedef box {
    byte plain;
    byte asks;
    bool is_closed;
};

box inboxes[WORKERS];

/* Pushes what has been gathered for the other worker. */
inline flush(me)
{
    atomic {
        if
        :: out_plain + out_asks + out_answers == 0
        :: else ->
            if
            :: inboxes[1 - me].is_closed ->
                assert(out_plain + out_asks == 0);
                done = done + out_answers
            :: else ->
                inboxes[1 - me].plain = inboxes[1 - me].plain + out_plain + out_answers;
                inboxes[1 - me].asks = inboxes[1 - me].asks + out_asks
            fi;
            out_plain = 0;
            out_asks = 0;
            out_answers = 0
        fi
    }
}

/* What was taken is processed or reported; asks are answered. */
inline settle()
{
    atomic {
        done = done + plain + asks;
        out_answers = out_answers + asks;
        accepted = accepted + asks;
        plain = 0;
        asks = 0
    }
}

inline take(me)
{
    atomic {
        plain = inboxes[me].plain;
        asks = inboxes[me].asks;
        inboxes[me].plain = 0;
        inboxes[me].asks = 0
    };
    settle()
}

inline close(me)
{
    atomic {
        plain = inboxes[me].plain;
        asks = inboxes[me].asks;
        inboxes[me].plain = 0;
        inboxes[me].asks = 0;
#ifndef BREAK_CLOSE
        inboxes[me].is_closed = true
#endif
    };
#ifdef BREAK_REPORT
    plain = 0;
    asks = 0;
#endif
    settle()
}

inline say_quiet(me)
{
#ifdef BREAK_COUNT
    byte seen = quiet; /* not a read-modify-write */
    quiet = seen + 1
#else
    quiet++
#endif
}

proctype worker(byte me)
{
    byte sent;
    byte plain;
    byte asks;
    byte out_plain;
    byte out_asks;
    byte out_answers;
    do
    :: sent < MESSAGES && !is_stopping -> atomic { out_plain++; accepted++; sent++ }
    :: sent < MESSAGES && !is_stopping -> atomic { out_asks++; accepted++; sent++ }
    :: out_plain + out_asks + out_answers != 0 -> flush(me)
    :: inboxes[me].plain + inboxes[me].asks != 0 -> take(me)
    :: is_stopping -> break
    od;
    /* the actors end */
    take(me);
#ifdef BREAK_FLUSH
    say_quiet(me);
    flush(me);
#else
    flush(me);
    say_quiet(me);
#endif
    do
#ifdef BREAK_QUIET
    :: true -> break
#else
    :: quiet == WORKERS -> break
#endif
    :: inboxes[me].plain + inboxes[me].asks != 0 -> take(me); flush(me)
    od;
    close(me);
    flush(me);
    ended++
}

/* Has looked at the flag before, which says nothing about the inbox. */
proctype foreign(byte to)
{
    atomic {
        if
        :: inboxes[to].is_closed /* refused: still the caller's */
        :: else -> inboxes[to].plain++; accepted++
        fi
    }
    is_foreign_done = true
}

init {
    byte i;
    atomic {
        for (i : 0 .. WORKERS - 1) {
            run worker(i)
        }
        run foreign(0)
    }
    is_stopping = true;
    (ended == WORKERS && is_foreign_done);
    assert(accepted == done);
    assert(inboxes[0].plain + inboxes[0].asks == 0);
    assert(inboxes[1].plain + inboxes[1].asks == 0)
}

ltl ends { [] (is_stopping -> <> (ended == WORKERS)) }
