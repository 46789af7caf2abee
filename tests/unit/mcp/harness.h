#ifndef TESTS_UNIT_MCP_HARNESS_H
#define TESTS_UNIT_MCP_HARNESS_H

/*
 * The MCP service with real admission behind a front end that keeps what it is given, either in the
 * simulation (virtual time) or on a real pool with the ring driver. Feeder actors deliver what the
 * test queues.
 */

#include "actors/mcp/service.h"
#include "pool/sim.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#define H_FEEDERS_MAX 4u

struct h_output {
    struct h_output *next;
    uint32_t client;
    uint32_t tag;
    enum trp_mcp_outbound kind;
    char text[]; /* cstr */
};

struct h_input {
    struct h_input *next;
    uint32_t client;
    uint32_t tag;
    uint64_t session;
    char text[]; /* cstr */
};

struct h {
    struct trp_sim *sim; /* NULL on a real pool */
    struct troupe_pool *pool;
    struct trp_mcp_service *service;
    struct trp_spawner spawner;
    struct trp_mcp_frontend frontend;
    uint32_t workers;
    uint32_t fd_count; /* open descriptors before the start */
    pthread_mutex_t lock;
    struct h_output *outputs; /* newest first */
    uint32_t output_count;
    struct h_input *inputs[H_FEEDERS_MAX];
    bool is_giving_up; /* the first feeder that sees it calls trp_mcp_service_give_up */
    size_t too_large;  /* texts from that size on; 0 = none */
};

struct h_setup {
    uint32_t workers;
    bool is_real;
    struct trp_mcp_config mcp;
    struct troupe_admission_config admission;
    const struct troupe_actor_type *backend; /* instead of the configured one */
};

void h_start(struct h *h, const struct h_setup *setup);
/* Stops, checks that nothing is left, frees. */
void h_stop(struct h *h);

/* Queues a text of a client; tag marks the answers. %-format. */
void h_send(struct h *h, uint32_t client, uint32_t tag, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void h_send_session(struct h *h, uint32_t client, uint32_t tag, uint64_t session, const char *text);

/* Calls trp_mcp_service_give_up from some worker. */
void h_give_up(struct h *h);

/* Waits for an output; fails after a deadline. The text lives until h_stop. */
const char *h_wait(struct h *h, uint32_t client, uint32_t tag, enum trp_mcp_outbound kind);
/* The answer must be this. */
void h_expect(struct h *h, uint32_t client, uint32_t tag, const char *text);
/* Outputs so far that match. */
uint32_t h_count(struct h *h, uint32_t client, uint32_t tag, enum trp_mcp_outbound kind);
/* Waits until it is true; fails after a deadline. */
void h_until(struct h *h, bool (*is_true)(struct h *h, uint64_t arg), uint64_t arg);
/* Lets virtual time pass; in the simulation only. */
void h_pass(struct h *h, uint64_t ms);
struct trp_mcp_stats h_stats(struct h *h);
struct troupe_admission_stats h_admission(struct h *h);

#endif
