// Which checkpoint a resumed run goes on from, and what makes it refuse.
#pragma once

#include <filesystem>
#include <optional>
#include <span>

#include "comm/communicator.h"
#include "trainer/checkpoint/files.h"
#include "trainer/checkpoint/state.h"
#include "trainer/config/config.h"

namespace basin::trainer {

struct ResumePoint {
  std::filesystem::path folder;  ///< of the checkpoint
  Manifest manifest;
};

/// The newest complete checkpoint whose files are whole on all ranks. Incomplete and damaged ones are passed over, each with a
/// warning that names the file. None when the run was stopped before its first checkpoint: it then starts from its beginning. With `may_begin`
/// also when it was to write none (checkpoint.every_steps 0) and has none.
/// Collective over `comm`; rank 0 chooses, every rank reads the files of `ranks_here`.
/// On all ranks alike: ConfigError for a folder without a run, another configuration (each differing key with both values), another
/// number of members, another format; DataError when checkpoints are there and none can be used.
std::optional<ResumePoint> FindResumePoint(const std::filesystem::path& run_dir, const RunConfig& config,
                                           std::span<const int> ranks_here, comm::Communicator& comm, bool may_begin = false);

/// Puts a rank where the checkpoint left it; the parts are as at the start of a run (Strategy::Begin done). Warns when the bits cannot
/// be the same (another device, nccl). ConfigError for another layout of the weights; DataError as RestoreRank.
RestoredRank GoOn(const ResumePoint& point, Member& member, Strategy& strategy, comm::CountingCommunicator& counting);

/// Damaged checkpoints after the resume point lose their manifest (renamed manifest.damaged.json): what follows must not count on
/// them. Rank 0.
void SetDamagedAside(const std::filesystem::path& run_dir, int64_t step);

/// Leaves in a metrics file the first records of each member that the checkpoint knows of, in their order, and drops all others:
/// those of steps that will be taken again, and a line that was cut short. Atomic. Rank 0, before anybody appends.
void TrimMetrics(const std::filesystem::path& metrics, const ResumePoint& point);

}  // namespace basin::trainer
