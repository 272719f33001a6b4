// PAPA (Jolicoeur-Martineau et al., arXiv 2304.03094): every few steps each member is pulled a
// little to the mean.
#pragma once

#include "trainer/strategies/dense.h"
#include "trainer/strategies/timing.h"
#include "trainer/strategy.h"

namespace basin::trainer {

class Papa final : public Strategy {
 public:
  Papa(const PapaOptions& options, const RunShape& shape);
  void AfterStep(const StepInfo& step, MemberState& member,
                 comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;

 private:
  const PapaOptions options_;
  const RunShape shape_;
  const StepTimes times_;
  const Carry carry_;
  DenseMean mean_;
};

}  // namespace basin::trainer
