#ifndef BENCH_PEERS_CAF_PEER_HPP
#define BENCH_PEERS_CAF_PEER_HPP

/* What the kernels of the CAF peer share; main.cpp says how it is compiled and run. */

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include <chrono>
#include <cstdint>
#include <future>
#include <vector>

using start_atom = caf::atom_constant<caf::atom("start")>;
using stop_atom = caf::atom_constant<caf::atom("stop")>;
using ping_atom = caf::atom_constant<caf::atom("ping")>;
using pong_atom = caf::atom_constant<caf::atom("pong")>;

/* ops: operations of the whole kernel; batch: messages an actor sends before it lets others run. */
struct run_size {
    int64_t ops;
    int64_t batch;
};

/* Time of the measured part, and whether the result was right. */
struct outcome {
    int64_t ns;
    bool is_right;
};

using done_promise = std::promise<int64_t>;
using actor_list = std::vector<caf::actor>;

class stopwatch
{
  public:
    int64_t ns() const
    {
        auto elapsed = std::chrono::steady_clock::now() - began_;
        return std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
    }

  private:
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/* Adds up one number of each of `left` actors and hands the sum to the main thread. */
class collector : public caf::event_based_actor
{
  public:
    collector(caf::actor_config &cfg, int64_t left, done_promise &done);

  protected:
    caf::behavior make_behavior() override;

  private:
    int64_t left_;
    int64_t sum_ = 0;
    done_promise &done_;
};

outcome pingpong(caf::actor_system &system, const run_size &size);
outcome stream(caf::actor_system &system, const run_size &size, int64_t senders);
outcome fork_throughput(caf::actor_system &system, const run_size &size);
outcome fork_create(caf::actor_system &system, const run_size &size, int64_t wave);
outcome thread_ring(caf::actor_system &system, const run_size &size, int64_t actors);
outcome big(caf::actor_system &system, const run_size &size);
outcome chameneos(caf::actor_system &system, const run_size &size);

constexpr int64_t stream_batch = 1000000;
constexpr int64_t fan_actors = 60;
constexpr int64_t big_actors = 120;

#endif
