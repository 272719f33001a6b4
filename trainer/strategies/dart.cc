#include "trainer/strategies/dart.h"

#include <algorithm>

#include "trainer/strategies/align.h"

namespace basin::trainer {

Dart::Dart(const DartOptions& options, const RunShape& shape)
    : shape_(shape),
      from_(options.from_epoch.value_or(std::max<int64_t>(1, shape.total_epochs() / 2))),
      every_(options.every_epochs),
      align_(options.align) {}

bool Dart::ActsAfter(int64_t completed_epochs) const {
  return completed_epochs >= from_ && (completed_epochs - from_) % every_ == 0;
}

void Dart::AfterEpoch(const EpochInfo& epoch, MemberState& member,
                      comm::CountingCommunicator& comm) {
  if (!ActsAfter(epoch.epoch + 1)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (comm.size() == 1) return;
  AlignBefore(align_, member, comm);
  Unpack(mean_.Take(member, comm), Carry::kState, member);
}

Forecast Dart::Predict() const {
  int64_t events = 0;
  for (int64_t completed = 1; completed <= shape_.total_epochs(); ++completed)
    events += ActsAfter(completed);
  return Repeat(AlignTraffic(align_, shape_) + AllReduceTraffic(NumCarried(shape_, Carry::kState), sizeof(float), shape_.members),
                events);
}

}  // namespace basin::trainer
