// SPARTA (ICLR 2025 MCDC workshop): a few coordinates, drawn anew each time, become their mean over
// the members.
#pragma once

#include <vector>

#include "comm/sparse_exchange.h"
#include "trainer/strategies/timing.h"
#include "trainer/strategy.h"

namespace basin::trainer {

class Sparta final : public Strategy {
 public:
  Sparta(const SpartaOptions& options, const RunShape& shape);
  void AfterStep(const StepInfo& step, MemberState& member,
                 comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;

 private:
  const RunShape shape_;
  const StepTimes times_;
  const std::vector<comm::SelectedTensor> tensors_;
  comm::SparseExchange exchange_;
};

}  // namespace basin::trainer
