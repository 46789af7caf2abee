#ifndef TESTS_UNIT_RELAY_FIXTURE_H
#define TESTS_UNIT_RELAY_FIXTURE_H

/*
 * A relay on the ring driver with real sockets, and what tests ask of it. Stopping checks that no
 * message, actor or descriptor was lost. Include behind tests/cmocka.h.
 */

#include "tests/unit/relay/events.h"
#include "tests/unit/relay/ws_client.h"

#include "actors/relay/relay.h"

#include <semaphore.h>

#define NOW_SECONDS 0u /* event_spec.created_at: fixture_event puts the present there */

struct fixture {
    struct troupe_pool *pool;
    struct trp_relay *relay;
    struct trp_relay_config config;
    uint16_t port;
    struct event_maker maker;
    troupe_ref helper; /* an actor on worker 0 for publish and stop */
    troupe_ref other;  /* one on worker 1, if there is one: can keep it from doing anything */
    sem_t done;        /* a helper has done what it was asked, or stands still */
    sem_t let_go;      /* it may go on */
    struct troupe_port *foreign;
    int descriptors; /* open before */
};

/* Sets the fixture up; change fixture->config before fixture_start. */
void fixture_init(struct fixture *fixture);
void fixture_start(struct fixture *fixture, uint32_t workers);
/* Ends the pool, whatever runs, and checks. */
void fixture_stop(struct fixture *fixture);

struct trp_relay_stats fixture_stats(const struct fixture *fixture);

/* Waits until the counter at this offset of the stats has at least (exactly) this value. */
void fixture_wait(const struct fixture *fixture, size_t counter, uint64_t value, bool is_exact);
#define WAIT_FOR(fixture, counter, value)                                                          \
    fixture_wait(fixture, offsetof(struct trp_relay_stats, counter), value, false)
#define WAIT_UNTIL(fixture, counter, value)                                                        \
    fixture_wait(fixture, offsetof(struct trp_relay_stats, counter), value, true)

/* Lets the helper actor publish an event of its own; what trp_relay_publish said. */
enum troupe_status fixture_publish(struct fixture *fixture, const struct event_spec *spec);
/*
 * Publishes `count` ephemeral events of kind 25910 with the contents 0, 1, 2 ... within one turn;
 * how many were taken before the first refusal, which must be TROUPE_EBUSY.
 */
uint32_t fixture_publish_many(struct fixture *fixture, uint32_t count);
/* Worker 1 does nothing between these two. */
void fixture_hold(struct fixture *fixture);
void fixture_let_go(struct fixture *fixture);
/* Lets the helper actor stop the relay. */
void fixture_stop_relay(struct fixture *fixture);

/* Which worker serves the connection that was opened last, which must be the only one. */
uint32_t fixture_worker_of_newest(struct fixture *fixture, const uint64_t *before);
void fixture_connections(const struct fixture *fixture, uint64_t *counts);

void fixture_open(struct fixture *fixture, struct ws_client *client);

/* Sends ["EVENT",...]; id (65 bytes, cstr) is optional. */
void fixture_event(struct fixture *fixture,
                   struct ws_client *client,
                   const struct event_spec *spec,
                   char *id);

/* Sends a text made with printf. */
void fixture_send(struct ws_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The next message must begin with this text, made with printf. */
void fixture_expect(struct ws_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The next message must be an event of the subscription with this content. */
void fixture_expect_event(struct ws_client *client, const char *sub, const char *content);

/* The connection must end with this close code; texts before it are skipped. */
void fixture_expect_close(struct ws_client *client, uint16_t code);

#endif
