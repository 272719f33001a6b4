// No exchange: the control of every experiment. With `ema` each member ends as the exponential moving average of its own weights:
// the control for what averaging over time gives without any other member.
#pragma once

#include "trainer/strategy.h"

namespace basin::trainer {

class Independent final : public Strategy {
 public:
  Independent(const IndependentOptions& options, const RunShape& shape) : options_(options), shape_(shape) {}
  void Begin(MemberState& member, comm::Communicator& comm) override;
  void AfterStep(const StepInfo& step, MemberState& member, comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;
  std::vector<std::pair<std::string, torch::Tensor*>> State() override;

 private:
  const IndependentOptions options_;
  const RunShape shape_;
  torch::Tensor average_;  // [P], over the steps so far; only with ema
};

}  // namespace basin::trainer
