// Runs a strategy on members without networks: bare tensors in threads, with the ledger that a real
// run has.
#pragma once

#include <torch/types.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "comm/counting.h"
#include "trainer/strategy.h"

namespace basin::test {

/// The tensors that a strategy may touch.
struct BareMember {
  torch::Tensor weights;  // float32 [P]
  std::vector<torch::Tensor> moments, statistics;
};

/// Writes down what papa-all and papa-2 ask of it. Its activations are the first two weights.
class RecordingRenormaliser final : public trainer::Renormaliser {
 public:
  explicit RecordingRenormaliser(const torch::Tensor& weights) : weights_(weights) {}
  torch::Tensor MeasureActivations() override {
    return weights_.narrow(0, 0, 2).to(torch::kFloat64);
  }
  void Repair(const torch::Tensor& target) override { targets.push_back(target.clone()); }
  void Reset() override { ++resets; }

  std::vector<torch::Tensor> targets;
  int resets = 0;

 private:
  torch::Tensor weights_;
};

/// Turns the weights around and writes down what it was to fit.
class RecordingAligner final : public trainer::Aligner {
 public:
  explicit RecordingAligner(const torch::Tensor& weights) : weights_(weights) {}
  void AlignTo(const torch::Tensor& reference) override {
    references.push_back(reference.clone());
    weights_.copy_(weights_.flip(0));
  }

  std::vector<torch::Tensor> references;

 private:
  torch::Tensor weights_;
};

/// What happens to a member between the exchanges of a trial.
using OnMember = std::function<void(int64_t step, int rank, BareMember& member)>;
struct Hooks {
  OnMember train{};    ///< before AfterStep
  OnMember observe{};  ///< after it, and after AfterEpoch
};

struct Trial {
  std::vector<BareMember> members;
  std::vector<comm::Ledger> ledgers;
  std::vector<std::vector<torch::Tensor>> repair_targets;  ///< of each member, one a merge
  std::vector<int> resets;
  std::vector<std::vector<torch::Tensor>> references;      ///< that each member was aligned to
  trainer::Forecast forecast;

  double mean_bytes() const;
  double mean_messages() const;
};

/// One tensor for each (name, number of elements), one after another.
std::vector<models::ParameterSlot> Slots(
    std::initializer_list<std::pair<std::string, int64_t>> tensors);
/// Constant learning rate 0.1, `steps` steps in epochs of one, slots a, b, c of 7, 10 and 4
/// elements (P = 21), statistics of 3 + 2 elements, two moments, two activation statistics.
trainer::RunShape SmallShape(int members, int64_t steps);
/// Standard normal tensors, different for each member.
std::vector<BareMember> RandomMembers(const trainer::RunShape& shape, uint64_t seed = 1);
std::vector<BareMember> Clone(const std::vector<BareMember>& members);
/// Row n: member n's weights, float64 [N, P].
torch::Tensor StackWeights(const std::vector<BareMember>& members);
/// Mean over the members, float64 [P].
torch::Tensor MeanWeights(const std::vector<BareMember>& members);
/// Weights and statistics of a member in one float32 vector.
torch::Tensor State(const BareMember& member);

/// Begin, then all steps and complete epochs of the run, one thread a member. `start` is copied.
Trial RunTrial(const trainer::StrategyOptions& options, const trainer::RunShape& shape,
               const std::vector<BareMember>& start, const Hooks& hooks = {});

/// Bytes (to 1e-9 relative: sums of doubles), messages and number of exchanges are those of the
/// forecast.
void ExpectExactForecast(const Trial& trial);

}  // namespace basin::test
