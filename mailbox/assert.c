#include <troupe/assert.h>

#include <stdio.h>
#include <stdlib.h>

static troupe_assert_hook_cb assert_hook;

troupe_assert_hook_cb troupe_assert_set_hook(troupe_assert_hook_cb hook_cb)
{
    troupe_assert_hook_cb previous = assert_hook;
    assert_hook = hook_cb;
    return previous;
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
