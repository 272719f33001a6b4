// A thread for each rank of a process.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "comm/communicator.h"
#include "comm/in_process_group.h"

namespace basin::comm {

enum class FirstRank { kOnThisThread, kOnAThreadOfItsOwn };

using MakeRank = std::function<std::unique_ptr<Communicator>(int rank)>;

/// Runs body(*make(rank)) for each rank in [ranks.first, ranks.second), the ranks of `group`, each in a thread, and joins them. A rank that
/// throws aborts the group; after all have ended, the first failure (not those that follow from it) is rethrown.
void RunRankThreads(InProcessGroup& group, std::pair<int, int> ranks, FirstRank first, const MakeRank& make,
                    const std::function<void(Communicator&)>& body);

}  // namespace basin::comm
