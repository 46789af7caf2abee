#ifndef BENCH_KERNELS_OVERLOAD_H
#define BENCH_KERNELS_OVERLOAD_H

/*
 * A server that is offered twice what it can do, in two files: the server and the measuring in
 * overload.c, those who offer in overload_senders.c. Senders live on the first worker, the server
 * on the last one. They never wait: what is refused is lost, and the next one is offered on time.
 */

#include "bench/kernels/cast.h"
#include "bench/kernels/study.h"
#include "bench/kernels/work.h"

#define TRP_OVERLOAD_SENDERS    4u
#define TRP_OVERLOAD_TIMEOUT_NS 20000000u /* of an ask; the server's lane is longer than that */

enum {
    TRP_OVERLOAD_GO = TRP_KERNEL_FIRST_TYPE,
    TRP_OVERLOAD_MORE, /* a sender to itself */
    TRP_OVERLOAD_ITEM, /* what is offered; an ask carries its deadline */
    TRP_OVERLOAD_OVER, /* a sender's last word */
};

struct trp_overload {
    struct trp_work work;
    bool is_asked; /* with asks that have deadlines, not with messages */

    /* The measured time; written by the server before it says GO. */
    uint64_t begin_ns;
    uint64_t warm_ns; /* from here on it counts */
    uint64_t end_ns;
    double interval_ns; /* between two offers of one sender */

    /* The senders', all on one worker. */
    struct trp_hist refusals; /* how long a refused send took */
    uint64_t offered;
    uint64_t accepted;
    uint64_t refused;
    uint64_t answered;         /* asks */
    uint64_t answered_counted; /* those in the measured time */
    uint64_t expired;
    uint64_t lost; /* asks answered in another way */

    /* The server's. */
    uint64_t handled; /* items in all */
    uint64_t counted; /* those in the measured time */
    uint64_t late;    /* begun more than TRP_OVERLOAD_LATE_NS after their deadline */
    uint64_t senders_over;
    uint64_t resident_early; /* bytes of the process when it begins to count, and at the end */
    uint64_t resident_end;
};

/*
 * A thread can lose its CPU between the check of a deadline and the first look at the clock of the
 * handler; what is later than this was not checked.
 */
#define TRP_OVERLOAD_LATE_NS 5000000u

extern const struct troupe_actor_type trp_overload_sender_type;

#endif
