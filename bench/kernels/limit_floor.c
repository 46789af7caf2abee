/* Limits of the kernels: the same work on the floor, see peers/floor.h. */

#include "bench/kernels/limit.h"

#include <math.h>

#include "bench/peers/floor.h"

struct floor_measurement {
    struct trp_peer_work work;
    struct trp_peer_result result;
    bool is_good;
};

static void run(void *arg)
{
    struct floor_measurement *measurement = arg;
    measurement->is_good = trp_floor_run(&measurement->work, 1, &measurement->result);
}

static double measure(const struct trp_machine *machine, enum trp_peer_kernel kernel)
{
    struct floor_measurement measurement = {.is_good = false};
    trp_peer_size(&measurement.work, kernel, 1);
    if (!trp_limit_on_cpu(machine->first_cpu, run, &measurement) || !measurement.is_good) {
        return NAN;
    }
    return (double)measurement.result.ns / (double)measurement.result.ops;
}

double trp_limit_floor_pingpong(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_PINGPONG);
}

double trp_limit_floor_count(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_COUNT);
}

double trp_limit_floor_fanin8(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_FANIN8);
}

double trp_limit_floor_fanin64(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_FANIN64);
}

double trp_limit_floor_fanin1000(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_FANIN1000);
}

double trp_limit_floor_fjthrput(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_FJTHRPUT);
}

double trp_limit_floor_fjcreate(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_FJCREATE);
}

double trp_limit_floor_fjcreate_waves(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_FJCREATE_WAVES);
}

double trp_limit_floor_threadring100(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_THREADRING100);
}

double trp_limit_floor_threadring503(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_THREADRING503);
}

double trp_limit_floor_big(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_BIG);
}

double trp_limit_floor_chameneos(const struct trp_machine *machine)
{
    return measure(machine, TRP_PEER_CHAMENEOS);
}
