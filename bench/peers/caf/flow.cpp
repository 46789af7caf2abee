/* pingpong, count, fanin, fjthrput and fjcreate. */

#include "peer.hpp"

#include <algorithm>

using caf::actor;
using caf::actor_config;
using caf::actor_system;
using caf::behavior;
using caf::event_based_actor;

collector::collector(actor_config &cfg, int64_t left, done_promise &done)
    : event_based_actor(cfg), left_(left), done_(done)
{
}

behavior collector::make_behavior()
{
    return {[this](int64_t value) {
        sum_ += value;
        if (--left_ == 0) {
            done_.set_value(sum_);
            quit();
        }
    }};
}

/* --- pingpong --- */

class pong_actor : public event_based_actor
{
  public:
    using event_based_actor::event_based_actor;

  protected:
    behavior make_behavior() override
    {
        return {[](int64_t value) { return value + 1; }, [this](stop_atom) { quit(); }};
    }
};

class ping_actor : public event_based_actor
{
  public:
    ping_actor(actor_config &cfg, actor pong, int64_t left, done_promise &done)
        : event_based_actor(cfg), pong_(std::move(pong)), left_(left), done_(done)
    {
    }

  protected:
    behavior make_behavior() override
    {
        return {[this](int64_t value) {
            if (left_-- > 0) {
                send(pong_, value + 1);
                return;
            }
            done_.set_value(value);
            send(pong_, stop_atom::value);
            quit();
        }};
    }

  private:
    actor pong_;
    int64_t left_;
    done_promise &done_;
};

/* Two actors, one message on its way; the answer is what pong's handler returns. */
outcome pingpong(actor_system &system, const run_size &size)
{
    done_promise done;
    auto ping = system.spawn<ping_actor>(system.spawn<pong_actor>(), size.ops, done);
    stopwatch watch;
    caf::anon_send(ping, int64_t{0});
    int64_t value = done.get_future().get();
    outcome result{watch.ns(), value == 2 * size.ops};
    system.await_all_actors_done();
    return result;
}

/* --- count, fanin --- */

class number_sender : public event_based_actor
{
  public:
    number_sender(actor_config &cfg, actor target, int64_t first, int64_t end, int64_t batch)
        : event_based_actor(cfg), target_(std::move(target)), next_(first), end_(end), batch_(batch)
    {
    }

  protected:
    behavior make_behavior() override
    {
        return {[this](start_atom) {
            int64_t stop = std::min(end_, next_ + batch_);
            for (; next_ < stop; next_++) {
                send(target_, next_);
            }
            if (next_ < end_) {
                send(this, start_atom::value);
            } else {
                quit();
            }
        }};
    }

  private:
    actor target_;
    int64_t next_;
    int64_t end_;
    int64_t batch_;
};

outcome stream(actor_system &system, const run_size &size, int64_t senders)
{
    done_promise done;
    auto counter = system.spawn<collector>(size.ops, done);
    actor_list all;
    for (int64_t i = 0; i < senders; i++) {
        int64_t first = size.ops * i / senders;
        int64_t end = size.ops * (i + 1) / senders;
        all.push_back(system.spawn<number_sender>(counter, first, end, size.batch));
    }
    stopwatch watch;
    for (const actor &sender : all) {
        caf::anon_send(sender, start_atom::value);
    }
    int64_t sum = done.get_future().get();
    outcome result{watch.ns(), sum == size.ops * (size.ops - 1) / 2};
    all.clear();
    system.await_all_actors_done();
    return result;
}

/* --- fjthrput --- */

/* Adds up its messages and reports the sum. */
class adder : public event_based_actor
{
  public:
    adder(actor_config &cfg, int64_t left, actor results)
        : event_based_actor(cfg), left_(left), results_(std::move(results))
    {
    }

  protected:
    behavior make_behavior() override
    {
        return {[this](int64_t value) {
            sum_ += value;
            if (--left_ == 0) {
                send(results_, sum_);
                quit();
            }
        }};
    }

  private:
    int64_t left_;
    int64_t sum_ = 0;
    actor results_;
};

/* Sends to all actors in turn. */
class driver : public event_based_actor
{
  public:
    driver(actor_config &cfg, const actor_list &all, int64_t rounds, int64_t batch)
        : event_based_actor(cfg), all_(all), rounds_(rounds), batch_(batch)
    {
    }

  protected:
    behavior make_behavior() override
    {
        return {[this](start_atom) {
            for (int64_t sent = 0; round_ < rounds_ && sent < batch_; round_++) {
                for (const actor &one : all_) {
                    send(one, round_);
                }
                sent += fan_actors;
            }
            if (round_ < rounds_) {
                send(this, start_atom::value);
            } else {
                quit();
            }
        }};
    }

  private:
    const actor_list &all_;
    int64_t round_ = 0;
    int64_t rounds_;
    int64_t batch_;
};

outcome fork_throughput(actor_system &system, const run_size &size)
{
    int64_t rounds = size.ops / fan_actors;
    done_promise done;
    auto results = system.spawn<collector>(fan_actors, done);
    actor_list all;
    for (int64_t i = 0; i < fan_actors; i++) {
        all.push_back(system.spawn<adder>(rounds, results));
    }
    auto sender = system.spawn<driver>(all, rounds, size.batch);
    stopwatch watch;
    caf::anon_send(sender, start_atom::value);
    int64_t sum = done.get_future().get();
    outcome result{watch.ns(), sum == fan_actors * (rounds * (rounds - 1) / 2)};
    system.await_all_actors_done();
    return result;
}

/* --- fjcreate --- */

class child_actor : public event_based_actor
{
  public:
    using event_based_actor::event_based_actor;

  protected:
    behavior make_behavior() override
    {
        return {[this](int64_t value) {
            quit();
            return value + 1;
        }};
    }
};

class parent_actor : public event_based_actor
{
  public:
    parent_actor(actor_config &cfg, int64_t ops, int64_t wave, done_promise &done)
        : event_based_actor(cfg), ops_(ops), wave_(wave), done_(done)
    {
    }

  protected:
    behavior make_behavior() override
    {
        return {[this](start_atom) { create(); },
                [this](int64_t value) {
                    sum_ += value;
                    if (--alive_ > 0) {
                        return;
                    }
                    if (made_ < ops_) {
                        create();
                    } else {
                        done_.set_value(sum_);
                        quit();
                    }
                }};
    }

  private:
    void create()
    {
        int64_t end = std::min(ops_, made_ + wave_);
        for (; made_ < end; made_++, alive_++) {
            send(spawn<child_actor, child_options>(), made_);
        }
    }

    static constexpr caf::spawn_options child_options = caf::hidden;
    int64_t ops_;
    int64_t wave_;
    int64_t made_ = 0;
    int64_t alive_ = 0;
    int64_t sum_ = 0;
    done_promise &done_;
};

outcome fork_create(actor_system &system, const run_size &size, int64_t wave)
{
    done_promise done;
    stopwatch watch;
    auto parent = system.spawn<parent_actor>(size.ops, wave, done);
    caf::anon_send(parent, start_atom::value);
    int64_t sum = done.get_future().get();
    outcome result{watch.ns(), sum == size.ops * (size.ops + 1) / 2};
    system.await_all_actors_done();
    return result;
}
