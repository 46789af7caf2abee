#ifndef TESTS_UNIT_IO_SOCKET_FOLDER_H
#define TESTS_UNIT_IO_SOCKET_FOLDER_H

/* A folder of its own for the Unix socket of each test. */

extern char socket_path[96]; /* cstr: a name in the folder, nothing is there yet */

/* For set-up: makes the folder, below TMPDIR if that is set. */
void socket_folder_make(void);

/* A teardown of cmocka: removes the socket if it is there; the folder must be empty then. */
int socket_folder_remove(void **state);

#endif
