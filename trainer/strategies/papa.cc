#include "trainer/strategies/papa.h"

#include <algorithm>

namespace basin::trainer {

Papa::Papa(const PapaOptions& options, const RunShape& shape)
    : options_(options),
      shape_(shape),
      times_(options.when, shape),
      carry_(options.buffers ? Carry::kState : Carry::kWeights),
      mean_(carry_) {}

void Papa::AfterStep(const StepInfo& step, MemberState& member, comm::CountingCommunicator& comm) {
  if (!times_.Acts(step.step)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (comm.size() == 1) return;
  // The pull shrinks with the step size: late in training it would otherwise outweigh the gradient.
  const double coupling = options_.couple_lr && shape_.base_lr != 0 ? step.lr / shape_.base_lr : 1;
  const double pull = std::min(
      1.0, (1 - options_.alpha) * coupling);  // a rate that grows must not push past the mean
  PullTo(mean_.Take(member, comm), pull, carry_, member);
}

Forecast Papa::Predict() const {
  return Repeat(AllReduceTraffic(NumCarried(shape_, carry_), sizeof(float), shape_.members),
                times_.Count());
}

}  // namespace basin::trainer
