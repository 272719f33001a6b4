#include "trainer/plan/probe.h"

#include <algorithm>
#include <functional>

#include "trainer/population.h"

namespace basin::trainer {
namespace {

constexpr double kSmallest = 64, kLargest = 256.0 * 1024 * 1024, kFactor = 4;
constexpr double kSecondsASize = 0.05;

class Prober {
 public:
  Prober(comm::Communicator& meet, const base::Clock& clock) : meet_(meet), clock_(clock) {}

  struct Trial {
    int64_t elements = 0;  ///< float32, as the table counts them
    std::function<void()> call;
  };

  TimeTable Table(double largest_bytes, const std::function<Trial(int64_t elements)>& make) {
    TimeTable table;
    for (double bytes = kSmallest;; bytes *= kFactor) {
      const Trial trial = make(static_cast<int64_t>(bytes / sizeof(float)));
      table.bytes.push_back(static_cast<double>(trial.elements) * sizeof(float));
      table.seconds.push_back(Time(trial.call));
      if (bytes >= largest_bytes || bytes >= kLargest) return table;
    }
  }

 private:
  double Once(const std::function<void()>& call) {
    meet_.Barrier();
    const base::Stopwatch watch(clock_);
    call();
    return watch.Seconds();
  }

  double Time(const std::function<void()>& call) {
    Once(call);  // touches memory and opens connections
    const double first = GatherDoubles({Once(call)}, meet_).max().item<double>();
    const int repetitions = std::clamp(static_cast<int>(kSecondsASize / std::max(first, 1e-9)), 3, 101);
    std::vector<double> seconds;
    for (int k = 0; k < repetitions; ++k) seconds.push_back(Once(call));
    std::ranges::nth_element(seconds, seconds.begin() + repetitions / 2);
    return GatherDoubles({seconds[repetitions / 2]}, meet_).mean().item<double>();
  }

  comm::Communicator& meet_;
  const base::Clock& clock_;
};

}  // namespace

ProbedTimes Probe(comm::Communicator& comm, comm::Communicator& meet, const base::Clock& clock, double largest_bytes) {
  Prober prober(meet, clock);
  const auto options = torch::TensorOptions(comm.device());
  TimeTable all_reduce = prober.Table(largest_bytes, [&](int64_t elements) {
    return Prober::Trial{elements, [&comm, x = torch::zeros({elements}, options)]() mutable { comm.AllReduceSum(x); }};
  });
  TimeTable all_to_all = prober.Table(largest_bytes, [&](int64_t elements) {
    const int64_t each = std::max<int64_t>(1, elements / std::max(1, comm.size() - 1));
    std::vector<int64_t> counts(comm.size(), each);
    counts[comm.rank()] = 0;
    const torch::Tensor send = torch::zeros({each * (comm.size() - 1)}, options);
    const auto call = [&comm, counts, send, recv = torch::empty_like(send)]() mutable { comm.AllToAllV(send, counts, recv, counts); };
    return Prober::Trial{send.numel(), call};
  });
  return {std::move(all_reduce), std::move(all_to_all)};
}

}  // namespace basin::trainer
