// SPARTA (ICLR 2025 MCDC workshop): a few coordinates, drawn anew each time, become their mean over
// the members.
#pragma once

#include <vector>

#include "comm/sparse_exchange.h"
#include "trainer/strategies/delayed.h"
#include "trainer/strategies/timing.h"
#include "trainer/strategy.h"

namespace basin::trainer {

class Sparta final : public Strategy {
 public:
  Sparta(const SpartaOptions& options, const RunShape& shape);
  void AfterStep(const StepInfo& step, MemberState& member,
                 comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;
  std::vector<std::pair<std::string, torch::Tensor*>> InFlight() override { return delayed_.Tensors(); }
  void Resume(int64_t steps, const comm::Communicator& comm) override { delayed_.Resume(steps, comm); }

 private:
  std::vector<int64_t> Draw(int64_t step) const;

  const TravelOptions travel_;
  const RunShape shape_;
  const StepTimes times_;
  const std::vector<comm::SelectedTensor> tensors_;
  comm::SparseExchange exchange_;
  DelayedExchange delayed_;
};

}  // namespace basin::trainer
