// What is left of a member that was lost: its last checkpoint, which may take part in the finish.
#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "comm/communicator.h"
#include "models/state_dict.h"
#include "trainer/config.h"
#include "trainer/member.h"

namespace basin::trainer {

struct LostNetwork {
  int64_t id = 0;
  int64_t step = 0;           ///< taken when it was written
  models::StateDict network;  ///< weights and buffers, on the CPU
  uint64_t weights_hash = 0;  ///< FlatParams::values_hash
};

/// The networks of the members in `lost` (entries with "member"; known to rank 0, which reads) from the newest complete checkpoint
/// that holds them whole, on every rank. Whoever has none is left out, with a line in the log. Collective.
std::vector<LostNetwork> LoadLostMembers(const std::filesystem::path& run_dir, const RunConfig& config, const data::Dataset& dataset,
                                         const base::Json& lost, comm::Communicator& comm);

}  // namespace basin::trainer
