// The composition root: a configuration and the launcher's environment become a trained population.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>

#include "base/json.h"
#include "trainer/agreement.h"
#include "trainer/config.h"
#include "trainer/loop.h"

namespace basin::trainer {

struct RunRequest {
  std::filesystem::path config_file;
  std::vector<std::string> overrides{};             ///< KEY=VALUE
  std::optional<std::filesystem::path> run_dir{};   ///< instead of run.dir
  bool resume = false;
  /// Called on rank 0 while training; may be empty.
  std::function<void(const LoopStatus&)> show{};
  /// Called on rank 0 once everything has been checked, before the first step.
  std::function<void(const RunConfig&, const std::string& backend)> announce{};
};

struct RunOutcome {
  bool prints = true;           ///< this process is the one that reports (rank 0)
  int exit_code = 0;            ///< not 0: all ranks failed alike, and rank 0, which throws, tells why
  bool already_finished = false;
  base::Json result;            ///< content of result.json, where prints
  std::filesystem::path run_dir;
};

/// Under mpirun: one member a process, otherwise N members as threads of this process. `interrupted` (a signal came, to any
/// rank) stops all ranks after the same step, with a checkpoint; see Checkpointer.
/// Failures end all ranks: exceptions here on every rank of a process group that can still talk, otherwise the job is aborted
/// with the failure's exit code after its message was printed.
RunOutcome TrainPopulation(const RunRequest& request, const std::atomic<bool>& interrupted);

}  // namespace basin::trainer
