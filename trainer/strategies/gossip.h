// Gossip averaging: random disjoint pairs of members mix, the rest waits for nobody.
#pragma once

#include <cstdint>

#include "trainer/strategies/timing.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// The partner of `rank` in this step's pairing, -1 for the one that is left over when N is odd.
/// Every pairing of the members is equally likely; the same on every rank.
int64_t DrawPartner(uint64_t run_seed, int64_t step, int members, int rank);

class Gossip final : public Strategy {
 public:
  Gossip(const GossipOptions& options, const RunShape& shape);
  void AfterStep(const StepInfo& step, MemberState& member,
                 comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;

 private:
  const GossipOptions options_;
  const RunShape shape_;
  const StepTimes times_;
  torch::Tensor own_, peer_;  // [P + S]
};

}  // namespace basin::trainer
