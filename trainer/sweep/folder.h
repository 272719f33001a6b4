// The folder of a sweep: where each run lies and how far it has come.
//
//   configs/<cell>-seed-1.yaml   a run's whole configuration
//   runs/<cell>/seed-1/          its run directory, seed-1.log beside it
#pragma once

#include <filesystem>
#include <string>

#include "trainer/sweep/plan.h"

namespace basin::trainer {

struct SweepFiles {
  std::filesystem::path config, run_dir, log;
};
SweepFiles FilesOf(const std::filesystem::path& folder, const SweepRun& run);

enum class RunStage { kNew, kStarted, kFinished };
/// kFinished: result.json is there. kStarted: an earlier call began it.
RunStage StageOf(const SweepFiles& files);

/// Compares what runs in the folder were started with, with what the plan says now. ConfigError that names each differing key with both
/// values and the runs, for all runs at once.
void RefuseOtherConfigurations(const std::filesystem::path& folder, const SweepPlan& plan);

/// How far a run has come, from the end of its metrics.jsonl.
struct RunPosition {
  int64_t step = 0, epoch = 0;  ///< of the newest record
  double loss = 0;              ///< of the newest step
  bool known = false;           ///< false: no step has been recorded yet
};
RunPosition PositionOf(const SweepFiles& files);

/// The last line of a run's log that says something; empty when there is none.
std::string LastWords(const SweepFiles& files);

}  // namespace basin::trainer
