// DART (Jain et al., arXiv 2302.14685): members with different augmentations, averaged every so
// often in the later part of training. The augmentations are the population's overrides; here are
// the averages.
#pragma once

#include "trainer/strategies/dense.h"
#include "trainer/strategy.h"

namespace basin::trainer {

class Dart final : public Strategy {
 public:
  Dart(const DartOptions& options, const RunShape& shape);
  void AfterEpoch(const EpochInfo& epoch, MemberState& member,
                  comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;

 private:
  bool ActsAfter(int64_t completed_epochs) const;

  const RunShape shape_;
  const int64_t from_, every_;  // in completed epochs
  const Align align_;
  DenseMean mean_{Carry::kState};
};

}  // namespace basin::trainer
