// What exchanges take on the network that is really there.
#pragma once

#include "base/clock.h"
#include "comm/communicator.h"
#include "trainer/plan/plan.h"

namespace basin::trainer {

/// Times AllReduceSum and AllToAllV at sizes from 64 bytes up to `largest_bytes` (at most 256 MiB), each four times the one before: the
/// median over repetitions on each rank, then the mean over the ranks. `comm` is what is measured, `meet` (may be the same) brings the
/// ranks together before each call. A second or two on a fast network; a size is tried at least three times on a slow one. Collective; the
/// same on all ranks.
ProbedTimes Probe(comm::Communicator& comm, comm::Communicator& meet, const base::Clock& clock, double largest_bytes);

}  // namespace basin::trainer
