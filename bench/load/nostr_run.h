#ifndef BENCH_LOAD_NOSTR_RUN_H
#define BENCH_LOAD_NOSTR_RUN_H

/*
 * What the files of the Nostr load generator share.
 *
 * Actors: one per relay connection (nostr_conn.c), which plays its share of the clients; one
 * control actor (nostr_control.c) that starts the clock when all clients are initialised and takes
 * the CPU readings; one lateness probe per worker (the same file).
 *
 *     connections --READY--> control --START--> connections, probes
 *     connections --DONE---> control, which stops the pool
 *
 * Everything under struct load_worker is written by its own worker and read after the pool was
 * joined.
 */

#include <troupe/actor.h>
#include <troupe/pool.h>

#include "bench/load/hist.h"
#include "bench/load/slot_table.h"
#include "io/codec/json.h"
#include "io/codec/nostr_event.h"
#include "io/net/ws_conn.h"

#define LOAD_KIND        25910u
#define LOAD_CLIENTS_MAX 100000u
#define LOAD_PAYLOAD_MIN 32u
#define LOAD_PAYLOAD_MAX 65536u
#define LOAD_SETUP_NS    60000000000u /* until all clients must be initialised */

enum load_msg {
    LOAD_MSG_READY = 1, /* connection -> control: all its clients are initialised */
    LOAD_MSG_START,     /* control -> all: struct load_window */
    LOAD_MSG_DONE,      /* connection -> control: nothing in flight, closed */
    LOAD_MSG_TICK,      /* timers */
    LOAD_MSG_CPU,       /* control: a reading of CPU times came back */
};

enum load_verify { LOAD_VERIFY_ALL, LOAD_VERIFY_SAMPLE, LOAD_VERIFY_NONE };

/* One in so many signatures is checked with LOAD_VERIFY_SAMPLE. */
#define LOAD_SAMPLE_EVERY 16u

struct load_options {
    const char *relay;
    const char *server_hex; /* 64 lower-case digits */
    uint8_t server[TRP_NOSTR_PUBKEY_LEN];
    uint32_t clients;
    uint32_t inflight;
    uint32_t connections;
    uint32_t workers;
    uint32_t payload; /* bytes of the echoed text */
    uint64_t duration_ns;
    uint64_t warmup_ns;
    uint64_t timeout_ns;
    uint64_t seed;
    uint64_t server_pid; /* 0 = not given */
    enum load_verify verify;
    const char *pin;
    const char *json_path;
};

/* The measured part, monotonic ns. */
struct load_window {
    uint64_t begin_ns;
    uint64_t end_ns;
};

/* What happened. Calls only, unless the name says otherwise; warm-up included unless said. */
struct load_counts {
    uint64_t sent;
    uint64_t good;          /* answered, everything right */
    uint64_t good_measured; /* of these, answered inside the window */
    uint64_t refused;       /* answered -32000 */
    uint64_t errors;        /* answered with another error, or a result that says isError */
    uint64_t rejected;      /* the relay did not take the request */
    uint64_t wrong;         /* an answer that must not be: forged, altered, twice, not ours */
    uint64_t late;          /* answers after their timeout */
    uint64_t unconfirmed;   /* timed out, and the relay never said that it took the request */
    uint64_t lost;          /* taken by the relay, no answer within the timeout */
    uint64_t verified;      /* signatures checked, of any answer */
    uint64_t ignored;       /* notifications of the server */
    uint64_t setup_refused; /* initialize answered -32000, tried again */
};

/* One of the readings at the borders of the window. */
struct load_cpu {
    uint64_t pid; /* 0 = none */
    uint32_t which;
    bool has_server;
    uint64_t now_ns;
    uint64_t own_ns;
    uint64_t server_ns;
};

/* What one worker uses and counts. */
struct load_worker {
    _Alignas(128) struct trp_nostr_crypto *crypto;
    struct trp_json_parser *json;
    struct trp_hist latency;  /* ns from send to answer, or to the timeout; warm-up cut */
    struct trp_hist lateness; /* ns that a timer came late; warm-up cut */
    struct load_counts counts;
    uint8_t *event; /* scratch: an event being read or signed */
    size_t event_cap;
    char *text; /* scratch: the text of a call */
    char *params;
    char *content;
    char *wire;
    size_t wire_cap;
    uint64_t sample;
    char error[256];  /* cstr: what ended the run early */
    char notice[128]; /* cstr: the first thing the relay complained about, or that was wrong */
};

