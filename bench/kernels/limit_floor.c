/* Limits of the kernels: the same work on the floor, see peers/floor.h. */

#include "bench/kernels/limit.h"

#include <math.h>

#include "bench/peers/floor.h"

struct floor_measurement {
    struct trp_peer_work work;
    struct trp_floor_shape shape;
    struct trp_peer_result result;
    bool is_good;
};

static void run(void *arg)
{
    struct floor_measurement *measurement = arg;
    measurement->is_good =
        trp_floor_run_shaped(&measurement->work, &measurement->shape, &measurement->result);
}

static double measure_shaped(const struct trp_machine *machine,
                             enum trp_peer_kernel kernel,
                             struct trp_floor_shape shape)
{
    struct floor_measurement measurement = {.shape = shape};
    trp_peer_size(&measurement.work, kernel, 1);
    if (!trp_limit_on_cpu(machine->first_cpu, run, &measurement) || !measurement.is_good) {
        return NAN;
    }
    return (double)measurement.result.ns / (double)measurement.result.ops;
}

static double measure(const struct trp_machine *machine, enum trp_peer_kernel kernel)
{
    return measure_shaped(machine, kernel, (struct trp_floor_shape){0});
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

double trp_limit_floor_fjthrput_32(const struct trp_machine *machine)
{
    return measure_shaped(machine, TRP_PEER_FJTHRPUT, (struct trp_floor_shape){.deal_max = 32});
}

double trp_limit_floor_fjthrput_line(const struct trp_machine *machine)
{
    return measure_shaped(machine, TRP_PEER_FJTHRPUT, (struct trp_floor_shape){.is_line = true});
}

double trp_limit_floor_fjthrput_32_line(const struct trp_machine *machine)
{
    return measure_shaped(machine, TRP_PEER_FJTHRPUT,
                          (struct trp_floor_shape){.deal_max = 32, .is_line = true});
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
