// The two halves of mending a member that becomes an average: look at the parents before, correct
// the child after.
#pragma once

#include <torch/types.h>

#include "comm/communicator.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// This member's activation statistics, float64 [2 U] on the communicator's device; undefined
/// unless renorm is repair.
torch::Tensor ActivationsBefore(Renorm renorm, const MemberState& member,
                                const comm::Communicator& comm);
/// Brings the merged member to `target` (repair), recomputes its batch-norm statistics (reset) or
/// leaves it (none).
void MendAfter(Renorm renorm, const torch::Tensor& target, MemberState& member);
/// Elements of the activation statistics that travel: 0 unless renorm is repair.
int64_t NumActivations(Renorm renorm, const RunShape& shape);

}  // namespace basin::trainer
