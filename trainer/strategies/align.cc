#include "trainer/strategies/align.h"

#include "base/error.h"

namespace basin::trainer {

void AlignBefore(Align align, MemberState& member, comm::Communicator& comm) {
  if (align == Align::kNone || comm.size() == 1) return;
  BASIN_CHECK(member.aligner != nullptr, "a strategy aligns, but its member has nothing to do that with");
  torch::Tensor reference = comm.rank() == 0 ? member.weights : torch::empty_like(member.weights);
  comm.Broadcast(reference, /*root=*/0);
  if (comm.rank() != 0) member.aligner->AlignTo(reference);
}

MeanTraffic AlignTraffic(Align align, const RunShape& shape) {
  if (align == Align::kNone || shape.members == 1) return {};
  // A tree hands the weights to every rank but one.
  const double share = static_cast<double>(shape.members - 1) / shape.members;
  const double bytes = static_cast<double>(shape.num_parameters * int64_t{sizeof(float)});
  return {.bytes = share * bytes,
          .messages = share,
          .calls = {{.kind = ExpectedCall::Kind::kRounds, .courses = {comm::BroadcastRounds(shape.members, /*root=*/0, bytes)}}},
          .memory_bytes = bytes};
}

}  // namespace basin::trainer
