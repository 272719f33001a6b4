// What the averaging strategies share: members' units brought into one order before their mean is taken.
#pragma once

#include "comm/communicator.h"
#include "trainer/strategies/dense.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// kWeight: rank 0's weights go to all (one Broadcast), and every other rank permutes its units to fit them (Git Re-Basin, arXiv
/// 2209.04836). Collective.
void AlignBefore(Align align, MemberState& member, comm::Communicator& comm);

/// What one such event sends: mean over the ranks.
MeanTraffic AlignTraffic(Align align, const RunShape& shape);

}  // namespace basin::trainer
