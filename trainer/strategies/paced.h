// A strategy whose budget is time: it exchanges as before, but after steps that the clock has a say in.
#pragma once

#include <memory>

#include "trainer/strategies/pacer.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// Around a strategy that acts after every step that it is asked about. Ranks agree by an AllReduceSum of three float64 whenever the pacer
/// asks: after the exchanges at which a plan ends, and at the first step of a resumed run. Its bytes and seconds are the ledger's too.
/// Needs no state: a resumed run finds what it has spent in the ledger. What it then does depends on the clock, like the run itself.
class Paced final : public Strategy {
 public:
  Paced(std::unique_ptr<Strategy> inner, const Budget& budget, const StepWindow& window, const RunShape& shape);
  void Begin(MemberState& member, comm::Communicator& comm) override { inner_->Begin(member, comm); }
  void AfterStep(const StepInfo& step, MemberState& member, comm::CountingCommunicator& comm) override;
  /// Of an exchange at every step, which is the most; is_known is false.
  Forecast Predict() const override;
  std::vector<std::pair<std::string, torch::Tensor*>> State() override { return inner_->State(); }

 private:
  void Agree(const StepInfo& step, int64_t next_step, comm::CountingCommunicator& comm);

  const std::unique_ptr<Strategy> inner_;
  const int64_t begin_, end_;
  Pacer pacer_;
  // Of this process: what a resumed run agreed on before counts as exchanges.
  double agreement_seconds_ = 0;
  int64_t agreements_ = 0;
};

}  // namespace basin::trainer
