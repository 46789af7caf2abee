#include "socket_folder.h"

#include "../../cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char socket_path[96];

static char folder[64];

void socket_folder_make(void)
{
    snprintf(folder, sizeof(folder), "%s/troupe-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : P_tmpdir);
    assert_non_null(mkdtemp(folder));
    snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
}

int socket_folder_remove(void **state)
{
    (void)state;
    (void)unlink(socket_path);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}
