#include <troupe/assert.h>

#include <stdio.h>
#include <stdlib.h>

static void (*assert_hook)(void);

void troupe_assert_set_hook(void (*hook_cb)(void))
{
    assert_hook = hook_cb;
}

void troupe_assert_failed(const char *expression, const char *file, int line, const char *function)
{
    fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, expression);
    if (assert_hook != NULL) {
        void (*hook)(void) = assert_hook;
        assert_hook = NULL; /* a hook that asserts itself must not come here again */
        hook();
    }
    abort();
}
