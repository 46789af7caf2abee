/*
 * Holds against eviction (actors/admission): the state word holds + CLOSING + WATCHED, the note to
 * the admission actor, and the release of the place.
 *
 * Two clients have all places and a newcomer waits. Users open and end holds from other workers; the
 * home of each client ends its actor when it is told to, or by itself. A change of the state word
 * is one step, because it is one compare-and-swap.
 *
 * Assertions: nobody is evicted or released under a hold, eviction is final, a note is under way at
 * most once, and never are more places taken than there are. Claim: the newcomer gets a place.
 *
 * mutants: BREAK_HOLDS BREAK_FINAL BREAK_WATCH BREAK_SPLIT BREAK_TELL BREAK_FLAG BREAK_DOWN
 */

#define CLIENTS 2
#define ROUNDS  1 /* holds that each user opens */

typedef record {
    byte holds;      /* of the word */
    bool is_closing; /* of the word */
    bool is_watched; /* of the word */
    bool is_posted;  /* the note is claimed */
    bool is_down;
    bool is_stop_seen;
    bool is_stop_sent;  /* private to the admission actor, as are the following */
    bool is_candidate;  /* in the heap of those to look at */
    bool is_released;
};

record clients[CLIENTS];
chan notes = [8] of { byte };         /* inbox of the admission actor */
chan stop_notes[CLIENTS] = [1] of { bit };
byte notes_out[CLIENTS];
byte active_clients = CLIENTS;
bool is_admitted;

/* One step: two changes that share no word with anybody. */
inline post(c)
{
    atomic {
        if
        :: !clients[c].is_posted ->
            clients[c].is_posted = true;
            notes_out[c]++;
            assert(notes_out[c] == 1);
            assert(nfull(notes));
            notes!c
        :: else
        fi
    }
}

inline end_hold(c)
{
    atomic {
        assert(clients[c].holds > 0);
        assert(!clients[c].is_released);
        clients[c].holds--;
        is_to_post = clients[c].holds == 0 && (clients[c].is_closing || clients[c].is_watched);
        if
        :: clients[c].holds == 0 -> clients[c].is_watched = false
        :: else
        fi
    }
#ifndef BREAK_TELL
    if
    :: is_to_post -> post(c)
    :: else
    fi
#endif
}

active [2] proctype user()
{
    byte rounds;
    byte c;
    bool is_open;
    bool is_to_post;
    do
    :: rounds < ROUNDS ->
        rounds++;
        if
        :: c = 0
        :: c = 1
        fi;
        atomic {
#ifdef BREAK_FINAL
            is_open = true;
#else
            is_open = !clients[c].is_closing;
#endif
            if
            :: is_open ->
                assert(!(clients[c].is_closing && clients[c].holds == 0)); /* eviction is final */
                clients[c].holds++
            :: else
            fi
        }
        if
        :: is_open -> end_hold(c)
        :: else
        fi;
        atomic { c = 0; is_open = false; is_to_post = false }
    :: else -> break
    od
}

/* The actor is gone. */
inline down(c)
{
    clients[c].is_closing = true;
    atomic { clients[c].is_down = true; is_down = true }
#ifndef BREAK_DOWN
    if
    :: clients[c].holds == 0 -> post(c)
    :: else /* the closer of the last hold posts */
    fi
#endif
}

proctype home(byte c)
{
    bool is_down;
    bool may_leave;
    if
    :: may_leave = true
    :: may_leave = false
    fi;
end:
    do
    :: may_leave && !is_down -> down(c) /* by itself */
    :: stop_notes[c]?_ ->
        clients[c].is_stop_seen = true;
        if
        :: is_down -> post(c)
        :: else -> down(c)
        fi
    od
}

inline send_stop(c)
{
    atomic {
        assert(!clients[c].is_stop_sent);
        clients[c].is_stop_sent = true;
        stop_notes[c]!1
    }
}

/* Looks at a client that might leave. */
inline look(c)
{
#ifdef BREAK_SPLIT
    clients[c].is_candidate = false;
    was_held = clients[c].holds != 0;
    if
    :: !clients[c].is_closing && was_held -> clients[c].is_watched = true
    :: !clients[c].is_closing && !was_held ->
        atomic {
            if
            :: clients[c].holds == 0 && !clients[c].is_closing -> clients[c].is_closing = true
            :: else -> was_held = true; clients[c].is_candidate = true
            fi
        }
        if
        :: !was_held -> send_stop(c)
        :: else
        fi
    :: else
    fi
#else
    atomic {
        clients[c].is_candidate = false;
        was_held = clients[c].holds != 0;
#ifdef BREAK_HOLDS
        was_held = false;
#endif
        was_closing = clients[c].is_closing;
        if
        :: was_closing
        :: !was_closing && !was_held ->
            assert(clients[c].holds == 0);
            clients[c].is_closing = true
        :: else ->
#ifndef BREAK_WATCH
            clients[c].is_watched = true
#else
            skip
#endif
        fi
    }
    if
    :: !was_closing && !was_held -> send_stop(c)
    :: else
    fi;
    atomic { was_held = false; was_closing = false }
#endif
}

inline release(c)
{
    assert(clients[c].holds == 0);
    assert(!clients[c].is_released);
    clients[c].is_released = true;
    active_clients--
}

/* A note has come: look at everything again. */
inline look_again(c)
{
#ifndef BREAK_FLAG
    clients[c].is_posted = false;
#endif
    atomic {
        is_closing = clients[c].is_closing;
        is_final = is_closing && clients[c].holds == 0
    }
    if
    :: clients[c].is_released
    :: !clients[c].is_released && !is_closing -> clients[c].is_candidate = true
    :: !clients[c].is_released && is_final ->
        if
        :: !clients[c].is_down && !clients[c].is_stop_sent -> send_stop(c)
        :: clients[c].is_down &&
           (!clients[c].is_stop_sent || clients[c].is_stop_seen) -> release(c)
        :: else
        fi
    :: else
    fi;
#ifdef BREAK_FLAG
    clients[c].is_posted = false;
#endif
}

active proctype admission()
{
    byte c;
    bool was_held;
    bool was_closing;
    bool is_closing;
    bool is_final;
    atomic {
        for (c : 0 .. CLIENTS - 1) {
            clients[c].is_candidate = true;
            run home(c)
        }
    }
end:
    do
    :: !is_admitted && active_clients < CLIENTS ->
        active_clients++;
        assert(active_clients <= CLIENTS);
        is_admitted = true
    :: !is_admitted && active_clients == CLIENTS && clients[0].is_candidate -> look(0)
    :: !is_admitted && active_clients == CLIENTS && clients[1].is_candidate -> look(1)
    :: atomic { notes?c -> notes_out[c]-- }
        look_again(c);
        atomic { c = 0; is_closing = false; is_final = false }
    od
}

ltl admitted { <> is_admitted }
