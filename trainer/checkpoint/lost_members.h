// What is left of a member that was lost, and may take part in the finish: what it had handed in, or its last checkpoint.
#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "models/state_dict.h"
#include "trainer/loop.h"

namespace basin::trainer {

struct LostNetwork {
  int64_t id = 0;
  std::optional<int64_t> checkpoint_step;  ///< taken when its checkpoint was written; none: these are its final weights
  models::StateDict network;  ///< weights and buffers, on the CPU
  uint64_t weights_hash = 0;  ///< FlatParams::values_hash
};

/// The networks of the members in `lost` (entries with "member"; known to rank 0, which reads), on every rank: as the coordinator has
/// them, where they were lost in the finish, else from the newest complete checkpoint that holds them whole. Whoever left neither
/// is left out, with a line in the log. Collective.
std::vector<LostNetwork> LoadLostMembers(const RankContext& context, const std::filesystem::path& run_dir, const base::Json& lost);

}  // namespace basin::trainer
