// The processes of a command that works on finished models: one alone, or all that mpirun started.
#pragma once

#include <functional>

#include "comm/communicator.h"
#include "trainer/lmc.h"

namespace basin::trainer {

/// What a command sees of them. Every rank makes the same calls in the same order.
class Crew {
 public:
  /// `all_know` is set while all ranks fail alike.
  Crew(comm::Communicator& comm, bool& all_know) : comm_(comm), all_know_(all_know) {}

  comm::Communicator& comm() { return comm_; }
  /// Whether this rank writes files and prints.
  bool leads() const { return comm_.rank() == 0; }
  /// Tasks are spread over the ranks; all get all results.
  TaskShare share() { return ByRank(comm_); }
  /// Reading and checking, on every rank: a failure anywhere is a failure of all, told once. Collective; `step` is not.
  void Together(const std::function<void()>& step);

 private:
  comm::Communicator& comm_;
  bool& all_know_;
};

/// Runs `work` with the ranks that the launcher's environment tells of, and returns the exit code: alone, a crew of one in this process;
/// under mpirun, one rank a process (on one thread each, unless OMP_NUM_THREADS says otherwise). All leave together. A failure within
/// Together ends all ranks in order: rank 0 throws, the others return its exit code. Any other one ends all at once.
int WithCrew(const std::function<void(Crew&)>& work);

}  // namespace basin::trainer
