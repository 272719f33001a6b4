// One member of a run from its first step to the result, also past the loss of others.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "base/json.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "trainer/checkpoint/resume.h"
#include "trainer/control.h"
#include "trainer/loop.h"
#include "trainer/metrics.h"
#include "trainer/run_lock.h"

namespace basin::trainer {

/// What the ranks of a process share, and what each must know to begin.
struct RunPlan {
  RunConfig config;
  std::shared_ptr<const data::Dataset> dataset;
  std::filesystem::path run_dir;
  std::unique_ptr<MetricsFile> metrics;
  std::unique_ptr<RunLock> lock;     ///< on rank 0 only
  std::optional<ResumePoint> point;  ///< to go on from
  bool one_host = true;              ///< all ranks are on this host
  bool watches = false;              ///< LoopStatus::population is wanted
  std::function<void(const LoopStatus&)> show;  ///< of the rank that shows the progress; may be empty
};

struct MemberRun {
  const RunPlan& plan;
  comm::Communicator& comm;
  const std::atomic<bool>& interrupted;
  bool& all_know;      ///< set before a failure that all ranks throw alike
  bool& others_go_on;  ///< set before a failure of this rank that must not end the others
  /// A communicator over those that are left. Empty: a loss ends the run, whatever coordinator.on_loss says.
  std::function<std::unique_ptr<comm::Communicator>(const NewGroup&)> regroup{};
};

/// Content of result.json on the first rank of those that are left, null on the others. Collective over `comm`.
base::Json RunMember(const MemberRun& run);

}  // namespace basin::trainer
