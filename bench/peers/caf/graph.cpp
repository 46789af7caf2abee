/* threadring, big and chameneos. */

#include "peer.hpp"

using caf::actor;
using caf::actor_config;
using caf::actor_system;
using caf::behavior;
using caf::event_based_actor;

static void stop_all(const actor_list &all)
{
    for (const actor &one : all) {
        caf::anon_send(one, stop_atom::value);
    }
}

/* --- threadring --- */

class ring_actor : public event_based_actor
{
  public:
    ring_actor(actor_config &cfg, const actor_list &all, int64_t self, done_promise &done)
        : event_based_actor(cfg), all_(all), self_(self), done_(done)
    {
    }

  protected:
    behavior make_behavior() override
    {
        size_t next = (static_cast<size_t>(self_) + 1) % all_.size();
        return {[this, next](int64_t hops) {
                    if (hops > 0) {
                        send(all_[next], hops - 1);
                    } else {
                        done_.set_value(self_);
                    }
                },
                [this](stop_atom) { quit(); }};
    }

  private:
    const actor_list &all_;
    int64_t self_;
    done_promise &done_;
};

/* A token goes round a ring. */
outcome thread_ring(actor_system &system, const run_size &size, int64_t actors)
{
    done_promise done;
    actor_list all(static_cast<size_t>(actors));
    for (int64_t i = 0; i < actors; i++) {
        all[static_cast<size_t>(i)] = system.spawn<ring_actor>(all, i, done);
    }
    stopwatch watch;
    caf::anon_send(all[0], size.ops);
    int64_t last = done.get_future().get();
    outcome result{watch.ns(), last == size.ops % actors};
    stop_all(all);
    system.await_all_actors_done();
    return result;
}

/* --- big --- */

static uint32_t xorshift(uint32_t state)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

struct big_results {
    actor finished;
    actor answered;
};

/* Pings another, answers everybody, until it is stopped. */
class big_actor : public event_based_actor
{
  public:
    big_actor(actor_config &cfg,
              const actor_list &all,
              uint32_t self,
              int64_t left,
              const big_results &results)
        : event_based_actor(cfg), all_(all), self_(self), state_((self + 1) * 2654435761U),
          left_(left), results_(results)
    {
    }

  protected:
    behavior make_behavior() override
    {
        return {[this](ping_atom) {
                    answers_++;
                    return pong_atom::value;
                },
                [this](pong_atom) {
                    if (left_-- > 0) {
                        ping_another();
                    } else {
                        send(results_.finished, int64_t{1});
                    }
                },
                [this](stop_atom) {
                    send(results_.answered, answers_);
                    quit();
                }};
    }

  private:
    void ping_another()
    {
        state_ = xorshift(state_);
        auto other = state_ % static_cast<uint32_t>(big_actors - 1);
        send(all_[other >= self_ ? other + 1 : other], ping_atom::value);
    }

    const actor_list &all_;
    uint32_t self_;
    uint32_t state_;
    int64_t left_;
    int64_t answers_ = 0;
    big_results results_;
};

/* All to all, one ping outstanding per actor. */
outcome big(actor_system &system, const run_size &size)
{
    done_promise finished;
    done_promise answered;
    big_results results{system.spawn<collector>(big_actors, finished),
                        system.spawn<collector>(big_actors, answered)};
    actor_list all(static_cast<size_t>(big_actors));
    for (uint32_t i = 0; i < all.size(); i++) {
        all[i] = system.spawn<big_actor>(all, i, size.ops / big_actors, results);
    }
    stopwatch watch;
    for (const actor &one : all) {
        caf::anon_send(one, pong_atom::value);
    }
    finished.get_future().wait();
    int64_t ns = watch.ns();
    stop_all(all);
    outcome result{ns, answered.get_future().get() == size.ops};
    system.await_all_actors_done();
    return result;
}

/* --- chameneos --- */

static constexpr int32_t creature_count = 100;

/* Hands the second of two to the first. Creatures are named by their place in the list. */
class mall_actor : public event_based_actor
{
  public:
    mall_actor(actor_config &cfg, const actor_list &all, int64_t left)
        : event_based_actor(cfg), all_(all), left_(left)
    {
    }

  protected:
    behavior make_behavior() override
    {
        return {[this](int32_t who, int32_t colour) {
            if (left_ == 0) {
                send(all_[static_cast<size_t>(who)], stop_atom::value);
                if (--open_ == 0) {
                    quit();
                }
            } else if (waiting_ < 0) {
                waiting_ = who;
            } else {
                send(all_[static_cast<size_t>(waiting_)], who, colour);
                waiting_ = -1;
                left_--;
            }
        }};
    }

  private:
    const actor_list &all_;
    int64_t left_;
    int32_t waiting_ = -1;
    int32_t open_ = creature_count;
};

/* Two of a colour keep it, two of different colours take the third. */
static int32_t complement(int32_t a, int32_t b)
{
    return a == b ? a : 3 - a - b;
}

class creature : public event_based_actor
{
  public:
    creature(actor_config &cfg, const actor_list &all, int32_t self, actor mall, actor results)
        : event_based_actor(cfg), all_(all), self_(self), colour_(self % 3), mall_(std::move(mall)),
          results_(std::move(results))
    {
    }

  protected:
    behavior make_behavior() override
    {
        return {[this](start_atom) { send(mall_, self_, colour_); },
                [this](int32_t partner, int32_t colour) {
                    int32_t taken = complement(colour_, colour);
                    send(all_[static_cast<size_t>(partner)], taken);
                    meet(taken);
                },
                [this](int32_t taken) { meet(taken); },
                [this](stop_atom) {
                    send(results_, meetings_);
                    quit();
                }};
    }

  private:
    void meet(int32_t taken)
    {
        colour_ = taken;
        meetings_++;
        send(mall_, self_, colour_);
    }

    const actor_list &all_;
    int32_t self_;
    int32_t colour_;
    int64_t meetings_ = 0;
    actor mall_;
    actor results_;
};

/* 100 creatures meet in one mall. */
outcome chameneos(actor_system &system, const run_size &size)
{
    done_promise done;
    auto results = system.spawn<collector>(creature_count, done);
    actor_list all(static_cast<size_t>(creature_count));
    auto mall = system.spawn<mall_actor>(all, size.ops);
    for (int32_t i = 0; i < creature_count; i++) {
        all[static_cast<size_t>(i)] = system.spawn<creature>(all, i, mall, results);
    }
    stopwatch watch;
    for (const actor &one : all) {
        caf::anon_send(one, start_atom::value);
    }
    int64_t sum = done.get_future().get();
    outcome result{watch.ns(), sum == 2 * size.ops};
    system.await_all_actors_done();
    return result;
}
