// When a run saves itself and when it stops: the one place where ranks agree on it, between two steps.
#pragma once

#include <array>
#include <atomic>
#include <functional>

#include "trainer/checkpoint/background_writer.h"
#include "trainer/checkpoint/files.h"
#include "trainer/checkpoint/state.h"

namespace basin::trainer {

/// What a Checkpointer must know of its run. References are borrowed.
struct CheckpointPlan {
  std::filesystem::path run_dir;
  int64_t total_steps = 0;
  int64_t first_step = 0;  ///< that this part of the run takes
  double started = 0;      ///< clock at the start of the run, earlier parts included
  const std::atomic<bool>& interrupted;
  base::Json lost = base::Json::array();  ///< who was lost before, known to the first rank: Manifest::lost
  /// Asked for at every beat on the ranks that have one; throws when the run directory is lost.
  std::function<void()> check_directory{};
};

/// A rank's part in the checkpoints of a run. AfterStep is collective, from the thread that trains; a thread of its own writes.
///
/// The beat: about four times a second, and at every checkpoint, all ranks gather a row of nine integers from each (AllGather on
/// the uncounted communicator: nothing in the ledger). The number of steps to the next beat follows from the slowest rank's
/// measured time a step, which is in the row, so all compute the same. What is agreed there: a signal that any rank got stops all
/// after this very step; a failed write ends all; when all ranks' files are written, rank 0 writes the manifest.
class Checkpointer {
 public:
  /// `all_know` becomes true before an exception that all ranks throw alike.
  Checkpointer(const RankContext& context, Member& member, Strategy& strategy, const comm::CountingCommunicator& counting,
               CheckpointPlan plan, bool& all_know);

  /// After every step. Takes a checkpoint when `checkpoint.every_steps` says so, after the last step too (the finish may last),
  /// and when the run is to stop; returns before it is written, except the last or before stopping.
  /// Throws, on all ranks alike: Interrupted, when a signal came, with the checkpoint complete; DataError, when a file could not be
  /// written or the run directory is lost.
  void AfterStep(const LoopState& at, MetricsWriter& metrics);

 private:
  /// A row of the beat.
  enum Column { kStop, kFailed, kIdle, kStepNanoseconds, kTensorBytes, kTensorHash, kFactBytes, kFactHash, kMember, kColumns };

  void Beat(int64_t step);
  std::exception_ptr FindFailure() const;
  void ThrowTogether(std::exception_ptr own);
  void ScheduleNextBeat(int64_t step, int64_t slowest_nanoseconds);
  void Take(const LoopState& at, MetricsWriter& metrics);
  void WriteRankFiles(const base::Json& facts);
  void Complete(const torch::Tensor& rows);
  void BeatWhenIdle(int64_t step);
  /// Beats until all ranks have nothing left to write, rank 0's manifest included.
  void Drain(int64_t step);
  [[noreturn]] void Stop(int64_t step);

  const RankContext& context_;
  Member& member_;
  Strategy& strategy_;
  const comm::CountingCommunicator& counting_;
  const CheckpointPlan plan_;
  bool& all_know_;
  int64_t next_beat_;
  int64_t last_beat_;
  double last_beat_time_;
  bool stop_ = false;
  bool all_idle_ = true;  // no rank has anything left to write; the same on all ranks
  int64_t pending_ = -1;  // step of the checkpoint without a manifest, the same on all ranks; -1: none
  Snapshot snapshot_;
  std::array<base::FileDigest, 2> written_;  // tensors and facts of the pending checkpoint; the writer's until it is idle
  BackgroundWriter writer_;            // last: its thread uses the above
};

}  // namespace basin::trainer
