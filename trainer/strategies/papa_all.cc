#include "trainer/strategies/papa_all.h"

#include "trainer/strategies/align.h"
#include "trainer/strategies/renorm.h"
#include "trainer/strategies/timing.h"

namespace basin::trainer {

PapaAll::PapaAll(const PapaAllOptions& options, const RunShape& shape)
    : options_(options), shape_(shape) {}

void PapaAll::AfterEpoch(const EpochInfo& epoch, MemberState& member,
                         comm::CountingCommunicator& comm) {
  if (!MergesAfterEpoch(epoch.epoch, options_.every_epochs, shape_)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (comm.size() == 1) return;
  AlignBefore(options_.align, member, comm);
  torch::Tensor target = ActivationsBefore(options_.renorm, member, comm);
  if (target.defined()) {
    comm.AllReduceSum(target);
    target.div_(comm.size());
  }
  Unpack(mean_.Take(member, comm), Carry::kState, member);
  MendAfter(options_.renorm, target, member);
}

Forecast PapaAll::Predict() const {
  const int64_t activations = NumActivations(options_.renorm, shape_);
  return Repeat(AlignTraffic(options_.align, shape_) + AllReduceTraffic(activations, sizeof(double), shape_.members) +
                    AllReduceTraffic(NumCarried(shape_, Carry::kState), sizeof(float), shape_.members),
                CountMerges(options_.every_epochs, shape_));
}

}  // namespace basin::trainer
