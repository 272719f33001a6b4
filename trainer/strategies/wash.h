// WASH (Fournier et al., arXiv 2405.17517): a few coordinates change owner, so the members stay
// apart and the mean stays.
#pragma once

#include <vector>

#include "comm/sparse_exchange.h"
#include "trainer/strategies/delayed.h"
#include "trainer/strategies/timing.h"
#include "trainer/strategy.h"

namespace basin::trainer {

class Wash final : public Strategy {
 public:
  Wash(const WashOptions& options, const RunShape& shape);
  void AfterStep(const StepInfo& step, MemberState& member,
                 comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;
  std::vector<std::pair<std::string, torch::Tensor*>> InFlight() override { return delayed_.Tensors(); }
  void Resume(int64_t steps, const comm::Communicator& comm) override { delayed_.Resume(steps, comm); }

 private:
  /// With the selection rates that make p the share of places that change.
  std::vector<comm::SelectedTensor> TensorsAt(double time_factor) const;
  /// The exchange of this step.
  std::vector<comm::SelectedTensor> TensorsAt(const StepInfo& step) const;
  comm::DrawKey KeyOf(int64_t step) const { return {.run_seed = shape_.seed, .exchange = static_cast<uint64_t>(step)}; }
  comm::SparseFlight MakeFlight(int64_t step, const comm::Communicator& comm) const;
  int num_flats() const { return options_.optimizer_state ? 1 + shape_.num_moments : 1; }

  const WashOptions options_;
  const RunShape shape_;
  const StepTimes times_;
  const std::vector<double> factors_;  // of each tensor's p, by depth
  comm::SparseExchange exchange_;
  DelayedExchange delayed_;
};

}  // namespace basin::trainer
