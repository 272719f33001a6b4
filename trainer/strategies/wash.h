// WASH (Fournier et al., arXiv 2405.17517): a few coordinates change owner, so the members stay
// apart and the mean stays.
#pragma once

#include <vector>

#include "comm/sparse_exchange.h"
#include "trainer/strategies/timing.h"
#include "trainer/strategy.h"

namespace basin::trainer {

class Wash final : public Strategy {
 public:
  Wash(const WashOptions& options, const RunShape& shape);
  void AfterStep(const StepInfo& step, MemberState& member,
                 comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;

 private:
  /// With the selection rates that make p the share of places that change.
  std::vector<comm::SelectedTensor> TensorsAt(double time_factor) const;

  const WashOptions options_;
  const RunShape shape_;
  const StepTimes times_;
  const std::vector<double> factors_;  // of each tensor's p, by depth
  comm::SparseExchange exchange_;
};

}  // namespace basin::trainer
