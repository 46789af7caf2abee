#ifndef ACTORS_SERVER_CONTROL_H
#define ACTORS_SERVER_CONTROL_H

/**
 * What the program's first thread does while the workers work: it waits for signals and for the
 * end.
 */

#include <stdbool.h>
#include <stdint.h>

enum trp_control_event {
    TRP_CONTROL_TERMINATE, /* SIGTERM or SIGINT */
    TRP_CONTROL_DONE,      /* trp_control_done was called */
};

struct trp_control {
    int signal_fd;
    int done_fd;
    uint64_t wished_ns; /* when the last signal to terminate came; 0 = never */
};

/**
 * Blocks SIGTERM and SIGINT in this and all later threads, ignores SIGPIPE, raises the limit of
 * open files to what is allowed. Before any thread exists. False when the system refuses.
 */
bool trp_control_open(struct trp_control *control);
/** May be called again. */
void trp_control_close(struct trp_control *control);

/** Waits for the next event. Threads: the first. */
enum trp_control_event trp_control_wait(struct trp_control *control);

/** Ends the waiting. Threads: any. */
void trp_control_done(struct trp_control *control);

#endif
