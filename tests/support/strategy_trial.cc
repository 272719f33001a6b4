#include "tests/support/strategy_trial.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/seed.h"
#include "comm/in_process.h"

namespace basin::test {
namespace {

torch::Tensor Normal(base::Stream& stream, int64_t n) {
  torch::Tensor x = torch::empty({n});
  for (int64_t i = 0; i < n; ++i) x.data_ptr<float>()[i] = static_cast<float>(stream.NextNormal());
  return x;
}

double MeanOver(const std::vector<comm::Ledger>& ledgers, int64_t comm::Ledger::*field) {
  double sum = 0;
  for (const comm::Ledger& ledger : ledgers) sum += static_cast<double>(ledger.*field);
  return sum / static_cast<double>(ledgers.size());
}

}  // namespace

double Trial::mean_bytes() const { return MeanOver(ledgers, &comm::Ledger::payload_bytes); }
double Trial::mean_messages() const { return MeanOver(ledgers, &comm::Ledger::messages); }

std::vector<models::ParameterSlot> Slots(
    std::initializer_list<std::pair<std::string, int64_t>> tensors) {
  std::vector<models::ParameterSlot> slots;
  int64_t offset = 0;
  for (const auto& [name, n] : tensors) {
    slots.push_back({.name = name, .offset = offset, .shape = {n}, .num_elements = n});
    offset += n;
  }
  return slots;
}

trainer::RunShape SmallShape(int members, int64_t steps) {
  return {.seed = 5,
          .members = members,
          .total_steps = steps,
          .steps_per_epoch = 1,
          .base_lr = 0.1,
          .lr_at = [](int64_t) { return 0.1; },
          .slots = Slots({{"a.weight", 7}, {"b.weight", 10}, {"c.weight", 4}}),
          .num_parameters = 21,
          .num_statistics = 5,
          .num_moments = 2,
          .num_activation_statistics = 2};
}

std::vector<BareMember> RandomMembers(const trainer::RunShape& shape, uint64_t seed) {
  std::vector<BareMember> members;
  for (int n = 0; n < shape.members; ++n) {
    base::Stream stream({.run_seed = seed, .purpose = base::Purpose::kTest, .b = uint64_t(n)});
    BareMember member{.weights = Normal(stream, shape.num_parameters)};
    for (int m = 0; m < shape.num_moments; ++m) {
      member.moments.push_back(Normal(stream, shape.num_parameters));
    }
    if (shape.num_statistics > 0) {
      member.statistics = {Normal(stream, shape.num_statistics - 2),
                           Normal(stream, 2).view({2, 1})};
    }
    members.push_back(member);
  }
  return members;
}

std::vector<BareMember> Clone(const std::vector<BareMember>& members) {
  std::vector<BareMember> copies;
  for (const BareMember& member : members) {
    BareMember copy{.weights = member.weights.clone()};
    for (const torch::Tensor& x : member.moments) copy.moments.push_back(x.clone());
    for (const torch::Tensor& x : member.statistics) copy.statistics.push_back(x.clone());
    copies.push_back(copy);
  }
  return copies;
}

torch::Tensor StackWeights(const std::vector<BareMember>& members) {
  std::vector<torch::Tensor> rows;
  for (const BareMember& member : members) rows.push_back(member.weights.to(torch::kFloat64));
  return torch::stack(rows);
}

torch::Tensor MeanWeights(const std::vector<BareMember>& members) {
  return StackWeights(members).mean(0);
}

torch::Tensor State(const BareMember& member) {
  std::vector<torch::Tensor> parts{member.weights};
  for (const torch::Tensor& statistic : member.statistics) parts.push_back(statistic.flatten());
  return torch::cat(parts);
}

Trial RunTrial(const trainer::StrategyOptions& options, const trainer::RunShape& shape,
               const std::vector<BareMember>& start, const Hooks& hooks) {
  Trial trial{.members = Clone(start),
              .ledgers = std::vector<comm::Ledger>(shape.members),
              .repair_targets = std::vector<std::vector<torch::Tensor>>(shape.members),
              .resets = std::vector<int>(shape.members),
              .references = std::vector<std::vector<torch::Tensor>>(shape.members),
              .forecast = trainer::MakeStrategy(options, shape)->Predict()};
  const base::ManualClock clock;
  comm::RunInProcess(shape.members, [&](comm::Communicator& comm) {
    const int rank = comm.rank();
    BareMember& own = trial.members[rank];
    comm::CountingCommunicator counting(comm, clock);
    RecordingRenormaliser renormaliser(own.weights);
    RecordingAligner aligner(own.weights);
    trainer::MemberState state{rank,           own.weights, own.moments,
                               own.statistics, shape.slots, &renormaliser, &aligner};
    const auto strategy = trainer::MakeStrategy(options, shape);
    strategy->Begin(state, comm);
    for (int64_t step = 0; step < shape.total_steps; ++step) {
      if (hooks.train) hooks.train(step, rank, own);
      const double lr = shape.lr_at ? shape.lr_at(step) : shape.base_lr;
      strategy->AfterStep({.step = step, .lr = lr}, state, counting);
      if ((step + 1) % shape.steps_per_epoch == 0) {
        strategy->AfterEpoch({.epoch = step / shape.steps_per_epoch}, state, counting);
      }
      if (hooks.observe) hooks.observe(step, rank, own);
    }
    trial.ledgers[rank] = counting.ledger();
    trial.repair_targets[rank] = renormaliser.targets;
    trial.resets[rank] = renormaliser.resets;
    trial.references[rank] = aligner.references;
  });
  return trial;
}

void ExpectExactForecast(const Trial& trial) {
  const double bytes = trial.mean_bytes(), messages = trial.mean_messages();
  EXPECT_NEAR(trial.forecast.bytes_per_rank, bytes, 1e-9 * bytes);
  EXPECT_NEAR(trial.forecast.messages_per_rank, messages, 1e-9 * messages);
  EXPECT_EQ(trial.forecast.bytes_stddev, 0);
  for (const comm::Ledger& ledger : trial.ledgers) {
    EXPECT_EQ(ledger.exchanges, trial.forecast.exchanges);
  }
}

}  // namespace basin::test
