// Ranks are threads of this process. Needs nothing, so every strategy is tested on it; the reference for all backends.
#pragma once

#include <functional>
#include <memory>

#include "comm/communicator.h"

namespace basin::comm {

/// What the ranks of one in-process group share. Thread-safe.
class InProcessGroup;

/// A group of `size` seats; each seat is taken by one thread through MakeInProcess.
std::shared_ptr<InProcessGroup> MakeInProcessGroup(int size);
std::unique_ptr<Communicator> MakeInProcess(std::shared_ptr<InProcessGroup> group, int rank,
                                            std::chrono::milliseconds timeout,
                                            torch::Device device = torch::kCPU);
/// Ends the group: every present and later wait of its ranks throws CommError with this reason at once.
void AbortGroup(InProcessGroup& group, int failed_rank, const std::string& reason);

/// Runs body(communicator) once in each of `size` threads and joins them. A rank that throws aborts the group; after all
/// have ended, the first failure (not the CommErrors that follow from it) is rethrown.
void RunInProcess(int size, const std::function<void(Communicator&)>& body,
                  std::chrono::milliseconds timeout = std::chrono::seconds(60),
                  torch::Device device = torch::kCPU);

}  // namespace basin::comm
