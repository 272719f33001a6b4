// The work behind prune.
#pragma once

#include <filesystem>

#include "merge/prune.h"
#include "trainer/laboratory/crew.h"
#include "trainer/laboratory/mending.h"

namespace basin::trainer {

struct PruneRequest {
  double sparsity = 0;
  merge::PruneScope scope = merge::PruneScope::kGlobal;
  MendingOptions mending{};  ///< renorm, averaged, sequential, samples; the dense network is the target
};

/// Writes the pruned and corrected model to `out`, and `out`.json: zeros of each layer, scores of the dense, the pruned and the
/// corrected network on the test split. The crew's first rank does it all and has the report; the others get null. ConfigError: sparsity out of range, a mending that is none of pruning.
base::Json PruneFile(const RunConfig& config, const std::filesystem::path& file, const std::filesystem::path& out,
                     const PruneRequest& request, Crew& crew);

}  // namespace basin::trainer
