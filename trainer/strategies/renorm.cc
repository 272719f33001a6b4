#include "trainer/strategies/renorm.h"

#include "base/error.h"

namespace basin::trainer {

torch::Tensor ActivationsBefore(Renorm renorm, const MemberState& member,
                                const comm::Communicator& comm) {
  if (renorm != Renorm::kRepair) return {};
  BASIN_CHECK(member.renormaliser != nullptr, "member ", member.id, " cannot be repaired");
  return member.renormaliser->MeasureActivations().to(comm.device());
}

void MendAfter(Renorm renorm, const torch::Tensor& target, MemberState& member) {
  if (renorm == Renorm::kNone) return;
  BASIN_CHECK(member.renormaliser != nullptr, "member ", member.id, " cannot be renormalised");
  if (renorm == Renorm::kReset) return member.renormaliser->Reset();
  member.renormaliser->Repair(target.to(torch::kCPU));
}

int64_t NumActivations(Renorm renorm, const RunShape& shape) {
  return renorm == Renorm::kRepair ? shape.num_activation_statistics : 0;
}

}  // namespace basin::trainer
