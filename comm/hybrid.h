// Several ranks a process: threads within it, another backend between the processes.
#pragma once

#include <functional>
#include <span>

#include "comm/communicator.h"

namespace basin::comm {

/// Which ranks of a group of `size` the process `process` of `processes` holds: [first, second), by ShardBounds, so consecutive ones and at
/// most one more than others hold.
inline std::pair<int, int> RanksOfProcess(int size, int processes, int process) {
  const auto [begin, end] = ShardBounds(size, processes, process);
  return {static_cast<int>(begin), static_cast<int>(end)};
}

/// Runs body(communicator) once for each of this process's ranks of a group of `size` and returns when all have ended. The calling thread
/// takes the first of them and makes every call of `across`, whose ranks are the processes (1 <= across.size() <= size); the others are
/// threads of their own. Collective over `across`, which must outlive it.
///
/// Bits and traffic are those of `size` ranks of one process: sums in the order of the ranks, and a message between two
/// ranks is counted alike whether they share a process or not. Really sent is less: one message a pair of processes and call.
/// A call waits at most twice timeout(): once for the ranks of the process, once for the other processes.
///
/// A rank that throws ends those of its process; then the first failure is rethrown (not the CommErrors that follow from it).
void RunHybrid(int size, Communicator& across, const std::function<void(Communicator&)>& body, std::chrono::milliseconds timeout,
               torch::Device device = torch::kCPU);

}  // namespace basin::comm
