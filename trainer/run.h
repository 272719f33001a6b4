// The composition root: a configuration and the launcher's environment become a trained population.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>

#include "base/json.h"
#include "trainer/agreement.h"
#include "trainer/config/config.h"
#include "trainer/loop.h"

namespace basin::trainer {

struct RunOutcome {
  bool already_finished = false;
  base::Json result;  ///< content of result.json
  std::filesystem::path run_dir;
};

/// The callbacks are called on the rank that reports: rank 0, or the first of those that are left. They may be empty.
struct RunRequest {
  std::filesystem::path config_file;
  std::vector<std::string> overrides{};             ///< KEY=VALUE
  std::optional<std::filesystem::path> run_dir{};   ///< instead of run.dir
  bool resume = false;
  bool may_begin = false;  ///< with resume: begin where there is no checkpoint to go on from, instead of refusing
  bool watches = false;  ///< `show` gets the population too
  /// While training.
  std::function<void(const LoopStatus&)> show{};
  /// Once everything has been checked, before the first step.
  std::function<void(const RunConfig&, const std::string& backend)> announce{};
  /// At the end, before the group parts.
  std::function<void(const RunOutcome&)> report{};
};

/// Under mpirun: one member a process, otherwise N members as threads of this process. `interrupted` (a signal came, to any
/// rank) stops all ranks after the same step, with a checkpoint; see Checkpointer.
/// Returns the exit code: not 0 where all ranks failed alike and rank 0, which throws, tells why. Other failures end all ranks, or
/// with coordinator.on_loss continue this one alone: the process ends here with the failure's exit code after its message was printed.
int TrainPopulation(const RunRequest& request, const std::atomic<bool>& interrupted);

}  // namespace basin::trainer
