/* Waits for room: who was refused asks to be told, and hears of it once. */

#include "tests/sim/crowd.h"

#include "actors/core/core.h"

void crowd_await(struct troupe_ctx *ctx, struct member *member, troupe_ref ref)
{
    if (book.wait_count == WAITS_MAX) {
        return;
    }
    enum troupe_status status = troupe_await_room(ctx, ref, MSG_ROOM);
    TROUPE_ASSERT(status == TROUPE_OK || status == TROUPE_ENOMEM || status == TROUPE_ECLOSED);
    crowd_refused(status);
    if (status == TROUPE_OK) {
        book.waits[book.wait_count++] =
            (struct wait){ref, member->life, crowd_life_of(ref, TRP_CELL_ALIVE), true};
    }
}

/* Of several waits for the same actor one is like the other. */
static struct wait *find_wait(uint32_t life, troupe_ref ref)
{
    for (uint32_t i = book.wait_count; i-- > 0;) {
        struct wait *wait = &book.waits[i];
        if (wait->is_open && wait->life == life && wait->ref == ref) {
            return wait;
        }
    }
    return NULL;
}

enum troupe_verdict
crowd_told(struct troupe_ctx *ctx, struct member *member, struct troupe_msg *msg)
{
    struct troupe_room room;
    TROUPE_ASSERT(msg->size == sizeof(room));
    memcpy(&room, troupe_msg_data(msg), sizeof(room));
    struct wait *wait = find_wait(member->life, room.ref);
    TROUPE_ASSERT(wait != NULL); /* of this life, and not told before */
    wait->is_open = false;
    book.told++;
    if (room.status == TROUPE_OK) {
        uint32_t place = crowd_place_of(room.ref);
        for (uint32_t n = below(ctx, 10); n > 0 && place < book.places; n--) {
            (void)crowd_send(ctx, member, place);
        }
    } else if (room.status == TROUPE_EDEAD) {
        TROUPE_ASSERT(crowd_cell(room.ref) == NULL);
    } else {
        TROUPE_ASSERT(room.status == TROUPE_ECLOSED);
        /* one that drains takes nothing more in this life */
        TROUPE_ASSERT(wait->asked_life == 0 ||
                      crowd_life_of(room.ref, TRP_CELL_ALIVE) != wait->asked_life);
    }
    if (one_in(ctx, 8)) {
        troupe_msg_free(ctx, troupe_msg_take(ctx, msg));
    }
    return one_in(ctx, 40) ? TROUPE_FAIL : TROUPE_CONTINUE;
}

static uint32_t count_waiters(const struct trp_cell *cell)
{
    uint32_t count = 0;
    const struct troupe_msg *msg = cell->extra.waiters.tail;
    if (msg != NULL) {
        TROUPE_ASSERT(cell->status == TRP_CELL_SUSPENDED); /* any other has room by now */
        do {
            msg = msg->next;
            count++;
        } while (msg != cell->extra.waiters.tail);
    }
    return count;
}

void crowd_check_waits(void)
{
    uint32_t open = 0;
    uint32_t waiters = 0;
    for (uint32_t i = 0; i < book.wait_count; i++) {
        open += book.waits[i].is_open && crowd_is_current(book.waits[i].life) ? 1 : 0;
    }
    for (uint32_t i = 0; i < book.pool->worker_count; i++) {
        const struct trp_cell_table *cells = &book.pool->workers[i].cells;
        for (uint32_t slot = 1; slot < cells->used; slot++) {
            const struct trp_cell *cell = trp_cells_at(cells, slot);
            if (cell->status != TRP_CELL_FREE) {
                waiters += count_waiters(cell);
                TROUPE_ASSERT(cell->room_told == 0); /* all had their try */
            }
        }
    }
    TROUPE_ASSERT(open == waiters);
}
