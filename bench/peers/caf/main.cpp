/* Peer of the kernel benchmark: the kernels in CAF 0.17 (C++17), one event-based actor per actor.
 *
 * Compile, in this folder:
 *   g++ -O2 -std=c++17 -o OUT/peer-caf main.cpp flow.cpp graph.cpp -lcaf_core -lpthread
 * Run:
 *   OUT/peer-caf KERNEL --threads N [--scale D] [--batch N] [--throughput N]
 *                [--policy stealing|sharing]
 *
 * Runs the kernel once to warm up and once measured, checks both results and prints one line
 * "ops=N ns=T". Exit status 1: wrong result; 2: unknown kernel or option. N becomes
 * scheduler.max-threads; D divides the operations. The measured part starts when all actors but
 * those of fjcreate exist, and ends when the result has reached the main thread.
 *
 * Chosen after trying the alternatives on 2 cores (the options repeat it):
 *   - Classes derived from event_based_actor with one behaviour for life; messages are one or two
 *     small integers or an atom, handles are looked up by index and not sent. Where an answer goes
 *     back to the sender (pingpong, big, fjcreate) the handler returns it.
 *   - Work stealing, CAF's default, except for fjcreate: there idle workers that steal contend with
 *     the parent's queue; sharing needs a third of the processor time and is 2 to 4 times faster
 *     with two threads.
 *   - No limit of messages per turn, CAF's default; 10 and 300 make no difference beyond noise.
 *   - A sender sends all it has in one turn; turns of 50, 1000 or 20000 messages are not faster.
 *   - Children of fjcreate are spawned hidden, which leaves them out of the registry's count: up to
 *     1.5 times faster than without; lazy_init gains nothing on top. What limits fjcreate cannot be
 *     set: the end of every actor wakes CAF's clock thread, to cancel timeouts it does not have.
 *   - glibc's malloc as it is: trim threshold, top pad and number of arenas made no difference.
 */

#include "peer.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

struct kernel {
    const char *name;
    int64_t ops;
    int64_t unit; /* ops is rounded to a multiple of it */
    int64_t batch;
    bool is_sharing; /* scheduler policy: sharing, not stealing */
    outcome (*run)(caf::actor_system &system, const run_size &size);
};

template <int64_t Senders> static outcome stream_of(caf::actor_system &system, const run_size &size)
{
    return stream(system, size, Senders);
}

template <int64_t Wave> static outcome create_in(caf::actor_system &system, const run_size &size)
{
    return fork_create(system, size, Wave);
}

template <int64_t Actors> static outcome ring_of(caf::actor_system &system, const run_size &size)
{
    return thread_ring(system, size, Actors);
}

static const kernel kernels[] = {
    {"pingpong", 1000000, 1, 1, false, pingpong},
    {"count", 1000000, 1, stream_batch, false, stream_of<1>},
    {"fanin8", 1000000, 1, stream_batch, false, stream_of<8>},
    {"fanin64", 1000000, 1, stream_batch, false, stream_of<64>},
    {"fanin1000", 1000000, 1, stream_batch, false, stream_of<1000>},
    {"fjthrput", 600000, fan_actors, stream_batch, false, fork_throughput},
    {"fjcreate", 1000000, 1, 1, true, create_in<1000000>},
    {"fjcreate-waves", 1000000, 1, 1, true, create_in<1000>},
    {"threadring100", 1000000, 1, 1, false, ring_of<100>},
    {"threadring503", 1000000, 1, 1, false, ring_of<503>},
    {"big", 2400000, big_actors, 1, false, big},
    {"chameneos", 200000, 1, 1, false, chameneos},
};

struct options {
    int64_t threads = 1;
    int64_t scale = 1;
    int64_t batch = 0;      /* 0: the kernel's */
    int64_t throughput = 0; /* 0: CAF's default, no limit */
    std::string policy;     /* empty: the kernel's */
};

[[noreturn]] static void usage()
{
    std::fputs("usage: peer KERNEL --threads N [--scale D] [--batch N] [--throughput N]"
               " [--policy stealing|sharing]\n",
               stderr);
    std::exit(2);
}

static int64_t read_number(const char *text)
{
    char *end = nullptr;
    errno = 0;
    long long value = std::strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1) {
        usage();
    }
    return value;
}

static options read_options(int argc, char **argv)
{
    options out;
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc) {
            usage();
        }
        std::string name = argv[i];
        const char *value = argv[i + 1];
        if (name == "--threads") {
            out.threads = read_number(value);
        } else if (name == "--scale") {
            out.scale = read_number(value);
        } else if (name == "--batch") {
            out.batch = read_number(value);
        } else if (name == "--throughput") {
            out.throughput = read_number(value);
        } else if (name == "--policy" &&
                   (std::strcmp(value, "sharing") == 0 || std::strcmp(value, "stealing") == 0)) {
            out.policy = value;
        } else {
            usage();
        }
    }
    return out;
}

static const kernel &find_kernel(const char *name)
{
    for (const kernel &one : kernels) {
        if (std::strcmp(one.name, name) == 0) {
            return one;
        }
    }
    usage();
}

static void configure(caf::actor_system_config &config, const kernel &chosen, const options &opts)
{
    bool is_sharing = opts.policy.empty() ? chosen.is_sharing : opts.policy == "sharing";
    config.set("scheduler.max-threads", static_cast<size_t>(opts.threads));
    config.set("scheduler.policy", is_sharing ? caf::atom("sharing") : caf::atom("stealing"));
    if (opts.throughput > 0) {
        config.set("scheduler.max-throughput", static_cast<size_t>(opts.throughput));
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage();
    }
    const kernel &chosen = find_kernel(argv[1]);
    const options opts = read_options(argc, argv);
    run_size size;
    size.ops = std::max(chosen.unit, chosen.ops / opts.scale / chosen.unit * chosen.unit);
    size.batch = opts.batch > 0 ? opts.batch : chosen.batch;

    caf::actor_system_config config;
    configure(config, chosen, opts);
    caf::actor_system system{config};
    outcome result{};
    for (int round = 0; round < 2; round++) {
        result = chosen.run(system, size);
        if (!result.is_right) {
            std::fprintf(stderr, "%s has a wrong result\n", chosen.name);
            std::_Exit(1);
        }
    }
    std::printf("ops=%lld ns=%lld\n", static_cast<long long>(size.ops),
                static_cast<long long>(result.ns));
    return 0;
}
