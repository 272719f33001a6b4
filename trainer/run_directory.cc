#include "trainer/run_directory.h"

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"

namespace basin::trainer {
namespace {

namespace fs = std::filesystem;

/// What an unfinished run left, so that nothing of it is taken for the new run's.
void PutAside(const fs::path& dir) {
  if (fs::exists(dir / "metrics.jsonl")) {
    base::LogInfo(Text(dir.string(), " holds an unfinished run; starting afresh, its metrics are kept as metrics.previous.jsonl"));
    fs::rename(dir / "metrics.jsonl", dir / "metrics.previous.jsonl");
  }
  if (!fs::exists(dir / "checkpoints")) return;
  bool any_complete = false;
  for (const CheckpointEntry& entry : ListCheckpoints(dir)) any_complete = any_complete || entry.complete;
  if (any_complete) {
    base::LogWarning(Text(dir.string(), ": its checkpoints are kept as checkpoints.previous (--resume would have gone on from them)"));
    fs::remove_all(dir / "checkpoints.previous");
    fs::rename(dir / "checkpoints", dir / "checkpoints.previous");
  } else {
    fs::remove_all(dir / "checkpoints");
  }
}

}  // namespace

std::unique_ptr<RunLock> LockRunDirectory(const fs::path& dir, bool resume) {
  if (resume && !fs::is_directory(dir)) {
    throw ConfigError(Text("--resume: there is no run directory ", dir.string(), "; start the run without --resume"));
  }
  std::error_code failure;
  fs::create_directories(dir, failure);
  if (failure) throw DataError(Text(dir.string(), ": the run directory cannot be made: ", failure.message()));
  return std::make_unique<RunLock>(dir);
}

void PrepareRunDirectory(const fs::path& dir, const RunConfig& config, const std::optional<ResumePoint>& point) {
  try {
    if (point) {
      base::LogInfo(Text("going on from ", point->folder.string(), " (", point->manifest.step, " steps taken)"));
      SetDamagedAside(dir, point->manifest.step);
      TrimMetrics(dir / "metrics.jsonl", *point);
    } else {
      PutAside(dir);
    }
    fs::remove_all(dir / "members");  // of a finish that did not come to its end
    base::WriteFileAtomically(dir / "config.yaml", ToYaml(config));
  } catch (const fs::filesystem_error& failure) {
    throw DataError(Text(dir.string(), ": the run directory cannot be prepared: ", failure.what()));
  }
}

}  // namespace basin::trainer
