/* Foreign threads of the crowd: ports that send between two steps, open and close. */

#include "tests/sim/crowd.h"

static struct {
    struct troupe_port *ports[PORTS_MAX]; /* NULL = closed */
    struct line lines[PORTS_MAX][PLACES_MAX];
} outside;

static void open_port(uint32_t i)
{
    /* another one of the pool's ports may come: no order with what was sent before */
    memset(outside.lines[i], 0, sizeof(outside.lines[i]));
    enum troupe_status status = troupe_port_open(book.pool, &outside.ports[i]);
    TROUPE_ASSERT(status == TROUPE_OK || status == TROUPE_ENOMEM);
}

void crowd_ports_open(void)
{
    memset(&outside, 0, sizeof(outside));
    for (uint32_t i = 0; i < PORTS_MAX; i++) {
        open_port(i);
    }
}

void crowd_ports_close(void)
{
    for (uint32_t i = 0; i < PORTS_MAX; i++) {
        troupe_port_close(outside.ports[i]);
        outside.ports[i] = NULL;
    }
}

static void send_from(struct trp_random *random, uint32_t i, uint32_t place)
{
    uint32_t id = crowd_record(book.refs[place], &outside.lines[i][place], 0);
    if (id == 0) {
        return;
    }
    struct tag tag = {id, 1, trp_random_below(random, 300) == 0, 0, TROUPE_NOBODY};
    uint32_t size = (uint32_t)(sizeof(tag) + trp_random_below(random, 200));
    struct troupe_msg *msg = troupe_port_msg_new(outside.ports[i], MSG_NUMBER, size);
    if (msg == NULL) {
        crowd_sent(id, TROUPE_ENOMEM);
        return;
    }
    memcpy(troupe_msg_data(msg), &tag, sizeof(tag));
    crowd_sent(id, troupe_port_send(outside.ports[i], book.refs[place], &msg));
    troupe_port_msg_free(outside.ports[i], msg);
}

void crowd_ports_act(struct trp_random *random)
{
    uint32_t i = (uint32_t)trp_random_below(random, PORTS_MAX);
    if (outside.ports[i] == NULL || trp_random_below(random, 20) == 0) {
        troupe_port_close(outside.ports[i]);
        outside.ports[i] = NULL;
        open_port(i);
    }
    if (outside.ports[i] == NULL) {
        return;
    }
    uint32_t place = (uint32_t)trp_random_below(random, book.places);
    uint64_t count = 1 + trp_random_below(random, 6);
    if (trp_random_below(random, 600) == 0) {
        count = TRP_WINDOW + 100; /* more than the window of all ports holds */
    }
    for (uint64_t n = 0; n < count; n++) {
        send_from(random, i, place);
    }
}
