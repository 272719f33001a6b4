#include "tests/support/link_trial.h"

#include <numeric>

#include "comm/in_process.h"
#include "tests/support/strategy_trial.h"
#include "tests/support/virtual_time.h"

namespace basin::test {

double LinkTrial::mean_exchange_seconds() const {
  double sum = 0;
  for (const comm::Ledger& ledger : ledgers) sum += ledger.seconds;
  return sum / static_cast<double>(ledgers.size());
}

double LinkTrial::mean_train_seconds() const {
  return std::accumulate(train_seconds.begin(), train_seconds.end(), 0.0) / static_cast<double>(train_seconds.size());
}

LinkTrial RunOnLink(const trainer::StrategyOptions& options, const trainer::RunShape& shape, const comm::Link& link,
                    const std::function<double(int, int64_t)>& step_seconds) {
  LinkTrial trial{.ledgers = std::vector<comm::Ledger>(shape.members), .train_seconds = std::vector<double>(shape.members)};
  std::vector<BareMember> members = RandomMembers(shape);
  comm::RunInProcess(shape.members, [&](comm::Communicator& inner) {
    const int rank = inner.rank();
    VirtualClock clock;
    comm::EmulatedCommunicator emulated(inner, link, clock, clock.waits());
    emulated.SetTimeout(std::chrono::hours(1));
    comm::CountingCommunicator counting(emulated, clock);
    BareMember& own = members[rank];
    RecordingRenormaliser renormaliser(own.weights);
    RecordingAligner aligner(own.weights);
    trainer::MemberState state{rank, own.weights, own.moments, own.statistics, shape.slots, &renormaliser, &aligner};
    const auto strategy = trainer::MakeStrategy(options, shape);
    strategy->Begin(state, inner);
    double& train = trial.train_seconds[rank];
    for (int64_t step = 0; step < shape.total_steps; ++step) {
      const double seconds = step_seconds ? step_seconds(rank, step) : 0;
      clock.Advance(seconds);
      train += seconds;
      const double lr = shape.lr_at ? shape.lr_at(step) : shape.base_lr;
      strategy->AfterStep({.step = step, .lr = lr, .train_seconds = train}, state, counting);
      if ((step + 1) % shape.steps_per_epoch == 0) strategy->AfterEpoch({.epoch = step / shape.steps_per_epoch}, state, counting);
    }
    trial.ledgers[rank] = counting.ledger();
  });
  return trial;
}

}  // namespace basin::test
