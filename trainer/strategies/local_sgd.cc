#include "trainer/strategies/local_sgd.h"

#include <algorithm>

#include "trainer/strategies/align.h"

namespace basin::trainer {

LocalSgd::LocalSgd(const LocalSgdOptions& options, const RunShape& shape)
    : shape_(shape),
      times_(options.when, shape, Beat::kLast),
      every_step_({.every_steps = 1, .start = options.when.start, .stop = options.when.stop},
                  shape),
      post_local_from_(options.post_local_from),
      align_(options.align) {}

void LocalSgd::AfterStep(const StepInfo& step, MemberState& member,
                         comm::CountingCommunicator& comm) {
  const StepTimes& times = step.step < post_local_from_ ? every_step_ : times_;
  if (!times.Acts(step.step)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (comm.size() == 1) return;
  AlignBefore(align_, member, comm);
  Unpack(mean_.Take(member, comm), Carry::kState, member);
}

Forecast LocalSgd::Predict() const {
  const int64_t events =
      every_step_.Count() - every_step_.Count(post_local_from_) + times_.Count(post_local_from_);
  return Repeat(AlignTraffic(align_, shape_) + AllReduceTraffic(NumCarried(shape_, Carry::kState), sizeof(float), shape_.members),
                events);
}

}  // namespace basin::trainer
