#ifndef POOL_LIFE_H
#define POOL_LIFE_H

/*
 * What life.c and supervision (actors/core) tell each other. A supervised actor that ends is
 * suspended when the hook `ending` says so: its state goes, its cell, ref, mailbox and watchers
 * stay, until it is restarted or ended for good (trp_cell_end).
 */

#include "pool/worker.h"

/* First member of what trp_cell_extra.child points at. */
struct trp_cell_keeper {
    const void *arg;   /* what init_cb gets at every restart; lives as long as the cell */
    uint32_t restarts; /* so far, counted by trp_cell_restart */
    /* Nothing of the old incarnation is left: trp_cell_restart may be called. May do it itself. */
    void (*suspended_cb)(struct trp_worker *worker, struct trp_cell *cell);
};

/* True when suspended_cb has been called and the actor was not restarted since. */
static inline bool trp_cell_is_settled(const struct trp_cell *cell)
{
    return cell->status == TRP_CELL_SUSPENDED && cell->ops == NULL && cell->state == NULL;
}

/*
 * Starts a settled actor anew: fresh state, init_cb with the keeper's argument, then whatever waits
 * in its mailbox. When that fails the actor ends with TROUPE_DOWN_FAILED once more: it is suspended
 * again, or gone.
 */
enum troupe_status trp_cell_restart(struct trp_worker *worker, struct trp_cell *cell);

#endif
