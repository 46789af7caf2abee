/* Limits of waking: two threads that wake each other in turns and sleep in between. */

#include "bench/kernels/limit.h"

#include <linux/futex.h>
#include <math.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mailbox/atomic.h"

#define WAKE_OPS 3000u

struct wake {
    uint32_t words[2]; /* futex: rises by one with each wake */
    int fds[2];        /* eventfd */
    bool is_eventfd;
    uint64_t took_ns;
};

static void ring(struct wake *wake, int side)
{
    if (wake->is_eventfd) {
        uint64_t one = 1;
        (void)!write(wake->fds[side], &one, sizeof(one));
        return;
    }
    trp_faa_u32(&wake->words[side], 1); /* pairs with the load in await */
    syscall(SYS_futex, &wake->words[side], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Sleeps until the word has risen above `seen`. */
static void await(struct wake *wake, int side, uint32_t seen)
{
    if (wake->is_eventfd) {
        uint64_t count;
        (void)!read(wake->fds[side], &count, sizeof(count));
        return;
    }
    while (trp_load_acquire_u32(&wake->words[side]) == seen) {
        syscall(SYS_futex, &wake->words[side], FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
}

static void ask(void *arg)
{
    struct wake *wake = arg;
    uint64_t begin_ns = 0;
    for (uint32_t i = 0; i < WAKE_OPS; i++) {
        if (i == 1) {
            begin_ns = trp_machine_now_ns();
        }
        ring(wake, 1);
        await(wake, 0, i);
    }
    wake->took_ns = trp_machine_now_ns() - begin_ns;
}

static void answer(void *arg)
{
    struct wake *wake = arg;
    for (uint32_t i = 0; i < WAKE_OPS; i++) {
        await(wake, 1, i);
        ring(wake, 0);
    }
}

static double measure(const struct trp_machine *machine, struct wake *wake)
{
    if (!trp_limit_on_two(machine, ask, answer, wake)) {
        return NAN;
    }
    return (double)wake->took_ns / (WAKE_OPS - 1);
}

double trp_limit_wake_futex(const struct trp_machine *machine)
{
    struct wake wake = {.fds = {-1, -1}};
    return measure(machine, &wake);
}

double trp_limit_wake_eventfd(const struct trp_machine *machine)
{
    struct wake wake = {.is_eventfd = true};
    double result = NAN;

    wake.fds[0] = eventfd(0, EFD_CLOEXEC);
    wake.fds[1] = eventfd(0, EFD_CLOEXEC);
    if (wake.fds[0] >= 0 && wake.fds[1] >= 0) {
        result = measure(machine, &wake);
    }
    for (int side = 0; side < 2; side++) {
        if (wake.fds[side] >= 0) {
            close(wake.fds[side]);
        }
    }
    return result;
}
