// All members' weights on every rank, after training.
#pragma once

#include <vector>

#include "comm/communicator.h"
#include "models/state_dict.h"
#include "trainer/member.h"

namespace basin::trainer {

/// Gathers weights and buffers of all members, in the order of their numbers: CPU copies, the same on every rank.
/// Memory on each rank: members x (parameters + buffers).
std::vector<models::StateDict> GatherPopulation(Member& member, comm::Communicator& comm);

/// Member of each rank: 0, 1, ... unless some were lost.
std::vector<int64_t> GatherIds(const Member& member, comm::Communicator& comm);

/// One double vector of each rank as rows [size, n].
torch::Tensor GatherDoubles(const std::vector<double>& values, comm::Communicator& comm);

/// The sum over all ranks of a float64 or float32 tensor of any shape on the CPU.
torch::Tensor SumOverRanks(const torch::Tensor& x, comm::Communicator& comm);

}  // namespace basin::trainer
