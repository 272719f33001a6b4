// PAPA-all (arXiv 2304.03094): every few epochs all members become their mean, mended by REPAIR.
#pragma once

#include "trainer/strategies/dense.h"
#include "trainer/strategy.h"

namespace basin::trainer {

class PapaAll final : public Strategy {
 public:
  PapaAll(const PapaAllOptions& options, const RunShape& shape);
  void AfterEpoch(const EpochInfo& epoch, MemberState& member,
                  comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;

 private:
  const PapaAllOptions options_;
  const RunShape shape_;
  DenseMean mean_{Carry::kState};
};

}  // namespace basin::trainer
