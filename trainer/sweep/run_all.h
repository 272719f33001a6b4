// Runs a sweep: child processes side by side, until all are done or somebody interrupts.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "trainer/sweep/folder.h"

namespace basin::trainer {

struct RunState {
  enum class Stage { kWaiting, kRunning, kFinished, kFailed, kStopped } stage = Stage::kWaiting;
  bool here_before = false;     ///< finished by an earlier call
  double seconds = 0;           ///< of this call, so far or in all
  RunPosition position{};       ///< while it runs
  int exit_code = 0;            ///< kFailed, kStopped
  std::string message{};        ///< kFailed: the last line of its log
};

struct SweepOptions {
  std::filesystem::path folder{};
  int jobs = 1;                            ///< runs side by side, at least 1
  std::vector<std::string> launcher{};     ///< words before the program, e.g. mpirun -n {members}; empty: members are threads
  std::filesystem::path program{};         ///< basin
  std::chrono::seconds patience{120};      ///< that a stopped run has to write its checkpoint
  /// Several times a second, and whenever a run has begun or ended (`changed`: its number, else -1).
  std::function<void(const std::vector<RunState>&, int changed)> show{};
};

struct SweepOutcome {
  std::vector<RunState> runs;  ///< in the plan's order
  bool interrupted = false;
  /// 130 when interrupted; else the largest exit code of the runs (1 for one that a signal ended); 0 when all have finished.
  int ExitCode() const;
};

/// Finished runs are left as they are, started ones go on with --resume, new ones begin; a run that fails is noted and the others go on.
/// `interrupted`: running ones are asked to stop, which leaves their checkpoints; none begins any more. ConfigError when runs in the
/// folder are of another configuration, when the folder is in use, when the launcher cannot be started, or under mpirun.
SweepOutcome RunAll(const SweepPlan& plan, const SweepOptions& options, const std::atomic<bool>& interrupted);

}  // namespace basin::trainer