/* A call (or the initialize) in flight. */
struct load_slot {
    uint8_t id[TRP_NOSTR_ID_LEN];
    uint64_t sent_ns;
    uint64_t seq;     /* the id of the JSON-RPC request */
    bool is_busy;     /* in flight */
    bool is_accepted; /* the relay said OK */
    bool is_call;     /* tools/call, not initialize */
};

enum load_client_state {
    LOAD_CLIENT_SUBSCRIBING,  /* REQ sent, EOSE awaited */
    LOAD_CLIENT_INITIALIZING, /* initialize in flight, or to be sent at resume_ns */
    LOAD_CLIENT_READY,        /* calls may be sent */
};

struct load_client {
    struct trp_nostr_key key;
    char pubkey_hex[2 * TRP_NOSTR_PUBKEY_LEN + 1];
    uint32_t index; /* in the run */
    enum load_client_state state;
    uint32_t in_flight;
    uint64_t next_seq;
    uint64_t resume_ns; /* no request before: the server asked for patience */
    uint64_t timeouts;
    struct load_slot *slots; /* load_options.inflight of them */
};

struct load_run {
    struct load_options options;
    struct troupe_pool *pool;
    struct load_worker *workers;
    struct load_client *clients;
    struct load_slot *slots;
    struct load_conn_arg *conn_args;
    troupe_ref control;
    troupe_ref *conns;  /* load_options.connections */
    troupe_ref *probes; /* load_options.workers */
    struct trp_ws_config ws;
    struct load_window window; /* of the control actor; read after the join */
    struct load_cpu cpu[2];    /* the same */
    bool is_complete;          /* the same: every connection is done */
    double crypto_ns;          /* verify + sign + hash on this machine */
};

struct load_conn_arg {
    struct load_run *run;
    uint32_t first_client;
    uint32_t client_count;
};

/* State of a connection actor. */
struct load_conn {
    struct load_run *run;
    struct load_worker *worker;
    struct load_client *clients;
    uint32_t client_count;
    uint32_t ready_count;
    uint32_t in_flight;          /* over all its clients */
    struct trp_slot_table table; /* event id -> client * inflight + slot */
    struct load_window window;   /* end_ns 0 = not started */
    struct trp_ws_conn ws;
    struct troupe_timer timer;
    uint64_t scanned_ns;
    bool is_open;
    bool is_closing;
    bool is_gone;
};

extern const struct troupe_actor_type trp_load_conn_type;    /* arg: struct load_conn_arg */
extern const struct troupe_actor_type trp_load_control_type; /* arg: struct load_run */
extern const struct troupe_actor_type trp_load_probe_type;   /* arg: struct load_run */

/* Ends the run early; the first text of a worker counts. */
void trp_load_fail(struct load_run *run, struct load_worker *worker, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Notes something for the summary; the first text of a worker counts. */
void trp_load_note(struct load_worker *worker, const char *what, struct troupe_span detail);

/* Frees what trp_load_run_make allocated; safe on a part of it. */
bool trp_load_run_make(struct load_run *run);
void trp_load_run_free(struct load_run *run);

/* --- nostr_conn.c --- */

void trp_load_ws_config(struct trp_ws_config *ws);

/* --- nostr_client.c: requests --- */

/* The text of a call: payload bytes, different for every client, number and run. */
void trp_load_text(const struct load_run *run, char *out, uint32_t client, uint64_t seq);

/* False after trp_load_fail. */
bool trp_load_subscribe(struct troupe_ctx *ctx, struct load_conn *conn, struct load_client *client);
/* Sends what the client may send now: initialize, or calls until all its slots are busy. */
bool trp_load_fill(struct troupe_ctx *ctx,
                   struct load_conn *conn,
                   struct load_client *client,
                   uint64_t now_ns);
bool trp_load_send_initialized(struct troupe_ctx *ctx,
                               struct load_conn *conn,
                               struct load_client *client);

/* --- nostr_reply.c: everything the relay sends --- */

/* A whole message. False after trp_load_fail. */
bool trp_load_receive(struct troupe_ctx *ctx,
                      struct load_conn *conn,
                      struct troupe_span message,
                      uint64_t now_ns);

/* Frees a slot and its place in the table. */
void trp_load_slot_free(struct load_conn *conn, struct load_client *client, struct load_slot *slot);

/* True when the time belongs to the measured part. */
static inline bool trp_load_is_measured(const struct load_window *window, uint64_t now_ns)
{
    return window->end_ns != 0 && now_ns >= window->begin_ns;
}

/* --- nostr_report.c --- */

/* Prints the result and writes the JSON; returns the exit status. */
int trp_load_report(struct load_run *run);

#endif
