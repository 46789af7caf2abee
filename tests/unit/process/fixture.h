#ifndef TESTS_UNIT_PROCESS_FIXTURE_H
#define TESTS_UNIT_PROCESS_FIXTURE_H

/** What the spawner tests share: every wait is a poll with a deadline that fails the test. */

#include <stddef.h>
#include <stdint.h>

#include "io/process/spawner.h"

/** A fresh spawner. */
void fx_open(struct trp_spawner *spawner, uint32_t children_max);

/** Closes it and checks that it ended well, so no child is left. */
void fx_close(struct trp_spawner *spawner);

/** The next event, whatever it is. */
void fx_event(struct trp_spawner *spawner, struct trp_spawn_event *event);

/** Asks for the helper program: mode, then optional arguments up to NULL. */
void fx_ask(struct trp_spawner *spawner,
            uint64_t id,
            enum trp_spawn_stderr stderr_mode,
            const char *mode,
            const char *argument);

/** fx_ask, and the next event must be its STARTED. */
struct trp_spawn_event fx_run(struct trp_spawner *spawner,
                              uint64_t id,
                              enum trp_spawn_stderr stderr_mode,
                              const char *mode,
                              const char *argument);

/** The next event must be this one. */
void fx_expect_exit(struct trp_spawner *spawner, uint64_t id, enum trp_spawn_exit kind, int value);
void fx_expect_failure(struct trp_spawner *spawner, uint64_t id, int error, const char *text);

/** Reads one line without its newline. */
void fx_line(int fd, char *line, size_t cap);

/** The next line must be this one. */
void fx_expect_line(int fd, const char *expected);

/** Reads to the end of the stream; returns the bytes, NUL-ended. */
size_t fx_rest(int fd, char *bytes, size_t cap);

/** Writes everything. */
void fx_write(int fd, const char *bytes, size_t len);

/** Closes the descriptors of a STARTED. */
void fx_forget(struct trp_spawn_event *started);

#endif
