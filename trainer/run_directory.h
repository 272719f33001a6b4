// What happens to a run directory before the first step: who may use it, what is put aside, what is cut.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "trainer/checkpoint/resume.h"
#include "trainer/config/config.h"
#include "trainer/run_lock.h"

namespace basin::trainer {

/// Makes the directory (for a resumed run it must exist) and locks it. Rank 0. ConfigError when it is in use, or missing for a
/// resumed run; DataError when it cannot be made or written.
std::unique_ptr<RunLock> LockRunDirectory(const std::filesystem::path& dir, bool resume);

/// Makes a locked directory ready. Without a resume point the metrics and checkpoints of an earlier, unfinished run are kept under
/// the names metrics.previous.jsonl and checkpoints.previous. Writes config.yaml. Rank 0.
void PrepareRunDirectory(const std::filesystem::path& dir, const RunConfig& config, const std::optional<ResumePoint>& point);

}  // namespace basin::trainer
