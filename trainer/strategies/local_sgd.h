// Local SGD, and post-local SGD (Lin et al., arXiv 1808.07217): take H steps alone, average, go on.
#pragma once

#include "trainer/strategies/dense.h"
#include "trainer/strategies/timing.h"
#include "trainer/strategy.h"

namespace basin::trainer {

class LocalSgd final : public Strategy {
 public:
  LocalSgd(const LocalSgdOptions& options, const RunShape& shape);
  void AfterStep(const StepInfo& step, MemberState& member,
                 comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;

 private:
  const RunShape shape_;
  const StepTimes times_, every_step_;  // after every_steps; the window's every step
  const int64_t post_local_from_;
  const Align align_;
  DenseMean mean_{Carry::kState};
};

}  // namespace basin::trainer
