// DiLoCo (Douillard et al., arXiv 2311.08105): every H steps an outer SGD takes the members' mean
// movement for its gradient, and all members go on from where it lands.
#pragma once

#include "trainer/strategies/dense.h"
#include "trainer/strategies/timing.h"
#include "trainer/strategy.h"

namespace basin::trainer {

class Diloco final : public Strategy {
 public:
  Diloco(const DilocoOptions& options, const RunShape& shape);
  /// The outer weights begin at the mean of the members' first weights.
  void Begin(MemberState& member, comm::Communicator& comm) override;
  void AfterStep(const StepInfo& step, MemberState& member,
                 comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;
  /// Defined after Begin; the same on all ranks.
  std::vector<std::pair<std::string, torch::Tensor*>> State() override;

 private:
  /// Moves the outer weights; `mean` [P] of the members' weights is used up.
  void OuterStep(torch::Tensor mean);

  const DilocoOptions options_;
  const RunShape shape_;
  const StepTimes times_;
  DenseMean mean_{Carry::kState};
  torch::Tensor outer_, momentum_;  // [P]
};

}  // namespace basin::trainer
